"""How many redirects a second: the fast path against the same endpoint as a plain Flask view.

    python bench/tracker.py [--rounds 3] [--seconds 3] [--workers 2] [--threads 1] [--connections 32] [--json]

All are served by the same server (granian) with the same workers and threads, in turns, in one run. The fast
path does its whole work: token, record, spool. The Flask view opens the token, gives the same answer, and
keeps nothing. Beside them: the fast path without its part in C, the fast path that looks at no field for
signals, the fast path with the spool off (privacy mode "off": no record is made), and an application that
does nothing at all. What that one reaches is the server's and the client's, and no application is faster. The
client is `wrk` where it is installed, else processes of this script that keep several requests under way on
each connection. It asks for LINKS links in turn: so many that the tracker, which only counts repeats
(docs/decisions/0018), takes none for one.

Beside the requests a second stands the processor time that one request takes in the server's processes, which
a busy machine changes less, and the part of the machine that other programs took meanwhile: a round with much
of it says little. Ratios are of the same round. "quarter" is what a quarter of the rounds was as good as or
better, each figure by itself: other programs only ever make it worse.
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
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.machine import busy_seconds, client_seconds, free_port, processor_seconds
from engagement.links.keys import Ring
from engagement.links.model import CLICKS, Identity, Kind, Link, Opened
from engagement.links.ring_file import load_ring, save_ring
from engagement.links.token import BadToken, copy_sealer, open_token
from engagement.links.urls import read_path, refusal
from tracker_web.links.responses import PIXEL

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from tracker_web.server.asgi import Asgi

ROOT = Path(__file__).resolve().parent.parent
RING_VARIABLE = "BENCH_TRACKER_RING"
HOST = "track.example.com"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
TARGET = b"https://shop.example.org/a?x=1&y=%20"
_COMMON = (("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer"), ("X-Robots-Tag", "noindex"))
APPLICATIONS = {
    "flask": "bench.tracker:bare_flask",
    "fast": "tracker_web.server.serve:application",
    "python": "bench.tracker:in_python",
    "no signals": "bench.tracker:without_signals",
    "no spool": "tracker_web.server.serve:application",
    "nothing": "bench.tracker:nothing",
}
FACTORIES = frozenset({"flask", "fast", "python", "no signals", "no spool"})
ASGI = frozenset({"fast", "python", "no signals", "no spool"})  # as the product is served; the others as WSGI
LINKS = 50_000  # more than two workers remember
DEPTH = 16  # requests under way on one connection of our own client


def bare_flask() -> Flask:
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


def in_python() -> Asgi:
    """The tracker as it is where its part in C was not built."""
    sys.modules["engagement.links._open"] = None  # type: ignore[assignment] # how an import is made to fail
    from engagement.links import fast_open
    from tracker_web.server.serve import application

    assert fast_open.read is fast_open.read_by_parts
    return application()


def without_signals() -> Asgi:
    """The tracker as it was before it recorded what a request's fields say: it looks at none of them."""
    from tracker_web.server import asgi
    from tracker_web.server.serve import application

    for name, target in list(asgi._FIELDS.items()):  # noqa: SLF001 - what is measured is what this adds
        if not isinstance(target, str):
            del asgi._FIELDS[name]  # noqa: SLF001 - as above
    return application()


def nothing(environ: WSGIEnvironment, start: StartResponse) -> list[bytes]:
    """The floor: the same answer, known beforehand."""
    if environ["PATH_INFO"].startswith("/q/"):
        start("200 OK", [("Content-Type", "image/gif"), ("Content-Length", str(len(PIXEL))), *_COMMON])
        return [PIXEL]
    start(
        "302 Found",
        [("Location", TARGET.decode()), ("Content-Length", "0"), ("Content-Type", "text/plain"), *_COMMON],
    )
    return []


