"""The copy of the list for the filter is kept up to date: a thread beside the shipper.

It reads all entries once, from the beginning, and then what changes; the file is written where that makes
another table. Invariants: no entry that the registry had for 5 seconds is missing in the file while
both can be reached; a failure is reported once, and tried again.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engagement.registry.list_copy import ListCopy
from engagement.registry.port import Registry
from engagement.suppression.model import KIND, BadEntryError, Source, entry_of
from engagement.suppression.snapshot import EMPTY, Hash, SnapshotError, Table, hash_of
from engagement.suppression.snapshot_file import load, write

_log = logging.getLogger("engagement.suppression")

LOOK_SECONDS: Final = 1.0  # from one look for changes to the next: mail may be on its way
_PORTION: Final = 100_000  # changes that are held before they are merged: 20 MB


class SnapshotWriter(ListCopy):
    """Writes the list of a registry to a file. registry: opens it. path: the file."""

    def __init__(self, registry: Callable[[], Registry], path: Path) -> None:
        super().__init__(registry, path, "suppression list", LOOK_SECONDS, _log)
        self._mark = ""
        self._table = EMPTY
        self._waiting: dict[Hash, Source | None] = {}  # read, and not in the table yet
        self._written: Table | None = None

    def step(self) -> bool:
        """Take over what changed and write the file if that makes another one; return whether it was written.

        Raises RegistryError, OSError; then the same may be done again.
        """
        table = self._followed(self.registry())
        if self._written is None and self._is_on_disk(table):
            self._written = table
        if self._written is table and self._path.exists():
            return False
        write(self._path, table.encoded(int(time.time() * 1000)))
        self._written = table
        return True

    def written(self) -> str:
        """Return what the log says of a file that was written."""
        return f"{len(self._table)} entries written to {self._path}"

    def _followed(self, registry: Registry) -> Table:
        while True:
            found = registry.changes(KIND, self._mark)
            for change in found.changes:
                source: Source | None = None
                if change.document is not None:
                    try:
                        source = entry_of(change.document.data).source
                    except BadEntryError as error:
                        _log.error("suppression list: %s; it has no effect", error)
                self._waiting[hash_of(change.key)] = source
            self._mark = found.mark
            if not found.more or len(self._waiting) >= _PORTION:
                self._table = self._table.changed(self._waiting)
                self._waiting = {}
            if not found.more:
                return self._table

    def _is_on_disk(self, table: Table) -> bool:
        try:
            return load(self._path).encoded(0) == table.encoded(0)
        except (OSError, SnapshotError):
            return False
