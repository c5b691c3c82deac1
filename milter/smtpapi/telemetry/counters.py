"""Counters of what the filter did, summed over all worker processes.

They are a table of 64-bit numbers in shared memory, with a row for each worker and row 0 for the parent. Only
one process writes to a row. So adding needs no lock between processes, and the counts of a worker survive its
death. If the table is in a file, another program can read it while the filter runs. It holds no history: that
is for the program that collects the numbers (`metrics`).

The names are the reasons of `outcome` and a few events; docs/reasons.md explains each. Behind them stand, for
each kind of outcome, how many messages took how long.
"""

import mmap
import os
import struct
import threading
import zlib
from bisect import bisect_left
from pathlib import Path
from typing import Final

from engagement.metrics.model import Durations
from smtpapi.model.outcome import Discard, Leave, Outcome, Plan, Refuse, Skip, Why

_EVENTS = (
    "sessions",  # connections from the MTA
    "messages",  # ends of message reached
    "tracked",  # messages sent on with links or pixels of ours
    "untouched",  # messages sent on without; each also counted under its reason
    "refused",
    "discarded",
    "edits",  # places changed in bodies
    "failed-before-change",  # an exception; the message went on untouched
    "failed-in-change",  # an exception; 451, the client tries again
    "context-refused",  # XSETCONTEXT lines not taken
    "marks-refused",  # marks on the hop's listener that are not ours, not the message's, or too old
    "suppressed",  # recipients on the suppression list, taken out or refused
    "events-dropped",  # injection records that could not be written
    "workers-started",
    "workers-died",
    "reloads",
    "reloads-refused",
)
NAMES: tuple[str, ...] = (
    *_EVENTS,
    *(f"why-{why.value}" for why in Why),
    *(f"skip-{skip.value}" for skip in Skip),
)
_AT = {name: place for place, name in enumerate(NAMES)}
_EDITS = _AT["edits"]
# Seconds at the end of a message: a common newsletter takes one or two thousandths; limits.time_budget is 2.
BOUNDS: Final = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
OUTCOMES: Final = ("tracked", "untouched", "split", "refused", "discarded")
_TIMES = len(BOUNDS) + 2  # numbers for each outcome: one for each bound, one above the last, nanoseconds
_TIMES_AT = {outcome: len(NAMES) + place * _TIMES for place, outcome in enumerate(OUTCOMES)}
_CELLS = len(NAMES) + len(OUTCOMES) * _TIMES
_ROW = _CELLS * 8
_HEAD = struct.Struct("<8sII")  # magic, checksum of the names, rows
MAGIC: Final = b"smtpapi1"
_SUM = zlib.crc32("\n".join((*NAMES, *OUTCOMES, *map(str, BOUNDS))).encode())
FILE_NAME = "milter.counters"


class CountersError(Exception):
    """The file is not a table of this version's counters."""


class WorkerCounters:
    """The counters of one process. Safe between the threads of that process."""

    def __init__(self, cells: memoryview) -> None:
        self._cells = cells
        self._lock = threading.Lock()

    def add(self, name: str, count: int = 1) -> None:
        """Add to a counter. Raises KeyError for a name that is not in NAMES."""
        place = _AT[name]
        with self._lock:
            self._cells[place] += count

    def add_outcome(self, outcome: Outcome, seconds: float) -> None:
        """Count a finished message under its outcome and reasons. seconds: that its end took."""
        names = ["messages"]
        match outcome:
            case Refuse():
                names.append(kind := "refused")
            case Discard():
                names.append(kind := "discarded")
            case Plan(why=Why.SPLIT):
                kind = "split"
                names.append(f"why-{Why.SPLIT.value}")  # each copy comes back and is counted then
            case Leave(why=why) | Plan(why=Why() as why):
                kind = "untouched"
                names += ("untouched", f"why-{why.value}")
            case Plan():
                names.append(kind := "tracked")
        edits = 0
        if isinstance(outcome, Plan):
            edits = len(outcome.edits)
            names += [f"skip-{skipped.reason.value}" for skipped in outcome.skipped]
        cells = self._cells
        times = _TIMES_AT[kind]
        with self._lock:
            for name in names:
                cells[_AT[name]] += 1
            cells[_EDITS] += edits
            cells[times + bisect_left(BOUNDS, seconds)] += 1
            cells[times + _TIMES - 1] += int(seconds * 1e9)


class Counters:
    """The table of all processes. The parent makes it before it forks; each child writes its own row."""

    def __init__(self, table: mmap.mmap, rows: int) -> None:
        self._table = table
        self.rows = rows

    @classmethod
    def create(cls, rows: int, directory: Path | None = None) -> "Counters":
        """Return a new table of zeros.

        directory: where its file is; an old one is replaced in one step. None: in memory only. Raises OSError
        where the file cannot be made.
        """
        size = _HEAD.size + rows * _ROW
        if directory is None:
            table = mmap.mmap(-1, size)
        else:
            directory.mkdir(parents=True, exist_ok=True)
            path = directory / FILE_NAME
            new = path.with_suffix(".new")
            handle = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
            try:
                os.ftruncate(handle, size)
                table = mmap.mmap(handle, size)
            finally:
                os.close(handle)
            new.replace(path)
        _HEAD.pack_into(table, 0, MAGIC, _SUM, rows)
        return cls(table, rows)

    @classmethod
    def open(cls, directory: Path) -> "Counters":
        """Open the table that a running filter writes, for reading only.

        Raises CountersError for a file of another version or kind, OSError where there is none.
        """
        with (directory / FILE_NAME).open("rb") as file:
            table = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if len(table) < _HEAD.size:
            raise CountersError(f"{directory / FILE_NAME}: not a table of counters")
        magic, checksum, rows = _HEAD.unpack_from(table, 0)
        if magic != MAGIC or checksum != _SUM or len(table) < _HEAD.size + rows * _ROW:
            raise CountersError(f"{directory / FILE_NAME}: written by another version; restart the filter")
        return cls(table, rows)

    def row(self, number: int) -> WorkerCounters:
        """Return the counters of one process; row 0 is the parent's. Raises IndexError beyond the table."""
        if not 0 <= number < self.rows:
            raise IndexError(number)
        start = _HEAD.size + number * _ROW
        return WorkerCounters(memoryview(self._table)[start : start + _ROW].cast("Q"))

    def totals(self) -> dict[str, int]:
        """Return the sums over all rows, by name."""
        return dict(zip(NAMES, self._sums(), strict=False))

    def times(self) -> dict[str, Durations]:
        """Return how long messages took at their end in all processes, by outcome."""
        sums = self._sums()
        return {
            outcome: Durations(BOUNDS, sums[at : at + _TIMES - 1], sums[at + _TIMES - 1] / 1e9)
            for outcome, at in _TIMES_AT.items()
        }

    def _sums(self) -> list[int]:
        rows = [
            struct.unpack_from(f"={_CELLS}Q", self._table, _HEAD.size + n * _ROW) for n in range(self.rows)
        ]
        return [sum(column) for column in zip(*rows, strict=True)]
