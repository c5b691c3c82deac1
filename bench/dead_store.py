"""What a dead store costs the readers: latency of redirect and pixel with Cassandra alive and dead, in turns.

    python bench/dead_store.py [--fault pause|kill|slow|deaf|login|none|all] [--rounds 4] [--seconds 10]

Starts a real Cassandra (`tests/cassandra_node`), a tracker and a shipper, none of which is started again by
hand afterwards. Readers ask at a steady pace throughout. A round is a window with the store alive and nothing
waiting, then one with it dead; between them the backlog has to drain by itself, which is timed too (and is
no part of either window: then the server, on the same machine, works as hard as it can). At the end every
answered event has to be stored, once. Exit 1 if one is not.

pause: SIGSTOP. kill: SIGKILL, started again after the window. slow: 0.3 s an answer. deaf: what was written
is stored, the answers are thrown away. login: all connections cut and the password refused. none: nothing is
done, so that one sees how far two equal windows lie apart.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

# In the place of this folder, whose `mta` is another one than the tests'.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "milter"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cassandra_site import Node
from faults.pipeline import Clicker, end
from faults.store_site import FAULTS, StoreSite

ROOT = Path(__file__).resolve().parents[1]
FAMILIES = {"redirect": "/f/", "pixel": "/q/"}
PACE = 0.02  # seconds between an answer and the same reader's next request
READERS = 2
SETTLE = 1.0  # seconds after a change that belong to no window

Window = tuple[float, float]


def windows(site: StoreSite, fault: str, rounds: int, seconds: float) -> dict[str, object]:
    """Go through the rounds of one fault."""
    crew = [Clicker(site, f"{fault}{number}", pause=PACE) for number in range(READERS)]
    for each in crew:
        each.start()
    alive: list[Window] = []
    dead: list[Window] = []
    drains, backlogs = [], []
    for _ in range(rounds):
        site.catches_up()
        time.sleep(SETTLE)
        alive.append(_window(seconds))
        mend = site.broken(fault)
        try:
            time.sleep(SETTLE)
            dead.append(_window(seconds))
            backlogs.append(site.waiting())
        finally:
            mend()
        drains.append(site.catches_up())
    figures: dict[str, object] = {
        "answered": len(end(crew)),
        "waiting at its end": statistics.median(backlogs),
        "drained in, s": round(statistics.median(drains), 1),
    }
    times = [answer for each in crew for answer in each.times]
    for name, family in FAMILIES.items():
        by_alive = [_median(times, family, window) for window in alive]
        by_dead = [_median(times, family, window) for window in dead]
        figures[f"{name}, ms alive"] = round(statistics.median(by_alive) * 1000, 3)
        figures[f"{name}, ms dead"] = round(statistics.median(by_dead) * 1000, 3)
        ratios = [one / other for one, other in zip(by_dead, by_alive, strict=True)]
        figures[f"{name}, ratio"] = round(statistics.median(ratios), 3)
    return figures


def _window(seconds: float) -> Window:
    began = time.monotonic()
    time.sleep(seconds)
    return began, time.monotonic()


def _median(times: list[tuple[float, str, float]], family: str, window: Window) -> float:
    return statistics.median(took for at, of, took in times if of == family and window[0] <= at < window[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--fault", choices=("none", *FAULTS, "all"), default="all")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-dead-store-") as name:
        node = Node("bench", "--auth")
        try:
            node.start()
            site = StoreSite(Path(name), node, "bench")
            site.migrate()
            with site.tracker(), site.shipper() as shipper:
                for fault in ("none", *FAULTS) if arguments.fault == "all" else (arguments.fault,):
                    found[fault] = windows(site, fault, arguments.rounds, arguments.seconds)
                    if not arguments.json:
                        line = (f"{what} {value};" for what, value in found[fault].items())
                        print(f"{fault:6}", *line, flush=True)
                site.drained(120)
                assert shipper.poll() is None
            stored = site.agents()
        finally:
            node.stop()
    answered = sum(int(str(each["answered"])) for each in found.values())
    doubled = sum(number > 1 for number in stored.values())
    totals = {
        "answered": answered,
        "stored": len(stored),
        "stored twice": doubled,
        "load": os.getloadavg()[0],
    }
    print(json.dumps({"faults": found, **totals}) if arguments.json else totals)
    return 0 if len(stored) >= answered and not doubled else 1


if __name__ == "__main__":
    sys.exit(main())
