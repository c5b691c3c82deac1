"""Which store the settings lead to, and which of them needs a driver (engagement.stores)."""

from pathlib import Path

import pytest

from engagement import stores
from engagement.extras import NotInstalledError
from engagement.settings import Settings, load_text
from engagement.stores import check_store, migrate_store, need_driver, open_store
from engagement.stores.cassandra import connection, schema
from engagement.stores.port import StoreError
from engagement.stores.sqlite.store import SqliteStore

_CLUSTER = 'store { engine = cassandra } cassandra_client { uri = ("name=c;host=127.0.0.1;port=9") }'


@pytest.fixture
def without_drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a host where no driver is installed."""

    def need(extra: str, module: str) -> None:
        raise NotInstalledError(f"{module} of {extra}")

    monkeypatch.setattr(stores, "need", need)


@pytest.fixture
def in_a_file(tmp_path: Path) -> Settings:
    return load_text(f'store {{ path = "{tmp_path}/events.db" }}')


@pytest.mark.usefixtures("without_drivers")
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


@pytest.mark.usefixtures("without_drivers")
def test_a_store_in_a_file_needs_none(in_a_file: Settings) -> None:
    need_driver(in_a_file)
    path = Path(in_a_file.store.path)
    assert check_store(in_a_file) == ([f"file        {path} is not there yet; the shipper makes it"], True)
    reports: list[str] = []
    migrate_store(in_a_file, reports.append)
    assert reports == [f"{path} has the newest schema"]
    lines, right = check_store(in_a_file)
    assert (lines, right) == (
        [f"file        {path}, {path.stat().st_size} bytes", "schema      as needed"],
        True,
    )
    store = open_store(in_a_file)
    assert isinstance(store, SqliteStore)
    store.close()


class Cluster:
    """Stands in for a connection to a cluster."""

    closed = 0

    def __init__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        Cluster.closed += 1


def test_a_cluster_is_migrated_and_checked_over_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, did, before = load_text(_CLUSTER), list[str](), Cluster.closed
    monkeypatch.setattr(connection, "Connection", Cluster)
    monkeypatch.setattr(schema, "migrate", lambda _connection, _life, report: report("made"))
    monkeypatch.setattr(schema, "report_state", lambda _connection: (["a table is missing"], False))
    migrate_store(settings, did.append)
    assert settings.cassandra_client is not None
    assert did == ["made", f"keyspace {settings.cassandra_client.keyspace} has the newest schema"]
    assert check_store(settings) == (["a table is missing"], False)
    assert Cluster.closed - before == 2


def test_a_cluster_that_refuses_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise connection.RefusedError("not allowed")

    monkeypatch.setattr(connection, "Connection", Cluster)
    monkeypatch.setattr(schema, "migrate", refuses)
    before = Cluster.closed
    with pytest.raises(StoreError, match="Cassandra: not allowed"):
        migrate_store(load_text(_CLUSTER), print)
    assert Cluster.closed - before == 1
