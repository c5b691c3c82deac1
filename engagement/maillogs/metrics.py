"""The follower's metrics. docs/metrics.md lists them."""

from collections.abc import Iterator
from typing import Final

from engagement.maillogs.follower import Follower
from engagement.metrics.model import Kind, Metric, Reading

LINES: Final = Metric("smtpapi_follower_lines_total", Kind.COUNTER, "Lines of the log that were read")
EVENTS: Final = Metric(
    "smtpapi_follower_events_total",
    Kind.COUNTER,
    "Events told of what became of messages, by type",
    ("type",),
)
BLOCKED: Final = Metric(
    "smtpapi_follower_failing",
    Kind.GAUGE,
    "1 where the log cannot be read or the spool takes nothing; the log waits",
)
NEWEST: Final = Metric(
    "smtpapi_follower_last_line_timestamp_seconds",
    Kind.GAUGE,
    "Time of the last line that was read, 0 for none yet",
)
METRICS: Final = (LINES, EVENTS, BLOCKED, NEWEST)
TYPES: Final = ("delivery", "delay", "bounce", "expiration")


def read(follower: Follower) -> Iterator[Reading]:
    """Yield the readings of a follower."""
    yield LINES.one(follower.lines)
    yield EVENTS.by_label(dict.fromkeys(TYPES, 0) | dict(follower.recorded_by_type))
    yield BLOCKED.one(follower.blocked)
    yield NEWEST.one(follower.newest_ms / 1000)
