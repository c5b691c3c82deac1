"""Clicks beside an API client: how long readers wait while somebody asks for figures all the time.

    python bench/beside.py [--rounds 6] [--seconds 10] [--rate 100] [--events 100000] [--json]

`make run`'s own programs, over a store with so many events. One client follows links at an even rate, on new
connections, as readers come; in one part of each round, the first and the second in turns, another one asks
the API for figures and events without a pause. Told are median and 99th percentile of the clicks' times in
ms, without and beside the API's client, the ratio of the two for each round, and the median of the ratios.

Clients of an API are on other machines. That one here has to share this one's processors, so it gives way as
the program itself does; otherwise its own work would be measured.
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
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.store_questions import fill

ROOT = Path(__file__).resolve().parents[1]
ASKED = (
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


def clicks(port: int, links: list[str], rate: float, seconds: float) -> list[float]:
    """Follow links at an even rate; return how long each took, in ms, from when it was due."""
    took = []
    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        status = get(port, links[number % len(links)], {"Host": f"localhost:{port}", "User-Agent": "bench"})
        assert status == 302, status
        took.append((time.perf_counter() - due) * 1000)
    return took


def ask(port: int, key: str, stop: threading.Event, counted: list[int]) -> None:
    """Ask the API for one thing after the other until told to stop."""
    while not stop.is_set():
        path = ASKED[counted[0] % len(ASKED)]
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
    with tempfile.TemporaryDirectory() as folder:
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
                rounds = measured(options, ports, run, log.read_text())
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(30)
    if options.json:
        print(json.dumps(rounds))
        return
    print("round  alone p50/p99 ms   beside p50/p99 ms   p99 ratio  API calls/s")
    for number, each in enumerate(rounds):
        print(
            f"{number + 1:5}  {each['alone'][0]:7.2f} {each['alone'][1]:7.2f}    "
            f"{each['beside'][0]:7.2f} {each['beside'][1]:7.2f}   {each['ratio']:9.2f}  {each['asked']:8.1f}"
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
        alone: list[float] = []
        if number % 2 == 0:
            alone = clicks(ports["HTTP"], links, options.rate, options.seconds)
        asking = subprocess_of(ports["WEB"], key)
        beside = clicks(ports["HTTP"], links, options.rate, options.seconds)
        asking.terminate()
        asked = int(asking.communicate(timeout=60)[0])
        alone = alone or clicks(ports["HTTP"], links, options.rate, options.seconds)
        found.append(
            {
                "alone": (statistics.median(alone), p99(alone)),
                "beside": (statistics.median(beside), p99(beside)),
                "ratio": p99(beside) / p99(alone),
                "asked": asked / options.seconds,
            }
        )
    return found


def subprocess_of(port: int, key: str) -> "subprocess.Popen[bytes]":
    """Start the API's client as a process of its own: a thread of this one would slow the clicks' client."""
    code = (
        "import os, signal, sys, threading; sys.path.insert(0, sys.argv[1]); from bench.beside import ask\n"
        "os.nice(10)\n"
        "stop, counted = threading.Event(), [0]\n"
        "signal.signal(signal.SIGTERM, lambda *_: stop.set())\n"
        "ask(int(sys.argv[2]), sys.argv[3], stop, counted); print(counted[0])"
    )
    arguments = [sys.executable, "-c", code, str(ROOT), str(port), key]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE)


if __name__ == "__main__":
    main()