def configuration(folder: Path, workers: int) -> tuple[Path, Path]:
    """A configuration and a key ring in `folder`. Beside the configuration, one that keeps nothing."""
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
    config.with_suffix(".off").write_text(config.read_text() + 'privacy { mode = "off" }\n')
    return config, ring


@contextmanager
def served(
    label: str, folder: Path, config: Path, ring: Path, arguments: argparse.Namespace
) -> Iterator[tuple[int, int]]:
    """granian with an application, on a free port; gives the port and the process's id."""
    if label == "no spool":
        config = config.with_suffix(".off")
    variables = {"SMTPAPI_CONFIG": str(config), RING_VARIABLE: str(ring)}
    with granian(
        APPLICATIONS[label], arguments.workers, asgi=label in ASGI, factory=label in FACTORIES,
        threads=arguments.threads, folder=folder, variables=variables,
    ) as running:  # fmt: skip
        yield running


@contextmanager
def granian(
    application: str, workers: int, *, asgi: bool, factory: bool, threads: int, folder: Path,
    variables: dict[str, str],
) -> Iterator[tuple[int, int]]:  # fmt: skip
    """An application on a free port; gives the port and the process's id. variables: of its environment."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "granian", "--interface", "asginl" if asgi else "wsgi", "--no-ws"),
        *("--http", "1", "--host", "127.0.0.1", "--port", str(port), "--log-level", "error"),
        *("--workers", str(workers), *(() if asgi else ("--blocking-threads", str(threads)))),
        application,
    ]
    if factory:
        command.append("--factory")
    variables = {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "milter"))), **variables}
    variables |= {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    process = subprocess.Popen(command, cwd=folder, env=variables, start_new_session=True)
    try:
        wait_for_port(port)
        yield port, process.pid
    finally:
        stop(process)


def wait_for_port(port: int) -> None:
    """Wait up to ten seconds until somebody listens there."""
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the server with its workers, whatever they are at: nothing of a benchmark stays behind."""
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)
    with suppress(ProcessLookupError):  # the workers are in the server's group, which is its own
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@dataclass(frozen=True, slots=True)
class Paths:
    """What is asked for, in turn. script: tells `wrk` so."""

    all: list[str]
    script: Path


def links(folder: Path, ring: Path, now: int) -> tuple[Paths, Paths]:
    """Return links of as many messages, and their pixels."""
    key = load_ring(ring).signing
    clicks, opens = [], []
    for _ in range(LINKS):
        identity = Identity(
            os.urandom(16), 42, "ida@example.net", now, now + 31_536_000, campaign="autumn", tags=("a", "b")
        )
        sealer = copy_sealer(key, identity)
        clicks.append(f"/f/a/{sealer.seal(Kind.CLICK, Link(TARGET, 'banner')).decode()}")
        opens.append(f"/q/{sealer.seal(Kind.OPEN).decode()}")
    return in_turn(folder / "clicks", clicks), in_turn(folder / "opens", opens)


def in_turn(file: Path, paths: list[str]) -> Paths:
    file.write_text("\n".join(paths))
    script = file.with_suffix(".lua")
    script.write_text(
        f'local paths = {{}}\nfor line in io.lines("{file}") do paths[#paths + 1] = line end\n'
        "local threads, place = 0, 0\n"
        "function setup(thread) thread:set('first', threads); threads = threads + 1 end\n"
        "function init() place = first end\n"
        'function request() place = (place + 2) % #paths; return wrk.format("GET", paths[place + 1]) end\n'
    )
    return Paths(paths, script)


FIELDS = (  # what a browser sends that goes to a page
    f"Host: {HOST}",
    f"User-Agent: {AGENT}",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.5",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Connection: keep-alive",
    "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: cross-site",
    "Sec-Fetch-User: ?1",
)


def wire(path: str) -> bytes:
    return "\r\n".join((f"GET {path} HTTP/1.1", *FIELDS, "", "")).encode()


