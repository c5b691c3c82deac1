"""How long it takes to write an event: encode, append under group commit, append with a sync each.

Prints microseconds an event and events a second, and append's cost against a bare os.write of the same
bytes in the same run. `--json` for other programs.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from engagement.events.ids import EventIds
from engagement.events.model import Hit
from engagement.events.record import decode, encode
from engagement.links.model import Kind
from engagement.spool.format import frame
from engagement.spool.write import SpoolWriter


def event() -> Hit:
    agent = "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0"
    node = EventIds(os.urandom(8))
    now = time.time_ns() // 1_000_000
    return Hit(
        node.next(now), Kind.CLICK, now, os.urandom(150), "", "203.0.113.9", agent, "nb-NO", "GET",
        "t.example.org", False, False,
    )  # fmt: skip


def seconds_each(work: Callable[[], object], seconds: float) -> float:
    """The best of five rounds, as everything that disturbs makes it longer."""
    count, best = 1, float("inf")
    while True:
        began = time.perf_counter()
        for _ in range(count):
            work()
        elapsed = time.perf_counter() - began
        if elapsed > seconds / 5:
            break
        count = max(count * 2, int(count * seconds / 5 / max(elapsed, 1e-6)))
    best = elapsed / count
    for _ in range(4):
        began = time.perf_counter()
        for _ in range(count):
            work()
        best = min(best, (time.perf_counter() - began) / count)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each line")
    parser.add_argument(
        "--directory", type=Path, help="where the spool goes; a temporary folder if not given"
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    hit = event()
    record = encode(hit)
    ids = EventIds(os.urandom(8))
    figures = {
        "id": seconds_each(lambda: ids.next(hit.at_ms), arguments.seconds),
        "encode": seconds_each(lambda: encode(hit), arguments.seconds),
        "decode": seconds_each(lambda: decode(record), arguments.seconds),
    }
    with tempfile.TemporaryDirectory(dir=arguments.directory) as name:
        framed = frame(record)
        descriptor = os.open(Path(name) / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        figures["bare write"] = seconds_each(lambda: os.write(descriptor, framed), arguments.seconds)
        os.close(descriptor)
        for sync in ("group", "always"):
            writer = SpoolWriter(Path(name) / sync, sync=sync, max_size=1 << 40)
            figures[f"append, {sync}"] = seconds_each(partial(writer.append, record), arguments.seconds)
            writer.close()
            assert writer.dropped == 0
    if arguments.json:
        print(json.dumps({"record_bytes": len(record), "seconds": figures}))
        return
    print(f"record of {len(record)} bytes")
    for label, each in figures.items():
        print(f"{label:16} {each * 1e6:9.2f} us {1 / each:12,.0f} a second")
    print(f"append, group / bare write: {figures['append, group'] / figures['bare write']:.2f}")


if __name__ == "__main__":
    main()
