"""The shipper's metrics: its status, its lag, and what waits in its spool. docs/metrics.md lists them."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from engagement.metrics.model import Kind, Metric, Reading
from engagement.settings import Settings
from engagement.shipper.lag import Lag
from engagement.shipper.status import ShipperStatus
from engagement.spool.names import directory_size, room
from engagement.spool.waiting import waiting

ACTIVE: Final = Metric(
    "smtpapi_shipper_active",
    Kind.GAUGE,
    "1 where it ships; 0 where it waits for the store or for another shipper",
)
FAILED: Final = Metric("smtpapi_shipper_failing", Kind.GAUGE, "1 where the last attempt failed; events wait")
RECORDS: Final = Metric("smtpapi_shipper_records_total", Kind.COUNTER, "Records carried to the store")
SET_ASIDE: Final = Metric(
    "smtpapi_shipper_set_aside_total",
    Kind.COUNTER,
    "Records and rests of segments put into the folder corrupt",
)
OUTDATED: Final = Metric(
    "smtpapi_shipper_outdated_total", Kind.COUNTER, "Records removed unshipped, older than store.retention"
)
LAG: Final = Metric(
    "smtpapi_shipper_lag_seconds",
    Kind.HISTOGRAM,
    "From an event to its row in the store, by record: hit, injection, or message for what became of one",
    ("record",),
)
WAITING: Final = Metric(
    "smtpapi_spool_waiting_bytes", Kind.GAUGE, "Octets of the spool that wait for the store"
)
SEGMENTS: Final = Metric("smtpapi_spool_waiting_segments", Kind.GAUGE, "Segments with something that waits")
OLDEST: Final = Metric(
    "smtpapi_spool_oldest_seconds", Kind.GAUGE, "Age of the oldest event that waits, 0 for none"
)
SIZE: Final = Metric("smtpapi_spool_size_bytes", Kind.GAUGE, "Octets that the spool takes on the disk")
LIMIT: Final = Metric(
    "smtpapi_spool_limit_bytes",
    Kind.GAUGE,
    "Octets that it may take: spool.max_size or max_share, whichever is less; beyond, events are dropped",
)
METRICS: Final = (ACTIVE, FAILED, RECORDS, SET_ASIDE, OUTDATED, LAG, WAITING, SEGMENTS, OLDEST, SIZE, LIMIT)


class ShipperView:
    """What the metrics of one shipping process are read from. now: returns Unix seconds."""

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self._spool = settings.spool
        self._directory = Path(settings.spool.directory)
        self._now = now
        self._status: ShipperStatus | None = None
        self._lag = Lag()
        self._unopened = False

    def store_away(self) -> None:
        """Show that the store cannot be opened, until a shipper is shown."""
        self._unopened = True

    def show(self, status: ShipperStatus, lag: Lag) -> None:
        """Read from a shipper from now on."""
        self._status, self._lag = status, lag

    def read(self) -> Iterator[Reading]:
        """Yield the readings. Raises OSError where the spool cannot be listed."""
        status = self._status or ShipperStatus()
        yield ACTIVE.one(self._status is not None)
        yield FAILED.one(self._unopened if self._status is None else status.failing)
        yield RECORDS.one(status.carried)
        yield SET_ASIDE.one(status.set_aside)
        yield OUTDATED.one(status.outdated)
        yield Reading(LAG, durations={(record,): late for record, late in self._lag.read().items()})
        there = waiting(self._directory)
        yield WAITING.one(there.size)
        yield SEGMENTS.one(there.segments)
        oldest = there.oldest_ms
        yield OLDEST.one(0 if oldest is None else max(0.0, self._now() - oldest / 1000))
        yield SIZE.one(directory_size(self._directory) if self._directory.is_dir() else 0)
        yield LIMIT.one(min(self._spool.max_size, room(self._directory, self._spool.max_share)))
