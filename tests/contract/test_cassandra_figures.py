"""Figures in Cassandra, where several shippers may write to one day."""

import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from cassandra_site import Node, empty
from contract.figure_story import DAY, Message, at
from contract.store_samples import AT, SampleRows
from engagement.events.classify import Classification, ReaderClass
from engagement.events.rows import EventRow, relabelled
from engagement.figures.contribution import Cube
from engagement.figures.facts import fact_of
from engagement.figures.ledger import Ledger
from engagement.figures.query import FigureQuery, answer
from engagement.links.model import Kind
from engagement.settings.schema import CassandraClientStanza
from engagement.stores.cassandra.figures import recount
from engagement.stores.cassandra.figures.day_facts import SHARDS, virtual_shard
from engagement.stores.cassandra.figures.ranks import CHUNKS, rank_cube
from engagement.stores.cassandra.figures.turns import by_turns
from engagement.stores.cassandra.queries import PLACE
from engagement.stores.cassandra.store import CassandraStore
from engagement.stores.cassandra.writing import Writes
from engagement.stores.port import Count, LabelledHit, Query, StoreError

MINUTE = 60_000


@pytest.fixture(scope="module")
def tables(cassandra_node: Node) -> CassandraStore:
    """A store in the keyspace of this module's tests."""
    store = CassandraStore(cassandra_node.migrated("figures"))
    store.connection.say("ALTER KEYSPACE figures WITH durable_writes = false")
    return store


@pytest.fixture
def client(tables: CassandraStore) -> CassandraClientStanza:
    """What leads to its tables, empty."""
    empty(tables)
    stanza = tables.connection.stanza
    assert isinstance(stanza, CassandraClientStanza)
    return stanza


@pytest.fixture
def two(client: CassandraClientStanza) -> Iterator[tuple[CassandraStore, CassandraStore]]:
    """Two shippers' stores."""
    stores = CassandraStore(client), CassandraStore(client)
    yield stores
    for store in stores:
        store.close()


class PartitionCounts:
    """Notes how many partitions a store asks for, by statement."""

    def __init__(self, store: CassandraStore) -> None:
        self.counts: dict[str, int] = {}
        self._read_each = store._reader.read_each
        store._reader.read_each = self.read_each  # type: ignore[method-assign] # looked at only

    def read_each(self, name: str, several: Sequence[tuple[object, ...]]) -> list[list[tuple[Any, ...]]]:
        self.counts[name] = self.counts.get(name, 0) + len(several)
        return self._read_each(name, several)


def test_a_day_of_two_shippers_has_the_events_of_both(
    two: tuple[CassandraStore, CassandraStore], sample: SampleRows
) -> None:
    one, other = two
    for number in range(4):
        for store in two:
            store.add(sample.hit(at=number * 15_000, message=1))
            store.add(sample.hit(at=number * 15_000, message=10 + number))
            store.roll_up()
    assert one.totals(Query())["click"] == other.totals(Query())["click"]
    # Each hit of one shipper is repeated by the other's in the same moment.
    assert one.totals(Query())["click"] == Count(16, 8, 8, 5, 5)


def test_a_shipper_alone_counts_only_what_has_changed(
    client: CassandraClientStanza, sample: SampleRows
) -> None:
    store = CassandraStore(client)
    counts = PartitionCounts(store)
    try:
        store.add([row for message in range(40) for row in sample.hit(at=20 * MINUTE, message=message)])
        store.roll_up()
        assert counts.counts["tally_of"] > 20
        counts.counts.clear()
        store.add(sample.hit(at=1000, message=7))
        assert store.roll_up() == 1
        assert counts.counts == {"tally_of": 1, "seen_of": 0, "tally_from": 0}
        assert store.totals(Query())["click"].counted == 41
        counts.counts.clear()
        assert store.roll_up() == 0
        assert counts.counts == {}
    finally:
        store.close()


