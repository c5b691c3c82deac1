"""Which store the settings lead to, and which of them needs a driver (engagement.stores)."""

from pathlib import Path

import pytest

from engagement import stores
from engagement.extras import NotInstalledError
from engagement.settings import Settings, load_text
from engagement.stores import check_store, migrate_store, need_driver, open_store
from engagement.stores.sqlite.store import SqliteStore

_CLUSTER = 'store { engine = cassandra } cassandra_client { uri = ("name=c;host=127.0.0.1;port=9") }'


@pytest.fixture(autouse=True)
def without_drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a host where no driver is installed."""

    def need(extra: str, module: str) -> None:
        raise NotInstalledError(f"{module} of {extra}")

    monkeypatch.setattr(stores, "need", need)


@pytest.fixture
def in_a_file(tmp_path: Path) -> Settings:
    return load_text(f'store {{ path = "{tmp_path}/events.db" }}')


def test_each_use_of_a_cluster_needs_its_driver() -> None:
    settings = load_text(_CLUSTER)
    for use in (
        lambda: need_driver(settings),
        lambda: open_store(settings),
        lambda: migrate_store(settings, print),
        lambda: check_store(settings),
    ):
        with pytest.raises(NotInstalledError, match=r"cassandra\.cluster of cassandra"):
            use()


def test_a_store_in_a_file_needs_none(in_a_file: Settings) -> None:
    need_driver(in_a_file)
    path = Path(in_a_file.store.path)
    assert check_store(in_a_file) == ([f"file        {path} is not there yet; the shipper makes it"], True)
    said: list[str] = []
    migrate_store(in_a_file, said.append)
    assert said == [f"{path} has the newest schema"]
    lines, right = check_store(in_a_file)
    assert (lines, right) == (
        [f"file        {path}, {path.stat().st_size} bytes", "schema      as needed"],
        True,
    )
    store = open_store(in_a_file)
    assert isinstance(store, SqliteStore)
    store.close()
