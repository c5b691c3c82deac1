"""Clicks beside an API client: how long readers wait while somebody asks for figures all the time.

    python bench/beside.py [--rounds 6] [--seconds 10] [--rate 100] [--events 100000] [--json]

`make run`'s own programs, over a store with so many events. One client follows links at an even rate, on new
connections, as readers come; in one part of each round, the first and the second in turns, another one asks
the API for figures and events without a pause. Told are median and 99th percentile of the clicks' times in
ms, without and beside the API's client, the ratio of the two for each round, and the median of the ratios.

Both clients stand for other machines, and have to share this one's processors. So that of the API has only
what nobody else wants (SCHED_IDLE), and that of the links goes first (SCHED_RR), where they may: otherwise
their own work and their own late wake-ups would be measured. Linux's groups of sessions are switched off
meanwhile (sched(7), autogroup). A click's time runs from when it was due, or from when the
one before it was answered if that was later, less the time that the client itself was late to start it. So
the server's delays count, and the client's do not; those are told beside them (99th percentile, in ms).
"""

import argparse
import http.client
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.store_questions import fill
from tracker_web.server.scheduling import go_first

ROOT = Path(__file__).resolve().parents[1]
REQUESTS = (
    "/metrics/deliverability?from=2000-01-01T00:00&metrics=count_injected,count_unique_clicked",
    "/metrics/deliverability/campaign?from=2000-01-01T00:00&metrics=count_injected&order_by=count_injected",
    "/events/message?from=2000-01-01T00:00&per_page=100",
    "/metrics/campaigns",
)


def free_port() -> int:
    """Return a port of loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str, headers: dict[str, str]) -> int:
    """Ask for a path on a new connection; return the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


@dataclass
class Clicks:
    """What the clicks of one part took, in ms. late: how late the client was, which is not in it."""

    took: list[float]
    late: list[float]


def clicks(port: int, links: list[str], rate: float, seconds: float) -> Clicks:
    """Follow links at an even rate."""
    found = Clicks([], [])
    ended = began = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        late = time.perf_counter() - max(due, ended)
        status = get(port, links[number % len(links)], {"Host": f"localhost:{port}", "User-Agent": "bench"})
        assert status == 302, status
        ended = time.perf_counter()
        found.took.append((ended - due - late) * 1000)
        found.late.append(late * 1000)
    return found


def ask(port: int, key: str, stop: threading.Event, counted: list[int]) -> None:
    """Ask the API for one thing after the other until told to stop."""
    while not stop.is_set():
        path = REQUESTS[counted[0] % len(REQUESTS)]
        status = get(port, f"/api/v1{path}", {"Authorization": key})
        assert status == 200, (status, path)
        counted[0] += 1


def p99(values: list[float]) -> float:
    """Return the 99th percentile."""
    return statistics.quantiles(values, n=100)[98]


def main() -> None:
    """Start the programs, measure in turns, print."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with without_groups(), tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        run.mkdir()
        fill(run / "events.db", options.events)
        ports = {name: free_port() for name in ("SMTP", "HTTP", "HOP", "WEB")}
        named = {f"PORT_{name}": str(port) for name, port in ports.items()}
        environment = {**os.environ, "RUN_DIR": str(run), **named}
        log = run.with_suffix(".log")
        with log.open("wb") as out:
            command = [sys.executable, "-m", "demo.run"]
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out)
            try:
                while "Events as they come" not in log.read_text():
                    assert process.poll() is None, log.read_text()
                    time.sleep(0.1)
                first_in_line()
                rounds = measured(options, ports, run, log.read_text())
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(30)
    if options.json:
        print(json.dumps(rounds))
        return
    print("round  alone p50/p99 ms   beside p50/p99 ms   p99 ratio  API calls/s  client's own late start")
    for number, each in enumerate(rounds):
        print(
            f"{number + 1:5}  {each['alone'][0]:7.2f} {each['alone'][1]:7.2f}    "
            f"{each['beside'][0]:7.2f} {each['beside'][1]:7.2f}   {each['ratio']:9.2f}  {each['asked']:8.1f}"
            f"   {each['late'][0]:7.2f} {each['late'][1]:7.2f}"
        )
    ratios = [each["ratio"] for each in rounds]
    print(f"median of the ratios {statistics.median(ratios):.2f} (wanted: 1.1 at most)")


def measured(
    options: argparse.Namespace, ports: dict[str, int], run: Path, text: str
) -> list[dict[str, Any]]:
    """Return the rounds' results. text: what `make run` printed."""
    links = re.findall(r"http://localhost:\d+(/f/[^\s']+)'", text)
    assert links, text
    key = (run / "api-key").read_text().strip()
    found: list[dict[str, Any]] = []
    clicks(ports["HTTP"], links, options.rate, 1)  # each worker has answered once
    for number in range(options.rounds):
        alone: Clicks | None = None
        if number % 2 == 0:
            alone = clicks(ports["HTTP"], links, options.rate, options.seconds)
        asking = subprocess_of(ports["WEB"], key)
        beside = clicks(ports["HTTP"], links, options.rate, options.seconds)
        asking.terminate()
        answered = int(asking.communicate(timeout=60)[0])
        alone = alone or clicks(ports["HTTP"], links, options.rate, options.seconds)
        found.append(
            {
                "alone": (statistics.median(alone.took), p99(alone.took)),
                "beside": (statistics.median(beside.took), p99(beside.took)),
                "ratio": p99(beside.took) / p99(alone.took),
                "late": (p99(alone.late), p99(beside.late)),
                "asked": answered / options.seconds,
            }
        )
    return found


def subprocess_of(port: int, key: str) -> "subprocess.Popen[bytes]":
    """Start the API's client as a process of its own: a thread of this one would slow the clicks' client."""
    code = (
        "import signal, sys, threading; sys.path.insert(0, sys.argv[1])\n"
        "from bench.beside import ask, last_in_line; last_in_line()\n"
        "stop, counted = threading.Event(), [0]\n"
        "signal.signal(signal.SIGTERM, lambda *_: stop.set())\n"
        "ask(int(sys.argv[2]), sys.argv[3], stop, counted); print(counted[0])"
    )
    arguments = [sys.executable, "-c", code, str(ROOT), str(port), key]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE)


def last_in_line() -> None:
    """Let this process, which stands for another machine, have what nobody else wants."""
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def first_in_line() -> None:
    """Let this process, which measures from another machine, have the processor when it wants it."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except PermissionError:
        go_first()


@contextmanager
def without_groups() -> Iterator[None]:
    """Switch off Linux's groups of sessions, which services do not have, and in which nice counts alone."""
    switch = Path("/proc/sys/kernel/sched_autogroup_enabled")
    before = switch.read_text() if os.access(switch, os.W_OK) else None
    if before is not None:
        switch.write_text("0")
    try:
        yield
    finally:
        if before is not None:
            switch.write_text(before)


if __name__ == "__main__":
    main()
