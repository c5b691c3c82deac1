"""Answers tracked links and pixels from the token alone, as a raw WSGI callable.

Not the pages: what is not a tracked link goes to `otherwise`. No framework, no store, no network.

Invariants: Location is byte for byte what the token holds. The record of a hit is in the spool before the
answer starts, and a spool that fails never changes the answer. Nothing of the request is echoed, and no token
is logged. A pixel is always the same 200. Only a genuine click token redirects, and it does so under any host
name, as mail may outlive the domain in its links.
"""

import time
from collections.abc import Callable, Container, Iterable, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from engagement.events.addresses import truncated
from engagement.events.model import Hit
from engagement.events.record import encode
from engagement.events.signals import field_signals, of_protocol, signals_of
from engagement.links.fast_open import OpenedLink, RingOpeners, read
from engagement.links.keys import Ring
from engagement.links.model import CLICKS, OPENS, Kind
from engagement.links.payload import peek
from engagement.links.ring_file import RingFile
from engagement.links.stops import Stops
from engagement.links.token import BadToken, unseal
from engagement.links.urls import read_path, refusal
from tracker_web.languages.catalogues import READERS, Language, Languages, load
from tracker_web.links import responses
from tracker_web.links.about_page import RetentionPolicy
from tracker_web.links.client_address import Proxies, host_name
from tracker_web.links.hosts import recorded_name
from tracker_web.links.stop_list import StopListFollower
from tracker_web.links.unsubscribe import Unsubscribing, unsubscribes

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_MAX_AGENT: Final = 2000  # characters of User-Agent recorded; the longest in the wild are below 1,000
_MAX_LANGUAGE: Final = 200  # characters of Accept-Language recorded; browsers send some tens
_SHORTEST: Final = 40  # characters; no path with a token is shorter
_LANGUAGE: Final = field_signals("HTTP_ACCEPT_LANGUAGE", "en")
# Where a server has put what `signals_of` returns, but for the language, into the request's environment.
SIGNALS: Final = "smtpapi.signals"
_CLOCK_SLACK: Final = 300  # seconds that hits count past the expiry, for clocks that disagree


class HitSink(Protocol):
    """Where records of hits are written."""

    def append(self, record: bytes) -> bool:
        """Write one record; return False when it was dropped, which the sink counts."""


class _NothingStopped:
    """Stands where nobody follows a list of stopped links."""

    stops: Stops | None = None


