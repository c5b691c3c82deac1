"""The token: what a tracked link carries, sealed so that only our keys make it and only our tracker reads it.

Not the URL around it (`urls`), not the keys' keeping (`keys`, `ring_file`). Pure: times and keys come in as
arguments, and equal arguments give equal bytes, so a message that is filtered twice has the same links.

    token   := base64url without padding (RFC 4648 5) of version | kind | key id | sealed
    version := one byte, kind := one byte (`Kind`), key id := two bytes, big-endian
    sealed  := AES-SIV (RFC 5297) of the payload; associated data: the four bytes before it, then the tenant
    payload := MessagePack array [identity, link, filler]; what is empty at the end of an array is left out

The layout of the arrays, and why: docs/links.md and docs/decisions/0001-link-tokens.md.

Invariants:
- Nothing of a payload is parsed before its authentication tag was checked.
- `open_token` either returns what `CopySealer.seal` was given, or raises BadToken; nothing else.
- Each sealed payload has one token: other spellings of its base64 are refused.
- First and last character are letters or digits, as mail programs end a URL before other signs.
- A version once released can be read for ever: tests/golden/tokens.
"""

import binascii
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, Literal

import msgpack
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from engagement.links.keys import Key, Ring, derive
from engagement.links.types import CLICKS, OPENS, Identity, Kind, Link, Opened

VERSION: Final = 1
MAX_PAYLOAD: Final = 8192  # bytes; four times what fits a URL that contract.md 5.2 allows
MAX_TARGET: Final = 4096  # bytes; contract.md 5.2
MAX_TEXT: Final = (
    1024  # characters of one name, label or address; an address has at most 320 (RFC 5321 4.5.3.1)
)
MAX_TAGS: Final = 64  # contract.md 3.2 takes ten; policy scripts may add

_PURPOSE = b"link"
_KEY_SIZE = 64  # AES-256 in both halves of SIV; 5 % slower than AES-128 here
_HEADER_SIZE = 4
_TAG_SIZE = 16
_MIN_RAW = _HEADER_SIZE + _TAG_SIZE + 1
_MAX_TOKEN = (_HEADER_SIZE + _TAG_SIZE + MAX_PAYLOAD) * 4 // 3 + 2

_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")

_YEAR = 31_536_000  # the default tracking_link_expiry, packed as 0
_RCPT_TYPES = ("", "cc", "bcc", "archive")
_TRANSACTIONAL = 4
_UNSUBSCRIBE = 4
_PREFIXES = (b"", b"http://", b"https://", b"https://www.")  # a target's start, packed as its place here


Reason = Literal["length", "encoding", "version", "kind", "key", "forged", "payload"]


class BadToken(Exception):
    """The token is not one of ours, or not for this place. `reason` is a short fixed word, safe to log."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class CannotSeal(ValueError):
    """Identity or link breaks a bound of the format: leave the link as the author wrote it."""


class CopySealer:
    """Seals the links of one recipient's copy. Made by `copy_sealer`."""

    __slots__ = ("_cipher", "_identity", "_key_id", "_room", "_tenant")

    def __init__(self, key: Key, identity: Identity, tenant: str) -> None:
        self._cipher = _cipher(key.secret, tenant)
        self._key_id = key.id.to_bytes(2, "big")
        self._tenant = _tenant_bytes(tenant)
        self._identity = _pack_identity(identity)
        self._room = MAX_PAYLOAD - len(self._identity) - 2  # the outer array's byte and the filler

    def seal(self, kind: Kind, link: Link | None = None) -> bytes:
        """Make the token of one link or pixel.

        A click needs its link, a pixel takes none, an unsubscribe address may have one.
        Raises CannotSeal when it breaks a bound (a target over 4096 bytes, a payload over 8192).
        """
        if (link is None) if kind in CLICKS else (link is not None and kind in OPENS):
            raise CannotSeal(f"a token of kind {kind.name} with{'out' if link is None else ''} a link")
        packed_link = b"" if link is None else _pack_link(link)
        if len(packed_link) > self._room:
            raise CannotSeal(f"the payload would exceed {MAX_PAYLOAD} bytes")
        # The raw length must not divide by 3: then the last base64 character carries two or four bits above
        # zero bits, which makes it one of "AQgw" or "AEIMQUYcgkosw048". The first character carries the top
        # six bits of the version: "A" for versions 1 to 3.
        plain_size = 1 + len(self._identity) + len(packed_link)
        items = 1 if link is None else 2
        filler = b""
        if (_HEADER_SIZE + _TAG_SIZE + plain_size) % 3 == 0:
            items, filler = items + 1, b"\xc0"
        payload = b"%c%b%b%b" % (0x90 | items, self._identity, packed_link, filler)
        header = b"%c%c%b" % (VERSION, kind, self._key_id)
        # One string of associated data, never empty: OpenSSL's SIV once ignored empty ones (CVE-2023-2975).
        sealed = self._cipher.encrypt(payload, [header + self._tenant])
        return _encode(header + sealed)


