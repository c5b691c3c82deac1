"""The writing end of the spool: the segments of one process.

Not how they are read (`read`). A segment is `HOST-PID-START-N.open` while its writer holds an exclusive flock
on it, `….ready` once it is complete. An open one whose lock is free belonged to a process that died. sync
"group" calls fdatasync `group_ms` after the first unsynced record, "always" before `append` returns.

Invariants: `append` never raises, and waits for nothing but the local disk, so the answer to a reader of a
mail does not depend on it. A record that cannot be written is dropped, counted in `SpoolWriter.dropped` and
logged, once a minute and at the end. Each record is one write(2) at the end of the file, so a killed process
leaves whole records. After a failed sync nothing more is written to that file: the kernel may have dropped
its pages, and a second fdatasync would report success.
"""

import errno
import logging
import os
import re
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

from engagement.spool.format import MAGIC, MAX_RECORD, frame
from engagement.spool.names import OPEN, READY, begun, directory_size, room, sync_directory

_log = logging.getLogger("engagement.spool")

_COMPLAIN_EVERY = 60.0  # seconds between two lines about the same trouble
_RETRY_EVERY = 0.1  # seconds between two attempts to begin a segment, or to measure the room again
_MEASURE_EVERY = 1.0  # seconds for which the measured size of the directory is used


class _Segment:
    """One file being written. synced: bytes known to be on the disk. failed: take nothing more."""

    __slots__ = ("descriptor", "failed", "name", "records", "size", "started", "synced")

    def __init__(self, descriptor: int, name: str, started: float) -> None:
        self.descriptor = descriptor
        self.name = name
        self.size = len(MAGIC)
        self.records = 0
        self.started = started
        self.synced = 0
        self.failed = False


