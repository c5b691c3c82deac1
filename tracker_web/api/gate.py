"""The outermost limits of the API, before any framework: length of the URL, and time. Raw WSGI.

A call that only reads is made on a thread of its own, so that a slow store does not hold the server's threads
for ever: after the limit it is answered 503. A trailing slash of a path changes nothing (contract.md 8.1).
"""

import io
from collections.abc import Callable, Iterable
from threading import BoundedSemaphore, Event, Thread
from typing import TYPE_CHECKING, Final

from tracker_web.api.errors import body_of
from tracker_web.links.responses import Headers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LONGEST_URL: Final = 4096  # characters (contract.md 8.3)
_TIMEOUT: Final = 20.0  # seconds; proxies wait for 60, clients often for 30
_AT_ONCE: Final = 6  # calls; of the server's 8 threads two are left for the pages
_QUEUE: Final = 2.0  # seconds that a call waits for another one's end

_LATER: Final = "503 Service Unavailable"


class Gate:
    """The application `api` with these limits. timeout, queue: seconds."""

    def __init__(
        self,
        api: "WSGIApplication",
        *,
        timeout: float = _TIMEOUT,
        at_once: int = _AT_ONCE,
        queue: float = _QUEUE,
    ) -> None:
        self._api = api
        self._timeout = timeout
        self._queue = queue
        self._free = BoundedSemaphore(at_once)

    def __call__(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        """Answer one request. Raises what the application raises."""
        path, query = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
        if len(path) + len(query) > LONGEST_URL:
            return _error(start, "414 URI Too Long", f"a URL has at most {LONGEST_URL} characters")
        environ = environ | {"PATH_INFO": path.rstrip("/") or "/"}
        if not self._free.acquire(timeout=self._queue):
            return _error(start, _LATER, "too many calls at once; try again", ("Retry-After", "1"))
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            try:
                return self._api(environ, start)
            finally:
                self._free.release()
        # The server takes its input back with the first answer; what only reads needs no body.
        call = _Call(
            self._api, environ | {"wsgi.input": io.BytesIO(), "CONTENT_LENGTH": ""}, self._free.release
        )
        if not call.done.wait(self._timeout):
            message = f"this took longer than {self._timeout:g} s; ask for less"
            return _error(start, _LATER, message, ("Retry-After", "5"))
        if call.error is not None:
            raise call.error
        start(call.status, call.headers)
        return call.body


class _Call:
    """One answer being made. at_end: called once it is made, whether or not somebody still waits."""

    def __init__(
        self, api: "WSGIApplication", environ: "WSGIEnvironment", at_end: Callable[[], None]
    ) -> None:
        self.done = Event()
        self.status = ""
        self.headers: Headers = []
        self.body: list[bytes] = []
        self.error: BaseException | None = None
        Thread(target=self._make, args=(api, environ, at_end), name="call", daemon=True).start()

    def _make(self, api: "WSGIApplication", environ: "WSGIEnvironment", at_end: Callable[[], None]) -> None:
        try:
            body = api(environ, self._start)
            try:
                self.body += body
            finally:
                close = getattr(body, "close", None)
                if close is not None:
                    close()
        except BaseException as error:  # noqa: BLE001 - raised again where the server sees it
            self.error = error
        finally:
            at_end()
            self.done.set()

    def _start(self, status: str, headers: Headers, _exc_info: object = None) -> Callable[[bytes], object]:
        self.status, self.headers = status, headers
        return self.body.append


def _error(start: "StartResponse", status: str, message: str, *more: tuple[str, str]) -> Iterable[bytes]:
    body = body_of({"message": message})
    headers: Headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start(status, [*headers, ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"), *more])
    return [body]
