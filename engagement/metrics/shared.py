"""Counts that the processes of one program share: a table of 64-bit numbers, a row for each process.

A process adds to its own row alone, so nothing is locked between processes, and what it counted stays when
it dies: the next process that takes the row goes on from there. Made before the fork.
"""

import fcntl
import mmap
import os
import struct
import threading
from collections.abc import Sequence
from typing import Final

_NUMBER: Final = 8  # octets


class SharedRow:
    """The counts of one process. Safe between its threads as far as `add` is used."""

    def __init__(self, names: Sequence[str], cells: memoryview) -> None:
        self.cells = cells
        self.places = {name: place for place, name in enumerate(names)}
        self._lock = threading.Lock()

    def add(self, name: str, count: int = 1) -> None:
        """Add to a count. Raises KeyError for a name that the table does not have."""
        with self._lock:
            self.cells[self.places[name]] += count


class SharedCounts:
    """The table. names: of the counts. rows: the most processes that count at once."""

    def __init__(self, names: Sequence[str], rows: int) -> None:
        self.names = tuple(names)
        self._rows = rows
        self._file = os.memfd_create("smtpapi-counts", os.MFD_CLOEXEC)
        os.ftruncate(self._file, rows * self._width)
        self._table = mmap.mmap(self._file, rows * self._width)

    @property
    def _width(self) -> int:
        return len(self.names) * _NUMBER

    def take(self) -> SharedRow:
        """Return a row that no living process has. Where all are taken, return one that nobody reads.

        A record lock holds the row: the kernel frees it with the process, whatever ends that.
        """
        for row in range(self._rows):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, self._width, row * self._width)
            except OSError:
                continue
            start = row * self._width
            return SharedRow(self.names, memoryview(self._table)[start : start + self._width].cast("Q"))
        return nobody(self.names)

    def totals(self) -> dict[str, int]:
        """Return the sums over all rows, by name."""
        shape = struct.Struct(f"={len(self.names)}Q")
        rows = [shape.unpack_from(self._table, row * self._width) for row in range(self._rows)]
        return {name: sum(column) for name, column in zip(self.names, zip(*rows, strict=True), strict=True)}


def nobody(names: Sequence[str]) -> SharedRow:
    """Return a row of this process's own memory, for where nothing is shared."""
    return SharedRow(names, memoryview(bytearray(len(names) * _NUMBER)).cast("Q"))
