"""The URLs around tokens: which targets may be carried, how links are spelled, how requests are read back.

Pure, over bytes. Not the token's inside (`token`), and no judgement whose host it is (the caller knows its
own).

Invariants: a target for which `refusal` is None can stand in a Location header byte for byte, and leads where
a browser would have gone from the author's own link; what is odd is refused, never repaired. What `click_url`
and `pixel_url` write, `read_path` reads back.
"""

import re
from ipaddress import IPv6Address
from typing import Final, Literal, NamedTuple

from engagement.links.payload import MAX_TARGET

SUBLINK: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)  # contract.md 5.3

_START = re.compile(rb"https?://", re.IGNORECASE)
# A host as nearly all links have it, with port, path, query and fragment; others are looked at in pieces.
# The last label begins with a letter, so it is no IPv4 number; the whole is within _MAX_HOST (6 * 31 + 63).
_PLAIN = re.compile(
    # Both cases spelled out: re.IGNORECASE would fold each byte of the target, for half the time again.
    rb"[Hh][Tt][Tt][Pp][Ss]?://(?:[A-Za-z0-9_-]{1,30}\.){1,6}[A-Za-z][A-Za-z0-9-]{0,62}"
    rb"(?::[0-9]{1,4})?(?:[/?#][!-\[\]-~]*)?",
)
_AUTHORITY = re.compile(rb"[^/?#]*")
_HOST_PORT = re.compile(rb"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]{0,5}))?")
_LABEL = re.compile(rb"[A-Za-z0-9_-]{1,63}")
_NUMBER = re.compile(rb"[0-9]+|0[xX][0-9A-Fa-f]*")
_IPV4 = re.compile(rb"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(?:\.(?!$)|$)){4}")
_IPV6 = re.compile(rb"\[[0-9A-Fa-f:.]{2,45}\]")
_MAX_HOST = 253  # RFC 1035 2.3.4, without the root's dot

_UNFIT = re.compile(rb"[^!-~]|\\")


def refusal(target: bytes) -> str | None:
    """Say why a target cannot be carried exactly and safely; None when it can.

    Codes, as in the filter's list of reasons: not-http, target-too-long, control-character, white-space,
    non-ascii, backslash, user-info, no-host. Source: contract.md 5.2; browsers' ways: WHATWG URL Standard.
    """
    if len(target) <= MAX_TARGET and _PLAIN.fullmatch(target):
        return None
    start = _START.match(target)
    if start is None:
        return "not-http"
    if len(target) > MAX_TARGET:
        return "target-too-long"
    unfit = _UNFIT.search(target)
    if unfit is not None:
        return _why_unfit(unfit.group())
    authority = _AUTHORITY.match(target, start.end())
    assert authority is not None
    if b"@" in authority.group():
        return "user-info"
    host_port = _HOST_PORT.fullmatch(authority.group())
    if host_port is None or not _is_host(host_port.group(1)) or int(host_port.group(2) or 0) > 65535:
        return "no-host"
    return None


def _why_unfit(character: bytes) -> str:
    if character == b"\\":
        return "backslash"
    if character in b" \t\n\f\r":  # RFC 3986 knows none of them; browsers drop some, which moves the host
        return "white-space"
    return "non-ascii" if character > b"\x7f" else "control-character"


def _is_host(host: bytes) -> bool:
    if host.startswith(b"["):
        if not _IPV6.fullmatch(host):
            return False
        try:
            IPv6Address(host[1:-1].decode("ascii"))
        except ValueError:
            return False
        return True
    name = host.removesuffix(b".")
    labels = name.split(b".")
    if len(name) > _MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        return False
    # WHATWG URL 3.5, "ends in a number": browsers read such a host as IPv4, also 0x7f.1 or 017700000001.
    return not _NUMBER.fullmatch(labels[-1]) or _IPV4.fullmatch(name) is not None


def click_url(scheme: str, domain: str, token: bytes, sublink: str = "") -> bytes:
    """Spell a click link: scheme://domain/f/a/TOKEN, with a sublink in the place of "a" (contract.md 6.1)."""
    if sublink and not SUBLINK.fullmatch(sublink):
        raise ValueError("a sublink is a letter or digit, then up to 63 letters, digits, dots, _ or -")
    return f"{scheme}://{domain}/f/{sublink or 'a'}/".encode("ascii") + token


def pixel_url(scheme: str, domain: str, token: bytes) -> bytes:
    """Spell an open pixel's address: scheme://domain/q/TOKEN (contract.md 6.1)."""
    return f"{scheme}://{domain}/q/".encode("ascii") + token


class Requested(NamedTuple):
    """What a request asks for. spoiled: something stood behind the token that we did not write."""

    family: Literal["click", "open"]
    token: bytes
    spoiled: bool


# A token ends with a letter or digit, so a run of token characters that ends otherwise ends earlier.
_PATH = re.compile(
    rb"/+(?:f/+[A-Za-z0-9][A-Za-z0-9._-]{0,63}|q)/+([A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)"
)
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_MAX_PATH = 16384  # bytes; the longest link we make (2000), escaped twice, has 10,000


def read_path(raw_path: bytes) -> Requested | None:
    """Read a request's path, with or without its query, as it came over the wire.

    Gateways escape what needs no escape (contract.md 6.3), sometimes twice and sometimes all; mail programs
    and people leave quotes, brackets, dots, slashes and queries behind the link. None: no address of ours.
    """
    if len(raw_path) > _MAX_PATH:
        return None
    found = _PATH.match(raw_path)
    if found is None or found.end() != len(raw_path):
        path = raw_path
        for _ in range(2):
            if b"%" in path:
                path = _ESCAPE.sub(_unescape, path)
        found = _PATH.match(path)
        if found is None:
            return None
        raw_path = path
    family: Literal["click", "open"] = "open" if raw_path.lstrip(b"/")[:1] == b"q" else "click"
    return Requested(family, found.group(1), found.end() != len(raw_path))


def _unescape(escape: re.Match[bytes]) -> bytes:
    return bytes.fromhex(escape.group(1).decode("ascii"))


_URL = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")


def read_url(url: bytes) -> Requested | None:
    """Read a whole tracked URL, or its path alone, whatever its host. None: not shaped like one of ours."""
    return read_path(url[start.end() :] if (start := _URL.match(url)) else url)
