"""Limits the time that a request for a page may take, so that a slow store does not block all threads.

A page queries a store, and a store may be slow or far away. So each page is made on a thread of its own. When
it takes longer than the limit, the answer asks the client to retry, and the page waits for that retry once it
is made: one query to the store, however often somebody reloads.
"""

import io
import time
from collections.abc import Callable, Iterable
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from tracker_web.languages.catalogues import PAGES, Languages, load
from tracker_web.languages.translation import N_
from tracker_web.links import responses
from tracker_web.web.headers import HEADERS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_TIMEOUT = 1.0  # seconds a page may hold a thread of the server; its retries, a twentieth of that
_UNCLAIMED = 60.0  # seconds a page waits for the retry
_AT_ONCE = 4  # pages being made; more would only wait for each other
_FILES = "/static/"  # read no store; a page asks for more of them at once than _AT_ONCE

# What a page depends on: two requests that agree in these may share one answer.
_DEPENDS_ON = (
    *("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR", "HTTP_HOST"),
    *("HTTP_X_FORWARDED_FOR", "HTTP_COOKIE", "HTTP_AUTHORIZATION", "HTTP_ACCEPT"),
    "HTTP_ACCEPT_LANGUAGE",
)
_Key = tuple[object, ...]

_TYPE = "text/plain; charset=utf-8"
LATER = "503 Service Unavailable"
LATER_TEXT = N_("The store takes its time over this page. It comes by itself as soon as it is there.")


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
    """The application `pages` with a limit on the time that one request waits, in seconds.

    languages: of what says so, ours if not given. One per process, made after fork. Files, and other methods
    than GET and HEAD, are passed on without a limit.
    """

    def __init__(
        self, pages: "WSGIApplication", timeout: float = _TIMEOUT, languages: Languages | None = None
    ) -> None:
        self._pages = pages
        self._languages = languages or load(PAGES)
        self._timeout = timeout
        self._lock = Lock()
        self._pending: dict[_Key, _Page] = {}

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request. Raises what making the page raised."""
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD") or environ["PATH_INFO"].startswith(_FILES):
            return self._pages(environ, start_response)
        key = tuple(environ.get(name) for name in _DEPENDS_ON)
        timeout = self._timeout if key not in self._pending else self._timeout / 20
        page = self._page(key, environ)
        if page is None or not page.done.wait(timeout):
            text = self._languages.of_request(environ).gettext(LATER_TEXT)
            return _later(f"{text}\n".encode(), start_response)
        with self._lock:
            if self._pending.get(key) is page:
                del self._pending[key]
        if page.error is not None:
            raise page.error
        start_response(page.status, list(page.headers))
        return list(page.body)

    def _page(self, key: _Key, environ: "WSGIEnvironment") -> _Page | None:
        """Return the answer being made for this key, begun now if there is none; None: too many."""
        oldest = time.monotonic() - _UNCLAIMED
        with self._lock:
            page = self._pending.get(key)
            if page is not None:
                return page
            self._pending = {
                name: each
                for name, each in self._pending.items()
                if each.begun > oldest or not each.done.is_set()
            }
            if sum(not each.done.is_set() for each in self._pending.values()) >= _AT_ONCE:
                return None
            # The server takes its input back with the first answer; a GET has none.
            page = self._pending[key] = _Page(self._pages, environ | {"wsgi.input": io.BytesIO()})
            return page


def _later(body: bytes, start: "StartResponse") -> Iterable[bytes]:
    # Refresh is what browsers go by, Retry-After (RFC 9110 10.2.3) is for programs.
    headers = responses.typed_headers(body, _TYPE, ("Retry-After", "1"), ("Refresh", "1"))
    start(LATER, list((dict(headers) | HEADERS).items()))
    return [body]
