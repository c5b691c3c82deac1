"""The ASGI interface of the links' WSGI application, which the tracker's own server calls.

Servers pass decoded text to WSGI applications, and granian leaves out a header that holds an octet beyond
ASCII, as if it were absent. ASGI has the octets themselves, so nothing that a client or proxy sent is lost.
Only what the application reads is passed on. Nothing is awaited: each request is answered at once, its body
unread.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from engagement.events import signals
from tracker_web.links.application import SIGNALS
from tracker_web.links.unsubscribe_page import ABOUT

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_TEXTS: Final = {
    b"host": "HTTP_HOST",
    b"user-agent": "HTTP_USER_AGENT",
    b"x-forwarded-for": "HTTP_X_FORWARDED_FOR",
    b"x-forwarded-http-version": "HTTP_X_FORWARDED_HTTP_VERSION",
    b"accept-language": "HTTP_ACCEPT_LANGUAGE",
}
_REMEMBERED: Final = 256  # values of each field; browsers and robots of one kind send the same


class _SignalBits(dict[bytes, int]):
    """What a field says by its value (`signals.field_signals`); the values that are common are remembered."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __missing__(self, value: bytes) -> int:
        bits = signals.field_signals(self._name, value[: signals.MOST].decode("latin-1"))
        if len(value) <= signals.MOST and len(self) < _REMEMBERED:
            self[value] = bits
        return bits


# What is wanted of a field: its text, under this name, or what it says (_SignalBits).
_FIELDS: Final[dict[bytes, Any]] = {
    name.removeprefix("HTTP_").replace("_", "-").lower().encode("ascii"): _SignalBits(name)
    for name in signals.FIELDS
} | _TEXTS

_ABOUT: Final = ABOUT.encode("ascii")


class Asgi:
    """An ASGI 3 application. wsgi: answers at once, and calls start_response before it returns.

    answered: called with the status of each answer. ended: called after each.
    """

    def __init__(
        self,
        wsgi: "WSGIApplication",
        answered: Callable[[int], None] = lambda _status: None,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._wsgi = wsgi
        self._answered = answered
        self._ended = ended

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        answer: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], _failed: object = None) -> Callable[..., Any]:
            answer[:] = int(status[:3]), headers
            return _not_offered

        body = b"".join(self._wsgi(environ_of(scope), start))
        status, headers = answer
        self._answered(status)
        await send({"type": "http.response.start", "status": status, "headers": _encoded(headers)})
        await send({"type": "http.response.body", "body": body})
        self._ended()


def environ_of(scope: Scope) -> dict[str, Any]:
    """Return what the application reads of a request as PEP 3333 has it: octets decoded as latin-1.

    Fields of one name are joined with a comma (RFC 9110 5.3).
    """
    path: bytes = scope["raw_path"].partition(b"?")[0]
    client = scope.get("client")
    environ = {
        "REQUEST_METHOD": scope["method"],
        "PATH_INFO": (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1"),
        "REMOTE_ADDR": client[0] if client else "",
    }
    # A form says by it what it asks for, and one page is named by it; any other query is ignored.
    query: bytes = scope.get("query_string", b"")
    if scope["method"] == "POST" or query == _ABOUT:
        environ["QUERY_STRING"] = query.decode("latin-1")
    if scope["http_version"] != "1.1":
        environ["SERVER_PROTOCOL"] = f"HTTP/{scope['http_version']}"
    bits = signals.RECORDED
    for name, value in scope["headers"]:
        target = _FIELDS.get(name)
        if target is not None:
            if target.__class__ is str:
                text = value.decode("latin-1")
                environ[target] = f"{environ[target]},{text}" if target in environ else text
            else:
                bits |= target[value]
    environ[SIGNALS] = bits
    return environ


def _encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [
        (b"location", value.encode("latin-1")) if name == "Location" else _pair(name, value)
        for name, value in headers
    ]


@lru_cache(maxsize=256)  # all but Location are the same few
def _pair(name: str, value: str) -> tuple[bytes, bytes]:
    return name.lower().encode("latin-1"), value.encode("latin-1")


def _not_offered(_data: bytes) -> None:
    raise NotImplementedError("the answering path returns its body")
