"""The token of a tracked link, sealed so that only our keys make it and only our tracker reads it.

Not the layout of the payload (`payload`), the URL around the token (`urls`) or the keys (`keys`,
`ring_file`). Pure: times and keys are arguments, and equal arguments give equal bytes, so a message that is
filtered twice has the same links.

    token   := base64url without padding (RFC 4648 5) of version | kind | key id | sealed
    version := one byte; kind := one byte (`Kind`); key id := two bytes, big-endian
    sealed  := AES-SIV (RFC 5297) of the payload; associated data: the four bytes before it, then the tenant

Why so: docs/decisions/0001-link-tokens.md.

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
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from engagement.links.keys import Key, Ring, derive
from engagement.links.model import CLICKS, OPENS, BadToken, CannotSeal, Identity, Kind, Link, Opened, Reason
from engagement.links.payload import MAX_PAYLOAD, pack_identity, pack_link, payload, unpack

try:
    from engagement.links import _seal
except ImportError:  # not built here: the same in more time
    _seal = None  # type: ignore[assignment] # a name for a module

__all__ = [
    "VERSION",
    "BadToken",
    "CannotSeal",
    "CopySealer",
    "Opener",
    "Reason",
    "Sealing",
    "copy_sealer",
    "open_token",
    "opener",
    "seal_by_parts",
    "unpack",
    "unseal",
]

VERSION: Final = 1

_PURPOSE: Final = b"link"
_KEY_SIZE: Final = 64  # bytes: AES-256 in both halves of SIV; 5 % slower than AES-128 (bench/tokens.py)
_HEADER_SIZE: Final = 4  # bytes: version, kind, key id
_CLEAR_SIZE: Final = _HEADER_SIZE + 16  # the authentication tag (synthetic IV) stands before the ciphertext
_MAX_TOKEN: Final = (_CLEAR_SIZE + MAX_PAYLOAD) * 4 // 3 + 1
_KIND_NUMBERS: Final = max(Kind) + 1

_URL_SIGNS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
# Reading refuses every sign but these; "!" stands for the others, as binascii would take "+", "/" and "=".
_FROM_URL: Final = bytes(sign if sign in _URL_SIGNS else ord("!") for sign in range(256)).translate(
    bytes.maketrans(b"-_", b"+/")
)
# By a token's length modulo 4: the padding it lacks, and its last signs, those whose spare bits are zero.
_ENDINGS: Final = ((b"", _URL_SIGNS), (b"", b""), (b"==", _URL_SIGNS[::16]), (b"=", _URL_SIGNS[::4]))


class Sealing(NamedTuple):
    """What all tokens of one copy and kind share.

    header: version, kind and key id. identity: packed. encrypt: AES-SIV under the key, takes a payload and
    `associated`.
    """

    header: bytes
    identity: bytes
    encrypt: Callable[[bytes, list[bytes]], bytes]
    associated: list[bytes]


def seal_by_parts(sealing: Sealing, link: bytes) -> bytes:
    """Return the token of a packed link (b"" for none). Raises CannotSeal for a payload over MAX_PAYLOAD."""
    # The last character must be a letter or digit. With a size that is a multiple of 3 it could be any one,
    # so a filler is added. Else it holds two or four bits above zeros: one of AQgw or AEIMQUYcgkosw048. The
    # first character holds the version's high bits: A.
    size = _CLEAR_SIZE + 1 + len(sealing.identity) + len(link)
    plaintext = payload(sealing.identity, link, filler=size % 3 == 0)
    return _encode(sealing.header + sealing.encrypt(plaintext, sealing.associated))


class CopySealer:
    """Seals the links of one recipient's copy. `copy_sealer` makes it.

    Raises CannotSeal for an identity with a field over its bound.
    """

    __slots__ = ("_cipher", "_identity", "_key_id", "_sealings", "_tenant")

    def __init__(self, key: Key, identity: Identity, tenant: str) -> None:
        self._cipher = _cipher(key.secret, tenant)
        self._key_id = key.id.to_bytes(2, "big")
        self._tenant = _tenant_bytes(tenant)
        self._identity = pack_identity(identity)
        self._sealings: list[Sealing | None] = [None] * _KIND_NUMBERS

    def sealing(self, kind: Kind) -> Sealing:
        """Return what the copy's tokens of that kind share. Made once for each kind, as links are many."""
        found = self._sealings[kind]
        if found is None:
            header = b"%c%c%b" % (VERSION, kind, self._key_id)
            # One string, never empty: OpenSSL's SIV once ignored empty ones (CVE-2023-2975).
            associated = [header + self._tenant]
            found = Sealing(header, self._identity, self._cipher.encrypt, associated)
            self._sealings[kind] = found
        return found

    def seal(self, kind: Kind, link: Link | None = None) -> bytes:
        """Return the token of one link or pixel.

        link: needed for a click, None for a pixel, either for an unsubscribe address.
        Raises CannotSeal for a link that does not fit the kind, a target over 4096 bytes, a payload over
        8192.
        """
        if (link is None) if kind in CLICKS else (link is not None and kind in OPENS):
            raise CannotSeal(f"a token of kind {kind.name} with{'out' if link is None else ''} a link")
        packed = b"" if link is None else pack_link(link)
        sealing = self._sealings[kind] or self.sealing(kind)
        if _seal is not None and (token := _seal.seal(sealing, packed)) is not None:
            return token
        return seal_by_parts(sealing, packed)


