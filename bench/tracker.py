"""How many redirects a second: the fast path against the same endpoint as a plain Flask view.

    python bench/tracker.py [--seconds 5] [--workers 1] [--connections 32] [--json]

Both are served by the same server (granian) with the same workers and threads, in turns, in one run. The
fast path does its whole work: token, record, spool. The Flask view opens the token, gives the same answer,
and keeps nothing. The client is `wrk` where it is installed, else processes of this script that keep several
requests under way on each connection. Beside the requests a second stands the processor time that one request
takes in the server's processes, which a busy machine changes less.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue

from engagement.links.keys import Ring
from engagement.links.ring_file import load_ring, save_ring
from engagement.links.token import BadToken, copy_sealer, open_token
from engagement.links.types import CLICKS, Identity, Kind, Link, Opened
from engagement.links.urls import read_path, refusal
from tracker_web.answers import PIXEL

ROOT = Path(__file__).resolve().parent.parent
RING_VARIABLE = "BENCH_TRACKER_RING"
HOST = "track.example.com"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
DEPTH = 16  # requests under way on one connection of our own client


def plain_flask() -> Flask:
    """The peer: the same answers as plain Flask views, without any store."""
    app = Flask("plain")
    ring = load_ring(Path(os.environ[RING_VARIABLE]))

    def opened() -> Opened | None:
        requested = read_path(request.path.encode())
        if requested is None or request.host != HOST:
            return None
        try:
            return open_token(requested.token, ring)
        except BadToken:
            return None

    @app.get("/f/<sub>/<path:token>")
    def click(sub: str, token: str) -> ResponseReturnValue:
        found = opened()
        if found is None or found.kind not in CLICKS or found.link is None or refusal(found.link.target):
            return "This link is not known here.\n", 404
        response = Response(status=302, content_type="text/plain")
        response.headers["Location"] = found.link.target.decode()
        return plainly(response)

    @app.get("/q/<path:token>")
    def pixel(token: str) -> ResponseReturnValue:
        opened()
        return plainly(Response(PIXEL, content_type="image/gif"))

    def plainly(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Robots-Tag"] = "noindex"
        response.autocorrect_location_header = False
        return response

    return app


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def configuration(folder: Path, workers: int) -> tuple[Path, Path]:
    """A configuration and a key ring in `folder`."""
    ring = folder / "keys"
    save_ring(ring, Ring().rotated(os.urandom(32), int(time.time()) - 10))
    config = folder / "smtpapi.conf"
    config.write_text(
        "smtpapi { }\n"
        f'keys {{ ring = "{ring}" }}\n'
        f'spool {{ directory = "{folder / "spool"}" }}\n'
        f'store {{ path = "{folder / "events.db"}" }}\n'
        f'tracker {{ workers = {workers} hosts = ( "{HOST}" ) }}\n'
    )
    return config, ring


@contextmanager
def served(
    target: str, folder: Path, config: Path, ring: Path, arguments: argparse.Namespace
) -> Iterator[tuple[int, int]]:
    """granian with `target`, on a free port; gives the port and the process's id."""
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws", "--http", "1"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error"]
    command += ["--workers", str(arguments.workers), "--blocking-threads", str(arguments.threads), target]
    if target.endswith("plain_flask"):
        command.append("--factory")
    path = os.pathsep.join((str(ROOT), str(ROOT / "milter"), str(ROOT / "bench")))
    variables = os.environ | {"PYTHONPATH": path, "SMTPAPI_CONFIG": str(config), RING_VARIABLE: str(ring)}
    process = subprocess.Popen(command, cwd=folder, env=variables)
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)


