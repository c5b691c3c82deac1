"""Counting repeated requests of one client for one link, in place of a record for each.

Not the writing of records: that is `write.SpoolWriter`, which this stands before. The first hits of a client
for a link are recorded at once. A later hit that differs from them only in id and time, within `WINDOW`
seconds, is a repeat: it adds one to a number in a repeats file (`repeats`). When the window ends, one record
holds that number. Its id and time are those of the last repeat, so the rule of 10 s (contract.md 6.3) counts
the same as if each repeat had its own record.

Invariants: an answered hit is never in memory alone. A repeat is in the file before `append` returns, and on
the disk when the writer's `sync` promises it. After a process was killed, the spool's reader reads its file.
A file is removed only when its records are in a segment and on the disk. No number counts twice: records made
again from one slot are the same bytes, under the same id.

`ROOM` bounds what one client can cost, `MOST` what is held in memory.
"""

import logging
import os
import threading
import time
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from engagement.events.record import (
    differ_in_time_alone,
    event_id,
    later,
    link_and_client,
    moment,
    time_in_record,
)
from engagement.spool.names import REPEATS, sync_directory
from engagement.spool.repeats import MAGIC, place_of_state, slot, slots, state
from engagement.spool.write import SpoolWriter

_log = logging.getLogger("engagement.spool")

WINDOW: Final = 5.0  # seconds: half of the 10 s within which a hit repeats another (contract.md 6.3)
# Bytes of records for one client (an address; of IPv6 its /64) and one link in a window. A client that
# changes its request each time fills them: with a browser's header after about four. Further hits count with
# the last.
ROOM: Final = 1024
SINGLE: Final = 2  # hits with a record each: a second one is common, and a record costs less than a slot
MOST: Final = 20_000  # clients and links, about 10 MB; a window with that many ends


class _Variant:
    """Equal requests of one client for one link.

    record: of the first. single: number of hits that have a record each.
    start, size, hits: of their slot, if there is one.
    """

    __slots__ = ("hits", "record", "single", "size", "start")

    def __init__(self, record: bytes) -> None:
        self.record = record
        self.single = 1
        self.start = -1
        self.size = 0
        self.hits = 0


@dataclass(slots=True, eq=False)
class _Window:
    """The hits of `WINDOW` seconds.

    first, end: time of its first hit and of its end, as in a record (`time_in_record`). tick: its begin in
    seconds of the monotonic clock. seen: by link and client the record of the only hit so far, or the
    variants. descriptor, path, size: of its repeats file.
    """

    first: bytes
    end: bytes
    tick: float
    seen: dict[bytes, bytes | list[_Variant]] = field(default_factory=dict)
    descriptor: int = -1
    path: Path | None = None
    size: int = 0
    unsynced: bool = False
    failed: bool = False  # cannot be put on the disk: nothing more is counted in it