def copy_sealer(key: Key, identity: Identity, tenant: str = "") -> CopySealer:
    """Prepare sealing the links of one copy; the identity is packed once. Raises CannotSeal."""
    return CopySealer(key, identity, tenant)


def open_token(token: bytes, ring: Ring, tenant: str = "") -> Opened:
    """Check and read a token.

    Raises BadToken with reason "length", "encoding", "version", "kind", "key" (unknown or revoked), "forged"
    (the tag does not match: altered, or of another key, kind or tenant) or "payload" (genuine, but not of
    this format). An expired token opens; expiry is the caller's to compare.
    """
    if len(token) > _MAX_TOKEN:
        raise BadToken("length")
    try:
        raw = binascii.a2b_base64(token.translate(_FROM_URL) + b"==")
    except binascii.Error:
        raise BadToken("encoding") from None
    if len(raw) < _MIN_RAW:
        raise BadToken("length")
    if _encode(raw) != token:
        # binascii skips foreign characters and ignores spare bits; neither survives the way back.
        raise BadToken("encoding")
    reader = _READERS.get(raw[0])
    if reader is None:
        raise BadToken("version")
    return reader(raw, ring, tenant)


def _open_1(raw: bytes, ring: Ring, tenant: str) -> Opened:
    kind = _KINDS.get(raw[1])
    if kind is None:
        raise BadToken("kind")
    key = ring.get(raw[2] << 8 | raw[3])
    if key is None:
        raise BadToken("key")
    try:
        packed = _cipher(key.secret, tenant).decrypt(
            raw[_HEADER_SIZE:], [raw[:_HEADER_SIZE] + _tenant_bytes(tenant)]
        )
    except InvalidTag:
        raise BadToken("forged") from None
    identity, link = unpack(kind, packed)
    return Opened(kind, key.id, identity, link, packed)


_READERS: Final[dict[int, Callable[[bytes, Ring, str], Opened]]] = {VERSION: _open_1}
_KINDS: Final = {int(kind): kind for kind in Kind}


def unpack(kind: Kind, packed: bytes) -> tuple[Identity, Link | None]:
    """Read a payload, as `Opened.packed` and event records hold it. Raises BadToken("payload")."""
    if len(packed) > MAX_PAYLOAD:
        raise BadToken("payload")
    try:
        items = msgpack.unpackb(
            packed,
            use_list=False,
            unicode_errors="surrogatepass",
            max_array_len=MAX_TAGS,
            max_map_len=0,
            max_ext_len=0,
        )
    except (ValueError, msgpack.UnpackException):
        raise BadToken("payload") from None
    if type(items) is not tuple or not items:
        raise BadToken("payload")
    identity = _read_identity(items[0])
    match items[1:]:
        case () | (None,) if kind not in CLICKS:
            return identity, None
        case (fields,) | (fields, None) if fields is not None and kind not in OPENS:
            return identity, _read_link(fields)
    raise BadToken("payload")


def _encode(raw: bytes) -> bytes:
    return binascii.b2a_base64(raw, newline=False).rstrip(b"=").translate(_TO_URL)


@lru_cache(maxsize=1024)
def _cipher(secret: bytes, tenant: str) -> AESSIV:
    return AESSIV(derive(secret, _PURPOSE, tenant, _KEY_SIZE))


def _tenant_bytes(tenant: str) -> bytes:
    return tenant.encode("utf-8", "surrogatepass")


# --- the identity array: [ids, recipient, issued, life, campaign, tags, metadata, flags, customer id] ---
#
# ids: the 16 bytes of the message id, then transmission id as eight, big-endian. life: expiry - issued - one
# year, in seconds. flags: place of rcpt_type in _RCPT_TYPES, plus 4 when transactional.

_IDENTITY_TAIL: Final = ("", (), "", 0, "")
_IDENTITY_NEEDED: Final = 4
_IDENTITY_FIELDS: Final = _IDENTITY_NEEDED + len(_IDENTITY_TAIL)
_MAX_TIME: Final = 1 << 53


