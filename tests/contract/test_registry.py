"""Each engine of the registry passes one suite (engagement.registry.port)."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cassandra_site import Node
from engagement.registry.cassandra import CassandraRegistry
from engagement.registry.port import LARGEST, LONGEST_KEY, ConflictError, Registry, RegistryError
from engagement.registry.sqlite import SqliteRegistry


@pytest.fixture(params=["sqlite", "cassandra"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    made: Registry
    if request.param == "sqlite":
        made = SqliteRegistry(tmp_path / "registry" / "registry.db")
    else:
        node: Node = request.getfixturevalue("cassandra_node")
        made = CassandraRegistry(node.migrated("registry"))
        for kind in ("thing", "other"):
            for document in made.find(kind):
                made.delete(kind, document.key)
    yield made
    made.close()


def followed(registry: Registry, mark: str, limit: int = 1000) -> tuple[dict[str, object], str]:
    """Follow to the end; return the last state of each key, and the mark."""
    seen: dict[str, object] = {}
    while True:
        found = registry.changes("thing", mark, limit)
        for change in found.changes:
            seen[change.key] = change.document.data if change.document else None
        mark = found.mark
        if not found.more:
            return seen, mark


def test_what_is_put_is_there(registry: Registry) -> None:
    made = registry.put("thing", "a/ü\U0001f600", {"n": 1, "text": "ü", "list": [None, True]})
    assert registry.get("thing", "a/ü\U0001f600") == made
    assert made.data == {"n": 1, "text": "ü", "list": [None, True]}
    assert registry.get("other", "a/ü\U0001f600") is None
    assert registry.get("thing", "a") is None


def test_a_version_that_is_not_there_is_a_conflict(registry: Registry) -> None:
    first = registry.put("thing", "a", {"n": 1}, expected=0)
    with pytest.raises(ConflictError, match="changed meanwhile"):
        registry.put("thing", "a", {"n": 2}, expected=0)
    second = registry.put("thing", "a", {"n": 2}, expected=first.version)
    with pytest.raises(ConflictError):
        registry.put("thing", "a", {"n": 3}, expected=first.version)
    with pytest.raises(ConflictError):
        registry.delete("thing", "a", expected=first.version)
    assert registry.delete("thing", "a", expected=second.version)
    assert registry.get("thing", "a") is None
    again = registry.put("thing", "a", {"n": 4}, expected=0)
    assert again.version > second.version


def test_deleting_what_is_not_there_changes_nothing(registry: Registry) -> None:
    assert not registry.delete("thing", "nobody")
    registry.put("thing", "a", {})
    assert registry.delete("thing", "a")
    assert not registry.delete("thing", "a")


def test_documents_are_found_by_key(registry: Registry) -> None:
    keys = ["a", "a/1", "a/2", "a0", "b", "ü", "\U0001f600", "a/\uffee"]
    assert registry.put_many("thing", [(key, {"key": key}) for key in keys]) == len(keys)
    registry.delete("thing", "b")
    there = sorted(set(keys) - {"b"}, key=str.encode)
    assert [each.key for each in registry.find("thing")] == there
    assert [each.key for each in registry.find("thing", "a/")] == ["a/1", "a/2", "a/\uffee"]
    assert [each.key for each in registry.find("thing", "a/", after="a/1")] == ["a/2", "a/\uffee"]
    assert [each.key for each in registry.find("thing", after="a/\uffee", limit=2)] == ["a0", "ü"]
    assert registry.find("thing", "nothing") == ()
    assert registry.find("thing", limit=0) == ()


def test_changes_are_followed(registry: Registry) -> None:
    registry.put_many("thing", [(f"k{number:02}", {"n": number}) for number in range(25)])
    registry.put("other", "k", {})
    seen, mark = followed(registry, "", limit=7)
    there = {key: data for key, data in seen.items() if data is not None}
    assert there == {f"k{number:02}": {"n": number} for number in range(25)}
    registry.put("thing", "k03", {"n": "new"})
    registry.delete("thing", "k04")
    registry.put("thing", "k99", {"n": 99})
    registry.put("thing", "k99", {"n": 100})
    later, mark = followed(registry, mark, limit=7)
    assert {key: later[key] for key in ("k03", "k04", "k99")} == {
        "k03": {"n": "new"},
        "k04": None,
        "k99": {"n": 100},
    }
    assert all(later[key] == seen.get(key) for key in later if key not in ("k03", "k04", "k99"))


@pytest.mark.parametrize("mark", ["x", "-1", "9" * 30, "1/2/x", "-1/x/", "1795950000000/1795950000000/"])
def test_a_mark_of_another_registry_is_the_beginning_or_later(registry: Registry, mark: str) -> None:
    registry.put("thing", "a", {})
    found = registry.changes("thing", mark)
    assert followed(registry, found.mark if found.more else "")[0].get("a") == {}


def test_of_two_who_change_one_document_only_one_succeeds(registry: Registry) -> None:
    registry.put("thing", "n", {"n": 0})
    failures: list[BaseException] = []

    def add() -> None:
        for _ in range(5):
            while True:
                found = registry.get("thing", "n")
                assert found is not None
                try:
                    registry.put("thing", "n", {"n": found.data["n"] + 1}, expected=found.version)
                    break
                except ConflictError:
                    continue
                except BaseException as error:
                    failures.append(error)
                    return

    threads = [threading.Thread(target=add) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = registry.get("thing", "n")
    assert not failures
    assert found is not None
    assert found.data["n"] == 15


@pytest.mark.parametrize(
    ("key", "data"),
    [
        ("", {}),
        ("k" * (LONGEST_KEY + 1), {}),
        ("k", {"x": "x" * LARGEST}),
        ("k", {"x": float("nan")}),
        ("k", {"x": "\ud800"}),
        ("\udfff", {}),
    ],
)
def test_what_is_no_document_is_refused(registry: Registry, key: str, data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        registry.put("thing", key, data)


def test_two_programs_share_a_file(tmp_path: Path) -> None:
    first, second = SqliteRegistry(tmp_path / "r.db"), SqliteRegistry(tmp_path / "r.db")
    first.put("thing", "a", {"n": 1})
    assert second.get("thing", "a") == first.get("thing", "a")
    assert (tmp_path / "r.db").stat().st_mode & 0o007 == 0
    first.close()
    second.close()


def test_a_file_that_is_removed_is_made_again(tmp_path: Path) -> None:
    registry = SqliteRegistry(tmp_path / "r.db")
    registry.put("thing", "a", {})
    for name in ("r.db", "r.db-wal", "r.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    registry.put("thing", "b", {})
    registry.close()
    again = SqliteRegistry(tmp_path / "r.db")
    assert [each.key for each in again.find("thing")] == ["b"]
    again.close()


def test_a_file_that_is_none_says_so(tmp_path: Path) -> None:
    (tmp_path / "r.db").write_bytes(b"no database" * 1000)
    with pytest.raises(RegistryError, match=r"r\.db: file is not a database"):
        SqliteRegistry(tmp_path / "r.db")


def test_a_forked_process_uses_a_connection_of_its_own(tmp_path: Path) -> None:
    registry = SqliteRegistry(tmp_path / "r.db")
    registry.put("thing", "a", {})
    child = os.fork()
    if child == 0:
        registry.put("thing", "b", {})
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert [each.key for each in registry.find("thing")] == ["a", "b"]
    registry.close()


def test_scrubbing_changes_no_document(registry: Registry) -> None:
    registry.put("kind", "key", {"whose": "marker@north.example"})
    registry.put("kind", "key", {"whose": ""})
    registry.scrub()
    found = registry.get("kind", "key")
    assert found is not None
    assert (found.data, found.version) == ({"whose": ""}, 2)


def test_what_was_overwritten_is_gone_from_the_files_after_scrubbing(tmp_path: Path) -> None:
    """Also while another program has the file open."""
    one, other = SqliteRegistry(tmp_path / "registry.db"), SqliteRegistry(tmp_path / "registry.db")
    for number in range(50):
        one.put("kind", f"key {number}", {"whose": f"marker{number}@north.example"})
    assert other.get("kind", "key 7") is not None
    for number in range(50):
        one.put("kind", f"key {number}", {"whose": ""})
    one.scrub()
    assert [b"@north" in path.read_bytes() for path in tmp_path.iterdir()].count(True) == 0
    one.close()
    other.close()
