"""The list as it is searched (engagement.suppression.index): as a plain filter over all entries would."""

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engagement.registry.port import RegistryError
from engagement.registry.sqlite import SqliteRegistry
from engagement.suppression import book
from engagement.suppression import index as index_module
from engagement.suppression.book import Search
from engagement.suppression.index import CursorError, Order, SuppressionIndex
from engagement.suppression.model import Entry, MailKind, Source

T, N = MailKind.TRANSACTIONAL, MailKind.NON_TRANSACTIONAL


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[SqliteRegistry]:
    made = SqliteRegistry(tmp_path / "registry.db")
    yield made
    made.close()


def some(count: int) -> list[Entry]:
    draw = random.Random(8)
    return [
        Entry(
            f"r{number:03}@{draw.choice(['a', 'b'])}.example",
            draw.choice(list(MailKind)),
            draw.choice(list(Source)),
            draw.choice(["", "Moved away", "moved", f'a "b" or x {number}']),
            draw.choice(["", "news"]),
            draw.choice(["", "31"]),
            updated_ms=1000 + draw.randrange(50),
        )
        for number in range(count)
    ]


SEARCHES = (
    Search(),
    Search("31"),
    Search(types=frozenset({T})),
    Search(sources=frozenset({Source.BOUNCE_RULE, Source.COMPLIANCE}), types=frozenset({N})),
    Search(domain="A.example"),
    Search(description="MOVED"),
    Search(description="moved", strict=True),
    Search(description="ed away"),
    Search(description="v"),
    Search(description='a "b" OR x'),
    Search(description="away", types=frozenset({T}), from_ms=1010),
    Search(description="nobody"),
    Search(list_id=""),
    Search(list_id="NEWS"),
    Search(from_ms=1010, to_ms=1020),
)


@pytest.fixture(params=["few fit", "many fit", "without words"])
def ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way to find descriptions."""
    if request.param == "many fit":
        monkeypatch.setattr(index_module, "_FEW", 3)
    elif request.param == "without words":
        monkeypatch.setattr(index_module, "_TRIGRAMS", "CREATE VIRTUAL TABLE words USING fts9(text)")


@pytest.mark.usefixtures("ways")
@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: f"search{SEARCHES.index(search)}")
def test_pages_hold_each_entry_that_fits_once_and_in_order(
    registry: SqliteRegistry, search: Search, order: Order
) -> None:
    entries = some(120)
    book.add_many(registry, entries)
    index = SuppressionIndex(lambda: registry)
    fitting = [each for each in entries if each.tenant == search.tenant and search.fits(each)]
    if order is Order.RECIPIENT:
        expected = sorted(fitting, key=lambda each: each.key)
    else:
        newest = order is Order.NEWEST
        expected = sorted(fitting, key=lambda each: (each.updated_ms, each.key), reverse=newest)
    found: list[str] = []
    cursor = ""
    while True:
        page = index.find(search, order, cursor, 7)
        assert page.total == len(fitting)
        found += [each.recipient for each in page.entries]
        if not (cursor := page.cursor):
            break
    assert found == [each.recipient for each in expected]
    index.close()


@pytest.mark.parametrize(
    ("search", "total"),
    [
        (Search(description="moved"), 5),
        (Search(description="moved", types=frozenset({T})), 5),
        (Search(description="nobody"), 0),
        (Search(), 120),
    ],
)
def test_of_many_entries_with_a_description_not_all_are_counted(
    registry: SqliteRegistry, monkeypatch: pytest.MonkeyPatch, search: Search, total: int
) -> None:
    monkeypatch.setattr(index_module, "_COUNTED", 5)
    book.add_many(
        registry, [replace(each, tenant="", description="moved away", list_id="") for each in some(120)]
    )
    index = SuppressionIndex(lambda: registry)
    assert index.find(search, limit=7).total == total
    index.close()


def test_the_copy_follows_what_is_changed_and_counts_it(registry: SqliteRegistry) -> None:
    index = SuppressionIndex(lambda: registry)
    assert set(index.summary().values()) == {0}
    book.add(registry, Entry("a@x.test", N, Source.SPAM_COMPLAINT))
    book.add(registry, Entry("a@x.test", T, Source.SPAM_COMPLAINT))
    assert index.summary()[Source.SPAM_COMPLAINT] == 2
    book.add(registry, Entry("a@x.test", T, Source.MANUALLY_ADDED))
    book.remove(registry, "a@x.test", types=[N])
    assert index.summary() == dict.fromkeys(Source, 0) | {Source.MANUALLY_ADDED: 1}
    assert index.find(Search()).total == 1
    assert index.summary("31") == dict.fromkeys(Source, 0)


def test_what_is_no_cursor_is_refused(registry: SqliteRegistry) -> None:
    index = SuppressionIndex(lambda: registry)
    with pytest.raises(CursorError):
        index.find(Search(), Order.NEWEST, "x")


def test_who_asks_before_all_was_read_is_told_so_and_then_answered(registry: SqliteRegistry) -> None:
    allowed = threading.Event()

    def opened() -> SqliteRegistry:
        allowed.wait(60)
        return registry

    book.add(registry, Entry("a@x.test", N))
    index = SuppressionIndex(opened, timeout=0.05)
    with pytest.raises(RegistryError, match="still being read"):
        index.find(Search())
    allowed.set()
    end = time.monotonic() + 60
    while True:
        try:
            assert index.find(Search()).total == 1
            break
        except RegistryError:
            assert time.monotonic() < end


def test_a_registry_that_fails_is_tried_again(registry: SqliteRegistry) -> None:
    answers = iter([RegistryError("no host can be reached")])

    def opened() -> SqliteRegistry:
        for failure in answers:
            raise failure
        return registry

    index = SuppressionIndex(opened, timeout=0.5)
    with pytest.raises(RegistryError, match="no host"):
        index.find(Search())
    assert SuppressionIndex(opened).find(Search()).total == 0