def _pack_identity(identity: Identity) -> bytes:
    try:
        ids = identity.message_id + identity.transmission_id.to_bytes(8, "big")
        flags = _RCPT_TYPES.index(identity.rcpt_type) | (_TRANSACTIONAL if identity.transactional else 0)
    except (OverflowError, ValueError):
        raise CannotSeal("a transmission id or recipient type outside its range") from None
    fields: list[Any] = [
        ids,
        identity.recipient,
        identity.issued,
        identity.expiry - identity.issued - _YEAR,
        identity.campaign,
        identity.tags,
        identity.metadata,
        flags,
        identity.customer_id,
    ]
    if not _identity_is_sound(fields):
        raise CannotSeal("a field of the identity is over its bound")
    while len(fields) > _IDENTITY_NEEDED and fields[-1] == _IDENTITY_TAIL[len(fields) - 1 - _IDENTITY_NEEDED]:
        fields.pop()
    packed = msgpack.packb(fields, unicode_errors="surrogatepass")
    if len(packed) > MAX_PAYLOAD - 2:
        raise CannotSeal(f"the payload would exceed {MAX_PAYLOAD} bytes")
    return packed


def _read_identity(fields: Any) -> Identity:
    if type(fields) is not tuple or not _IDENTITY_NEEDED <= len(fields) <= _IDENTITY_FIELDS:
        raise BadToken("payload")
    full = fields + _IDENTITY_TAIL[len(fields) - _IDENTITY_NEEDED :]
    if not _identity_is_sound(full):
        raise BadToken("payload")
    ids, recipient, issued, life, campaign, tags, metadata, flags, customer_id = full
    return Identity(
        ids[:16],
        int.from_bytes(ids[16:], "big"),
        recipient,
        issued,
        issued + _YEAR + life,
        _RCPT_TYPES[flags & 3],
        campaign,
        tags,
        metadata,
        customer_id,
        flags >= _TRANSACTIONAL,
    )


def _identity_is_sound(fields: Any) -> bool:
    """Whether the nine fields have their types and bounds. Asked before sealing and after opening."""
    ids, recipient, issued, life, campaign, tags, metadata, flags, customer_id = fields
    return (
        type(ids) is bytes
        and len(ids) == 24
        and type(issued) is int
        and 0 <= issued <= _MAX_TIME
        and type(life) is int
        and -_MAX_TIME <= life <= _MAX_TIME
        and type(flags) is int
        and 0 <= flags <= 7
        and type(recipient) is str
        and len(recipient) <= MAX_TEXT
        and type(campaign) is str
        and len(campaign) <= MAX_TEXT
        and type(customer_id) is str
        and len(customer_id) <= MAX_TEXT
        and type(metadata) is str
        and len(metadata) <= MAX_PAYLOAD
        and type(tags) is tuple
        and len(tags) <= MAX_TAGS
        and all(type(tag) is str and len(tag) <= MAX_TEXT for tag in tags)
    )


# --- the link array: [flags, target without its prefix, name] ---
#
# flags: place of the target's longest prefix in _PREFIXES, plus 4 for an unsubscribe link.


def _pack_link(link: Link) -> bytes:
    target = link.target
    if len(target) > MAX_TARGET or len(link.name) > MAX_TEXT:
        raise CannotSeal(f"a target over {MAX_TARGET} bytes or a name over {MAX_TEXT} characters")
    if target.startswith(b"https://"):
        prefix = 3 if target.startswith(b"https://www.") else 2
    else:
        prefix = 1 if target.startswith(b"http://") else 0
    flags = prefix | _UNSUBSCRIBE if link.unsubscribe else prefix
    rest = target[len(_PREFIXES[prefix]) :]
    fields = (flags, rest, link.name) if link.name else (flags, rest)
    return msgpack.packb(fields, unicode_errors="surrogatepass")


def _read_link(fields: Any) -> Link:
    if type(fields) is not tuple or not 2 <= len(fields) <= 3:
        raise BadToken("payload")
    flags, rest, name = fields if len(fields) == 3 else (*fields, "")
    if (
        type(flags) is not int
        or not 0 <= flags <= 7
        or type(rest) is not bytes
        or type(name) is not str
        or len(name) > MAX_TEXT
    ):
        raise BadToken("payload")
    target = _PREFIXES[flags & 3] + rest
    if len(target) > MAX_TARGET:
        raise BadToken("payload")
    return Link(target, name, flags >= _UNSUBSCRIBE)
