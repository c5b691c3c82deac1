"""The shipper: carries the spool into the store, and is the store's only writer.

Each step reads some records, makes rows of them, adds them, and only then commits the spool's cursor, so
that whatever fails is done again under the same ids. A record that cannot be read or stored is set aside and
never stops those behind it; a store that fails stops all, until it works again.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engagement.events.classify import DEFAULT, ClassificationRules
from engagement.events.record import BadRecord, decode
from engagement.events.rows import EventRow, rows
from engagement.links.model import BadToken
from engagement.shipper.lock import ShipperLock
from engagement.shipper.status import ShipperStatus, save
from engagement.spool.read import BUDGET, SpoolEntry, SpoolReader
from engagement.spool.retention import SpoolRetention
from engagement.stores.port import SWEEP_LIMIT, EventStore, RowRefusedError, StoreError

_log = logging.getLogger("engagement.shipper")

IDLE_SECONDS: Final = 0.1  # an event is seen within 200 ms, also when the machine is busy
FIRST_WAIT: Final = 0.2  # seconds after a failure; doubled each time
LONGEST_WAIT: Final = 10.0
DRAIN_SECONDS: Final = 5.0  # at the end: service supervisors kill after ten or more
SWEEP_SECONDS: Final = 3600.0
ROLL_UP_SECONDS: Final = 2.0  # from one making of the figures to the next,
ROLL_UP_SHARE: Final = 20  # and at least so many times as long as it took,
ROLL_UP_BUDGET: Final = 1.0  # which is about so long at most: what is left is done the next time

_Batch = list[tuple[SpoolEntry, tuple[EventRow, ...]]]


class Shipper:
    """The loop over one spool directory. The caller holds the spool's lock; given, it is watched over.

    retention: seconds that events are kept, 0 for ever. portion: bytes of the spool in one step. now: tells
    Unix seconds.
    """

    def __init__(
        self,
        directory: Path,
        store: EventStore,
        *,
        rules: ClassificationRules = DEFAULT,
        hash_key: bytes = b"",
        retention: int = 0,
        portion: int = BUDGET,
        now: Callable[[], float] = time.time,
        lock: ShipperLock | None = None,
    ) -> None:
        self._lock = lock
        self._directory = directory
        self._store = store
        self._rules = rules
        self._hash_key = hash_key
        self._retention = retention
        self._portion = portion
        self._now = now
        self._reader = SpoolReader(directory)
        self._outdated = SpoolRetention(directory, retention, _moment) if retention else None
        self._looked = float("-inf")  # for what is outdated
        self._swept = float("-inf")
        self._told = float("-inf")
        self._next_roll_up = float("-inf")
        self.status = ShipperStatus.begun(now())

    def step(self) -> int:
        """Carry the next records over; return how many. Raises StoreError, OSError: nothing is lost then."""
        entries = self._reader.read(self._portion)
        if entries:
            batch: _Batch = []
            for entry in entries:
                made = self._rows(entry)
                if made:
                    batch.append((entry, made))
            self._add(batch)
        if entries or self._reader.has_done():
            self._reader.commit()
        return len(entries)

    def run(self, stop: threading.Event) -> None:
        """Ship until stop is set, then what is there already, for a few seconds at most."""
        wait = FIRST_WAIT
        while not stop.is_set():
            self._look_at_lock()
            self._end_outdated()
            if self._attempt() is None:
                stop.wait(wait)
                wait = min(wait * 2, LONGEST_WAIT)
                continue
            wait = FIRST_WAIT
            self._sweep()
            self._roll_up()
            if not self.status.busy:
                stop.wait(IDLE_SECONDS)
        self.drain(DRAIN_SECONDS)

    def drain(self, seconds: float = float("inf")) -> bool:
        """Ship until nothing waits, an error comes, or the time is over; tell whether nothing waits."""
        deadline = time.monotonic() + seconds
        shipped: int | None = 1
        while shipped and time.monotonic() < deadline:
            shipped = self._attempt()
        if shipped == 0:
            self._roll_up(now=True, seconds=deadline - time.monotonic())
        self._tell(force=True)
        return shipped == 0

    def _look_at_lock(self) -> None:
        """Say that somebody removed the spool's folder, or the lock in it, and go on in the one there now."""
        try:
            if self._lock is None or not self._lock.was_lost():
                return
        except OSError as error:
            _log.error("spool %s: %s", self._directory, error.strerror)
            return
        told = (
            "the folder was removed while events were shipped from it; those that had not been carried are "
            "lost. It is used anew as it is now."
        )
        _log.error("spool %s: %s", self._directory, told)
        self.status.failed(f"{self._directory}: {told}", self._now())
        self._reader = SpoolReader(self._directory)
        self._tell(force=True)

    def _attempt(self) -> int | None:
        """One step, its failure noted. None: it failed."""
        try:
            shipped = self.step()
        except (StoreError, OSError) as error:
            self._reader.rewind()
            if not self.status.failing:
                _log.error("not shipping: %s Events wait in %s.", error, self._directory)
            self.status.failed(str(error), self._now())
            self._tell()
            return None
        if self.status.failing:
            _log.warning("shipping again")
        self.status.shipped(shipped, self._reader.set_aside_count, self._reader.trouble, self._now())
        self._tell()
        return shipped

    def _rows(self, entry: SpoolEntry) -> tuple[EventRow, ...]:
        try:
            return rows(decode(entry.record), self._rules, self._hash_key, entry.record)
        except (BadRecord, BadToken) as error:
            self._reader.set_aside(entry, f"no event: {error}")
        except Exception as error:  # noqa: BLE001 - a fault of ours in one record must not stop the others
            self._reader.set_aside(entry, f"{type(error).__name__} while making rows of it")
        return ()

    def _add(self, batch: _Batch) -> None:
        """Add all; if the store refuses, halve until the one it refuses stands alone, and set that aside."""
        if not batch:
            return
        try:
            self._store.add([row for _, made in batch for row in made])
        except RowRefusedError as error:
            if len(batch) == 1:
                self._reader.set_aside(batch[0][0], f"refused by the store: {error}")
                return
            middle = len(batch) // 2
            self._add(batch[:middle])
            self._add(batch[middle:])

    def _sweep(self) -> None:
        if not self._retention or time.monotonic() - self._swept < SWEEP_SECONDS:
            return
        try:
            removed = self._store.sweep(int((self._now() - self._retention) * 1000))
        except StoreError as error:
            self.status.failed(str(error), self._now())
            removed = 0
        if removed < SWEEP_LIMIT:  # else there is more: next time round, after what waits in the spool
            self._swept = time.monotonic()

    def _end_outdated(self) -> None:
        """Remove what the spool has longer than events are kept; once an hour, also while the store fails."""
        now = time.monotonic()
        if self._outdated is None or now - self._looked < SWEEP_SECONDS:
            return
        self._looked = now
        try:
            removed = self._outdated.remove(self._reader, self._now(), now)
        except OSError as error:
            _log.error("spool %s: cannot remove what is outdated: %s", self._directory, error.strerror)
            return
        if removed.set_aside:
            _log.warning("spool %s: %d old file(s) removed from corrupt/", self._directory, removed.set_aside)
        if removed.segments:
            self.status.outdated += removed.records
            _log.error(
                "spool %s: %d event(s) in %d segment(s) removed unshipped: older than the %d s that events "
                "are kept (store.retention)",
                self._directory,
                removed.records,
                removed.segments,
                self._retention,
            )

    def _roll_up(self, *, now: bool = False, seconds: float = ROLL_UP_BUDGET) -> None:
        """Bring the store's figures up to date, in a twentieth of the time at most unless it must be now."""
        began = time.monotonic()
        if not now and began < self._next_roll_up:
            return
        try:
            self._store.roll_up(seconds)
        except StoreError as error:
            self.status.failed(str(error), self._now())
        ended = time.monotonic()
        self._next_roll_up = ended + max(ROLL_UP_SECONDS, ROLL_UP_SHARE * (ended - began))

    def _tell(self, *, force: bool = False) -> None:
        """Write the status for `smtpapi ship --status`, at most once a second: it is no more than news."""
        if force or time.monotonic() - self._told >= 1:
            self._told = time.monotonic()
            save(self._directory, self.status)


def _moment(record: bytes) -> float | None:
    """When the event of a record happened, Unix seconds; None if it is no event."""
    try:
        return decode(record).at_ms / 1000
    except BadRecord:
        return None