class SpoolWriter:
    """Appends records to one process's segments. Made after fork, shared by its threads.

    sync: "group" or "always". segment_size: bytes after which a new segment begins. segment_age: seconds
    after which a segment with records ends, so that disk space is freed. max_size: bytes of all segments of
    the directory together beyond which records are dropped. max_share: the same in percent of the file
    system; the lesser of both counts. dropped: events dropped so far; the argument is called with those of
    each drop. sync_failures: fdatasync calls that failed; sync_failed is called for each. A forked child
    begins segments of its own. Raises ValueError for another sync.
    """

    def __init__(
        self,
        directory: Path,
        *,
        sync: str = "group",
        segment_size: int = 8 * 1024 * 1024,
        max_size: int = 1024 * 1024 * 1024,
        max_share: int = 100,
        group_ms: int = 100,
        segment_age: float = 60.0,
        dropped: Callable[[int], None] = lambda _events: None,
        sync_failed: Callable[[], None] = lambda: None,
    ) -> None:
        if sync not in ("group", "always"):
            raise ValueError(f"sync is group or always, not {sync}")
        self._directory = directory
        self._always = sync == "always"
        self._segment_size = segment_size
        self._segment_age = segment_age
        self._max_size = max_size
        self._max_share = max_share
        self._group = group_ms / 1000
        self._count_dropped = dropped
        self._count_sync_failed = sync_failed
        self._begin_life()
        _writers.add(self)

    def _begin_life(self) -> None:
        self.dropped = 0
        self.sync_failures = 0
        self._lock = threading.Lock()  # current, retiring, sizes, counters
        self._sync_lock = threading.Lock()  # held around fdatasync and close; taken before _lock, never after
        self._wake = threading.Event()
        self._awake = False  # whether the thread was woken for the records since its last round
        self._current: _Segment | None = None
        self._retiring: list[_Segment] = []
        self._thread: threading.Thread | None = None
        self._closing = False
        self._number = 0
        host = re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname()) or "localhost"
        self._prefix = f"{host}-{os.getpid()}-{time.time_ns() // 1000}"
        self._total = sys.maxsize  # until it is measured, before the first record
        self._limit = self._max_size
        self._measured = float("-inf")
        self._tried = float("-inf")
        self._complained = float("-inf")
        self._unreported = 0
        self._why = ""

    def append(self, record: bytes, events: int = 1) -> bool:
        """Append one record; return False if it was dropped, and counted. Never raises.

        events: how many the record stands for; 0 where a dropped one is not lost. True means with sync
        "always" that the record is on the disk, with "group" that it survives this process and will be on the
        disk within group_ms.
        """
        if len(record) > MAX_RECORD:
            return self._drop(f"a record of {len(record)} bytes", events)
        data = frame(record)
        if not self._always:
            with self._lock:
                if self._write(data, events) is None:
                    return False
                if not self._awake:
                    self._awake = True
                    self._wake.set()
            return True
        for _ in range(2):  # again in a new segment after a failed sync: the same record twice is one event
            with self._lock:
                segment = self._write(data, events)
                if segment is None:
                    return False
                end = segment.size
                if end == len(MAGIC) + len(data):  # from now on the thread has to watch the segment's age
                    self._wake.set()
            if self._synced(segment, end):
                return True
        return self._drop("fdatasync failed twice", events)

    def make_safe(self) -> bool:
        """Put on the disk what was appended before; return False if that fails."""
        with self._lock:
            waiting = [*self._retiring, *([self._current] if self._current else [])]
        return all([self._synced(segment, segment.size) for segment in waiting])

    def begin_beside(self, ending: str, head: bytes) -> tuple[int, Path]:
        """Begin a file beside this process's segments (`names.begun`); return its descriptor and path.

        Raises OSError if it cannot be made.
        """
        with self._lock:
            name = f"{self._prefix}-{self._number:06d}"
            self._number += 1
        return begun(self._directory, name, ending, head), self._directory / (name + ending)

    def takes(self, size: int) -> bool:
        """Return whether the spool may take size bytes more; if so, count them as taken."""
        with self._lock:
            if not self._has_room(size):
                return False
            self._total += size
            return True

    def close(self) -> None:
        """Finish the segment, so that it can be read to its end. Records appended afterwards are dropped."""
        with self._lock:
            self._closing = True
            self._retire()
            self._report_drops()
            thread = self._thread
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=10)
        self._finish_retired()

    # with self._lock held

    def _has_room(self, size: int) -> bool:
        if self._total + size > self._limit:
            self._measure()
        return self._total + size <= self._limit

    def _write(self, data: bytes, events: int) -> _Segment | None:
        size = len(data)
        if not self._has_room(size):
            self._note_drop(f"the spool holds {self._total} bytes of {self._limit} that it may take", events)
            return None
        segment = self._current
        if segment is not None and (segment.failed or segment.size + size > self._segment_size):
            self._retire()
            segment = None
        if segment is None:
            segment = self._begin(events)
            if segment is None:
                return None
        try:
            written = os.write(segment.descriptor, data)
        except OSError as error:
            self._note_drop(f"write: {error.strerror}", events)
            self._cut(segment)
            return None
        if written != size:
            self._note_drop("write: no room for a whole record", events)
            self._cut(segment)
            return None
        segment.size += size
        segment.records += 1
        self._total += size
        return segment

    def _cut(self, segment: _Segment) -> None:
        """Remove what a failed write may have left. If that fails too, the file is not written to again."""
        try:
            os.ftruncate(segment.descriptor, segment.size)
        except OSError:
            self._retire()

    def _begin(self, events: int) -> _Segment | None:
        now = time.monotonic()
        if self._closing or now - self._tried < _RETRY_EVERY:
            self._note_drop("closed" if self._closing else "no segment could be begun", events)
            return None
        name = f"{self._prefix}-{self._number:06d}"
        self._number += 1
        try:
            descriptor = begun(self._directory, name, OPEN, MAGIC)
        except OSError as error:
            self._tried = now
            self._note_drop(f"{error.filename or self._directory}: {error.strerror}", events)
            return None
        self._total += len(MAGIC)
        self._current = _Segment(descriptor, name, now)
        self._start_thread()
        return self._current

    def _retire(self) -> None:
        if self._current is not None:
            self._retiring.append(self._current)
            self._current = None
            self._wake.set()

    def _start_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="spool-sync", daemon=True)
            self._thread.start()

    def _measure(self) -> None:
        """Measure how much the directory holds: others write to it, and the shipper removes from it."""
        now = time.monotonic()
        if now - self._measured < _RETRY_EVERY:
            return
        self._measured = now
        try:
            self._limit = min(self._max_size, room(self._directory, self._max_share))
            self._total = directory_size(self._directory)
        except OSError:  # not there yet, most likely: nothing is in it
            self._total = 0

    def _note_drop(self, why: str, events: int) -> None:
        self.dropped += events
        self._count_dropped(events)
        self._unreported += events
        self._why = why
        if time.monotonic() - self._complained >= _COMPLAIN_EVERY:
            self._report_drops()

    def _report_drops(self) -> None:
        """Log how many events were dropped since the last such line. The lines of a process add up to all."""
        if self._unreported:
            _log.error(
                "spool %s: %d event(s) dropped, last because of: %s. Make room, or raise spool.max_size "
                "or max_share.",
                self._directory,
                self._unreported,
                self._why,
            )
            self._complained = time.monotonic()
            self._unreported = 0

    # without self._lock

    def _drop(self, why: str, events: int) -> bool:
        with self._lock:
            self._note_drop(why, events)
        return False

    def _synced(self, segment: _Segment, end: int) -> bool:
        """Put the first end bytes on the disk; return whether they are.

        One fdatasync serves all waiting threads.
        """
        with self._sync_lock:
            if segment.synced >= end:
                return True
            if segment.failed:
                return False
            size = segment.size
            try:
                if segment.synced == 0:
                    sync_directory(self._directory)
                os.fdatasync(segment.descriptor)
                if os.fstat(segment.descriptor).st_nlink == 0:
                    raise FileNotFoundError(errno.ENOENT, "somebody removed the segment")
            except OSError as error:
                segment.failed = True
                self.sync_failures += 1
                self._count_sync_failed()
                _log.critical(
                    "spool %s: %s, with %d event(s), cannot be made safe (%s); those not shipped are lost. "
                    "A new segment is begun. Look at the disk.",
                    self._directory,
                    segment.name,
                    segment.records,
                    error.strerror,
                )
                return False
            segment.synced = size
            return True

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(self._seconds_to_age())
            if self._wake.is_set() and not self._closing:
                time.sleep(self._group)
            self._wake.clear()
            self._awake = (
                False  # in this order: a thread that still reads True has written what is synced below
            )
            with self._lock:
                segment = self._current
                if segment is not None and self._is_old(segment):
                    self._retire()
                if time.monotonic() - self._measured > _MEASURE_EVERY:
                    self._measure()
                if time.monotonic() - self._complained >= _COMPLAIN_EVERY:
                    self._report_drops()
            if segment is not None and not self._always and segment.synced < segment.size:
                self._synced(segment, segment.size)
            self._finish_retired()

    def _is_old(self, segment: _Segment) -> bool:
        return segment.size > len(MAGIC) and time.monotonic() - segment.started >= self._segment_age

    def _seconds_to_age(self) -> float | None:
        segment = self._current
        if segment is None or segment.size == len(MAGIC):
            return None
        return max(0.0, segment.started + self._segment_age - time.monotonic())

    def _finish_retired(self) -> None:
        """Give each complete segment its name and close it.

        Only here, so that no thread syncs a closed file.
        """
        with self._lock:
            retired, self._retiring = self._retiring, []
        for segment in retired:
            self._synced(segment, segment.size)
            with self._sync_lock:
                try:
                    os.rename(
                        self._directory / (segment.name + OPEN), self._directory / (segment.name + READY)
                    )
                except OSError as error:  # its lock becomes free below all the same, so it will be read
                    _log.warning("spool %s: %s: %s", self._directory, segment.name, error.strerror)
                os.close(segment.descriptor)
                segment.failed = segment.failed or segment.synced < segment.size

    def _forked(self) -> None:
        """Begin anew in a forked child.

        The parent's segments stay the parent's: the child closes its descriptors, and the parent keeps the
        lock, as both share one open file.
        """
        inherited = [*self._retiring, *([self._current] if self._current else [])]
        self._begin_life()
        for segment in inherited:
            os.close(segment.descriptor)


_writers: "weakref.WeakSet[SpoolWriter]" = weakref.WeakSet()


def _after_fork() -> None:
    for writer in list(_writers):
        writer._forked()  # noqa: SLF001 - this module's own class


os.register_at_fork(after_in_child=_after_fork)
