"""Figures in Cassandra, where several shippers may write to one hour."""

import math
import time

from cassandra_site import Node
from contract.store_samples import AT, Telling
from engagement.stores.cassandra.queries import PLACE
from engagement.stores.cassandra.store import CassandraStore
from engagement.stores.port import Count, Query

MINUTE = 60_000


def test_an_hour_of_two_shippers_has_the_events_of_both(cassandra_node: Node, tell: Telling) -> None:
    client = cassandra_node.migrated("figures_of_two")
    one, other = CassandraStore(client), CassandraStore(client)
    try:
        for number in range(4):
            for store in (one, other):
                store.add(tell.hit(at=number * 15_000, message=1))
                store.add(tell.hit(at=number * 15_000, message=10 + number))
                store.roll_up()
        assert one.totals(Query())["click"] == other.totals(Query())["click"]
        # Each hit of one shipper is repeated by the other's in the same moment.
        assert one.totals(Query())["click"] == Count(16, 8, 8, 5, 5)
    finally:
        one.close()
        other.close()


def test_a_shipper_alone_reads_the_minutes_that_changed(cassandra_node: Node, tell: Telling) -> None:
    store = CassandraStore(cassandra_node.migrated("figures_of_one"))
    asked: list[tuple[int, int]] = []
    minutes = store._finder.minutes
    store._finder.minutes = lambda tenant, first, last: (  # type: ignore[method-assign] # looked at only
        asked.append((first, last)) or minutes(tenant, first, last)
    )
    try:
        (first,) = tell.hit(at=20 * MINUTE)
        store.add([first])
        store.roll_up()
        assert sum(last - start for start, last in asked) == 60
        asked.clear()
        (row,) = tell.hit(at=1000)
        store.add([row])
        assert store.roll_up() == 1
        assert sum(last - start for start, last in asked) <= 2
        assert asked[-1][0] == row.at_ms // MINUTE
        assert store.totals(Query())["click"].counted == 2
        asked.clear()
        assert store.roll_up() == 0
        assert asked == []
    finally:
        store.close()


def test_figures_that_take_long_are_made_in_pieces(cassandra_node: Node, tell: Telling) -> None:
    store = CassandraStore(cassandra_node.migrated("figures_in_pieces"))
    try:
        store.add([row for n in range(12) for row in tell.hit(at=n * MINUTE, message=n)])
        calls = 1
        while not store.roll_up(0.0):
            calls += 1
            assert calls < 100
        assert calls > 1
        deadline = time.monotonic() + 20
        while store.roll_up(0.0) and time.monotonic() < deadline:
            pass
        assert store.totals(Query())["click"].counted == 12
    finally:
        store.close()


def test_marks_of_hours_not_made_yet_outlive_the_shipper(cassandra_node: Node, tell: Telling) -> None:
    """A process after the other is stopped before it has made all that the first has left to do."""
    client = cassandra_node.migrated("figures_of_a_backlog")
    first = CassandraStore(client)
    first.add([row for n in range(4) for row in tell.hit(at=n * 60 * MINUTE, message=n)])
    first.close()
    for seconds in (0.0, 0.0, math.inf):
        store = CassandraStore(client)
        try:
            store.roll_up(seconds)
            made = store.totals(Query()).get("click", Count()).counted
            marks = store._read("stale", (PLACE,))
            assert len(marks) == (0 if seconds else 4)
        finally:
            store.close()
    assert made == 4


def test_what_another_adds_to_an_hour_read_in_pieces_is_in_its_figures(
    cassandra_node: Node, tell: Telling
) -> None:
    client = cassandra_node.migrated("figures_in_pieces_of_two")
    one, other = CassandraStore(client), CassandraStore(client)
    try:
        other.add(tell.hit(at=MINUTE, message=1))
        for number in range(4):
            one.add(tell.hit(at=number * MINUTE, message=10 + number))
        assert one.roll_up(0.0) == 0  # the newest minutes and the oldest are read
        newest = 59 * MINUTE - AT % (60 * MINUTE)
        other.add(tell.hit(at=newest, message=2))
        other.roll_up()
        calls = 1
        while one.roll_up(0.0) or one._stale:
            calls += 1
            assert calls < 200
        assert one.totals(Query())["click"].counted == 6
    finally:
        one.close()
        other.close()
