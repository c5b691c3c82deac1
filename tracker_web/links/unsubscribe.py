"""Answers the addresses by which readers leave a list (RFC 8058, docs/unsubscribe.md).

Not the list of whom no mail goes to: what a reader wants is a record in the spool, and the shipper acts on it
(`engagement.shipper.unsubscribe`).

Invariants: only POST changes anything, however often it comes, and for as long as the link's key is in the
ring. A wish is answered with 200 only once its record is in the spool. An undo needs a proof that we made at
most ten minutes before. No request's body is read: what a form asks for stands in the query.
"""

import hmac
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from engagement.events.model import ASKS, UNDO
from engagement.links.fast_open import OpenedLink
from engagement.links.keys import Ring
from engagement.links.model import CLICKS, Kind
from engagement.links.payload import pack_identity, payload
from engagement.links.token import unpack
from tracker_web.languages.catalogues import Language, Languages
from tracker_web.links import reader_page, responses
from tracker_web.links.about_page import AboutPage, RetentionPolicy
from tracker_web.links.reader_page import Shown
from tracker_web.links.unsubscribe_page import ABOUT, UnsubscribePage

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

UNDO_SECONDS: Final = 600  # for which the page offers it: ten minutes to notice a wrong click
_SLACK_SECONDS: Final = 30  # for a page that was sent, and hosts whose clocks disagree
_PURPOSE: Final = b"undo-unsubscribe"
_LIST, _ALL, _TAKE_BACK = "list", "all", "undo"
_WISHES: Final = {each.lower(): each for each in ASKS}  # by the query of their forms

# Records what a link asked for, with the method and the earliest Unix milliseconds to write down; returns
# whether it was recorded.
Record = Callable[[OpenedLink, "WSGIEnvironment", str, int], bool]


