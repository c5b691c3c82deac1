"""Every figure of a year of mail equals the truth in the engines that sites use (`bench.year` prints it)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engagement.stores.cassandra.store import CassandraStore
from engagement.stores.port import EventStore
from engagement.stores.sqlite.store import SqliteStore
from year.compare import compare
from year.make import make_year
from year.play import Clock, play


@contextmanager
def opened(engine: str, request: pytest.FixtureRequest, clock: Clock) -> Iterator[EventStore]:
    """An empty store of an engine, whose time is that of the clock."""
    store: EventStore
    if engine == "sqlite":
        folder: Path = request.getfixturevalue("tmp_path")
        store = SqliteStore(folder / "events.db", writing=True)
    else:
        store = CassandraStore(request.getfixturevalue("cassandra_node").migrated("year"), now=clock)
    yield store
    store.close()


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("engine", ["sqlite", "cassandra"])
def test_every_figure_of_a_year_is_true(engine: str, request: pytest.FixtureRequest) -> None:
    clock = Clock()
    with opened(engine, request, clock) as store:
        year = make_year(int(os.environ.get("YEAR_MESSAGES", "1000")), 5)
        play(year, store, 5, clock=clock)
        found = compare(year, store, 5)
    assert [comparison.first for comparison in found.values() if comparison.differences] == []
    assert sum(comparison.numbers for comparison in found.values()) > 30_000
