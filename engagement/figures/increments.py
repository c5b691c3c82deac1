"""Increments of time: how a precision cuts it, and within which roll-up increment a message is unique.

All in UTC; a week begins on Monday. There are three roll-ups, by minute, hour and day: precisions up to 15
minutes are sums of minutes, `hour` and `12hr` of hours, `day`, `week` and `month` of days (contract.md 7.6).
So the same opens may give more uniques at a finer precision.
"""

from datetime import UTC, datetime
from enum import IntEnum
from typing import Final


class Level(IntEnum):
    """A roll-up: milliseconds of its increment."""

    MINUTE = 60_000
    HOUR = 3_600_000
    DAY = 86_400_000


LEVELS: Final = {
    "1min": Level.MINUTE,
    "5min": Level.MINUTE,
    "15min": Level.MINUTE,
    "hour": Level.HOUR,
    "12hr": Level.HOUR,
    "day": Level.DAY,
    "week": Level.DAY,
    "month": Level.DAY,
}
PRECISIONS: Final = tuple(LEVELS)
LIFE: Final = "life"  # a campaign from its first to its last event: unique once for ever

_SPANS: Final = {
    "1min": 60_000,
    "5min": 300_000,
    "15min": 900_000,
    "hour": 3_600_000,
    "12hr": 43_200_000,
    "day": 86_400_000,
    "week": 604_800_000,
}
_FIRST_MS: Final = -62_135_596_800_000  # years 1 to 9999: others cannot be a date in Python
_LAST_MS: Final = 253_402_300_799_999
_MONDAY: Final = 4 * 86_400_000  # 5 January 1970; the epoch was a Thursday


def begin(precision: str, at_ms: int) -> int:
    """Return when the increment began that holds a moment (Unix milliseconds).

    Raises KeyError for a precision that is not known.
    """
    if precision == "month":
        day = datetime.fromtimestamp(min(max(at_ms, _FIRST_MS), _LAST_MS) // 1000, UTC)
        return int(datetime(day.year, day.month, 1, tzinfo=UTC).timestamp()) * 1000
    offset = _MONDAY if precision == "week" else 0
    return at_ms - (at_ms - offset) % _SPANS[precision]


def end(precision: str, at_ms: int) -> int:
    """Return when the increment ends that holds a moment, which is where the next one begins.

    Raises KeyError for a precision that is not known.
    """
    first = begin(precision, at_ms)
    return begin("month", first + 31 * Level.DAY) if precision == "month" else first + _SPANS[precision]
