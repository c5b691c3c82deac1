"""An endpoint that answers as told, and a store with a registry to send from. Imported by tests beside it."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from engagement.events.model import Event
from engagement.events.rows import rows
from engagement.registry.port import Registry
from engagement.registry.sqlite import SqliteRegistry
from engagement.settings.schema import WebhooksStanza
from engagement.stores.port import EventStore
from engagement.stores.sqlite.store import SqliteStore
from engagement.webhooks.batches import PING
from engagement.webhooks.documents import Documents
from engagement.webhooks.sending.connect import HttpClient
from engagement.webhooks.sending.delivery import Sender
from engagement.webhooks.sending.loop import Sending
from engagement.webhooks.sending.tools import Tools
from engagement.webhooks.service import WebhookService

TIMEOUT = 60.0  # seconds that a busy machine has


@dataclass(frozen=True)
class Request:
    """What an endpoint was sent. status: what it answered."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int

    @property
    def batch(self) -> str:
        return self.headers["X-MessageSystems-Batch-ID"]


Reply = tuple[int, Mapping[str, str], bytes]


@dataclass
class Endpoint:
    """A web server on loopback. answer: what it says; ping: whether a test is asked it, too."""

    answer: Callable[[str, bytes], Reply] = lambda path, body: (200, {}, b"OK")
    asks_ping: bool = False
    requests: list[Request] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?a=1"

    @property
    def batches(self) -> list[Request]:
        with self.changed:
            return [each for each in self.requests if each.body != PING]

    def wait(self, done: Callable[[list[Request]], bool]) -> list[Request]:
        """Wait until what came, without pings, is as wanted; return it."""
        deadline = time.monotonic() + TIMEOUT
        with self.changed:
            while True:
                found = [each for each in self.requests if each.body != PING]
                if done(found):
                    return found
                left = deadline - time.monotonic()
                assert left > 0, f"{len(found)} batch(es) came, which are not all that is waited for"
                self.changed.wait(left)


def until(done: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + TIMEOUT
    while not done():
        assert time.monotonic() < deadline, "what is waited for did not come"
        time.sleep(0.02)


@contextmanager
def endpoint(**named: Any) -> Iterator[Endpoint]:
    made = Endpoint(**named)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_ping = body == PING and not made.asks_ping
            status, headers, content = (200, {}, b"OK") if is_ping else made.answer(self.path, body)
            with made.changed:
                made.requests.append(Request(self.path, dict(self.headers.items()), body, status))
                made.changed.notify_all()
            try:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                pass  # it was killed meanwhile

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Site:
    """Store, registry and what uses them."""

    store: EventStore
    registry: Registry
    options: WebhooksStanza
    clock: list[float] = field(default_factory=lambda: [0.0])  # seconds that time is ahead

    def __post_init__(self) -> None:
        self.documents = Documents(self.registry)
        self.sender = Sender(HttpClient(self.options.allow_targets, self.options.timeout), self.now)
        self.service = WebhookService(
            self.documents,
            self.sender,
            lambda: self.store.arrivals("").mark,
            self.options.allow_targets,
            self.now,
        )

    def now(self) -> float:
        return time.time() + self.clock[0]

    def add(self, *events: Event) -> None:
        self.store.add([row for event in events for row in rows(event)])

    def tools(self, **changes: Any) -> Tools:
        return Tools(self.documents, self.store, self.sender, self.options, now=self.now, **changes)

    def create(self, target: str, **more: Any) -> str:
        """Make a webhook; return its id."""
        made = self.service.create({"name": "test", "target": target, "events": ["click", "open"]} | more)
        return str(made["id"])

    @contextmanager
    def sending(self, owner: str = "first", **changes: Any) -> Iterator[Sending]:
        """Run the program's loop in a thread."""
        stop = threading.Event()
        sending = Sending(self.tools(**changes), owner)
        thread = threading.Thread(target=sending.run, args=(stop,))
        thread.start()
        try:
            yield sending
        finally:
            stop.set()
            thread.join(TIMEOUT)
            assert not thread.is_alive()


def options(**changes: Any) -> WebhooksStanza:
    values: dict[str, Any] = {"allow_targets": ("127.0.0.1",), "batch_time": 0, "retry_after": 1}
    return WebhooksStanza(**(values | changes))


@contextmanager
def site(folder: Path, **changes: Any) -> Iterator[Site]:
    store = SqliteStore(folder / "events.db", writing=True)
    registry = SqliteRegistry(folder / "registry.db")
    try:
        yield Site(store, registry, options(**changes))
    finally:
        registry.close()
        store.close()