class LinksApplication:
    """The WSGI application of the tracker. One per process, made after fork; safe to share between threads.

    event_id: returns a new id for a time in milliseconds. hosts: names, as `host_name` returns them, under
    which requests without a genuine token are answered; None for any. entered: returns further ones. spool:
    None records nothing (privacy mode "off"). otherwise: answers what is no tracked link. lost: called with
    the error when a hit could not be recorded. well_known: path to (media type, body). stops: None where no
    list of stopped links is followed. sender: who has stopped a link, where that list does not say.
    unknown_key: called with each token whose key is not in the ring. unrecorded: kinds of hits that are
    answered and not recorded, but for clicks that unsubscribe. confirm_unsubscribe: links marked to
    unsubscribe ask on a page of ours. languages: of what readers see, ours if not given. kept: what this
    site keeps of readers. clock: returns Unix seconds.
    """

    def __init__(
        self,
        *,
        keys: RingFile,
        event_id: Callable[[int], str],
        spool: HitSink | None,
        otherwise: "WSGIApplication",
        hosts: Container[str] | None,
        entered: Callable[[], frozenset[str]] = frozenset,
        proxies: Proxies,
        lost: Callable[[Exception], None],
        truncate_addresses: bool = False,
        well_known: Mapping[str, tuple[str, bytes]] | None = None,
        stops: StopListFollower | None = None,
        unknown_key: Callable[[bytes], None] = lambda _token: None,
        sender: str = "",
        unrecorded: frozenset[Kind] = frozenset(),
        confirm_unsubscribe: bool = False,
        languages: Languages | None = None,
        policy: RetentionPolicy = RetentionPolicy(),  # noqa: B008 - frozen
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._openers = RingOpeners(Ring())
        self._event_id = event_id
        self._spool = spool
        self._otherwise = otherwise
        self._hosts = hosts
        self._entered = entered
        self._proxies = proxies
        self._lost = lost
        self._truncate = truncate_addresses
        self._clock = clock
        self._stops = stops or _NothingStopped()
        self._unknown_key = unknown_key
        self._unrecorded = unrecorded
        self._sender = sender
        self._languages = languages = languages or load(READERS)
        self._unknown = {code: responses.not_found(each) for code, each in languages.every.items()}
        self._unsubscribing = Unsubscribing(
            self._record,
            keys.current,
            by_link=confirm_unsubscribe,
            sender=sender,
            languages=languages,
            policy=policy,
            clock=clock,
        )
        self._fixed = {
            path: (responses.typed_headers(body, media_type), body)
            for path, (media_type, body) in (well_known or {}).items()
        }

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request: a link in its common form at once, everything else in `_by_parts`."""
        ring = self._keys.current()
        openers = self._openers
        if openers.ring is not ring:
            self._openers = openers = RingOpeners(ring)
        opened = read(environ["PATH_INFO"], openers)
        if opened is not None:
            method: str = environ["REQUEST_METHOD"]
            if method == "GET" or method == "HEAD":
                if opened[4] and (self._stops.stops is not None or self._unsubscribing.by_link):
                    return self._follow(opened, environ, start_response)
                self._record(opened, environ)
                return _moved(opened[4], start_response) if opened[4] else _shown(method, start_response)
        return self._by_parts(environ, start_response)

    def _by_parts(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path: str = environ["PATH_INFO"]
        family = path[:3]
        if family == "/f/":
            return self._click(path, environ, start_response)
        if family == "/q/":
            return self._open(path, environ, start_response)
        fixed = self._fixed.get(path)
        if fixed is not None:
            return self._file(fixed, environ, start_response)
        # A link that a gateway escaped twice, gave a second slash, or broke in its first letters.
        if "//" in path or "%" in path or len(path) > _SHORTEST:
            requested = read_path(raw_path(path))
            if requested is not None:
                handle = self._click if requested.family == "click" else self._open
                return handle(path, environ, start_response)
        return self._otherwise(environ, start_response)

    def _click(self, path: str, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        method: str = environ["REQUEST_METHOD"]
        opened = self._open_path(path)
        if opened is None and not self._is_ours(environ):
            return self._not_found(environ, start)
        if method != "GET" and method != "HEAD":
            if opened is not None and self._unsubscribing.takes(opened):
                return self._unsubscribing.answer(opened, environ, start)
            return _other_method(method, start)
        if opened is not None and opened[0] is Kind.LIST_UNSUBSCRIBE:
            return self._unsubscribing.answer(opened, environ, start)
        if opened is None or opened[0] not in CLICKS:
            return self._not_found(environ, start)
        if refusal(opened[4]) is not None:
            # Checked when sealed, too; but a ring shared with a faulty program must not matter.
            return self._not_found(environ, start)
        return self._follow(opened, environ, start)

    def _follow(
        self, opened: OpenedLink, environ: "WSGIEnvironment", start: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer a click: a redirect, or what the operator's list of stopped links says."""
        stops, target = self._stops.stops, opened[4]
        if stops is not None:
            sender = stops.sender(opened[0], opened[1], target)
            if sender is not None:
                self._record(opened, environ)
                language = self._languages.of(environ.get("HTTP_ACCEPT_LANGUAGE", ""))
                return _gone(sender or self._sender, language, environ["REQUEST_METHOD"], start)
            target = stops.leads_to(target)
        if self._unsubscribing.by_link and self._unsubscribing.takes(opened):
            return self._unsubscribing.answer((*opened[:4], target, opened[5]), environ, start)
        self._record(opened, environ)
        return _moved(target, start)

    def _open(self, path: str, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        method: str = environ["REQUEST_METHOD"]
        opened = self._open_path(path)
        if opened is None and not self._is_ours(environ):
            return self._not_found(environ, start)
        if method not in ("GET", "HEAD"):
            return _other_method(method, start)
        if opened is not None and opened[0] in OPENS:
            self._record(opened, environ)
        return _shown(method, start)

    def _file(
        self, fixed: tuple[responses.Headers, bytes], environ: "WSGIEnvironment", start: "StartResponse"
    ) -> Iterable[bytes]:
        method: str = environ["REQUEST_METHOD"]
        if method not in ("GET", "HEAD"):
            return _other_method(method, start)
        headers, body = fixed
        start(responses.OK, list(headers))
        return [] if method == "HEAD" else [body]

    def _not_found(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        body = self._unknown[self._languages.of(environ.get("HTTP_ACCEPT_LANGUAGE", "")).code]
        start(responses.NOT_FOUND, responses.text_headers(body))
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _is_ours(self, environ: "WSGIEnvironment") -> bool:
        """Return whether the request was sent to one of our names, where no token proves it to be ours."""
        name = host_name(environ.get("HTTP_HOST", ""))
        return name != "" and (self._hosts is None or name in self._hosts or name in self._entered())

    def _host(self, environ: "WSGIEnvironment") -> str:
        """Return the host name that a genuine link was asked by, "" for text that can be none."""
        host: str = environ.get("HTTP_HOST", "")
        if self._hosts is not None and host in self._hosts:
            return host  # as nearly all come: lower case, without port
        return recorded_name(host)

    def _open_path(self, path: str) -> OpenedLink | None:
        """Return what the path asks for; None without a genuine token."""
        requested = read_path(raw_path(path))
        if requested is None:
            return None
        for token in (requested.token, *requested.others):
            opened = self._open_token(token, requested.spoiled)
            if opened is not None:
                return opened
        return None

    def _open_token(self, token: bytes, spoiled: bool) -> OpenedLink | None:
        try:
            try:
                return self._read(token, self._keys.current(), spoiled)
            except BadToken as error:
                if error.reason != "key":
                    return None
                # Sealed with a key that is younger than the ring as it was last read.
                return self._read(token, self._keys.refreshed(), spoiled)
        except BadToken as error:
            if error.reason == "key":
                self._unknown_key(token)
            return None

    def _read(self, token: bytes, ring: Ring, spoiled: bool) -> OpenedLink:
        """Return what a token holds. Raises BadToken."""
        kind, _, packed = unseal(token, ring)
        issued, expiry, target = peek(kind, packed)
        return kind, packed, issued, expiry, target, spoiled

    def _record(
        self, opened: OpenedLink, environ: "WSGIEnvironment", method: str = "", earliest_ms: int = 0
    ) -> bool:
        """Put the hit into the spool; return whether it is there. A redirect does not depend on it.

        method: to write down, "" for the request's. earliest_ms: the hit counts as no older.
        """
        if self._spool is None:
            return False
        kind, packed, issued, expiry, _, spoiled = opened
        if kind in self._unrecorded and not unsubscribes(kind, packed):
            return False
        try:
            now = self._clock()
            now_ms = max(int(now * 1000), earliest_ms)
            header = environ.get
            peer = header("REMOTE_ADDR", "")
            address = self._proxies.client(peer, header("HTTP_X_FORWARDED_FOR"))
            bits = header(SIGNALS) or signals_of(header)
            forwarded, spoken = header("HTTP_X_FORWARDED_HTTP_VERSION"), header("SERVER_PROTOCOL")
            if forwarded is not None or (spoken is not None and spoken != "HTTP/1.1"):
                bits |= self._protocol(peer, forwarded, spoken)
            agent, language = header("HTTP_USER_AGENT", ""), header("HTTP_ACCEPT_LANGUAGE", "")
            hit = Hit(
                id=self._event_id(now_ms),
                kind=kind,
                at_ms=now_ms,
                packed=packed,
                tenant="",
                client_address=truncated(address) if self._truncate else address,
                user_agent=(agent if agent.isascii() else _text(agent))[:_MAX_AGENT],
                accept_language=(language if language.isascii() else _text(language))[:_MAX_LANGUAGE],
                method=method or environ["REQUEST_METHOD"],
                host=self._host(environ),
                spoiled=spoiled,
                # One sealed with no time at all is over at once (contract.md 6.4).
                expired=expiry <= issued or now > expiry + _CLOCK_SLACK,
                signals=bits | _LANGUAGE if language else bits,
            )
            return self._spool.append(encode(hit))
        except Exception as error:  # noqa: BLE001 - a redirect never fails with its record (design rule 4)
            self._lost(error)
            return False

    def _protocol(self, peer: str, forwarded: str | None, spoken: str | None) -> int:
        """Return the signals of the protocol that the client spoke: to us, or as a proxy of ours says."""
        return of_protocol((forwarded if self._proxies.trust(peer) else spoken) or "")


def raw_path(path_info: str) -> bytes:
    """Return a path that decodes to PATH_INFO, which PEP 3333 has decoded once, as latin-1.

    Servers disagree on whether and how they pass on the path as it was sent; all of them pass on PATH_INFO.
    """
    path = path_info.encode("latin-1", "replace")
    if b"%" in path or b"?" in path or b"#" in path:
        path = path.replace(b"%", b"%25").replace(b"?", b"%3F").replace(b"#", b"%23")
    return path


def _text(header: str) -> str:
    """Return a header's value (PEP 3333: latin-1) as text: UTF-8 if it is valid, else latin-1."""
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return header


def _moved(target: bytes, start: "StartResponse") -> Iterable[bytes]:
    start(responses.FOUND, responses.redirect_headers(target))
    return []


def _shown(method: str, start: "StartResponse") -> Iterable[bytes]:
    start(responses.OK, list(responses.PIXEL_HEADERS))
    return [] if method == "HEAD" else [responses.PIXEL]


def _gone(sender: str, language: Language, method: str, start: "StartResponse") -> Iterable[bytes]:
    headers, body = responses.gone(sender, language)
    start(responses.GONE, headers)
    return [] if method == "HEAD" else [body]


def _other_method(method: str, start: "StartResponse") -> Iterable[bytes]:
    if method == "OPTIONS":
        start(responses.NO_CONTENT, [responses.ALLOW, ("Cache-Control", "no-store")])
        return []
    start(responses.NOT_ALLOWED, responses.text_headers(responses.NOT_ALLOWED_BODY, responses.ALLOW))
    return [responses.NOT_ALLOWED_BODY]
