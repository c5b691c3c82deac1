"""What the tracker's tests share: a ring, tokens of known content, a table of requests and answers.

The table is run three times: over the bare callable, over live servers, and through nginx.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from engagement.links.keys import Key, KeyStatus, Ring
from engagement.links.model import Identity, Kind, Link
from engagement.links.token import copy_sealer
from tracker_web.links.application import LinksApplication
from tracker_web.links.client_address import Proxies
from tracker_web.links.responses import PIXEL

NOW = 1_793_001_722
KEY = Key(7, KeyStatus.SIGNING, NOW - 1000, bytes(range(32)))
STRANGER = Key(7, KeyStatus.SIGNING, NOW - 1000, bytes(range(1, 33)))
RING = Ring((KEY,))
HOST = "track.example.com"
UNKNOWN = b"This link is not known here.\n"
TARGET = b"https://shop.example.org/a?x=1&y=%20&z=#top"


def identity(**changes: Any) -> Identity:
    facts: dict[str, Any] = {
        "message_id": bytes(16),
        "transmission_id": 42,
        "recipient": "Ida.Holm@Example.net",
        "issued": NOW - 100,
        "expiry": NOW + 31_536_000,
        "campaign": "autumn-letter",
    }
    return Identity(**(facts | changes))


def token(
    kind: Kind = Kind.CLICK, target: bytes | None = TARGET, key: Key = KEY, tenant: str = "", **changes: Any
) -> str:
    pixel = kind in (Kind.OPEN, Kind.INITIAL_OPEN, Kind.AMP_OPEN, Kind.AMP_INITIAL_OPEN)
    link = None if pixel or target is None else Link(target, "top banner")
    return copy_sealer(key, identity(**changes), tenant).seal(kind, link).decode("ascii")


@dataclass
class MemorySpool:
    records: list[bytes] = field(default_factory=list)

    def append(self, record: bytes) -> bool:
        self.records.append(record)
        return True


@dataclass
class FixedKeys:
    ring: Ring = RING
    after_refresh: Ring | None = None

    def current(self) -> Ring:
        return self.ring

    def refreshed(self) -> Ring:
        if self.after_refresh is not None:
            self.ring = self.after_refresh
        return self.ring


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def environ(path: str = "/", method: str = "GET", host: str | None = HOST, **more: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "203.0.113.9",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if host is not None:
        made["HTTP_HOST"] = host
    return made | more


ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


def ask(app: Callable[..., Iterable[bytes]], request: dict[str, Any]) -> Answer:
    """Call a WSGI application as a server would."""
    seen: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], object]:
        seen.append((status, headers))
        return lambda data: None

    body = b"".join(app(request, start_response))
    ((status, headers),) = seen
    names = [name.lower() for name, _ in headers]
    assert len(names) == len(set(names)), "a header twice"
    return Answer(int(status.split()[0]), {name.lower(): value for name, value in headers}, body)


def elsewhere(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Stands for everything behind the fast path."""
    start_response("404 Not Found", [("Content-Type", "text/plain"), ("X-Elsewhere", "yes")])
    return [b"elsewhere\n"]


def fail(error: Exception) -> None:
    raise error


def hot(spool: Any = None, **changes: Any) -> LinksApplication:
    counter = iter(range(1, 1_000_000))
    facts: dict[str, Any] = {
        "keys": FixedKeys(),
        "event_id": lambda now_ms: f"{now_ms:012x}"[:8] + f"-0000-7000-8000-{next(counter):012x}",
        "spool": spool,
        "otherwise": elsewhere,
        "hosts": frozenset({HOST, "localhost"}),
        "proxies": Proxies(("127.0.0.0/8", "::1/128")),
        "lost": fail,
        "clock": lambda: NOW + 0.25,
        "well_known": {"/robots.txt": ("text/plain; charset=utf-8", b"User-Agent: *\nDisallow: /\n")},
    }
    return LinksApplication(**(facts | changes))


@dataclass(frozen=True)
class Case:
    """One request and its answer. path: as on the wire. events: how many are recorded."""

    name: str
    path: str
    status: int
    method: str = "GET"
    host: str = HOST
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    events: int = 0


REDIRECT = {
    "location": TARGET.decode(),
    "content-length": "0",
    "content-type": "text/plain",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex",
}
GIF = {
    "content-type": "image/gif",
    "content-length": "43",
    "cache-control": "no-store",
    "x-robots-tag": "noindex",
}
TEXT = {"content-type": "text/plain; charset=utf-8"}
ALLOW_POST = {"allow": "GET, HEAD, OPTIONS, POST"}
ALLOW = {"allow": "GET, HEAD, OPTIONS"}


def _everything_escaped(path: str) -> str:
    return "".join(f"%{ord(character):02X}" for character in path)