def client(
    port: int, paths: Paths, place: int, connections: int, seconds: float, counts: multiprocessing.Queue[int]
) -> None:
    """Keep DEPTH requests under way on each connection; count whole answers by their status line."""
    requests = cycle(list(map(wire, paths.all[place::2])))
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    done = 0
    for each in sockets:
        each.sendall(b"".join(islice(requests, DEPTH)))
    end = time.monotonic() + seconds
    tails = [b""] * len(sockets)
    while time.monotonic() < end:
        for number, each in enumerate(sockets):
            got = tails[number] + each.recv(65536)
            answers = got.count(b"HTTP/1.1 ")
            tails[number] = got[-8:]
            done += answers
            each.sendall(b"".join(islice(requests, answers)))
    counts.put(done)


def own_client(port: int, paths: Paths, connections: int, seconds: float) -> float:
    processes = 2
    counts: multiprocessing.Queue[int] = multiprocessing.Queue()
    crew = [
        multiprocessing.Process(
            target=client, args=(port, paths, place, connections // processes, seconds, counts)
        )
        for place in range(processes)
    ]
    for each in crew:
        each.start()
    total = sum(counts.get(timeout=seconds + 30) for _ in crew)
    for each in crew:
        each.join()
    return total / seconds


def wrk(port: int, paths: Paths, connections: int, seconds: float) -> float:
    command = ["wrk", "-t2", f"-c{connections}", f"-d{seconds:.0f}s"]
    command += [word for field in FIELDS for word in ("-H", field)]
    command += ["-s", str(paths.script), f"http://127.0.0.1:{port}/"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"Requests/sec:\s+([0-9.]+)", output)
    assert found is not None, output
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


@dataclass(frozen=True, slots=True)
class Taken:
    """One measurement. rate: requests a second. cpu: microseconds of the server's processes for one request.

    others: the part of the machine's processors, 0 to 1, that neither server nor client took.
    """

    rate: float
    cpu: float
    others: float


def take(
    load: Callable[[int, Paths, int, float], float],
    port: int,
    pid: int,
    paths: Paths,
    arguments: argparse.Namespace,
) -> Taken:
    before = processor_seconds(pid), busy_seconds(), client_seconds(), time.monotonic()
    rate = load(port, paths, arguments.connections, arguments.seconds)
    server, busy, client, lasted = (
        now - then
        for now, then in zip(
            (processor_seconds(pid), busy_seconds(), client_seconds(), time.monotonic()), before, strict=True
        )
    )
    others = (busy - server - client) / (lasted * (os.cpu_count() or 1))
    return Taken(rate, server / (rate * arguments.seconds) * 1e6, max(0.0, others))


def measure(arguments: argparse.Namespace) -> dict[str, list[dict[str, Taken]]]:
    """By kind of request, each round's measurement by application."""
    load = wrk if shutil.which("wrk") else own_client
    rounds: dict[str, list[dict[str, Taken]]] = {"redirect": [], "pixel": []}
    with tempfile.TemporaryDirectory(prefix="bench-tracker-") as name:
        folder = Path(name)
        config, ring = configuration(folder, arguments.workers)
        now = int(time.time())
        clicks, opens = links(folder, ring, now)
        with ExitStack() as servers:  # all at once: those that are not asked only wait
            running = {
                label: servers.enter_context(served(label, folder, config, ring, arguments))
                for label in APPLICATIONS
            }
            for port, _ in running.values():
                check(port, clicks.all[0], b"302", TARGET)
                check(port, opens.all[0], b"200", b"GIF89a")
                for paths in (clicks, opens):
                    load(
                        port, paths, arguments.connections, 1
                    )  # workers begin their work at the first request
            for number in range(arguments.rounds):
                for kind, paths in (("redirect", clicks), ("pixel", opens)):
                    rounds[kind].append({})
                    for label in APPLICATIONS if number % 2 else reversed(APPLICATIONS):
                        port, pid = running[label]
                        rounds[kind][-1][label] = take(load, port, pid, paths, arguments)
    return rounds


def quarter(taken: list[Taken]) -> Taken:
    """What a quarter of the rounds was as good as, by each figure: other programs only ever make it worse."""
    place = len(taken) // 4
    return Taken(
        sorted((each.rate for each in taken), reverse=True)[place],
        sorted(each.cpu for each in taken)[place],
        sorted(each.others for each in taken)[place],
    )


def ratios(rounds: list[dict[str, Taken]], of: str) -> list[float]:
    """Of requests a second, `of` to the Flask view in the same round."""
    return [each[of].rate / each["flask"].rate for each in rounds]


def quietest(rounds: list[dict[str, Taken]]) -> int:
    """The round in which other programs took least."""
    return min(range(len(rounds)), key=lambda number: max(taken.others for taken in rounds[number].values()))


def print_table(kind: str, rounds: list[dict[str, Taken]]) -> None:
    width = 10 * len(APPLICATIONS)
    heads = f"{'requests a second':^{width}}{'processor time of one, us':^{width}}"
    print(f"{kind:<10}{heads}{'ratio':>7}{'others':>8}")
    print(f"{'round':<10}" + "".join(f"{label:>10}" for label in APPLICATIONS) * 2)
    quiet = quietest(rounds)
    for number, each in enumerate(rounds):
        ratio = each["fast"].rate / each["flask"].rate
        others = max(taken.others for taken in each.values())
        mark = " quietest" if number == quiet else ""
        print(f"{number + 1:<10}{columns(each)}{ratio:7.1f}{others:8.0%}{mark}")
    median = {label: middle([each[label] for each in rounds]) for label in APPLICATIONS}
    print(f"{'median':<10}{columns(median)}{statistics.median(ratios(rounds, 'fast')):7.1f}")
    best = {label: quarter([each[label] for each in rounds]) for label in APPLICATIONS}
    print(f"{'quarter':<10}{columns(best)}{best['fast'].rate / best['flask'].rate:7.1f}")
    cpu = {label: taken.cpu for label, taken in best.items()}
    signals = statistics.median(each["fast"].rate / each["no signals"].rate for each in rounds)
    spool = statistics.median(each["fast"].rate / each["no spool"].rate for each in rounds)
    print(
        f"processor time of the best quarter: Flask view to fast path {cpu['flask'] / cpu['fast']:.1f}, "
        f"{cpu['flask'] / cpu['python']:.1f} without its part in C; "
        f"of the fast path's, {cpu['nothing'] / cpu['fast']:.0%} is the server's. "
        f"Nothing at all reaches {statistics.median(ratios(rounds, 'nothing')):.1f} times the Flask view.\n"
        f"With the spool, {spool:.2f} of the requests a second without it.\n"
        f"With signals, {signals:.3f} of the requests a second without them; a request costs "
        f"{cpu['fast'] - cpu['no signals']:+.1f} us.\n"
    )


def columns(taken: dict[str, Taken]) -> str:
    rates = "".join(f"{taken[label].rate:10,.0f}" for label in APPLICATIONS)
    return rates + "".join(f"{taken[label].cpu:10.0f}" for label in APPLICATIONS)


def middle(taken: list[Taken]) -> Taken:
    return Taken(
        statistics.median(each.rate for each in taken),
        statistics.median(each.cpu for each in taken),
        statistics.median(each.others for each in taken),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of each worker, as the tracker has them")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments)
    if arguments.json:
        by_kind = {
            kind: {
                "ratio": statistics.median(ratios(rounds, "fast")),
                "rounds": [{label: asdict(taken) for label, taken in each.items()} for each in rounds],
            }
            for kind, rounds in found.items()
        }
        print(json.dumps({"client": "wrk" if shutil.which("wrk") else "own", **by_kind}))
        return
    for kind, rounds in found.items():
        print_table(kind, rounds)


if __name__ == "__main__":
    main()
