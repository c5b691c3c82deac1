"""Lists of networks and databases for Lua policies: what is remembered, and how long."""

import sqlite3
from pathlib import Path

import pytest

from engagement.settings.schema import Datasource
from smtpapi.policy.lua.library import cidr, datasource
from smtpapi.policy.lua.library.cidr import ListError, NetworkLists
from smtpapi.policy.lua.library.datasource import DataError, DataSources


class Clock:
    """Stands in for the module `time`."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(cidr, "time", made)
    monkeypatch.setattr(datasource, "time", made)
    return made


def listed(
    folder: Path, text: str, *, value: str = "txt", refresh: float = 0, default: bytes | None = None
) -> NetworkLists:
    (folder / "nets").write_text(text)
    lists = NetworkLists((folder,))
    lists.define("n", "rbldnsd", "nets", value, default, refresh)
    return lists


def test_a_list_is_read_again_when_its_time_is_over_and_not_before(tmp_path: Path, clock: Clock) -> None:
    lists = listed(tmp_path, "192.0.2.0/24:1:old", refresh=60)
    (tmp_path / "nets").write_text("192.0.2.0/24:1:newer")
    clock.now += 60
    assert lists.query("n", "192.0.2.1") == b"old"
    clock.now += 1
    assert lists.query("n", "192.0.2.1") == b"newer"
    (tmp_path / "nets").write_text("192.0.2.0/24:1:the newest")
    clock.now += 60
    assert lists.query("n", "192.0.2.1") == b"newer"
    clock.now += 1
    assert lists.query("n", "192.0.2.1") == b"the newest"


def test_a_list_without_a_time_is_read_again_only_when_it_is_asked_for(tmp_path: Path, clock: Clock) -> None:
    lists = listed(tmp_path, "192.0.2.0/24:1:old", refresh=0)
    (tmp_path / "nets").write_text("192.0.2.0/24:1:newer")
    clock.now += 1e9
    assert lists.query("n", "192.0.2.1") == b"old"
    lists.reload("n")
    assert lists.query("n", "192.0.2.1") == b"newer"


def test_a_list_that_cannot_be_read_again_stays_and_waits_for_its_time(tmp_path: Path, clock: Clock) -> None:
    lists = listed(tmp_path, "192.0.2.0/24:1:old", refresh=60)
    (tmp_path / "nets").unlink()
    clock.now += 61
    assert lists.query("n", "192.0.2.1") == b"old"
    (tmp_path / "nets").write_text("192.0.2.0/24:1:newer")
    assert lists.query("n", "192.0.2.1") == b"old"
    clock.now += 61
    assert lists.query("n", "192.0.2.1") == b"newer"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", b"wide"),
        ("192.0.2.200", b"narrow"),
        ("192.0.3.1", b"none"),
        ("::ffff:192.0.2.200", b"narrow"),
        ("2001:db8::1", b"six"),
        ("198.51.100.7", b"after"),
        ("203.0.113.9", b"none"),  # in a comment
    ],
)
def test_the_narrowest_network_counts(tmp_path: Path, address: str, expected: bytes) -> None:
    text = (
        "# 203.0.113.0/24:1:x\n! x\n; x\n$ x\n\n192.0.2.0/24:1:wide\n192.0.2.128/25:1:narrow\n"
        "2001:db8::/32 :1:six\n:127.0.0.3:after\n198.51.100.0/24\n"
    )
    assert listed(tmp_path, text, default=b"none").query("n", address) == expected


def test_a_list_says_an_address_or_a_text(tmp_path: Path) -> None:
    for value, expected in (("a", b"127.0.0.9"), ("txt", b"words")):
        assert listed(tmp_path, "192.0.2.1:127.0.0.9:words", value=value).query("n", "192.0.2.1") == expected
    assert listed(tmp_path, "192.0.2.1", value="txt").query("n", "192.0.2.1") == b"127.0.0.2"


def test_what_is_wrong_with_a_list_is_told(tmp_path: Path) -> None:
    lists = listed(tmp_path, "")
    with pytest.raises(ListError, match="nets:2: 'x' is no network"):
        listed(tmp_path, "\nx")
    for name, address, message in (("m", "192.0.2.1", "no list is named m"), ("n", "x", "'x' is no address")):
        with pytest.raises(ListError, match=message):
            lists.query(name, address)
    with pytest.raises(ListError, match="no list is named m"):
        lists.reload("m")
    with pytest.raises(ListError, match="only rbldnsd and empty"):
        lists.define("m", "other", "", "a", None, 0)
    with pytest.raises(ListError, match="a or txt"):
        lists.define("m", "empty", "", "b", None, 0)
    lists.define("m", "empty", "", "a", b"x", 0)
    assert lists.query("m", "192.0.2.1") == b"x"


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    path = tmp_path / "n.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (n, words)")
        connection.execute("INSERT INTO t VALUES (1, 'one'), (NULL, 'none')")
    connection.close()
    return path


def change(path: Path, number: int) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE t SET n = ? WHERE n IS NOT NULL", (number,))
    connection.close()


_QUERY = "SELECT n FROM t WHERE words = ?"


def test_an_answer_is_given_again_while_it_is_fresh(numbers: Path, clock: Clock) -> None:
    sources = DataSources({"d": Datasource(str(numbers), cache_life=60)})

    def ask(*, cached: bool = True) -> object:
        return sources.query("d", _QUERY, ("one",), cached=cached)

    assert ask() == ((b"n",), ((1,),))
    change(numbers, 2)
    clock.now += 59
    assert ask() == ((b"n",), ((1,),))
    clock.now += 1
    assert ask() == ((b"n",), ((2,),))
    change(numbers, 3)
    assert ask(cached=False) == ((b"n",), ((3,),))
    change(numbers, 4)
    assert ask() == ((b"n",), ((3,),))


def test_so_many_answers_are_kept_the_last_used_of_them(numbers: Path, clock: Clock) -> None:
    sources = DataSources(
        {"d": Datasource(str(numbers), cache_size=2), "none": Datasource(str(numbers), cache_size=0)}
    )

    def ask(name: str, number: int) -> object:
        return sources.query(
            name, "SELECT n FROM t WHERE n IS NOT NULL AND ? > 0", (number,), cached=True
        ).rows[0][0]

    assert [ask(name, number) for name in ("d", "none") for number in (1, 2)] == [1, 1, 1, 1]
    change(numbers, 2)
    assert [ask("d", 1), ask("d", 2), ask("none", 1)] == [1, 1, 2]
    assert ask("d", 3) == 2  # the answer of 1 goes
    assert [ask("d", 2), ask("d", 1)] == [1, 2]


def test_rows_are_text_in_utf_8_numbers_and_null_and_so_many(numbers: Path) -> None:
    sources = DataSources({"d": Datasource(str(numbers)), "one": Datasource(str(numbers), max_rows=1)})
    query = "SELECT words, n FROM t ORDER BY words"
    assert sources.query("d", query, (), cached=True) == ((b"words", b"n"), ((b"none", None), (b"one", 1)))
    assert sources.query("one", query, (), cached=True).rows == ((b"none", None),)
    named = sources.query("d", "SELECT n FROM t WHERE words = :w", {"w": "one"}, cached=True)
    assert named.rows == ((1,),)


def test_what_cannot_be_answered_is_told(numbers: Path) -> None:
    sources = DataSources({"d": Datasource(str(numbers)), "gone": Datasource(str(numbers) + "-")})
    for name, query in (("x", "SELECT 1"), ("d", "SELECT"), ("d", "DELETE FROM t"), ("gone", "SELECT 1")):
        with pytest.raises(DataError, match="no datasource is named x" if name == "x" else "n.db"):
            sources.query(name, query, (), cached=True)
