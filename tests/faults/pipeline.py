"""Tracker, spool, shipper and store as processes to break, and readers who click. Not a test."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engagement.links.keys import Ring
from engagement.links.model import Identity, Kind, Link
from engagement.links.ring_file import save_ring
from engagement.links.token import copy_sealer
from engagement.settings import load_file
from engagement.spool.read import SpoolReader
from engagement.stores import open_store
from engagement.stores.port import Query
from mta.mta_site import SECRET, SMTPAPI, free_port, until

HOST = "track.example.test"
TARGET = "https://shop.example/a?x=1&y="
MESSAGES = 50


class Pipeline:
    """One folder with all of it. store: the `store { }` stanza and what belongs to it; SQLite by default."""

    def __init__(
        self,
        folder: Path,
        *,
        sync: str = "always",
        workers: int = 2,
        store: str = "",
        more: str = "",
        environment: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.environment = os.environ | (environment or {})
        self.spool = folder / "spool"
        self.port = free_port()
        self.ring = Ring().rotated(SECRET, 1)
        self.config = folder / "smtpapi.conf"
        self.log = folder / "tracker.log"
        save_ring(folder / "keys", self.ring)
        self.config.write_text(
            f'smtpapi {{ }}\nkeys {{ ring = "{folder / "keys"}" }}\n'
            f'spool {{ directory = "{self.spool}" sync = {sync} {more} }}\n'
            + (store or f'store {{ path = "{folder / "events.db"}" }}\n')
            + f'tracker {{ listen = "127.0.0.1:{self.port}" workers = {workers} hosts = ( "{HOST}" ) }}\n'
        )
        now = int(time.time())
        self.paths = []
        for number in range(MESSAGES):
            whose = Identity(
                number.to_bytes(16, "big"), 7, f"r{number}@rcpt.test", now, now + 86400 * 365, campaign="load"
            )
            sealer = copy_sealer(self.ring.signing, whose)
            self.paths.append(f"/f/a/{sealer.seal(Kind.CLICK, Link(TARGET.encode(), 'top')).decode()}")
            self.paths.append(f"/q/{sealer.seal(Kind.OPEN).decode()}")

    @contextmanager
    def tracker(self) -> Iterator[subprocess.Popen[bytes]]:
        """The tracker, all its processes in a group of their own, until the block ends."""
        process = self.start_tracker()
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(30)
                finally:
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)

    def start_tracker(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tracker_web", "--config", str(self.config)],
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,
            )
        until(lambda: self._answers() or process.poll() is not None, 30, "the tracker")
        assert process.poll() is None, self.log.read_text()[-2000:]
        return process

    @contextmanager
    def shipper(self) -> "Iterator[subprocess.Popen[bytes]]":
        with (self.folder / "ship.log").open("ab") as log:
            process = subprocess.Popen(
                [str(SMTPAPI), "ship", "--config", str(self.config)],
                stdout=log,
                stderr=log,
                env=self.environment,
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)

    def _answers(self) -> bool:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        return False

    def drained(self, seconds: float = 60) -> None:
        """See that everything waiting goes into the store by itself."""
        until(lambda: SpoolReader(self.spool).backlog().records == 0, seconds, "a drained spool")

    def agents(self) -> Counter[str]:
        """The user agents of all stored rows, each with how often it is there."""
        store = open_store(load_file(self.config))
        found: Counter[str] = Counter()
        query = Query(expired=True, limit=10_000)
        try:
            while page := list(store.find(query)):
                found.update(str(event["user_agent"]) for event in page)
                last = page[-1]
                query = Query(expired=True, limit=10_000, cursor=f"{last['timestamp']}/{last['event_id']}")
        finally:
            store.close()
        return found


def workers_of(process: "subprocess.Popen[bytes]") -> list[int]:
    """The tracker's workers, without the helpers of Python's multiprocessing."""
    with suppress(OSError):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return [int(child) for child in children if _is_worker(child)]
    return []


def _is_worker(pid: str) -> bool:
    with suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        return b"tracker_web" in command or b"spawn_main" in command
    return False


class Clicker(threading.Thread):
    """Clicks and opens, each under a User-Agent of its own. answered: those that got a whole answer.

    times: of each answer when it was asked for (monotonic), "/f/" or "/q/", and the seconds it took.
    """

    def __init__(self, site: Pipeline, name: str, *, most: int = 10**9, pause: float = 0.0) -> None:
        super().__init__(daemon=True)
        self.label = name
        self.answered: list[str] = []
        self.wrong: list[bytes] = []
        self.times: list[tuple[float, str, float]] = []
        self.requests = 0
        self.over = threading.Event()
        self._site = site
        self._most = most
        self._pause = pause
        self._socket: socket.socket | None = None

    def run(self) -> None:
        while not self.over.is_set() and self.requests < self._most:
            path = self._site.paths[self.requests % len(self._site.paths)]
            agent = f"{self.label}-{self.requests}"
            self.requests += 1
            began = time.monotonic()
            try:
                answer = self._fetch(path, agent)
            except OSError:  # killed before it answered, or not there yet
                self._close()
                time.sleep(0.01)
                continue
            self.times.append((began, path[:3], time.monotonic() - began))
            if _is_right(answer, path):
                self.answered.append(agent)
            else:
                self.wrong.append(answer[:200])
            if self._pause:
                time.sleep(self._pause)
        self._close()

    def _fetch(self, path: str, agent: str) -> bytes:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._site.port), timeout=30)
        # Each click is another client's: what one does again and again is counted together (spool.fold).
        client = f"10.{self.requests >> 16 & 255}.{self.requests >> 8 & 255}.{self.requests & 255}"
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nX-Forwarded-For: {client}\r\n"
            f"User-Agent: {agent}\r\n\r\n".encode("ascii")
        )
        answer = b""
        while not _is_whole(answer):
            chunk = self._socket.recv(65536)
            if not chunk:
                raise ConnectionResetError
            answer += chunk
        return answer

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _is_whole(answer: bytes) -> bool:
    head, blank, body = answer.partition(b"\r\n\r\n")
    if not blank:
        return False
    length = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0].strip() or b"0"
    return len(body) >= int(length)


def _is_right(answer: bytes, path: str) -> bool:
    if path.startswith("/q/"):
        return answer.startswith(b"HTTP/1.1 200 ") and b"GIF89a" in answer
    return answer.startswith(b"HTTP/1.1 302 ") and f"location: {TARGET}\r\n".encode() in answer


def end(crew: list[Clicker]) -> list[str]:
    """Stop them; return what was answered."""
    for each in crew:
        each.over.set()
    for each in crew:
        each.join(60)
        assert not each.is_alive(), "a reader hangs"
        assert not each.wrong, each.wrong[:3]
    return [agent for each in crew for agent in each.answered]
