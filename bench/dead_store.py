"""What a dead store costs the readers: latency of redirect and pixel with Cassandra alive and dead, in turns.

    python bench/dead_store.py [--fault pause|kill|slow|deaf|login|all] [--rounds 4] [--seconds 10] [--json]

Starts a real Cassandra (`tests/cassandra_node`), a tracker and a shipper, none of which is started again by
hand afterwards. Readers ask at a steady pace throughout. A round is a window with the store alive and nothing
waiting, then one with it dead; between them the backlog has to drain by itself, which is timed too (and is
no part of either window: then the server, on the same machine, works as hard as it can). At the end every
answered event has to be stored, once. Exit 1 if one is not.

pause: SIGSTOP. kill: SIGKILL, started again after the window. slow: 0.3 s an answer. deaf: what was written
is stored, the answers are thrown away. login: all connections cut and the password refused.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# In the place of this folder, whose `mta` is another one than the tests'.
sys.path[:1] = [str(ROOT), str(ROOT / "milter"), str(ROOT / "tests")]

from cassandra_site import Node  # noqa: E402 - the paths first
from cassandra_wire import Wire  # noqa: E402
from engagement.settings import load_file  # noqa: E402
from engagement.shipper import status  # noqa: E402
from engagement.spool.read import Reader  # noqa: E402
from engagement.stores import migrate_store  # noqa: E402
from faults.pipeline import Clicker, Pipeline, end  # noqa: E402

FAULTS = ("pause", "kill", "slow", "deaf", "login")
FAMILIES = {"redirect": "/f/", "pixel": "/q/"}
PACE = 0.02  # seconds between an answer and the same reader's next request
READERS = 2
SETTLE = 1.0  # seconds after a change that belong to no window

Window = tuple[float, float]


class Place:
    """Cassandra behind a wire, and a site that stores its events there."""

    def __init__(self, folder: Path) -> None:
        self.node = Node("bench", "--auth")
        self.node.start()
        self.wire = Wire(self.node.port)
        self.password = folder / "password"
        self.right = f"{self.node.told['CASSANDRA_PASSWORD']}\n"
        self.password.write_text(self.right)
        stanza = self.node.stanza(
            "bench",
            user=self.node.told["CASSANDRA_USERNAME"],
            password_file=str(self.password),
            connect_timeout=2000,
            request_timeout=2000,
        ).replace(f"port={self.node.port}", f"port={self.wire.port}")
        self.site = Pipeline(folder, sync="group", store="store { engine = cassandra }\n" + stanza)
        migrate_store(load_file(self.site.config), lambda _: None)

    def break_it(self, fault: str) -> Callable[[], None]:
        """Do it, and return what mends it."""
        if fault == "pause":
            self.node.pause()
            return self.node.resume
        if fault == "kill":
            self.node.kill()
            return self.node.restart
        if fault == "slow":
            self.wire.slow = 0.3
            return self._well
        if fault == "deaf":
            self.wire.deaf = True
            return self._well
        self.password.write_text("wrong\n")
        self.wire.cut()
        return self._well

    def _well(self) -> None:
        self.password.write_text(self.right)
        self.wire.slow, was_deaf = 0.0, self.wire.deaf
        self.wire.deaf = False
        if was_deaf:
            self.wire.cut()

    def waiting(self) -> int:
        return Reader(self.site.spool).backlog().records

    def drain(self, seconds: float = 300) -> float:
        """Seconds until no more waits than a shipper that keeps up leaves."""
        began = time.monotonic()
        while self.waiting() > 20:
            if time.monotonic() - began > seconds:
                told = status.load(self.site.spool)
                raise SystemExit(f"not drained in {seconds:.0f} s: {told}")
            time.sleep(0.2)
        return time.monotonic() - began

    def close(self) -> None:
        self.wire.close()
        self.node.stop()


def windows(place: Place, fault: str, rounds: int, seconds: float) -> dict[str, object]:
    """Go through the rounds of one fault."""
    crew = [Clicker(place.site, f"{fault}{number}", pause=PACE) for number in range(READERS)]
    for each in crew:
        each.start()
    alive: list[Window] = []
    dead: list[Window] = []
    drains, backlogs = [], []
    for _ in range(rounds):
        place.drain()
        time.sleep(SETTLE)
        alive.append(_window(seconds))
        mend = place.break_it(fault)
        try:
            time.sleep(SETTLE)
            dead.append(_window(seconds))
            backlogs.append(place.waiting())
        finally:
            mend()
        drains.append(place.drain())
    told: dict[str, object] = {
        "answered": len(end(crew)),
        "waiting at its end": statistics.median(backlogs),
        "drained in, s": round(statistics.median(drains), 1),
    }
    times = [answer for each in crew for answer in each.times]
    for name, family in FAMILIES.items():
        by_alive = [_median(times, family, window) for window in alive]
        by_dead = [_median(times, family, window) for window in dead]
        told[f"{name}, ms alive"] = round(statistics.median(by_alive) * 1000, 3)
        told[f"{name}, ms dead"] = round(statistics.median(by_dead) * 1000, 3)
        ratios = [one / other for one, other in zip(by_dead, by_alive, strict=True)]
        told[f"{name}, ratio"] = round(statistics.median(ratios), 3)
    return told


def _window(seconds: float) -> Window:
    began = time.monotonic()
    time.sleep(seconds)
    return began, time.monotonic()


def _median(times: list[tuple[float, str, float]], family: str, window: Window) -> float:
    return statistics.median(took for at, of, took in times if of == family and window[0] <= at < window[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--fault", choices=(*FAULTS, "all"), default="all")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-dead-store-") as name:
        place = Place(Path(name))
        try:
            with place.site.tracker(), place.site.shipper() as shipper:
                for fault in FAULTS if arguments.fault == "all" else (arguments.fault,):
                    found[fault] = windows(place, fault, arguments.rounds, arguments.seconds)
                    if not arguments.json:
                        print(
                            f"{fault:6}",
                            *(f"{what} {value};" for what, value in found[fault].items()),
                            flush=True,
                        )
                place.site.drained(120)
                assert shipper.poll() is None
            stored = place.site.agents()
        finally:
            place.close()
    answered = sum(int(str(each["answered"])) for each in found.values())
    doubled = sum(number > 1 for number in stored.values())
    told = {"answered": answered, "stored": len(stored), "stored twice": doubled, "load": os.getloadavg()[0]}
    print(json.dumps({"faults": found, **told}) if arguments.json else told)
    return 0 if len(stored) >= answered and not doubled else 1


if __name__ == "__main__":
    sys.exit(main())