class Folding:
    """Counts repeats on their way into a writer. Safe to share between threads.

    always: a repeat is on the disk before `append` returns; to be given where the writer's `sync` is
    "always". group: seconds after which a repeat is on the disk otherwise.
    """

    def __init__(self, writer: SpoolWriter, *, always: bool = False, group: float = 0.1) -> None:
        self._writer = writer
        self._always = always
        self._group = group
        self._begin_life()
        _foldings.add(self)

    def _begin_life(self) -> None:
        self._lock = threading.Lock()  # the windows
        self._file_lock = threading.Lock()  # around what is done with a window's descriptor besides writing
        self._window = _Window(b"", b"", float("-inf"))
        self._ended: list[_Window] = []
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    def append(self, record: bytes) -> bool:
        """Record or count one hit.

        Return False if it was dropped, and counted as such (`SpoolWriter.append`).
        """
        client = link_and_client(record)
        if client is None:
            return self._writer.append(record)
        at = time_in_record(record)
        with self._lock:
            window = self._window
            if not window.first <= at < window.end or len(window.seen) >= MOST:
                window = self._begin(at)
            seen = window.seen.get(client)
            variant = _variant(seen, record) if isinstance(seen, list) else None
            counted = (
                variant is not None
                and variant.single >= SINGLE
                and self._repeat(window, variant, record, moment(record))
            )
        if counted:
            return not self._always or self._synced(window)
        # Without the lock: where the writer waits for the disk, one sync is to serve all who wait.
        if not self._writer.append(record):
            return False
        with self._lock:
            _note(window, client, record)
        return True

    def close(self) -> None:
        """Write the records of what was counted, and close the writer."""
        with self._lock:
            self._closing = True
            self._end_window()
            thread = self._thread
        self._wake.set()
        if thread is not None:
            thread.join(timeout=10)
        self._writer.close()

    # with self._lock held

    def _begin(self, at: bytes) -> _Window:
        self._end_window()
        self._window = _Window(at, later(at, int(WINDOW * 1000)), time.monotonic())
        return self._window

    def _end_window(self) -> None:
        if self._window.path is not None:
            self._ended.append(self._window)
            self._wake.set()
        self._window = _Window(b"", b"", time.monotonic())

    def _repeat(self, window: _Window, variant: _Variant, record: bytes, at_ms: int) -> bool:
        """Count one repeat; return False if there is no place for it."""
        if window.failed:
            return False
        try:
            if not variant.hits:
                return self._first_repeat(window, variant, record, at_ms)
            counted = state(variant.hits + 1, event_id(record), at_ms)
            place = variant.start + place_of_state(variant.size, variant.hits + 1)
            if os.pwrite(window.descriptor, counted, place) != len(counted):
                return False
        except OSError:  # the disk is full: the writer drops and counts
            return False
        variant.hits += 1
        self._note_unsynced(window)
        return True

    def _first_repeat(self, window: _Window, variant: _Variant, record: bytes, at_ms: int) -> bool:
        """Begin a slot; return False if there is no place for it. Raises OSError if it cannot be written."""
        data = slot(record, event_id(record), at_ms)
        if not self._writer.takes(len(data)):
            return False
        if window.path is None:
            window.descriptor, window.path = self._writer.begin_beside(REPEATS, MAGIC)
            window.size = len(MAGIC)
            if self._always:
                sync_directory(window.path.parent)
            self._start_thread()
        if os.pwrite(window.descriptor, data, window.size) != len(data):
            os.ftruncate(window.descriptor, window.size)
            return False
        variant.start, variant.size, variant.hits = window.size, len(record), 1
        window.size += len(data)
        self._note_unsynced(window)
        return True

    def _note_unsynced(self, window: _Window) -> None:
        if not window.unsynced:
            window.unsynced = True
            self._wake.set()

    def _start_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="spool-repeats", daemon=True)
            self._thread.start()

    # without it

    def _synced(self, window: _Window) -> bool:
        with self._file_lock:
            if window.descriptor < 0:
                return True  # its records are in a segment, on the disk
            window.unsynced = False
            try:
                os.fdatasync(window.descriptor)
            except OSError as error:
                window.failed = True
                _log.critical("spool: repeats cannot be made safe (%s). Look at the disk.", error.strerror)
                return False
        return True

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(self._left())
            self._wake.clear()
            with self._lock:
                window = self._window
                if window.path is not None and time.monotonic() - window.tick >= WINDOW:
                    self._end_window()
            if window.unsynced and not self._closing:
                time.sleep(self._group)
                self._synced(window)
            self._flush()
        self._flush()

    def _left(self) -> float | None:
        window = self._window
        return None if window.path is None else max(0.0, window.tick + WINDOW - time.monotonic())

    def _forked(self) -> None:
        """In the child: the parent's files stay the parent's. An open descriptor would keep their locks."""
        inherited = [window.descriptor for window in (*self._ended, self._window) if window.descriptor >= 0]
        self._begin_life()
        for descriptor in inherited:
            os.close(descriptor)

    def _flush(self) -> None:
        """Write what windows that are over have counted into a segment, and remove their files."""
        with self._lock:
            ended, self._ended = self._ended, []
        for window in ended:
            with self._file_lock:
                try:
                    data = os.pread(window.descriptor, window.size, 0)
                    saved = all([self._writer.append(each.record, 0) for each in slots(data, len(MAGIC))])
                    if window.path is not None and saved and self._writer.make_safe():
                        window.path.unlink(missing_ok=True)
                    # else left as it is, without a lock: the reader reads it
                except OSError as error:
                    _log.error("spool: %s: %s", window.path, error.strerror)
                os.close(window.descriptor)
                window.descriptor = -1


def _note(window: _Window, client: bytes, record: bytes) -> None:
    """Note a hit that has a record of its own, so that later ones can count as its repeats."""
    seen = window.seen.get(client)
    if seen is None:
        window.seen[client] = record
        return
    if isinstance(seen, bytes):
        seen = window.seen[client] = [_Variant(seen)]
    variant = _variant(seen, record)
    if variant is None:
        seen.append(_Variant(record))
    else:
        variant.single += 1


def _variant(variants: list[_Variant], record: bytes) -> _Variant | None:
    """Return the variant that a hit is counted with: its own, or the last where no more is allowed.

    None: it is a new variant.
    """
    for variant in variants:
        if differ_in_time_alone(variant.record, record):
            return variant
    if sum(len(variant.record) for variant in variants) + len(record) > ROOM:
        return variants[-1]
    return None


_foldings: "weakref.WeakSet[Folding]" = weakref.WeakSet()


def _after_fork() -> None:
    for folding in list(_foldings):
        folding._forked()  # noqa: SLF001 - this module's own class


os.register_at_fork(after_in_child=_after_fork)
