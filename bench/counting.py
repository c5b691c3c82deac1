"""What counting for Prometheus costs a message, a click and a stored event, in nanoseconds of processor time.

    python bench/counting.py [--rounds 30] [--times 20000]

Each is measured against the same without the count, in turns, in one process; the figure is the difference of
the least of all rounds, as other programs only ever add to it.
"""

from __future__ import annotations

import argparse
import sys
import time
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engagement.events.model import Hit
from engagement.links.model import Kind
from engagement.metrics.shared import nobody
from engagement.shipper.lag import Lag
from smtpapi.model.outcome import Plan
from smtpapi.telemetry.counters import BOUNDS, Counters
from tracker_web.server import counts


def main() -> None:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--times", type=int, default=20_000)
    given = parser.parse_args()

    def price(what: Callable[[], object], without: Callable[[], object]) -> float:
        most = [float("inf"), float("inf")]
        for _ in range(given.rounds):
            for place, run in enumerate((what, without)):
                began = time.process_time_ns()
                for _ in range(given.times):
                    run()
                most[place] = min(most[place], (time.process_time_ns() - began) / given.times)
        return most[0] - most[1]

    row, outcome = Counters.create(2).row(1), Plan()
    cells = nobody([""] * 80).cells

    def histogram() -> None:
        cells[60 + bisect_left(BOUNDS, 0.0013)] += 1
        cells[75] += int(0.0013 * 1e9)

    def nothing() -> None:
        return None

    counts.share()
    answered = counts.mine().answered
    ignored: Callable[[int], None] = lambda _status: None  # noqa: E731 - what asgi has where nobody counts
    now = time.time()
    hit = Hit(
        id="", kind=Kind.CLICK, at_ms=int(now * 1000) - 150, packed=b"", tenant="", client_address="",
        user_agent="", accept_language="", method="GET", host="", spoiled=False, expired=False,
    )  # fmt: skip
    events, lag = [hit] * 1000, Lag()
    for name, cost in (
        ("message: its time, into the histogram", price(histogram, nothing)),
        ("message: all counts of its outcome", price(lambda: row.add_outcome(outcome, 0.0013), nothing)),
        ("click or pixel: its answer", price(lambda: answered(302), lambda: ignored(302))),
    ):
        print(f"{name:<40} {cost:6.0f} ns")
    began = time.process_time_ns()
    for _ in range(given.rounds):
        lag.note(events, now)
    cost = (time.process_time_ns() - began) / given.rounds / len(events)
    print(f"{'stored event: its lag':<40} {cost:6.0f} ns")


if __name__ == "__main__":
    main()
