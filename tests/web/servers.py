"""Starts the tracker for tests as its users start it: each server a process of its own, on a free port."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engagement.events.model import Hit
from engagement.events.record import decode
from engagement.links.ring_file import save_ring
from engagement.spool.format import MAGIC, ScanEnd, scan
from engagement.spool.repeats import MAGIC as REPEATS_MAGIC
from engagement.spool.repeats import slots
from web.web_cases import HOST, RING, Answer

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 30.0  # seconds; a busy machine starts Python slowly


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Site:
    """A folder with a configuration, a key ring and a spool. web: port of the pages."""

    folder: Path
    port: int
    web: int = 0

    @property
    def config(self) -> Path:
        return self.folder / "smtpapi.conf"

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def store(self) -> Path:
        return self.folder / "events.db"

    def hits(self) -> list[Hit]:
        """All hits of the spool in their order; one that stands for several is there so often."""
        found: dict[str, Hit] = {}  # what is being told is in two files
        paths = sorted(self.spool.glob("*"))
        try:
            for path in paths:
                for event in map(decode, records(path)):
                    if isinstance(event, Hit):
                        found[event.id] = event
        except FileNotFoundError:  # its repeats went into a segment that was read already
            return self.hits()
        return [hit for _, hit in sorted(found.items()) for _ in range(hit.hits)]


def records(path: Path) -> list[bytes]:
    if path.suffix == ".repeats":
        return [slot.record for slot in slots(path.read_bytes(), len(REPEATS_MAGIC))]
    if path.suffix not in (".open", ".ready"):
        return []
    found = scan(path.read_bytes(), len(MAGIC))
    assert found.end is not ScanEnd.CORRUPT
    return [record for record, _ in found.records]


def make_site(folder: Path, port: int | None = None, tracker: str = "", more: str = "") -> Site:
    site = Site(folder, port or free_port(), free_port())
    save_ring(folder / "keys", RING)
    site.config.write_text(
        f'smtpapi {{ }}\nkeys {{ ring = "{folder / "keys"}" }}\nspool {{ directory = "{site.spool}" }}\n'
        f'store {{ path = "{site.store}" }}\n'
        f'tracker {{ listen = "127.0.0.1:{site.port}" workers = 1\n{tracker}\n}}\n'
        f'web {{ listen = "127.0.0.1:{site.web}" token_file = "{folder / "web-token"}" }}\n'
        f'ESMTP_Listener {{ tracking_domain = "{HOST}" Listen ":2525" {{ }} }}\n{more}\n'
    )
    return site


def environment(site: Site) -> dict[str, str]:
    path = os.pathsep.join((str(ROOT), str(ROOT / "milter")))
    return os.environ | {"PYTHONPATH": path, "SMTPAPI_CONFIG": str(site.config), "PYTHONUNBUFFERED": "1"}


def own(site: Site) -> list[str]:
    return [sys.executable, "-m", "tracker_web", "--config", str(site.config)]


def web(site: Site) -> list[str]:
    return [sys.executable, "-m", "tracker_web.web", "--config", str(site.config)]


def gunicorn(site: Site) -> list[str]:
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{site.port}", "--worker-class=gthread"]
    return [*command, "--limit-request-line=0", "--log-level=error", "tracker_web.server.wsgi:application"]


def flask_run(site: Site) -> list[str]:
    return [
        sys.executable,
        "-m",
        "flask",
        "--app",
        "tracker_web.server.flask_app",
        "run",
        "--port",
        str(site.port),
    ]


@contextmanager
def running(site: Site, command: Callable[[Site], list[str]] = own) -> Iterator[subprocess.Popen[bytes]]:
    """The server, from when it takes connections until the block ends; its words go to FOLDER/log."""
    with open(site.folder / "log", "ab") as log:
        process = subprocess.Popen(
            command(site),
            cwd=site.folder,
            env=environment(site),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for_port(site.web if command is web else site.port, process)
        yield process
    finally:
        stop(process)


def wait_for_port(port: int, process: subprocess.Popen[bytes] | None = None) -> None:
    end = time.monotonic() + TIMEOUT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert process is None or process.poll() is None, "the server ended; see its log"
            assert time.monotonic() < end, f"nothing listens on port {port}"
            time.sleep(0.05)


def stop(process: subprocess.Popen[bytes], by: int = signal.SIGTERM) -> None:
    if process.poll() is None:
        process.send_signal(by)
        try:
            process.wait(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """Kill the server and its workers as a power cut would."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wire(path: str, method: str = "GET", host: str | None = HOST, **headers: str) -> bytes:
    """One request as it goes over the wire; `path` is not touched."""
    lines = [f"{method} {path} HTTP/1.1"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if method == "POST":
        lines.append("Content-Length: 0")
    return ("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode("latin-1")


def raw(port: int, request: bytes) -> bytes:
    """Everything the server sends until it closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
        connection.sendall(request)
        got = b""
        while chunk := connection.recv(65536):
            got += chunk
    return got


def fetch(port: int, path: str, method: str = "GET", host: str | None = HOST, **headers: str) -> Answer:
    """Ask as a browser does: a page that takes its time is asked for again, as its answer says (Refresh)."""
    end = time.monotonic() + TIMEOUT
    while True:
        answer = parse(raw(port, wire(path, method, host, **headers)))
        if answer.status != 503 or "refresh" not in answer.headers or time.monotonic() > end:
            return answer


def parse(got: bytes) -> Answer:
    head, _, body = got.partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    pairs = [field.partition(": ")[::2] for field in fields]
    headers: dict[str, str] = {}
    for name, value in pairs:
        assert name.lower() not in headers, f"{name} twice"
        headers[name.lower()] = value
    return Answer(int(status.split()[1]), headers, body)


def opener(site: Site) -> str:
    """The URL that opens the pages signed in."""
    command = [*web(site), "--url"]
    done = subprocess.run(command, env=environment(site), capture_output=True, text=True, check=True)
    return done.stdout.strip()


def fetch_json(site: Site, path: str) -> dict[str, object]:
    token = (site.folder / "web-token").read_text().strip()
    answer = fetch(site.web, path, host="localhost", Authorization=f"Bearer {token}")
    assert answer.status == 200, answer
    found: dict[str, object] = json.loads(answer.body)
    return found
