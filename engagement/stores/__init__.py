"""Where events are kept and asked for: one port, several engines."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from engagement.stores.port import EventStore


class StoreStanza(Protocol):
    """What of the settings' `store { }` stanza is needed here."""

    @property
    def engine(self) -> str:
        """The engine's name."""

    @property
    def path(self) -> str:
        """The SQLite file."""


def open_store(stanza: StoreStanza, *, writing: bool = False) -> "EventStore":
    """Return the store of `settings.store`.

    Read-only unless writing (the shipper alone writes): then a store that does not exist yet is an empty
    one, and appears as soon as the shipper has made it. Raises StoreError.
    """
    from engagement.stores.port import StoreError

    if stanza.engine == "sqlite":
        from engagement.stores.sqlite import SqliteStore

        return SqliteStore(Path(stanza.path), writing=writing)
    raise StoreError(f"store.engine: {stanza.engine} is not known here; known: sqlite")
