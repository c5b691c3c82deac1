"""The metrics of `smtpapi webhooks`. docs/metrics.md lists them."""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, Literal

from engagement.metrics.model import Kind, Metric, Reading

Result = Literal["delivered", "failed", "given_up"]
Health = Literal["healthy", "failing", "paused"]

TRIES: Final = Metric(
    "smtpapi_webhooks_tries_total",
    Kind.COUNTER,
    "Tries to send a batch, by result: delivered, failed and tried again, or given_up",
    ("result",),
)
EVENTS: Final = Metric("smtpapi_webhooks_events_total", Kind.COUNTER, "Events that targets have taken")
TARGETS: Final = Metric(
    "smtpapi_webhooks_targets",
    Kind.GAUGE,
    "Webhooks that this program sends for: healthy, failing, or paused until somebody has them go on",
    ("state",),
)
WAITING: Final = Metric("smtpapi_webhooks_waiting_batches", Kind.GAUGE, "Batches that were begun and wait")
METRICS: Final = (TRIES, EVENTS, TARGETS, WAITING)


class Counts:
    """What the threads of a program count together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.tries: Counter[str] = Counter({"delivered": 0, "failed": 0, "given_up": 0})
        self.events = 0

    def add(self, result: Result, events: int = 0) -> None:
        """Count a try. events: that were taken."""
        with self._lock:
            self.tries[result] += 1
            self.events += events


def read(counts: Counts, targets: Iterable[tuple[Health, int]]) -> Iterator[Reading]:
    """Yield the readings. targets: health of each webhook, and how many of its batches wait."""
    states: Counter[str] = Counter({"healthy": 0, "failing": 0, "paused": 0})
    waiting = 0
    for health, batches in targets:
        states[health] += 1
        waiting += batches
    yield TRIES.by_label(dict(counts.tries))
    yield EVENTS.one(counts.events)
    yield TARGETS.by_label(states)
    yield WAITING.one(waiting)
