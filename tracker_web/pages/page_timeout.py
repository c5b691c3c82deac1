"""Pages within a bound of time, so that a store that takes long does not take all threads.

A page asks a store, and a store may be slow or far away. So a page is made on a thread of its own. When it
takes longer than the bound, the request is told to come again, and the page that was made meanwhile waits for
that next try: one question to the store, however often somebody reloads.
"""

import io
import time
from collections.abc import Callable, Iterable
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from tracker_web.links import responses

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PATIENCE = 1.0  # seconds a page may hold a thread; a next try for it, a twentieth of that
_KEPT = 60.0  # seconds a page waits for the next try
_AT_ONCE = 4  # pages being made; more would only wait for each other

# What a page depends on: two requests that agree in these may share one answer.
_TOLD_BY = (
    *("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR", "HTTP_HOST"),
    *("HTTP_X_FORWARDED_FOR", "HTTP_COOKIE", "HTTP_AUTHORIZATION", "HTTP_ACCEPT"),
)
_Key = tuple[object, ...]

LATER = "503 Service Unavailable"
LATER_BODY = b"The store takes its time over this page. It comes by itself as soon as it is there.\n"


class _Page:
    """One answer being made."""

    def __init__(self, pages: "WSGIApplication", environ: "WSGIEnvironment") -> None:
        self.done = Event()
        self.begun = time.monotonic()
        self.status = ""
        self.headers: responses.Headers = []
        self.body: list[bytes] = []
        self.error: BaseException | None = None
        Thread(target=self._make, args=(pages, environ), name="page", daemon=True).start()

    def _make(self, pages: "WSGIApplication", environ: "WSGIEnvironment") -> None:
        try:
            body = pages(environ, self._start)
            try:
                self.body += body
            finally:
                close = getattr(body, "close", None)
                if close is not None:
                    close()
        except BaseException as error:  # noqa: BLE001 - raised again where the server sees it
            self.error = error
        finally:
            self.done.set()

    def _start(
        self, status: str, headers: responses.Headers, _exc_info: object = None
    ) -> Callable[[bytes], object]:
        self.status, self.headers = status, headers
        return self.body.append


class PageTimeout:
    """`pages`, with a bound on the time that one request waits. One per process, made after fork.

    Everything but GET and HEAD is handed over as it is.
    """

    def __init__(self, pages: "WSGIApplication", patience: float = _PATIENCE) -> None:
        self._pages = pages
        self._patience = patience
        self._lock = Lock()
        self._making: dict[_Key, _Page] = {}

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return self._pages(environ, start_response)
        key = tuple(environ.get(name) for name in _TOLD_BY)
        patience = self._patience if key not in self._making else self._patience / 20
        page = self._page(key, environ)
        if page is None or not page.done.wait(patience):
            return _later(start_response)
        with self._lock:
            if self._making.get(key) is page:
                del self._making[key]
        if page.error is not None:
            raise page.error
        start_response(page.status, list(page.headers))
        return list(page.body)

    def _page(self, key: _Key, environ: "WSGIEnvironment") -> _Page | None:
        """The answer being made for this key, begun now if there is none. None: too many are being made."""
        oldest = time.monotonic() - _KEPT
        with self._lock:
            page = self._making.get(key)
            if page is not None:
                return page
            self._making = {
                name: each
                for name, each in self._making.items()
                if each.begun > oldest or not each.done.is_set()
            }
            if sum(not each.done.is_set() for each in self._making.values()) >= _AT_ONCE:
                return None
            # The server takes its input back with the first answer; a GET has none.
            page = self._making[key] = _Page(self._pages, environ | {"wsgi.input": io.BytesIO()})
            return page


def _later(start: "StartResponse") -> Iterable[bytes]:
    # Refresh is what browsers go by, Retry-After (RFC 9110 10.2.3) is for programs.
    start(LATER, responses.plain_headers(LATER_BODY, ("Retry-After", "1"), ("Refresh", "1")))
    return [LATER_BODY]
