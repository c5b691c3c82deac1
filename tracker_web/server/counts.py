"""What the tracker's worker processes count together, and how Prometheus reads it.

The parent makes the table before it starts workers; each worker takes a row of it. Where another server loads
the application, nothing is shared and each process counts for itself, unread. docs/metrics.md lists the
metrics. None of it is ever shown on the address that readers of mail use.
"""

from collections.abc import Iterator
from typing import Final

from engagement.metrics.model import Kind, Metric, Reading
from engagement.metrics.shared import SharedCounts, SharedRow, nobody

_CODES: Final = (200, 204, 302, 404, 405, 410)  # what the links' application answers
_OTHER: Final = "other"
_DROPPED, _LOST, _UNSYNCED, _UNKNOWN, _STARTS = "dropped", "lost", "unsynced", "unknown-key", "starts"
_NAMES: Final = (*map(str, _CODES), _OTHER, _DROPPED, _LOST, _UNSYNCED, _UNKNOWN, _STARTS)
# 64 workers, as many new ones at a reload, and as many that were started while those had not ended.
_ROWS: Final = 192

RESPONSES: Final = Metric(
    "smtpapi_tracker_responses_total",
    Kind.COUNTER,
    "Answers by status: 302 a click, 200 a pixel or a page, 404 no genuine link",
    ("code",),
)
DROPPED: Final = Metric(
    "smtpapi_tracker_events_dropped_total",
    Kind.COUNTER,
    "Clicks and opens that were answered and that the spool could not take",
)
LOST: Final = Metric(
    "smtpapi_tracker_events_lost_total",
    Kind.COUNTER,
    "Clicks and opens that were answered and that a fault kept from being recorded; the log says which",
)
UNSYNCED: Final = Metric(
    "smtpapi_tracker_sync_failures_total", Kind.COUNTER, "Spool segments that could not be put on the disk"
)
UNKNOWN: Final = Metric(
    "smtpapi_tracker_unknown_key_total",
    Kind.COUNTER,
    "Links whose key this host does not have, answered with 404; guessed ones look the same",
)
STARTS: Final = Metric(
    "smtpapi_tracker_worker_starts_total", Kind.COUNTER, "Worker processes that began to answer"
)
METRICS: Final = (RESPONSES, DROPPED, LOST, UNSYNCED, UNKNOWN, STARTS)

_shared: list[SharedCounts] = []  # none or one
_mine: list[SharedRow] = []  # this process's, none or one


def share() -> SharedCounts:
    """Make the table, in the parent, and return it."""
    _shared[:] = [SharedCounts(_NAMES, _ROWS)]
    return _shared[0]


def mine() -> "WorkerCounts":
    """Return the counts of this process, which must be a worker: after the fork."""
    if not _mine:
        _mine[:] = [_shared[0].take() if _shared else nobody(_NAMES)]
        _mine[0].add(_STARTS)
    return WorkerCounts(_mine[0])


class WorkerCounts:
    """The counts of one worker."""

    def __init__(self, row: SharedRow) -> None:
        self._add = row.add
        self.cells = row.cells
        self.places = {code: row.places[str(code)] for code in _CODES}
        self.other = row.places[_OTHER]

    def answered(self, status: int) -> None:
        """Count an answer. Called by the one thread that answers, so without a lock."""
        self.cells[self.places.get(status, self.other)] += 1

    def dropped(self, events: int) -> None:
        """Count events that the spool could not take."""
        self._add(_DROPPED, events)

    def sync_failed(self) -> None:
        """Count a segment that could not be put on the disk."""
        self._add(_UNSYNCED)

    def lost(self) -> None:
        """Count an event that a fault kept from being recorded."""
        self._add(_LOST)

    def unknown_key(self) -> None:
        """Count a link whose key is not here."""
        self._add(_UNKNOWN)


def read(counts: SharedCounts) -> Iterator[Reading]:
    """Yield the readings of all workers together."""
    total = counts.totals()
    yield RESPONSES.by_label({name: total[name] for name in (*map(str, _CODES), _OTHER)})
    yield DROPPED.one(total[_DROPPED])
    yield LOST.one(total[_LOST])
    yield UNSYNCED.one(total[_UNSYNCED])
    yield UNKNOWN.one(total[_UNKNOWN])
    yield STARTS.one(total[_STARTS])