# What links are broken by on their way, escaped as a browser does.
GAPS = {
    "blank": "%20",
    "tab": "%09",
    "line-end": "%0D%0A",
    "line-feed": "%0A",
    "soft-break": "=%0D%0A",
    "soft-break-lf": "=%0A",
    "indented": "%0D%0A%20%20%20%20",
    "plus": "+",
    "no-break-space": "%C2%A0",
    "soft-hyphen": "%C2%AD",
    "zero-width-space": "%E2%80%8B",
    "zero-width-joiner": "%E2%80%8D",
    "word-joiner": "%E2%81%A0",
    "left-to-right-mark": "%E2%80%8E",
    "byte-order-mark": "%EF%BB%BF",
}


def cases() -> list[Case]:
    """The table (contract.md 6.2, 6.3)."""
    click, pixel = token(), token(Kind.OPEN)
    forged = token(key=STRANGER)
    gone = token(expiry=NOW - 10_000, issued=NOW - 20_000)
    gone_pixel = token(Kind.OPEN, expiry=NOW - 10_000, issued=NOW - 20_000)
    one_click = token(Kind.LIST_UNSUBSCRIBE, None)
    flipped = click[:-2] + ("A" if click[-2] != "A" else "B") + click[-1]
    wrapped = "%0D%0A".join(click[at : at + 20] for at in range(0, len(click), 20))
    moved = {"status": 302, "headers": REDIRECT, "body": b""}
    shown = {"status": 200, "headers": GIF, "body": PIXEL}
    unknown = {"status": 404, "headers": TEXT, "body": UNKNOWN}
    table: list[tuple[str, str, dict[str, Any]]] = [
        ("click", f"/f/a/{click}", moved | {"events": 1}),
        ("click-with-sublink", f"/f/open.app/{click}", moved | {"events": 1}),
        ("click-head", f"/f/a/{click}", moved | {"method": "HEAD", "events": 1}),
        ("click-query-added-by-gateway", f"/f/a/{click}?utm_source=x&u=%27", moved | {"events": 1}),
        ("click-wholly-escaped", f"/f/a/{_everything_escaped(click)}", moved | {"events": 1}),
        ("click-some-escaped", f"/f/a/{click[:9]}%{ord(click[9]):02x}{click[10:]}", moved | {"events": 1}),
        ("click-path-escaped-too", f"/%66/%61/{click}", moved | {"events": 1}),
        ("click-escaped-twice", f"/f/a/%25{ord(click[0]):02X}{click[1:]}", moved | {"events": 1}),
        ("click-two-slashes", f"//f/a/{click}", moved | {"events": 1}),
        ("click-spoiled-by-quote", f"/f/a/{click}%27", moved | {"events": 1}),
        ("click-spoiled-by-dot", f"/f/a/{click}.", moved | {"events": 1}),
        ("click-spoiled-by-slash", f"/f/a/{click}/", moved | {"events": 1}),
        *(
            (f"click-broken-{name}", f"/f/a/{click[:60]}{gap}{click[60:]}", moved | {"events": 1})
            for name, gap in GAPS.items()
        ),
        ("click-blank-before-path", f"/%20f/a/{click}", moved | {"events": 1}),
        ("click-blank-behind-f", f"/f%20/a/{click}", moved | {"events": 1}),
        ("click-zero-width-before-token", f"/f/a/%E2%80%8B{click}", moved | {"events": 1}),
        ("click-blank-escaped-twice", f"/f/a/{click[:50]}%2520{click[50:]}", moved | {"events": 1}),
        ("click-wrapped", f"/f/a/{wrapped}", moved | {"events": 1}),
        ("click-words-behind", f"/f/a/{click}%20and%20more%20of%20the%20same", moved | {"events": 1}),
        ("click-broken-and-forged", f"/f/a/{forged[:60]}%20{forged[60:]}", unknown),
        ("click-broken-by-a-letter", f"/f/a/{click[:60]}%20x{click[60:]}", unknown),
        ("open-broken", f"/q/{pixel[:30]}%0D%0A{pixel[30:]}", shown | {"events": 1}),
        ("click-expired", f"/f/a/{gone}", moved | {"events": 1}),
        ("amp-click", f"/f/a/{token(Kind.AMP_CLICK)}", moved | {"events": 1}),
        ("click-host-in-capitals", f"/f/a/{click}", moved | {"host": "TRACK.Example.COM", "events": 1}),
        ("click-host-with-port", f"/f/a/{click}", moved | {"host": f"{HOST}:8443", "events": 1}),
        ("click-host-with-final-dot", f"/f/a/{click}", moved | {"host": f"{HOST}.", "events": 1}),
        ("click-host-of-before", f"/f/a/{click}", moved | {"host": "old.example", "events": 1}),
        (
            "click-host-of-before-head",
            f"/f/a/{click}",
            moved | {"method": "HEAD", "host": "old.example", "events": 1},
        ),
        ("click-host-of-before-spoiled", f"/f/a/{click}%27", moved | {"host": "old.example", "events": 1}),
        ("click-host-longer", f"/f/a/{click}", moved | {"host": f"{HOST}.old.example", "events": 1}),
        ("click-forged-host-not-ours", f"/f/a/{forged}", unknown | {"host": "evil.example"}),
        ("click-forged", f"/f/a/{forged}", unknown),
        ("click-one-bit", f"/f/a/{flipped}", unknown),
        ("click-cut", f"/f/a/{click[:-5]}", unknown),
        ("click-longer", f"/f/a/{click}A", unknown),
        ("click-other-tenant", f"/f/a/{token(tenant='other')}", unknown),
        ("click-empty", "/f/a/", unknown),
        ("click-test-path", "/f/a/b/c/d", unknown),
        ("click-head-bad", f"/f/a/{forged}", {"status": 404, "headers": TEXT, "method": "HEAD", "body": b""}),
        ("click-token-of-a-pixel", f"/f/a/{pixel}", unknown),
        ("click-target-in-query", "/f/a/x?target=https%3A%2F%2Fevil.example%2F", unknown),
        ("click-markup", "/f/a/%3Cscript%3Ealert(1)%3C/script%3E", unknown),
        ("open", f"/q/{pixel}", shown | {"events": 1}),
        ("open-initial", f"/q/{token(Kind.INITIAL_OPEN)}", shown | {"events": 1}),
        ("open-amp", f"/q/{token(Kind.AMP_OPEN)}", shown | {"events": 1}),
        (
            "open-head",
            f"/q/{pixel}",
            {"status": 200, "headers": GIF, "method": "HEAD", "body": b"", "events": 1},
        ),
        ("open-expired", f"/q/{gone_pixel}", shown | {"events": 1}),
        ("open-forged", f"/q/{token(Kind.OPEN, key=STRANGER)}", shown),
        ("open-nothing", "/q/", shown),
        ("open-nonsense", "/q/%ff%20%3C%3E", shown),
        ("open-token-of-a-click", f"/q/{click}", shown),
        ("open-escaped", f"/q/{_everything_escaped(pixel)}", shown | {"events": 1}),
        ("open-host-of-before", f"/q/{pixel}", shown | {"host": "old.example", "events": 1}),
        (
            "open-host-of-before-escaped",
            f"/q/{_everything_escaped(pixel)}",
            shown | {"host": "old.example", "events": 1},
        ),
        (
            "open-forged-host-not-ours",
            f"/q/{token(Kind.OPEN, key=STRANGER)}",
            unknown | {"host": "evil.example"},
        ),
        ("options-host-not-ours", f"/f/a/{forged}", unknown | {"method": "OPTIONS", "host": "evil.example"}),
        ("options", f"/f/a/{click}", {"status": 204, "headers": ALLOW, "method": "OPTIONS", "body": b""}),
        ("options-pixel", f"/q/{pixel}", {"status": 204, "headers": ALLOW, "method": "OPTIONS", "body": b""}),
        ("post", f"/f/a/{click}", {"status": 405, "headers": ALLOW, "method": "POST"}),
        ("put", f"/q/{pixel}", {"status": 405, "headers": ALLOW, "method": "PUT"}),
        ("delete", f"/f/a/{click}", {"status": 405, "headers": ALLOW, "method": "DELETE"}),
        ("own-method", f"/f/a/{click}", {"status": 405, "headers": ALLOW, "method": "BREW"}),
        (
            "unsubscribe-post",
            f"/f/a/{one_click}",
            {"status": 200, "method": "POST", "body": b"", "events": 1},
        ),
        (
            "unsubscribe-post-host-of-before",
            f"/f/a/{one_click}",
            {"status": 200, "method": "POST", "body": b"", "events": 1, "host": "old.example"},
        ),
        ("unsubscribe-get", f"/f/a/{one_click}", {"status": 200}),
        ("unsubscribe-head", f"/f/a/{one_click}", {"status": 200, "method": "HEAD", "body": b""}),
        ("unsubscribe-by-form", f"/f/a/{one_click}?all", {"status": 200, "method": "POST", "events": 1}),
        ("unsubscribe-put", f"/f/a/{one_click}", {"status": 405, "headers": ALLOW_POST, "method": "PUT"}),
        (
            "unsubscribe-options",
            f"/f/a/{one_click}",
            {"status": 204, "headers": ALLOW_POST, "method": "OPTIONS", "body": b""},
        ),
        ("unsubscribe-forged", f"/f/a/{token(Kind.LIST_UNSUBSCRIBE, None, key=STRANGER)}", unknown),
        ("robots", "/robots.txt", {"status": 200, "body": b"User-Agent: *\nDisallow: /\n"}),
        ("robots-head", "/robots.txt", {"status": 200, "method": "HEAD", "body": b""}),
        ("app-file-not-configured", "/.well-known/assetlinks.json", {"status": 404}),
        ("anything-else", "/wp-login.php", {"status": 404}),
        ("nearly-a-link", f"/fa/{click}", {"status": 404}),
    ]
    return [Case(name, path, **facts) for name, path, facts in table]
