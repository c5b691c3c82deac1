"""What a request's header fields say about who sent it, as one number: a bit for each, never their text.

Not a class: rules read these bits later, again and again (`engagement.classify`). The numbers stand in
records on disk and in stores: a bit never changes its meaning, a new one is added at the end.
"""

from collections.abc import Callable
from enum import IntFlag
from typing import Final


class Signals(IntFlag):
    """The bits of `Hit.signals`. Without RECORDED the hit is of a program that did not look."""

    RECORDED = 1
    # Sec-Purpose, Purpose, X-Purpose or X-Moz says prefetch, prerender or preview.
    PREFETCH = 1 << 1
    # Sec-Fetch-Mode (W3C Fetch Metadata 2.2): neither bit is set where the field was not sent.
    MODE_NAVIGATE = 1 << 2
    MODE_OTHER = 1 << 3
    # Sec-Fetch-Dest (W3C Fetch Metadata 2.1).
    DEST_DOCUMENT = 1 << 4
    DEST_IMAGE = 1 << 5
    DEST_OTHER = 1 << 6
    # Sec-Fetch-User: ?1, a person's gesture (W3C Fetch Metadata 2.4).
    USER = 1 << 7
    # Accept: names HTML, names an image type; ANY: `*/*` and nothing else. None of them: not sent, or other.
    ACCEPT_HTML = 1 << 8
    ACCEPT_IMAGE = 1 << 9
    ACCEPT_ANY = 1 << 10
    # Via or Forwarded was there when the request reached this site (RFC 9110 7.6.3, RFC 7239).
    FORWARDED = 1 << 11
    # The protocol that the tracker, or the proxy it trusts, was spoken to: neither bit means HTTP/1.1.
    HTTP_1_0 = 1 << 12
    HTTP_2 = 1 << 13  # or later
    COOKIE = 1 << 14
    RANGE = 1 << 15
    CONDITIONAL = 1 << 16  # If-None-Match, If-Modified-Since or If-Range
    REFERER = 1 << 17
    LANGUAGE = 1 << 18  # Accept-Language was sent; its text may go with privacy, this bit stays


RECORDED: Final = int(Signals.RECORDED)  # arithmetic with members of an enumeration takes far longer
# By name as PEP 3333 has it, fields that say something by being there, and what.
_PRESENT: Final = {
    "HTTP_VIA": int(Signals.FORWARDED),
    "HTTP_FORWARDED": int(Signals.FORWARDED),
    "HTTP_COOKIE": int(Signals.COOKIE),
    "HTTP_RANGE": int(Signals.RANGE),
    "HTTP_IF_NONE_MATCH": int(Signals.CONDITIONAL),
    "HTTP_IF_MODIFIED_SINCE": int(Signals.CONDITIONAL),
    "HTTP_IF_RANGE": int(Signals.CONDITIONAL),
    "HTTP_REFERER": int(Signals.REFERER),
    "HTTP_ACCEPT_LANGUAGE": int(Signals.LANGUAGE),
}
# Fields whose values say it: what the values named here do, and what others do.
_PURPOSES: Final = ("HTTP_SEC_PURPOSE", "HTTP_PURPOSE", "HTTP_X_PURPOSE", "HTTP_X_MOZ")
_FETCHES: Final = {
    "HTTP_SEC_FETCH_MODE": ({"navigate": int(Signals.MODE_NAVIGATE)}, int(Signals.MODE_OTHER)),
    "HTTP_SEC_FETCH_DEST": (
        {"document": int(Signals.DEST_DOCUMENT), "image": int(Signals.DEST_IMAGE)},
        int(Signals.DEST_OTHER),
    ),
    "HTTP_SEC_FETCH_USER": ({"?1": int(Signals.USER)}, 0),
}
_ACCEPT: Final = "HTTP_ACCEPT"
_PREFETCHES: Final = ("prefetch", "prerender", "preview")
FIELDS: Final = (*_PRESENT, *_PURPOSES, *_FETCHES, _ACCEPT)
MOST: Final = 256  # characters of a value that are looked at; browsers send up to 150


def signals_of(header: Callable[[str], str | None]) -> int:
    """Return what a request's header fields say, with RECORDED; not its protocol (`of_protocol`).

    header: returns the value of a field by that name, None if it was not sent, and the values joined by
    commas (RFC 9110 5.3) if it was sent several times. Any text does.
    """
    bits = RECORDED
    for name in FIELDS:
        value = header(name)
        if value:
            bits |= field_signals(name, value)
    return bits


def field_signals(name: str, value: str) -> int:
    """Return what one field says. name: one of FIELDS. value: any text, of which MOST characters count."""
    if name in _PRESENT:
        return _PRESENT[name] if value else 0
    text = value[:MOST].lower()
    if name in _PURPOSES:
        return int(Signals.PREFETCH) if any(word in text for word in _PREFETCHES) else 0
    tokens = {each.partition(";")[0].strip() for each in text.split(",")} - {""}
    if name == _ACCEPT:
        return _accepted(tokens)
    known, other = _FETCHES[name]
    bits = 0
    for word in tokens:
        bits |= known.get(word, other)
    return bits


def _accepted(types: set[str]) -> int:
    if types == {"*/*"}:
        return int(Signals.ACCEPT_ANY)
    bits = 0 if types.isdisjoint(("text/html", "application/xhtml+xml")) else int(Signals.ACCEPT_HTML)
    if any(each.startswith("image/") for each in types):
        bits |= int(Signals.ACCEPT_IMAGE)
    return bits


def of_protocol(protocol: str) -> int:
    """Return what a protocol says, as SERVER_PROTOCOL has it (HTTP/2.0); 0 for HTTP/1.1 and other text."""
    name, _, version = protocol.strip().upper().partition("/")
    if name != "HTTP":
        return 0
    if version in ("1.0", "0.9"):
        return int(Signals.HTTP_1_0)
    return int(Signals.HTTP_2) if version[:1] in ("2", "3") and version[1:] in ("", ".0") else 0


def signal_names(signals: int) -> list[str]:
    """Return the names of the bits, lower case, in their order; unknown bits have none."""
    return [name for bit, name in _NAMES if signals & bit]


_NAMES: Final = tuple((int(signal), str(signal.name).lower()) for signal in Signals)
