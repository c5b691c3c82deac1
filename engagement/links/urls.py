"""The URLs around tokens: which targets may be tracked, how links are written, how requests are read.

Pure functions over bytes. Not the token itself (`token`), and not whose host it is (the caller knows its
own).

Invariants: a target for which `refusal` is None can stand in a Location header byte for byte, and leads where
a browser would have gone from the author's own link. An odd target is refused, never repaired. `read_path`
reads what `click_url` and `pixel_url` write.
"""

import re
from ipaddress import IPv6Address
from typing import Final, Literal, NamedTuple

from engagement.links.payload import MAX_TARGET

SUBLINK: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)  # contract.md 5.3

_START = re.compile(rb"https?://", re.IGNORECASE)
# A target as nearly all links have it: host, port, path, query and fragment. Others are checked piece by
# piece. The last label begins with a letter, so it is no IPv4 number; the whole is within _MAX_HOST (6 * 31 +
# 63).
_COMMON = re.compile(
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
    """Return why a target cannot be tracked exactly and safely, None when it can.

    The codes are in the filter's list of reasons: not-http, target-too-long, control-character, white-space,
    non-ascii, backslash, user-info, no-host. Source: contract.md 5.2; what browsers do: WHATWG URL Standard.
    """
    if len(target) <= MAX_TARGET and _COMMON.fullmatch(target):
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
    """Return a click link: scheme://domain/f/a/TOKEN, with a sublink in the place of "a" (contract.md 6.1).

    Raises ValueError for a sublink that is not of the form `SUBLINK`.
    """
    if sublink and not SUBLINK.fullmatch(sublink):
        raise ValueError("a sublink is a letter or digit, then up to 63 letters, digits, dots, _ or -")
    return f"{scheme}://{domain}/f/{sublink or 'a'}/".encode("ascii") + token


def pixel_url(scheme: str, domain: str, token: bytes) -> bytes:
    """Return an open pixel's address: scheme://domain/q/TOKEN (contract.md 6.1)."""
    return f"{scheme}://{domain}/q/".encode("ascii") + token


class Requested(NamedTuple):
    """What a request asks for.

    token: the most likely one. others: what the token may be instead, where something stood in it; which of
    them is genuine decides. spoiled: something stood in or behind the token that we did not write.
    """

    family: Literal["click", "open"]
    token: bytes
    spoiled: bool
    others: tuple[bytes, ...] = ()


# A token ends with a letter or digit, so a run of token characters that ends otherwise ends earlier.
_PATH = re.compile(
    rb"/+(?:f/+[A-Za-z0-9][A-Za-z0-9._-]{0,63}|q)/+([A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)"
)
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_MAX_PATH = 16384  # bytes; the longest link we make (2000), escaped twice, has 10,000

# What wrapping, copying and bad decoders put into a link where nothing was: white space, also as "+" or
# without a width, and quoted-printable's soft line break (RFC 2045 6.7 (5)) with its "=" left.
_SPACE = (
    rb"[\t\n\v\f\r +]|\xc2[\xa0\xad]|\xe2\x80[\x80-\x8f\xa8-\xaf]|\xe2\x81[\x9f-\xa4\xa6-\xaf]|\xe3\x80\x80"
    rb"|\xef\xbb\xbf|[\xa0\xad]"
)
_GAP = rb"(?:" + _SPACE + rb"|=[ \t]*\r?\n)"
_BROKEN = re.compile(
    b"%b*/SLASH*(?:(f)%b*/SLASH*[A-Za-z0-9](?:%b*[A-Za-z0-9._-]){0,63}|q)%b*/SLASH*".replace(
        b"SLASH", b"(?:/|%b)"
    ).replace(b"%b", _GAP)
)
_RUN = re.compile(rb"([A-Za-z0-9_-]+)(" + _GAP + rb"*)")
_PIECE = 16  # characters of a run that is a piece of a token rather than a word behind it
_MAX_PIECES = 64  # looked at; a token of 2,000 characters, wrapped at 76, has 27
_MAX_TRIES = 40  # tokens tried for one path


def read_path(raw_path: bytes) -> Requested | None:
    """Return what a path asks for, None for no address of ours.

    raw_path: as it came over the wire, with or without its query. Gateways escape characters that need no
    escape (contract.md 6.3), sometimes twice and sometimes all. Mail programs and people leave quotes,
    brackets, dots, slashes and queries behind the link, and break it in its middle.
    """
    if len(raw_path) > _MAX_PATH:
        return None
    found = _PATH.match(raw_path)
    if found is not None and found.end() == len(raw_path):
        return Requested(_family(raw_path), found.group(1), spoiled=False)
    path = raw_path
    for _ in range(2):
        if b"%" in path:
            path = _ESCAPE.sub(_unescape, path)
    found = _PATH.match(path)
    if found is not None and found.end() == len(path):
        return Requested(_family(path), found.group(1), spoiled=False)
    return _read_broken(path, None if found is None else found.group(1))


def _family(path: bytes) -> Literal["click", "open"]:
    return "open" if path.lstrip(b"/")[:1] == b"q" else "click"


def _read_broken(path: bytes, whole: bytes | None) -> Requested | None:
    """Return what an unescaped path with something in or behind its token asks for.

    whole: the token if nothing stood in it. The token may end behind its first piece or any later one, and
    each of these ends is to be tried.
    """
    start = _BROKEN.match(path)
    if start is None:
        return None
    pieces: list[bytes] = []
    position = start.end()
    while len(pieces) < _MAX_PIECES and (run := _RUN.match(path, position)):
        pieces.append(run.group(1))
        position = run.end()
        if not run.group(2):
            break
    likely = next((n for n, piece in enumerate(pieces) if n and len(piece) < _PIECE), len(pieces))
    if likely < len(pieces) and likely > 1:
        likely += 1  # the last piece of a wrapped token is as short as it comes
    ends = dict.fromkeys([likely, len(pieces), *range(len(pieces), 0, -1)])
    joined = (b"".join(pieces[:end]).rstrip(b"-_") for end in ends)
    tries = list(dict.fromkeys(token for token in joined if token[:1].isalnum()))[:_MAX_TRIES]
    if whole is not None and whole not in tries:
        tries.append(whole)
    if not tries:
        return None
    return Requested("click" if start.group(1) else "open", tries[0], True, tuple(tries[1:]))


def _unescape(escape: re.Match[bytes]) -> bytes:
    return bytes.fromhex(escape.group(1).decode("ascii"))


_URL = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")


def read_url(url: bytes) -> Requested | None:
    """Return what a whole tracked URL, or its path alone, asks for, whatever its host.

    None: not one of ours.
    """
    return read_path(url[start.end() :] if (start := _URL.match(url)) else url)
