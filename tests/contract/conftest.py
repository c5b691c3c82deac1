"""The engines that pass the one suite."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cassandra_site import Node, empty
from contract.store_samples import SampleRows
from engagement.stores.cassandra.store import CassandraStore
from engagement.stores.memory import MemoryStore
from engagement.stores.port import EventStore
from engagement.stores.sqlite.store import SqliteStore


@pytest.fixture
def sample() -> SampleRows:
    return SampleRows()


@pytest.fixture(scope="session")
def one_cassandra(cassandra_node: Node) -> Iterator[CassandraStore]:
    """A store in a keyspace for the suite. Its rows never end: those of the samples lie in the past."""
    store = CassandraStore(cassandra_node.migrated("suite"))
    # Without a commit log a table is emptied without a flush: a tenth of the time.
    store.connection.say("ALTER KEYSPACE suite WITH durable_writes = false")
    yield store
    store.close()


@pytest.fixture
def cassandra_store(one_cassandra: CassandraStore) -> CassandraStore:
    """The same, empty, and knowing nothing of what it had."""
    empty(one_cassandra)
    one_cassandra.forget()
    return one_cassandra


@pytest.fixture(params=["memory", "sqlite", "cassandra"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventStore]:
    """Each engine."""
    if request.param == "cassandra":
        yield request.getfixturevalue("cassandra_store")
    else:
        yield from _made(request.param, tmp_path)


@pytest.fixture(params=["memory", "sqlite"])
def sweeping_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventStore]:
    """Each engine whose rows do not end by themselves."""
    yield from _made(request.param, tmp_path)


def _made(name: str, tmp_path: Path) -> Iterator[EventStore]:
    made: EventStore = MemoryStore()
    if name == "sqlite":
        made = SqliteStore(tmp_path / "lib" / "events.db", writing=True)
    yield made
    made.close()
