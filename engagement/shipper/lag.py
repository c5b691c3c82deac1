"""How late events reach the store, counted for Prometheus.

Lateness is from what happened to the step that stored it. Of what the MTA's log or a mail that came back
says, that holds the delay of the log and of the follower, too. Hits of mode "hygiene" have a day and no
time, so they are not counted.
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from engagement.events.model import Event, Hit, Injection
from engagement.metrics.model import Durations

# Seconds: most events take a fifth of one; a store that is away costs minutes or hours, a shipper days.
BOUNDS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 86400.0)
RECORDS: Final = ("hit", "injection", "message")
_BOUNDS_MS: Final = tuple(int(bound * 1000) for bound in BOUNDS)
_DAY_MS: Final = 86_400_000


class Lag:
    """The counts of one shipper. Written by one thread; another may read at any time."""

    def __init__(self) -> None:
        self._counts = {record: [0] * (len(BOUNDS) + 1) for record in RECORDS}
        self._sums = dict.fromkeys(RECORDS, 0)  # milliseconds

    def note(self, events: Iterable[Event], now: float) -> None:
        """Count events that were stored now, Unix seconds."""
        now_ms = int(now * 1000)
        for event in events:
            kind = event.__class__
            record = "hit" if kind is Hit else "injection" if kind is Injection else "message"
            at_ms = event.at_ms
            if at_ms % _DAY_MS == 0:
                continue
            late = max(0, now_ms - at_ms)  # clocks of two hosts may disagree
            self._counts[record][bisect_left(_BOUNDS_MS, late)] += 1
            self._sums[record] += late

    def read(self) -> dict[str, Durations]:
        """Return what was counted, by the kind of record."""
        return {
            record: Durations(BOUNDS, tuple(counts), self._sums[record] / 1000)
            for record, counts in self._counts.items()
        }