def copy_sealer(key: Key, identity: Identity, tenant: str = "") -> CopySealer:
    """Return what seals the links of one copy; the identity is packed once.

    Raises CannotSeal for an identity with a field over its bound.
    """
    return CopySealer(key, identity, tenant)


def open_token(token: bytes, ring: Ring, tenant: str = "") -> Opened:
    """Return what a genuine token holds. An expired token opens too: the caller compares the expiry.

    Raises BadToken with reason "length", "encoding", "version", "kind", "key" (unknown or revoked), "forged"
    (the tag does not match: altered, or of another key, kind or tenant) or "payload" (genuine, but not of
    this format).
    """
    kind, key_id, packed = unseal(token, ring, tenant)
    identity, link = unpack(kind, packed)
    return Opened(kind, key_id, identity, link, packed)


def unseal(token: bytes, ring: Ring, tenant: str = "") -> tuple[Kind, int, bytes]:
    """Return kind, key id and payload of a genuine token. The payload is authenticated and not parsed.

    Raises BadToken with each reason of `open_token` but "payload".
    """
    size = len(token)
    if not 0 < size <= _MAX_TOKEN:
        raise BadToken("length")
    padding, last = _ENDINGS[size % 4]
    if token[-1] not in last:
        raise BadToken("encoding")
    try:
        raw = binascii.a2b_base64(token.translate(_FROM_URL) + padding, strict_mode=True)
    except binascii.Error:
        raise BadToken("encoding") from None
    if len(raw) <= _CLEAR_SIZE:
        raise BadToken("length")
    reader = _READERS.get(raw[0])
    if reader is None:
        raise BadToken("version")
    return reader(raw, ring, tenant)


# Kind, decrypting function, its associated data. One for all tokens that begin with the same four bytes.
Opener = tuple[Kind, Callable[[bytes, list[bytes]], bytes], list[bytes]]


def opener(clear: bytes, ring: Ring) -> Opener | None:
    """Return what opens tokens without a tenant that begin with these bytes; None where nothing does.

    clear: version, kind and key id, 4 bytes. The decrypting function takes the bytes behind them, and raises
    InvalidTag for a forged token.
    """
    version, kind, *key_id = clear
    key = ring.get(key_id[0] << 8 | key_id[1])
    if version != VERSION or kind not in _KINDS or key is None:
        return None
    return _KINDS[kind], _cipher(key.secret, "").decrypt, [clear]


def _unseal_1(raw: bytes, ring: Ring, tenant: str) -> tuple[Kind, int, bytes]:
    kind = _KINDS.get(raw[1])
    if kind is None:
        raise BadToken("kind")
    key = ring.get(raw[2] << 8 | raw[3])
    if key is None:
        raise BadToken("key")
    associated = raw[:_HEADER_SIZE] + _tenant_bytes(tenant) if tenant else raw[:_HEADER_SIZE]
    try:
        packed = _cipher(key.secret, tenant).decrypt(raw[_HEADER_SIZE:], [associated])
    except InvalidTag:
        raise BadToken("forged") from None
    return kind, key.id, packed


_READERS: Final[dict[int, Callable[[bytes, Ring, str], tuple[Kind, int, bytes]]]] = {VERSION: _unseal_1}
_KINDS: Final = {int(kind): kind for kind in Kind}


def _encode(raw: bytes) -> bytes:
    return binascii.b2a_base64(raw, newline=False).rstrip(b"=").translate(_TO_URL)


@lru_cache(maxsize=1024)
def _cipher(secret: bytes, tenant: str) -> AESSIV:
    return AESSIV(derive(secret, _PURPOSE, tenant, _KEY_SIZE))


def _tenant_bytes(tenant: str) -> bytes:
    return tenant.encode("utf-8", "surrogatepass")
