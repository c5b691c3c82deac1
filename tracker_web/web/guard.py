"""Lets requests through to the pages that carry the token, wherever they come from. Raw WSGI, no page.

A client address proves nothing behind a proxy, so none gives access. A request must be sent to one of this
program's names (which shuts out web sites whose name was pointed here, DNS rebinding), and carry a session's
cookie, or the token: as `Authorization: Bearer`, or once as `?token=`, which is exchanged for a cookie and
removed from the URL. Nothing here is logged, and no answer repeats what was sent.

Paths of the HTTP API are passed on as they come: `tracker_web.api.access` lets none through without a key. No
browser sends a key by itself, so neither cookie nor host name matters there.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, urlencode

from engagement.events.addresses import truncated
from tracker_web.links.client_address import Proxies, host_name
from tracker_web.links.responses import Headers
from tracker_web.web.failures import Failures

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_API: Final = "/api"
SIGN_IN: Final = "/sign-in"
_LIFETIME: Final = 86_400  # seconds of a session
_LONGEST_FORM: Final = 4096  # bytes; a token has 43 characters

_PLAIN: Final = (
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("X-Robots-Tag", "noindex"),
    (
        "Content-Security-Policy",
        "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
)
_FORM: Final = (
    b'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Sign in</title>\n'
    b'<meta name="viewport" content="width=device-width"></head><body>\n<h1>Sign in</h1>\n'
    b"<p>On the machine that runs this, <code>smtpapi web --url</code> prints an address that opens "
    b"the page, with the token in it.</p>\n"
    b'<form method="post" action="/sign-in"><label>Token <input type="password" name="token" required '
    b'autocomplete="current-password"></label> <button>Sign in</button></form>\n</body></html>\n'
)
_NOT_FOUND: Final = b"Not Found\n"
_SLOWER: Final = b"Too many wrong tokens; wait a little.\n"


def is_api(path: str) -> bool:
    """Tell whether a path is one of the HTTP API."""
    return path == _API or path.startswith(f"{_API}/")


class Guard:
    """The application `pages` for requests with the token.

    api: answers the paths of the API. hosts: names that requests may be sent to, as `host_name` returns them.
    port: a part of the cookie's name, as all ports of a host share its cookies. clock: returns Unix seconds.
    """

    def __init__(
        self,
        pages: "WSGIApplication",
        *,
        api: "WSGIApplication",
        token: str,
        hosts: frozenset[str],
        proxies: Proxies,
        port: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._pages = pages
        self._api = api
        self._token = token.encode("ascii")
        self._hosts = hosts
        self._proxies = proxies
        self._cookie = f"smtpapi_session_{port}"
        self._clock = clock
        self._failures = Failures(clock)
        self._key = hashlib.sha256(b"smtpapi web session\0" + self._token).digest()

    def __call__(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        """Answer one request, or pass it on."""
        if is_api(environ["PATH_INFO"]):
            return self._api(environ, start)
        if host_name(environ.get("HTTP_HOST", "")) not in self._hosts:
            return _answer(start, "404 Not Found", _NOT_FOUND)
        method = environ["REQUEST_METHOD"]
        if environ["PATH_INFO"] == SIGN_IN:
            return self._sign_in(environ, start)
        pairs = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True, max_num_fields=None)
        offered = [value for name, value in pairs if name == "token"]
        if offered and method in ("GET", "HEAD"):
            rest = [pair for pair in pairs if pair[0] != "token"]
            path = "/" + quote(environ["PATH_INFO"].lstrip("/\\"), safe="/", encoding="latin-1")
            return self._exchange(offered[-1], path + ("?" + urlencode(rest) if rest else ""), environ, start)
        scheme, _, bearer = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() == "bearer":
            refused = self._refused(bearer.strip(), environ, start)
            return self._pages(environ, start) if refused is None else refused
        if self._has_session(environ.get("HTTP_COOKIE", "")):
            return self._pages(environ, start)
        return _unknown(start)

    def _sign_in(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return _answer(start, "200 OK", _FORM, media_type="text/html; charset=utf-8")
        length = environ.get("CONTENT_LENGTH") or "0"
        if environ["REQUEST_METHOD"] != "POST" or not length.isdigit() or int(length) > _LONGEST_FORM:
            return _answer(start, "400 Bad Request", b"Bad Request\n")
        form = environ["wsgi.input"].read(int(length)).decode("latin-1")
        return self._exchange(dict(parse_qsl(form)).get("token", ""), "/", environ, start)

    def _exchange(
        self, offered: str, to: str, environ: "WSGIEnvironment", start: "StartResponse"
    ) -> Iterable[bytes]:
        """Exchange a token for a session's cookie, and redirect to the URL without it."""
        refused = self._refused(offered.strip(), environ, start)
        if refused is not None:
            return refused
        until = str(int(self._clock()) + _LIFETIME)
        cookie = f"{self._cookie}={until}.{self._signature(until)}; Path=/; HttpOnly; SameSite=Strict"
        cookie += f"; Max-Age={_LIFETIME}"
        if environ.get("HTTP_X_FORWARDED_PROTO") == "https":
            cookie += "; Secure"
        return _answer(start, "303 See Other", b"", ("Location", to), ("Set-Cookie", cookie))

    def _refused(
        self, offered: str, environ: "WSGIEnvironment", start: "StartResponse"
    ) -> Iterable[bytes] | None:
        """Return the answer to a wrong token; None for the right one.

        The right one is accepted whatever came before from that address, which may be that of a proxy that
        strangers use, too. The token has 256 bits: guesses are slowed to spare this machine, not to protect
        the token.
        """
        client = self._proxies.client(environ.get("REMOTE_ADDR", ""), environ.get("HTTP_X_FORWARDED_FOR"))
        address = truncated(client)
        if hmac.compare_digest(offered.encode("utf-8", "replace"), self._token):
            self._failures.forget(address)
            return None
        wait = self._failures.wait(address)
        if wait > 0:
            return _answer(start, "429 Too Many Requests", _SLOWER, ("Retry-After", str(int(wait) + 1)))
        self._failures.add(address)
        return _unknown(start)

    def _has_session(self, cookies: str) -> bool:
        for cookie in cookies.split(";"):
            name, _, value = cookie.strip().partition("=")
            until, _, signature = value.partition(".")
            if name != self._cookie or not (until.isascii() and until.isdigit() and len(until) < 12):
                continue
            right = self._signature(until).encode("ascii")
            if (
                hmac.compare_digest(signature.encode("utf-8", "replace"), right)
                and int(until) > self._clock()
            ):
                return True
        return False

    def _signature(self, until: str) -> str:
        made = hmac.digest(self._key, until.encode("ascii"), "sha256")
        return base64.urlsafe_b64encode(made).decode("ascii").rstrip("=")


def _unknown(start: "StartResponse") -> Iterable[bytes]:
    """Answer a request without a valid token: the form, and nothing of the pages (RFC 9110 15.5.2)."""
    asks = ("WWW-Authenticate", 'Bearer realm="smtpapi web"')
    return _answer(start, "401 Unauthorized", _FORM, asks, media_type="text/html; charset=utf-8")


def _answer(
    start: "StartResponse",
    status: str,
    body: bytes,
    *more: tuple[str, str],
    media_type: str = "text/plain; charset=utf-8",
) -> Iterable[bytes]:
    headers: Headers = [("Content-Type", media_type), ("Content-Length", str(len(body))), *_PLAIN, *more]
    start(status, headers)
    return [body]
