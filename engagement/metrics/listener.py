"""The small HTTP server that answers `GET /metrics`, in a thread of its own.

Not for readers of mail: no program serves metrics on the address that those use. It asks for no password and
is meant for loopback, a unix socket or a closed network; what it shows names no person.

Invariant: nothing that goes wrong here stops or delays the program. An address that cannot be listened on is
reported once and tried again until it can.
"""

import socket
import stat
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from engagement.metrics.exposition import Read, registry_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

UNIX: Final = "unix:"
_AGAIN: Final = 1.0  # seconds until an address is tried again: a reload frees it within a few
_REQUEST_SECONDS: Final = 10.0  # Prometheus's own scrape_timeout by default
_PATH: Final = "/metrics"


class _Handler(WSGIRequestHandler):
    timeout = _REQUEST_SECONDS

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: a scrape every few seconds is no news."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 16

    def server_bind(self) -> None:
        """Bind without asking for this host's name, which can take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "localhost", 0
        self.setup_environ()

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Take a connection. The library wants an address, which the client of a unix socket has not."""
        connection, _ = self.socket.accept()
        return connection, ("", 0)

    def handle_error(self, request: object, client_address: object) -> None:
        """Leave a connection that broke alone: its client asks again."""


class MetricsListener:
    """The listener of one process.

    address: "ADDRESS:PORT" or "unix:/PATH". read: returns the readings, called from a thread of the server.
    report: logs a line for the operator.
    """

    def __init__(self, address: str, read: Read, report: Callable[[str], None]) -> None:
        self._address = address
        self._application = application(read, report)
        self._report = report
        self._stopping = threading.Event()
        self._server: _Server | None = None
        self._lock = threading.Lock()

    def start(self) -> "MetricsListener":
        """Start the thread, and return this listener. Raises nothing where the address is taken."""
        threading.Thread(target=self._run, name="metrics", daemon=True).start()
        return self

    def stop(self) -> None:
        """Close the listener, and remove its unix socket."""
        self._stopping.set()
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            if self._address.startswith(UNIX):
                Path(self._address.removeprefix(UNIX)).unlink(missing_ok=True)

    def _run(self) -> None:
        reported = False
        while not self._stopping.is_set():
            try:
                server = _bound(self._address)
            except (OSError, OverflowError) as error:
                if not reported:
                    reason = getattr(error, "strerror", None) or error
                    self._report(
                        f"metrics cannot be served on {self._address}: {reason}. "
                        "All else goes on, and it is tried again"
                    )
                reported = True
                self._stopping.wait(_AGAIN)
                continue
            with self._lock:
                if self._stopping.is_set():
                    server.server_close()
                    return
                self._server = server
            server.set_app(self._application)
            if reported:
                self._report(f"metrics are served on {self._address}")
            server.serve_forever(poll_interval=0.5)
            return


def _bound(address: str) -> _Server:
    """Return a server that listens. Raises OSError where the address is taken or cannot be used."""
    if address.startswith(UNIX):
        path = address.removeprefix(UNIX)
        _remove_stale(path)
        server = _of_family(socket.AF_UNIX, path)
        Path(path).chmod(0o660)
        return server
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family, *_, sockaddr = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
    return _of_family(family, sockaddr)


def _of_family(family: int, address: object) -> _Server:
    kind = type("_FamilyServer", (_Server,), {"address_family": family})
    made: _Server = kind(address, _Handler)
    return made


def _remove_stale(path: str) -> None:
    """Remove a socket that nobody listens on. Raises OSError where somebody does, or it is no socket."""
    try:
        if not stat.S_ISSOCK(Path(path).stat().st_mode):
            raise FileExistsError(17, "a file that is no socket is in the way")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)
        else:
            raise OSError(98, "another program answers there")


def application(read: Read, report: Callable[[str], None]) -> "WSGIApplication":
    """Return the WSGI application: `GET /metrics`, in the format that the client asks for."""
    from prometheus_client import make_wsgi_app

    metrics = make_wsgi_app(registry_of(read))

    def answer(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        if environ.get("PATH_INFO") != _PATH:
            return _text("404 Not Found", f"Metrics are at {_PATH}.\n", start)
        if environ.get("REQUEST_METHOD") != "GET":
            return _text("405 Method Not Allowed", "GET only.\n", start, ("Allow", "GET"))
        try:
            answered: Iterable[bytes] = metrics(environ, start)
            return answered
        except Exception as error:  # noqa: BLE001 - a scrape must not end the listener
            report(f"metrics could not be read: {type(error).__name__}: {error}")
            return _text("500 Internal Server Error", "Metrics could not be read; see the log.\n", start)

    return answer


def _text(status: str, body: str, start: "StartResponse", *more: tuple[str, str]) -> Iterable[bytes]:
    start(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), *more])
    return [body.encode("ascii")]
