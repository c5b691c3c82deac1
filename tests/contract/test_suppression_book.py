"""The suppression list on each engine of the registry (engagement.suppression.book)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cassandra_site import Node
from engagement.registry.cassandra import CassandraRegistry
from engagement.registry.port import Registry
from engagement.registry.sqlite import SqliteRegistry
from engagement.suppression import book
from engagement.suppression.book import ComplianceError, Search
from engagement.suppression.follow import SnapshotWriter
from engagement.suppression.index import SuppressionIndex
from engagement.suppression.model import (
    KIND,
    BadEntryError,
    Entry,
    MailKind,
    Source,
    checked,
    data_of,
    entry_of,
    normalised,
)
from engagement.suppression.snapshot_file import load

T, N = MailKind.TRANSACTIONAL, MailKind.NON_TRANSACTIONAL


@pytest.fixture(params=["sqlite", "cassandra"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    made: Registry
    if request.param == "sqlite":
        made = SqliteRegistry(tmp_path / "registry.db")
    else:
        node: Node = request.getfixturevalue("cassandra_node")
        made = CassandraRegistry(node.migrated("registry"))
        for document in made.find(KIND):
            made.delete(KIND, document.key)
    yield made
    made.close()


def test_an_entry_is_kept_by_tenant_recipient_list_and_type(registry: Registry) -> None:
    first = book.add(registry, Entry("Ida.Holm@Example.NET", N, description="asked by phone"))
    book.add(registry, Entry("ida.holm@example.net", T))
    book.add(registry, Entry("ida.holm@example.net", N, Source.LIST_UNSUBSCRIBE, list_id="news.example.com"))
    book.add(registry, Entry("ida.holm@example.net", N, tenant="31"))
    again = book.add(registry, Entry("<IDA.HOLM@example.net>", N, Source.SPAM_COMPLAINT))
    assert again.created_ms == first.created_ms
    assert again.updated_ms >= first.updated_ms
    found = book.get(registry, "Ida.Holm@example.net")
    assert [(each.type, each.list_id, each.source) for each in found] == [
        (N, "", Source.SPAM_COMPLAINT),
        (T, "", Source.MANUALLY_ADDED),
        (N, "news.example.com", Source.LIST_UNSUBSCRIBE),
    ]
    assert [each.tenant for each in book.get(registry, "ida.holm@example.net", "31")] == ["31"]


def test_entries_are_removed_by_type_and_list(registry: Registry) -> None:
    def fill() -> None:
        book.add(registry, Entry("a@example.com", N))
        book.add(registry, Entry("a@example.com", T))
        book.add(registry, Entry("a@example.com", N, list_id="news"))

    fill()
    assert book.remove(registry, "A@Example.com", types=[T]) == 1
    assert book.remove(registry, "a@example.com", list_id="NEWS") == 1
    assert book.remove(registry, "a@example.com", list_id="") == 1
    assert book.remove(registry, "a@example.com") == 0
    fill()
    assert book.remove(registry, "a@example.com") == 3
    assert book.get(registry, "a@example.com") == ()


def test_what_compliance_added_stays(registry: Registry) -> None:
    book.add(registry, Entry("a@example.com", N, Source.COMPLIANCE))
    assert book.add(registry, Entry("a@example.com", N)).source is Source.COMPLIANCE
    with pytest.raises(ComplianceError):
        book.remove(registry, "a@example.com")
    assert len(book.get(registry, "a@example.com")) == 1


def test_a_search_goes_on_from_its_cursor(registry: Registry) -> None:
    entries = [
        Entry(f"r{number:02}@{'even' if number % 2 == 0 else 'odd'}.example", N, description=f"No {number}")
        for number in range(20)
    ]
    assert book.add_many(registry, entries) == 20
    seen: list[str] = []
    cursor = ""
    while True:
        page = book.find(registry, Search(domain="Even.example"), cursor, 3)
        seen += [each.recipient for each in page.entries]
        if not (cursor := page.cursor):
            break
        book.add(registry, Entry("a@even.example", N))  # before the cursor: it shifts nothing
    assert seen == [f"r{number:02}@even.example" for number in range(0, 20, 2)]
    assert [each.recipient for each in book.find(registry, Search(description="NO 13")).entries] == [
        "r13@odd.example"
    ]
    assert len(book.find(registry, Search(description="no 1")).entries) == 11
    assert len(book.find(registry, Search(description="no 1", strict=True)).entries) == 1
    assert book.find(registry, Search(tenant="31")).entries == ()


def test_the_filters_copy_and_the_index_follow_the_list(registry: Registry, tmp_path: Path) -> None:
    writer = SnapshotWriter(lambda: registry, tmp_path / "snapshot")
    index = SuppressionIndex(lambda: registry, timeout=60)
    assert writer.step()
    book.add_many(registry, [Entry(f"r{number}@x.test", N) for number in range(30)])
    assert writer.step()
    assert index.summary()[Source.MANUALLY_ADDED] == 30
    book.remove(registry, "r7@x.test")
    book.add(registry, Entry("r8@x.test", N, Source.SPAM_COMPLAINT))
    assert writer.step()
    assert not writer.step()  # a cluster tells the changes of the last minutes again
    table = load(tmp_path / "snapshot")
    assert len(table) == 29
    assert table.source("", "r7@x.test", "", N) is None
    assert table.source("", "r8@x.test", "", N) is Source.SPAM_COMPLAINT
    assert index.find(Search()).total == 29
    assert index.summary()[Source.SPAM_COMPLAINT] == 1


@pytest.mark.parametrize(
    "wrong", ["", "ida", "@example.com", "ida@", "i da@example.com", "i\x1fd@example.com"]
)
def test_what_is_no_address_is_not_kept(wrong: str) -> None:
    with pytest.raises(BadEntryError):
        checked(Entry(wrong, N))


@pytest.mark.parametrize("wrong", [".a", "a.", "a..b", "a b", "ä", "a" * 256, "a\n"])
def test_what_is_no_list_is_not_kept(wrong: str) -> None:
    with pytest.raises(BadEntryError):
        checked(Entry("ida@example.com", N, list_id=wrong))


@given(st.emails())
def test_an_address_is_normalised_once(address: str) -> None:
    once = normalised(f" <{address.upper()}>")
    assert normalised(once) == once == normalised(address)


@given(
    st.builds(Entry, st.emails(), st.sampled_from(MailKind), st.sampled_from(Source), st.text(max_size=50))
)
def test_an_entry_is_read_as_it_was_kept(entry: Entry) -> None:
    checked_entry = checked(entry)
    assert entry_of(data_of(checked_entry)) == checked_entry
