"""The shipper: moves events from the spool into the store, and is the store's only writer.

Not what one step does (`engagement.shipper.step`): here is when a step is due, and what is done between two.
Invariant: a store that fails stops all, until it succeeds again.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engagement.erasures.carrying import Erasures
from engagement.events.record import BadRecord, decode
from engagement.html_copies.carrying import CopyCarrier
from engagement.registry.port import RegistryError
from engagement.shipper.lag import Lag
from engagement.shipper.lock import ShipperLock
from engagement.shipper.messages import MessageMatcher
from engagement.shipper.reclassifier import Reclassifier
from engagement.shipper.status import ShipperStatus, save
from engagement.shipper.step import Step
from engagement.shipper.unsubscribe import Unsubscribes
from engagement.spool.read import BUDGET, SpoolReader
from engagement.spool.retention import SpoolRetention
from engagement.stores.port import (
    SWEEP_LIMIT,
    EventStore,
    RowRefusedError,
    StoreError,
)
from engagement.suppression.fill import SuppressionFiller

_log = logging.getLogger("engagement.shipper")

IDLE_SECONDS: Final = 0.1  # so an event is in the store within 200 ms, also on a busy machine
FIRST_WAIT: Final = 0.2  # seconds after a failure; doubled each time
LONGEST_WAIT: Final = 10.0  # seconds, so that a store that is back gets its events soon
DRAIN_SECONDS: Final = 5.0  # at the end: service supervisors kill after ten or more
SWEEP_SECONDS: Final = 3600.0  # from one look for what is over its retention, which is days, to the next
ROLL_UP_SECONDS: Final = 2.0  # from one roll-up of the figures to the next,
ROLL_UP_SHARE: Final = 20  # and at least so many times as long as it took,
ROLL_UP_BUDGET: Final = 1.0  # seconds of one roll-up, about; the rest is done by the next one


class Shipper:
    """The loop over one spool directory. The caller holds the spool's lock.

    reclassifier: has the rules in force, and classifies hits again on later evidence; None for the shipped
    rules alone. hash_key: for `rcpt_hash`, b"" for none. retention: seconds that events are kept, 0 for ever.
    filler: puts recipients on the suppression list, None for not doing so. unsubscribes: follows readers who
    want no more mail, None for not doing so. portion: bytes of the spool in one step. now: returns Unix
    seconds. lock: to notice when it is removed; None for not checking. erasures: requests to erase
    recipients, None for not looking. copies: of mail's HTML, None for not carrying any. alive: called in each
    turn of the loop.
    """

    def __init__(
        self,
        directory: Path,
        store: EventStore,
        *,
        reclassifier: Reclassifier | None = None,
        hash_key: bytes = b"",
        retention: int = 0,
        filler: SuppressionFiller | None = None,
        unsubscribes: Unsubscribes | None = None,
        portion: int = BUDGET,
        now: Callable[[], float] = time.time,
        lock: ShipperLock | None = None,
        erasures: Erasures | None = None,
        copies: CopyCarrier | None = None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._alive = alive
        self._lock = lock
        self._erasures = erasures
        self._copies = copies
        self._directory = directory
        self._store = store
        self._reclassifier = reclassifier
        self._unsubscribes = unsubscribes
        self._retention = retention
        self._filler = filler
        self._now = now
        self._messages = MessageMatcher(store, hash_key, now)
        self._step = Step(
            SpoolReader(directory),
            store,
            self._messages,
            reclassifier=reclassifier,
            filler=filler,
            unsubscribes=unsubscribes,
            hash_key=hash_key,
            portion=portion,
        )
        self._outdated = SpoolRetention(directory, retention, _moment) if retention else None
        self._checked = float("-inf")  # for what is too old
        self._swept = float("-inf")
        self._status_saved = float("-inf")
        self._next_roll_up = float("-inf")
        self.lag = Lag()
        self.status = ShipperStatus.begun(now())

    def step(self) -> int:
        """Ship the next records; return how many.

        Raises StoreError if the store, RegistryError if the registry, OSError if the spool fails; nothing is
        lost then.
        """
        shipped, events = self._step.take()
        self.lag.note(events, self._now())
        return shipped

    def run(self, stop: threading.Event) -> None:
        """Ship until stop is set, then ship what waits for at most `DRAIN_SECONDS`."""
        wait = FIRST_WAIT
        while not stop.is_set():
            self._alive()
            self._check_lock()
            self._remove_outdated()
            if self._attempt() is None:
                stop.wait(wait)
                wait = min(wait * 2, LONGEST_WAIT)
                continue
            wait = FIRST_WAIT
            self._sweep()
            self._look_again()
            self._reclassify()
            if self._unsubscribes:
                self._unsubscribes.turn()
            self._roll_up()
            self._take_copies()
            self._erase()
            if not self.status.busy:
                stop.wait(IDLE_SECONDS)
        self.drain(DRAIN_SECONDS)

    def drain(self, seconds: float = float("inf")) -> bool:
        """Ship until nothing waits, a step fails, or the seconds are over; return whether nothing waits."""
        deadline = time.monotonic() + seconds
        shipped: int | None = 1
        while shipped and time.monotonic() < deadline:
            shipped = self._attempt()
        if shipped == 0:
            self._reclassify_all(deadline)
            if self._unsubscribes:
                self._unsubscribes.turn()
            self._roll_up(now=True, seconds=deadline - time.monotonic())
            self._take_copies(now=True)
            self._erase()
        self._save_status(force=True)
        return shipped == 0

    def _check_lock(self) -> None:
        """Report that the spool's folder, or the lock in it, was removed, and go on in the new one."""
        try:
            if self._lock is None or not self._lock.was_lost():
                return
        except OSError as error:
            _log.error("spool %s: %s", self._directory, error.strerror)
            return
        report = (
            "the folder was removed while events were shipped from it; those that had not been carried are "
            "lost. It is used anew as it is now."
        )
        _log.error("spool %s: %s", self._directory, report)
        self.status.failed(f"{self._directory}: {report}", self._now())
        self._step.reader = SpoolReader(self._directory)
        self._save_status(force=True)

    def _attempt(self) -> int | None:
        """Do one step and record its result; return how many records it shipped, None if it failed."""
        try:
            shipped = self.step()
        except (StoreError, RegistryError, OSError) as error:
            self._step.reader.rewind()
            if not self.status.failing:
                _log.error("not shipping: %s Events wait in %s.", error, self._directory)
            self.status.failed(str(error), self._now())
            self._save_status()
            return None
        if self.status.failing:
            _log.warning("shipping again")
        self.status.shipped(
            shipped, self._step.reader.set_aside_count, self._step.reader.trouble, self._now()
        )
        self._save_status()
        return shipped

    def _look_again(self) -> None:
        """Look for the messages of events that wait."""
        try:
            rows = self._messages.look_again()
            if self._filler:
                self._filler.take(rows)
        except (StoreError, RowRefusedError) as error:
            self.status.failed(str(error), self._now())

    def _sweep(self) -> None:
        if not self._retention or time.monotonic() - self._swept < SWEEP_SECONDS:
            return
        try:
            removed = self._store.sweep(int((self._now() - self._retention) * 1000))
        except StoreError as error:
            self.status.failed(str(error), self._now())
            removed = 0
        if removed < SWEEP_LIMIT:  # else there is more: in the next turn, after what waits in the spool
            self._swept = time.monotonic()

    def _reclassify(self, *, now: bool = False) -> bool:
        """Classify hits again whose message has new evidence; return whether more of them wait."""
        try:
            if self._reclassifier:
                self._reclassifier.turn(now=now)
        except StoreError as error:
            self.status.failed(str(error), self._now())
            return False
        return self._reclassifier is not None and self._reclassifier.waits

    def _reclassify_all(self, deadline: float) -> None:
        """Classify all that waits, until the deadline: what waits when the process ends keeps its label."""
        while self._reclassify(now=True) and time.monotonic() < deadline:
            pass

    def _erase(self) -> None:
        """Carry out requests to erase recipients, as far as the spool allows."""
        if (
            self._erasures is not None and not self.status.failing
        ):  # else the same trouble would be reported twice
            self._erasures.turn()

    def _take_copies(self, *, now: bool = False) -> None:
        """Carry copies of mail's HTML to the registry, before anybody is erased."""
        if self._copies is not None:
            self._copies.turn(now=now)

    def _remove_outdated(self) -> None:
        """Remove what the spool holds longer than events are kept, hourly, also while the store fails."""
        now = time.monotonic()
        if self._outdated is None or now - self._checked < SWEEP_SECONDS:
            return
        self._checked = now
        try:
            removed = self._outdated.remove(self._step.reader, self._now(), now)
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
        """Bring the store's figures up to date, in at most a twentieth of the time unless `now` is set."""
        began = time.monotonic()
        if not now and began < self._next_roll_up:
            return
        try:
            self._store.roll_up(seconds)
        except StoreError as error:
            self.status.failed(str(error), self._now())
        ended = time.monotonic()
        self._next_roll_up = ended + max(ROLL_UP_SECONDS, ROLL_UP_SHARE * (ended - began))

    def _save_status(self, *, force: bool = False) -> None:
        """Write the status for `smtpapi ship --status`, at most once a second unless forced."""
        if force or time.monotonic() - self._status_saved >= 1:
            self._status_saved = time.monotonic()
            save(self._directory, self.status)


def _moment(record: bytes) -> float | None:
    """Return when the event of a record happened, Unix seconds; None if it is no event."""
    try:
        return decode(record).at_ms / 1000
    except BadRecord:
        return None