def test_figures_that_take_long_are_made_in_pieces(client: CassandraClientStanza, sample: SampleRows) -> None:
    store = CassandraStore(client)
    try:
        store.add([row for n in range(200) for row in sample.hit(at=n * MINUTE // 8, message=n)])
        calls = 1
        while not store.roll_up(0.0):
            calls += 1
            assert calls < 100
        assert calls > 1
        assert store.totals(Query())["click"].counted == 200
    finally:
        store.close()


def test_marks_of_days_not_made_yet_outlive_the_shipper(
    client: CassandraClientStanza, sample: SampleRows
) -> None:
    """A process after the other is stopped before it has made all that the first has left to do."""
    first = CassandraStore(client)
    first.add([row for n in range(6) for row in sample.hit(at=n * 86_400_000, message=n)])
    first.close()
    for seconds, left in ((0.0, 4), (0.0, 2), (math.inf, 0)):
        store = CassandraStore(client)
        try:
            store.roll_up(seconds)
            made = store.totals(Query()).get("click", Count()).counted
            days = {day for _, day, _, _ in store._reader.read("stale_days", (PLACE,))}
            assert len(days) == left
        finally:
            store.close()
    assert made == 6


def test_what_another_adds_to_a_day_counted_in_pieces_is_in_its_figures(
    two: tuple[CassandraStore, CassandraStore], sample: SampleRows
) -> None:
    one, other = two
    other.add(sample.hit(at=MINUTE, message=1))
    one.add([row for n in range(200) for row in sample.hit(at=n, message=10 + n)])
    assert one.roll_up(0.0) == 0  # some of it
    other.add(sample.hit(at=2 * MINUTE, message=2))
    other.roll_up()
    deadline = time.monotonic() + 60
    while not one.roll_up(0.0):
        assert time.monotonic() < deadline
    assert one.totals(Query())["click"].counted == 202


@pytest.mark.parametrize("table", ["part", "seen", "life", "figure"])
def test_figures_that_could_not_be_written_are_written_the_next_time(
    client: CassandraClientStanza, table: str
) -> None:
    store = CassandraStore(client)
    write = store._recount._write
    failed: list[str] = []

    def fails_once(writes: Writes) -> None:
        if not failed and any(name == table for name, _ in writes):
            failed.append(table)
            raise StoreError("not for now")
        write(writes)

    message = Message(1, "ida@a.example", "spring")
    try:
        store.add(message.comes_in(at(1)))
        store.roll_up()
        store._recount._write = fails_once
        store.add(message.hit(Kind.CLICK, at(2)))
        with pytest.raises(StoreError):
            store.roll_up()
        store.roll_up()
        (row,) = store.figures(FigureQuery(by="campaign", precision="life"))
        assert (row.figures["count_injected"], row.figures["count_unique_clicked"]) == (1, 1)
        (row,) = store.figures(FigureQuery())
        assert (row.figures["count_injected"], row.figures["count_unique_clicked"]) == (1, 1)
    finally:
        store.close()


def test_a_hit_at_a_days_end_makes_one_of_the_next_day_a_repeat(
    client: CassandraClientStanza, sample: SampleRows
) -> None:
    store = CassandraStore(client)
    end = 86_400_000 - AT % 86_400_000
    try:
        store.add(sample.hit(at=end + 2000))
        store.roll_up()
        store.add(sample.hit(at=end - 2000))
        store.roll_up()
        (row,) = store.figures(FigureQuery(metrics=("count_clicked", "x_count_recorded_clicked")))
        assert dict(row.figures) == {"count_clicked": 1, "x_count_recorded_clicked": 2}
    finally:
        store.close()


def test_a_virtual_shard_never_changes() -> None:
    """Rows are found by it for as long as they live."""
    found = [virtual_shard(number.to_bytes(16, "big")) for number in range(4)]
    assert SHARDS == 256
    assert found == [85, 195, 121, 239]


def hit_rows(chance: random.Random) -> list[list[EventRow]]:
    """What happens to some messages within two days, row by row."""
    made = []
    for number in range(1, 7):
        message = Message(number, f"r{number}@{'ab'[number % 2]}.example", ("spring", "")[number % 3 == 0])
        made.append(message.comes_in(at(23)))
        made.append(message.becomes("delivery", at(23, 1), num_retries=0, queue_time=5))
        for _ in range(chance.randrange(7)):
            moment = at(23, 59, 50) + chance.randrange(20_000)
            kind = chance.choice((Kind.OPEN, Kind.CLICK, Kind.INITIAL_OPEN))
            client = chance.choice(("human", "scanner", "proxy"))
            made.append(message.hit(kind, moment, client, certain=chance.random() < 0.7))
    chance.shuffle(made)
    return made


@pytest.mark.parametrize("seed", range(3))
def test_shippers_in_any_turns_with_any_clocks_make_the_figures_of_all_events(
    client: CassandraClientStanza, seed: int
) -> None:
    """Against the definition: what three shippers added, in any order and again, and labelled anew."""
    chance = random.Random(seed)
    stores = [
        CassandraStore(client, now=lambda ahead=ahead: time.time() + ahead)  # type: ignore[misc] # bound early
        for ahead in (0, 86_400, -86_400)
    ]
    ledger, labels = Ledger(), {}
    scanner = Classification(ReaderClass.SCANNER, "burst", "2")
    try:
        for part in hit_rows(chance):
            for _ in range(chance.choice((1, 1, 2))):
                chance.choice(stores).add(part)
            for row in part:
                labels[row.event_id] = row
                ledger.put(row.message_id, [fact_of(row)])
            if chance.random() < 0.4:
                chance.choice(stores).roll_up(chance.choice((0.0, math.inf)))
        hits = list(stores[0].hits(DAY, DAY + 3 * 86_400_000))
        for each in chance.sample(hits, len(hits) // 2):
            chance.choice(stores).relabel([LabelledHit(each.hit, scanner)], AT)
            row = relabelled(labels[each.hit.id], scanner)
            ledger.put(row.message_id, [fact_of(row)])
            if chance.random() < 0.4:
                chance.choice(stores).roll_up(0.0)
        for store in chance.sample(stores, 3):
            store.roll_up()
        for query in (
            FigureQuery(precision="1min", series=True),
            FigureQuery(precision="hour", series=True, by="campaign"),
            FigureQuery(by="domain", series=True),
            FigureQuery(by="domain", order_by="count_injected", limit=2),
            FigureQuery(by="link"),
            FigureQuery(by="machine", series=True),
            FigureQuery(by="campaign", precision="life"),
        ):
            assert stores[0].figures(query) == answer(query, ledger.sums.items())
    finally:
        for store in stores:
            store.close()


LARGEST = FigureQuery(by="domain", order_by="count_injected", metrics=("count_injected",), limit=2)


def _mail(sizes: dict[str, int], first: int = 0) -> list[EventRow]:
    """The rows of so many messages to each domain."""
    domains = [domain for domain, size in sizes.items() for _ in range(size)]
    return [
        row
        for number, domain in enumerate(domains, start=first + 1)
        for row in Message(number, f"a@{domain}", "spring").comes_in(at(1, day=number % 2))
    ]


def _largest(store: CassandraStore) -> dict[str, int]:
    return {row.group: row.figures["count_injected"] for row in store.figures(LARGEST)}


def test_of_many_domains_only_those_that_are_shown_are_read(client: CassandraClientStanza) -> None:
    store = CassandraStore(client)
    try:
        store.add(_mail({f"d{number}.example": number for number in range(1, 20)}))
        store.roll_up()
        counts = PartitionCounts(store)
        assert _largest(store) == {"d19.example": 19, "d18.example": 18}
        assert counts.counts == {"figures_in": 0, "figures_of_groups": 2}
    finally:
        store.close()


def test_groups_that_have_none_of_what_they_are_ordered_by_are_shown_as_well(
    client: CassandraClientStanza,
) -> None:
    store = CassandraStore(client)
    try:
        store.add(_mail({"a.example": 2}))
        for name in ("c.example", "b.example"):  # deliveries of mail that was taken in before
            store.add(Message(90, f"a@{name}", "spring").becomes("delivery", at(2), num_retries=0))
        store.roll_up()
        query = replace(LARGEST, metrics=(), limit=2)
        assert [row.group for row in store.figures(query)] == ["a.example", "b.example"]
    finally:
        store.close()


def test_what_a_program_without_ranks_counts_is_seen(
    two: tuple[CassandraStore, CassandraStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when one host is not upgraded yet: its figures are later than the ranks of the others."""
    one, earlier = two
    one.add(_mail({"a.example": 3, "b.example": 4, "c.example": 5}))
    one.roll_up()
    assert _largest(one) == {"c.example": 5, "b.example": 4}
    with monkeypatch.context() as patch:
        patch.setattr(recount, "ranks", lambda _: iter(()))
        earlier.add(_mail({"a.example": 6}, first=100))
        earlier.roll_up()
    assert _largest(one) == {"a.example": 9, "c.example": 5}
    one.add(_mail({"b.example": 8}, first=200))
    one.roll_up()
    assert _largest(earlier) == {"b.example": 12, "a.example": 9}


def test_a_day_gets_its_ranks_when_it_is_over(client: CassandraClientStanza) -> None:
    clock = [at(12) / 1000]
    store = CassandraStore(client, now=lambda: clock[0])
    place = ("", rank_cube(Cube.DOMAIN_DAY), [DAY // 86_400_000])
    try:
        store.add(Message(1, "a@a.example", "spring").comes_in(at(1)))
        store.roll_up()
        assert _largest(store) == {"a.example": 1}
        assert store._reader.read("ranks", place) == []
        store.roll_up()
        assert store._reader.read("ranks", place) == []
        clock[0] += 86_400
        assert store.roll_up() == 0
        assert len(store._reader.read("ranks", place)) == CHUNKS
        assert _largest(store) == {"a.example": 1}
    finally:
        store.close()


def test_days_are_taken_by_turns_from_both_ends() -> None:
    days = [("", 3), ("a", 1), ("", 5), ("", 2)]
    assert list(by_turns(days)) == [("", 5), ("a", 1), ("", 3), ("", 2)]
    assert list(by_turns([])) == []
