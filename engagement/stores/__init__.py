"""Stores and finds events: one port, several engines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engagement.extras import need

if TYPE_CHECKING:
    from engagement.settings import Settings
    from engagement.settings.schema import StoreStanza
    from engagement.stores.cassandra.queries import Lifetimes
    from engagement.stores.port import EventStore


def open_store(settings: Settings | StoreStanza, *, writing: bool = False) -> EventStore:
    """Return the store that the settings name; for a file the stanza `store { }` is enough.

    Without `writing` it is read-only, and a file that does not exist yet is an empty store until the shipper,
    the only program that writes, has made it. Raises StoreError, and NotInstalledError
    without the engine's driver.
    """
    from engagement.settings import Settings
    from engagement.stores.port import StoreError

    stanza = settings.store if isinstance(settings, Settings) else settings
    if stanza.engine == "sqlite":
        from engagement.stores.sqlite.store import SqliteStore

        return SqliteStore(Path(stanza.path), writing=writing)
    if stanza.engine == "cassandra" and isinstance(settings, Settings) and settings.cassandra_client:
        need_driver(settings)
        # Imported here: a store in a file needs no driver, which takes a quarter of a second to load.
        from engagement.stores.cassandra.store import CassandraStore

        return CassandraStore(settings.cassandra_client, life=life(settings))
    raise StoreError(f"store.engine: {stanza.engine} is not known here; known: sqlite, cassandra")


def need_driver(settings: Settings) -> None:
    """Import the driver of the engine that the settings name. Raises NotInstalledError."""
    if settings.store.engine == "cassandra":
        need("cassandra", "cassandra.cluster")


def life(settings: Settings) -> Lifetimes:
    """Return how long rows live: what events take from an injection, as long as its links are recorded."""
    from engagement.stores.cassandra.queries import Lifetimes

    retention = settings.store.retention
    return Lifetimes(retention, retention + max(0, settings.longest_expiry()))


def migrate_store(settings: Settings, report: Callable[[str], None]) -> None:
    """Create the store's tables, or bring them to the newest schema.

    report: called with the text of each step. Raises StoreError, and NotInstalledError without the driver.
    """
    if settings.store.engine != "cassandra" or settings.cassandra_client is None:
        open_store(settings, writing=True).close()
        report(f"{settings.store.path} has the newest schema")
        return
    need_driver(settings)
    from engagement.stores.cassandra.connection import Connection, RefusedError
    from engagement.stores.cassandra.schema import migrate
    from engagement.stores.port import StoreError

    connection = Connection(settings.cassandra_client, {})
    try:
        migrate(connection, life(settings), report)
        report(f"keyspace {settings.cassandra_client.keyspace} has the newest schema")
    except RefusedError as error:
        raise StoreError(f"Cassandra: {error}") from error
    finally:
        connection.close()


def check_store(settings: Settings) -> tuple[list[str], bool]:
    """Return the store's state as lines of text, and whether all is well.

    Raises StoreError, and NotInstalledError without the engine's driver.
    """
    from engagement.stores.port import Query

    if settings.store.engine != "cassandra" or settings.cassandra_client is None:
        store, path = open_store(settings), Path(settings.store.path)
        list(store.find(Query(limit=1)))
        store.close()
        if not path.exists():
            return [f"file        {path} is not there yet; the shipper makes it"], True
        return [f"file        {path}, {path.stat().st_size} bytes", "schema      as needed"], True
    need_driver(settings)
    from engagement.stores.cassandra.connection import Connection
    from engagement.stores.cassandra.schema import report_state

    connection = Connection(settings.cassandra_client, {})
    try:
        return report_state(connection)
    finally:
        connection.close()
