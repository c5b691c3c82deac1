"""Which of our links and pixels a body carries already, however it was encoded and wrapped since.

Not whether the message is ours (`transaction`), nor what a token holds (`engagement.links.token`). A body
that came back from a list server or a filter has other parts, other encodings and more text than the one
that left, so it is not read as MIME here: tokens are looked for in the octets as they stand, as
quoted-printable and as base64 (RFC 2045 6). What is found proves itself, by its authentication tag.

Invariants: linear in the body; never raises; what does not open under the ring counts for nothing.
"""

import binascii
import re
from collections.abc import Iterable, Iterator

from engagement.links.keys import Ring
from engagement.links.token import BadToken, open_token

# Percent-encoded where a gateway put our address into one of its own, once or twice.
_SLASH = rb"(?:/|%(?:25)?2[Ff])"
_TOKEN = re.compile(
    _SLASH
    + rb"(?:q|f"
    + _SLASH
    + rb"[A-Za-z0-9][A-Za-z0-9._-]{0,63})"
    + _SLASH
    + rb"([A-Za-z0-9][A-Za-z0-9_-]{30,10000})"
)
_BASE64 = re.compile(rb"(?m)^[A-Za-z0-9+/]{40,}={0,2}[ \t]*(?:\r?\n[A-Za-z0-9+/]+={0,2}[ \t]*)*")
_SIGNS = re.compile(rb"[^A-Za-z0-9+/]+")
_MOST = 2000  # tokens that are opened: as many as a message may have links


def carries(body: bytes, message_ids: Iterable[bytes], ring: Ring, since: float) -> bool:
    """Whether a link or pixel in the body is ours, of one of these messages, and not older.

    since: Unix seconds; what was issued before does not count.
    """
    wanted = frozenset(message_ids)
    seen: set[bytes] = set()
    for view in _views(body):
        for found in _TOKEN.finditer(view):
            token = found[1].rstrip(b"-_")
            if token in seen:
                continue
            if len(seen) == _MOST:
                return False
            seen.add(token)
            try:
                identity = open_token(token, ring).identity
            except BadToken:
                continue
            if identity.message_id in wanted and identity.issued >= since:
                return True
    return False


def _views(body: bytes) -> Iterator[bytes]:
    """The body as it stands, and as each transfer encoding would have it."""
    yield body
    if b"=\n" in body or b"=\r\n" in body or b"=3D" in body:
        yield binascii.a2b_qp(body)
    for block in _BASE64.finditer(body):
        signs = _SIGNS.sub(b"", block[0])
        octets = binascii.a2b_base64(signs[: len(signs) // 4 * 4])
        yield octets.replace(b"\0", b"")  # ASCII in UTF-16 and UTF-32 has NULs between