def processor_seconds(pid: int) -> float:
    """Of a process and its children, so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(processor_seconds(int(child)) for child in children)


def wire(path: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: {AGENT}\r\n"
        "Accept: text/html\r\nAccept-Language: en-GB,en;q=0.5\r\n\r\n"
    ).encode()


def client(
    port: int, path: str, connections: int, seconds: float, counts: multiprocessing.Queue[int]
) -> None:
    """Keep DEPTH requests under way on each connection; count whole answers by their status line."""
    one = wire(path)
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    done = 0
    for each in sockets:
        each.sendall(one * DEPTH)
    end = time.monotonic() + seconds
    tails = [b""] * len(sockets)
    while time.monotonic() < end:
        for number, each in enumerate(sockets):
            got = tails[number] + each.recv(65536)
            answers = got.count(b"HTTP/1.1 ")
            tails[number] = got[-8:]
            done += answers
            each.sendall(one * answers)
    counts.put(done)


def own_client(port: int, path: str, connections: int, seconds: float) -> float:
    processes = 2
    counts: multiprocessing.Queue[int] = multiprocessing.Queue()
    crew = [
        multiprocessing.Process(target=client, args=(port, path, connections // processes, seconds, counts))
        for _ in range(processes)
    ]
    for each in crew:
        each.start()
    total = sum(counts.get(timeout=seconds + 30) for _ in crew)
    for each in crew:
        each.join()
    return total / seconds


def wrk(port: int, path: str, connections: int, seconds: float) -> float:
    command = ["wrk", "-t2", f"-c{connections}", f"-d{seconds:.0f}s", "-H", f"Host: {HOST}"]
    command += ["-H", f"User-Agent: {AGENT}", f"http://127.0.0.1:{port}{path}"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"Requests/sec:\s+([0-9.]+)", said)
    assert found is not None, said
    return float(found.group(1))


def check(port: int, path: str, status: bytes, holds: bytes) -> None:
    """What is measured must be the right answer."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(wire(path))
        answer = b""
        while holds not in answer and (chunk := connection.recv(65536)):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 " + status), answer[:200]
    assert holds in answer, answer[:400]


def measure(arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    load = wrk if shutil.which("wrk") else own_client
    target = b"https://shop.example.org/a?x=1&y=%20"
    rates: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-tracker-") as name:
        folder = Path(name)
        config, ring = configuration(folder, arguments.workers)
        now = int(time.time())
        identity = Identity(
            os.urandom(16), 42, "ida@example.net", now, now + 31_536_000, campaign="autumn", tags=("a", "b")
        )
        sealer = copy_sealer(load_ring(ring).signing, identity)
        click = f"/f/a/{sealer.seal(Kind.CLICK, Link(target, 'banner')).decode()}"
        pixel = f"/q/{sealer.seal(Kind.OPEN).decode()}"
        for _ in range(arguments.rounds):
            for label, application in (
                ("flask", "tracker:plain_flask"),
                ("fast", "tracker_web.wsgi:application"),
            ):
                with served(application, folder, config, ring, arguments) as (port, pid):
                    check(port, click, b"302", target)
                    check(port, pixel, b"200", b"GIF89a")
                    for kind, path in (("redirect", click), ("pixel", pixel)):
                        load(port, path, arguments.connections, 1)
                        before = processor_seconds(pid)
                        rate = load(port, path, arguments.connections, arguments.seconds)
                        spent = (processor_seconds(pid) - before) / (rate * arguments.seconds)
                        rates.setdefault(kind, {}).setdefault(label, []).append(rate)
                        rates[kind].setdefault(f"{label}_cpu_us", []).append(spent * 1e6)
    return {
        kind: {label: statistics.median(taken) for label, taken in by_label.items()}
        for kind, by_label in rates.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2, help="of each worker, as the tracker has them")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rates = measure(arguments)
    if arguments.json:
        print(json.dumps({"client": "wrk" if shutil.which("wrk") else "own", **rates}))
        return
    print(f"{'':10}{'requests a second':^38}   {'processor time of one (us)':^30}")
    print(
        f"{'':10}{'Flask view':>12}{'fast path':>14}{'ratio':>10}   {'Flask view':>12}{'fast':>8}{'ratio':>8}"
    )
    for kind, took in rates.items():
        ratio, cpu = took["fast"] / took["flask"], took["flask_cpu_us"] / took["fast_cpu_us"]
        print(
            f"{kind:10}{took['flask']:12,.0f}{took['fast']:14,.0f}{ratio:10.1f}   "
            f"{took['flask_cpu_us']:12.0f}{took['fast_cpu_us']:8.0f}{cpu:8.1f}"
        )


if __name__ == "__main__":
    main()
