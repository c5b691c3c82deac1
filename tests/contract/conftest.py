"""The engines that pass the one suite."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from store_samples import Telling

from engagement.stores.memory import MemoryStore
from engagement.stores.port import EventStore
from engagement.stores.sqlite import SqliteStore


@pytest.fixture
def tell() -> Telling:
    return Telling()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventStore]:
    makers: dict[str, Callable[[], EventStore]] = {
        "memory": MemoryStore,
        "sqlite": lambda: SqliteStore(tmp_path / "lib" / "events.db", writing=True),
    }
    made = makers[request.param]()
    yield made
    made.close()
