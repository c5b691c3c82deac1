"""What people enter and change: API keys, users, webhooks, suppressed addresses. Not events (`stores`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engagement.registry.port import Registry
    from engagement.settings import Settings


def open_registry(settings: Settings) -> Registry:
    """Return the registry that the settings name; its file or tables are made where they are missing.

    Beside the events of a cluster it is in the cluster, so that all hosts share it. Raises RegistryError, and
    NotInstalledError without the engine's driver.
    """
    if settings.store.engine == "cassandra" and settings.cassandra_client:
        from engagement.stores import need_driver

        need_driver(settings)
        from engagement.registry.cassandra import CassandraRegistry

        return CassandraRegistry(settings.cassandra_client)
    from engagement.registry.sqlite import SqliteRegistry

    return SqliteRegistry(Path(settings.registry.path))
