"""Counts the requests of `smtpapi web` for Prometheus, page and API alike. docs/metrics.md lists the metrics.

Nothing of a request is kept but its area, its status and how long it took.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Final, TypeAlias

from engagement.metrics.model import Durations, Kind, Metric, Reading
from tracker_web.web.front.unread_body import BodyNeeded

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

REQUESTS: Final = Metric(
    "smtpapi_web_requests_total",
    Kind.COUNTER,
    "Requests by area (api, page, static) and status",
    ("area", "code"),
)
SECONDS: Final = Metric(
    "smtpapi_web_request_duration_seconds", Kind.HISTOGRAM, "Time until an answer began, by area", ("area",)
)
METRICS: Final = (REQUESTS, SECONDS)
AREAS: Final = ("api", "page", "static")
BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_Failed: TypeAlias = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None] | None


class RequestMetrics:
    """A WSGI application around another one. Safe between threads. clock: returns seconds, never back."""

    def __init__(self, inner: "WSGIApplication", clock: Callable[[], float] = time.monotonic) -> None:
        self._inner = inner
        self._clock = clock
        self._lock = Lock()
        self._requests: Counter[tuple[str, str]] = Counter()
        self._counts = {area: [0] * (len(BOUNDS) + 1) for area in AREAS}
        self._seconds = dict.fromkeys(AREAS, 0.0)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request, and count it. Raises BodyNeeded, uncounted, where it is asked again."""
        began = self._clock()
        code = "500"  # where no answer comes

        def start(
            status: str, headers: list[tuple[str, str]], failed: _Failed = None, /
        ) -> Callable[[bytes], object]:
            nonlocal code
            code = status[:3]
            return start_response(status, headers, failed)

        body_needed = False
        try:
            return self._inner(environ, start)
        except BodyNeeded:
            body_needed = True
            raise
        finally:
            if not body_needed:
                self.note(environ.get("PATH_INFO", ""), code, self._clock() - began)

    def note(self, path: str, code: str, seconds: float) -> None:
        """Count an answer: its request's path, its status, the time until it began."""
        area = area_of(path)
        with self._lock:
            self._requests[area, code] += 1
            self._counts[area][bisect_left(BOUNDS, seconds)] += 1
            self._seconds[area] += seconds

    def read(self) -> Iterator[Reading]:
        """Yield the readings."""
        with self._lock:
            requests: dict[tuple[str, ...], float] = {(area, "200"): 0 for area in AREAS}
            requests.update({key: count for key, count in self._requests.items()})
            took: dict[tuple[str, ...], Durations] = {
                (area,): Durations(BOUNDS, tuple(counts), self._seconds[area])
                for area, counts in self._counts.items()
            }
        yield Reading(REQUESTS, values=requests)
        yield Reading(SECONDS, durations=took)


def area_of(path: str) -> str:
    """Return which of AREAS a path belongs to."""
    first = path.split("/", 2)[1:2]
    return first[0] if first and first[0] in ("api", "static") else "page"
