"""Find our own links and pixels in a body, however it was encoded and wrapped since it left.

A list server or a content filter may send a body back with other parts, other encodings and more text. So it
is not parsed as MIME here. Tokens are searched in the octets as they are, decoded from quoted-printable, and
decoded from base64 (RFC 2045 6). The authentication tag of a token proves that it is ours. Whether the
message then counts as tracked is decided in `transaction`.

Invariants: time linear in the body; never raises; a token that does not open under the ring does not count.
"""

import binascii
import re
from collections.abc import Iterable, Iterator

from engagement.links.keys import Ring
from engagement.links.token import BadToken, open_token

# A gateway that puts our URL into one of its own percent-encodes it, once or twice.
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
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_MOST = 2000  # tokens that are opened; by default limits.max_links allows as many links in a message


def carries(body: bytes, message_ids: Iterable[bytes], ring: Ring, since: float) -> bool:
    """Return whether the body holds a link or pixel of ours that belongs to one of these messages.

    message_ids: 16 bytes each. since: Unix seconds; a link that was issued before does not count.
    """
    ids = frozenset(message_ids)
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
            if identity.message_id in ids and identity.issued >= since:
                return True
    return False


def _views(body: bytes) -> Iterator[bytes]:
    """Yield the body as it is, and then as each transfer encoding would decode it."""
    yield body
    if b"=\n" in body or b"=\r\n" in body or b"=3D" in body:
        yield binascii.a2b_qp(body)
    for block in _BASE64.finditer(body):
        digits = _NOT_BASE64.sub(b"", block[0])
        octets = binascii.a2b_base64(digits[: len(digits) // 4 * 4])
        yield octets.replace(b"\0", b"")  # ASCII in UTF-16 and UTF-32 has NULs between