class Unsubscribing:
    """Answers for one process.

    record: writes a wish down. ring: returns the keys in force. by_link: whether links marked
    `data-msys-unsubscribe` are answered too (`unsubscribe.by_link = confirm`). sender: whose mail it is, in
    words that readers know, "" for what the link says. languages: of the pages. kept: what this site keeps of
    readers. clock: returns Unix seconds.
    """

    def __init__(
        self,
        record: Record,
        ring: Callable[[], Ring],
        *,
        by_link: bool,
        sender: str,
        languages: Languages,
        policy: RetentionPolicy,
        clock: Callable[[], float],
    ) -> None:
        self._record = record
        self._ring = ring
        self._sender = sender
        self._languages = languages
        self._policy = policy
        self._clock = clock
        self.by_link = by_link

    def takes(self, opened: OpenedLink) -> bool:
        """Return whether a genuine link is one to leave a list by."""
        kind, packed = opened[0], opened[1]
        return kind is Kind.LIST_UNSUBSCRIBE or (self.by_link and unsubscribes(kind, packed))

    def answer(
        self, opened: OpenedLink, environ: "WSGIEnvironment", start: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer a request for a link that `takes`."""
        method: str = environ["REQUEST_METHOD"]
        if method == "POST":
            return self._posted(opened, environ, start)
        if method in ("GET", "HEAD"):
            if environ.get("QUERY_STRING", "") == ABOUT:
                return _sent(responses.OK, self._about(opened, environ).telling(), start, method)
            return _sent(responses.OK, self._page(opened, environ).asking(), start, method)
        return _other_method(method, start)

    def _posted(
        self, opened: OpenedLink, environ: "WSGIEnvironment", start: "StartResponse"
    ) -> Iterable[bytes]:
        asks, _, proof = environ.get("QUERY_STRING", "").partition("=")
        if asks == _TAKE_BACK:
            return self._undo(opened, proof, environ, start)
        if asks in _WISHES:
            return self._pass_on(opened, asks, environ, start)
        now_ms = int(self._clock() * 1000)
        by_form = asks in (_LIST, _ALL)
        of_list = asks != _ALL and _names_list(opened)
        recorded = self._record(opened if of_list else _without_list(opened), environ, "POST", now_ms)
        if not by_form:  # a mail program's: RFC 8058 3.1
            return _one_click(recorded, start)
        page = self._page(opened, environ)
        if not recorded:
            return _sent(responses.UNAVAILABLE, page.busy(), start, again=True)
        scope = _LIST if of_list else _ALL
        undo = f"{_TAKE_BACK}={scope}.{now_ms}.{_proof(self._ring(), opened[1], scope, now_ms)[0]}"
        return _sent(responses.OK, page.done(of_list, undo), start)

    def _undo(
        self, opened: OpenedLink, proof: str, environ: "WSGIEnvironment", start: "StartResponse"
    ) -> Iterable[bytes]:
        page = self._page(opened, environ)
        scope, _, rest = proof.partition(".")
        at, _, mac = rest.partition(".")
        at_ms = int(at) if at.isascii() and at.isdigit() and len(at) < 16 else 0
        genuine = scope in (_LIST, _ALL) and any(
            hmac.compare_digest(mac.encode("utf-8", "replace"), each.encode("ascii"))
            for each in _proof(self._ring(), opened[1], scope, at_ms)
        )
        if not genuine or self._clock() - at_ms / 1000 > UNDO_SECONDS + _SLACK_SECONDS:
            return _sent(responses.GONE, page.late(), start)
        wish = opened if scope == _LIST else _without_list(opened)
        # Later than what it undoes, also where another host with a slower clock answers it.
        if not self._record(wish, environ, UNDO, at_ms + 1):
            return _sent(responses.UNAVAILABLE, page.busy(), start, again=True)
        return _sent(responses.OK, page.undone(), start)

    def _pass_on(
        self, opened: OpenedLink, wish: str, environ: "WSGIEnvironment", start: "StartResponse"
    ) -> Iterable[bytes]:
        """Record what a reader asks about what is kept of them; people, or the shipper, see to it."""
        page, now_ms = self._about(opened, environ), int(self._clock() * 1000)
        if not self._record(_without_list(opened), environ, _WISHES[wish], now_ms):
            return _sent(responses.UNAVAILABLE, page.busy(), start, again=True)
        return _sent(responses.OK, page.passed_on(wish), start)

    def _page(self, opened: OpenedLink, environ: "WSGIEnvironment") -> UnsubscribePage:
        return UnsubscribePage(self._shown(opened), self._language(environ))

    def _about(self, opened: OpenedLink, environ: "WSGIEnvironment") -> AboutPage:
        sent = datetime.fromtimestamp(opened[2], UTC).date().isoformat()
        return AboutPage(self._shown(opened), self._language(environ), self._policy, sent)

    def _language(self, environ: "WSGIEnvironment") -> Language:
        return self._languages.of(environ.get("HTTP_ACCEPT_LANGUAGE", ""))

    def _shown(self, opened: OpenedLink) -> Shown:
        identity, link = unpack(opened[0], opened[1])
        if opened[0] in CLICKS:
            return Shown(identity.recipient, self._sender, target=opened[4].decode("latin-1"))
        if link is None or not link.target:
            return Shown(identity.recipient, self._sender or ("" if link is None else link.name))
        list_id = link.target.decode("latin-1")
        return Shown(identity.recipient, self._sender, f"{link.name} ({list_id})" if link.name else list_id)


def unsubscribes(kind: Kind, packed: bytes) -> bool:
    """Return whether a genuine click link is marked as one to unsubscribe. Raises BadToken."""
    link = unpack(kind, packed)[1] if kind in CLICKS else None
    return link is not None and link.unsubscribe


def _names_list(opened: OpenedLink) -> bool:
    return opened[0] is Kind.LIST_UNSUBSCRIBE and opened[4] != b""


def _without_list(opened: OpenedLink) -> OpenedLink:
    """Return what is asked for where a link names a list and all mail is meant."""
    if not _names_list(opened):
        return opened
    kind, packed, issued, expiry, _, spoiled = opened
    identity, _ = unpack(kind, packed)
    return kind, payload(pack_identity(identity), b"", filler=False), issued, expiry, b"", spoiled


def _proof(ring: Ring, packed: bytes, scope: str, at_ms: int) -> list[str]:
    """Return the proofs that a page of ours offered this undo, one by each key in force.

    The signing key's is the first.
    """
    keys = sorted(ring.keys, key=lambda key: key.id != ring.signing.id)
    text = f"{scope}.{at_ms}.".encode("ascii") + packed
    return [
        hmac.new(key.derive(_PURPOSE), text, "sha256").hexdigest()[:32] for key in keys if ring.get(key.id)
    ]


def _one_click(recorded: bool, start: "StartResponse") -> Iterable[bytes]:
    """Answer a mail program, which shows nothing of it: no redirect (RFC 8058 3.1), no body."""
    status = responses.OK if recorded else responses.UNAVAILABLE
    start(status, responses.text_headers(b"", *(() if recorded else (responses.RETRY,))))
    return []


def _sent(
    status: str, body: bytes, start: "StartResponse", method: str = "GET", *, again: bool = False
) -> Iterable[bytes]:
    start(status, [*reader_page.headers(body), *((responses.RETRY,) if again else ())])
    return [] if method == "HEAD" else [body]


def _other_method(method: str, start: "StartResponse") -> Iterable[bytes]:
    if method == "OPTIONS":
        start(responses.NO_CONTENT, [responses.ALLOW_POST, ("Cache-Control", "no-store")])
        return []
    body = responses.NOT_ALLOWED_HERE_BODY
    start(responses.NOT_ALLOWED, responses.text_headers(body, responses.ALLOW_POST))
    return [body]
