"""The payload of a token: identity and link, packed into few bytes.

Not the sealing (`token`). Reading checks every field. In a link the payload was authenticated before, but
event records on disk hold payloads too, and those are read here as well.

    payload  := MessagePack array [identity, link, filler]
    identity := [ids, recipient, issued, life, campaign, tags, metadata, flags, customer id]
    link     := [flags, rest of target, name]
    flags    := place * 8 + 4 for an unsubscribe link + the target's beginning
    place    := (ordinal + 1) * 2 + 1 in a text part; 0 where the ordinal is not recorded

Empty values at the end of an array are left out. The filler is nil. Each field: docs/links.md.

Invariant: what was packed is read back equal. Anything of another shape raises BadToken("payload"), and
nothing else.
"""

import zlib
from functools import lru_cache
from typing import Any, Final

import msgpack
import msgspec
import msgspec.structs

from engagement.links.model import CLICKS, OPENS, BadToken, CannotSeal, Identity, Kind, Link

MAX_PAYLOAD: Final = 8192  # bytes; a URL of contract.md 5.2 has 2,000 at most, so four times what fits
MAX_TARGET: Final = 4096  # bytes; contract.md 5.2
MAX_METADATA: Final = 8192  # bytes; the default of max_metadata_len is 1000 (contract.md 1.5)
MAX_TEXT: Final = 1024  # characters of a name, label or address; RFC 5321 4.5.3.1 allows an address 320
MAX_TAGS: Final = 64  # contract.md 3.2 takes ten; policy scripts may add

_IDENTITY_NEEDED: Final = 4  # fields: ids, recipient, time of issue, life
_IDENTITY_TAIL: Final = ("", (), "", 0, "")  # campaign, tags, metadata, flags, customer id when left out
_MAX_TIME: Final = 1 << 53  # seconds; exact in every language's numbers
_YEAR: Final = 31_536_000  # seconds; the default tracking_link_expiry, packed as a life of 0
_RCPT_TYPES: Final = ("", "cc", "bcc", "archive")
_TRANSACTIONAL: Final = 4
_UNSUBSCRIBE: Final = 4
_TEXT_PART: Final = 8
PLACE_STEP: Final = 16  # from one link's flags to those of the next one of its part
MAX_FLAGS: Final = (1 << 21) - 1  # ordinals up to 131,069
_PREFIXES: Final = (
    b"",
    b"http://",
    b"https://",
    b"https://www.",
)  # a target's start, packed as its place here
_PREFIX_SIZES: Final = tuple(map(len, _PREFIXES))
_ARRAYS: Final = (b"", b"\x91", b"\x92", b"\x93")  # msgpack's arrays by their number of items
_THREE: Final = 0x93  # the last of them: no link and a filler behind it is what nobody writes

# Deflating saves bytes from about 70 bytes of JSON on (docs/decisions/0001). Done once a copy, not once a
# link.
_DEFLATE_FROM: Final = 64
_DEFLATE_MUST_SAVE: Final = 16  # bytes; less is not worth the time to inflate

_IDENTITIES: Final = 4096  # remembered as read: the hits of a message come soon after each other

# Any Python string is read back as it was, also with half a surrogate pair, which JSON can hold.
_SURROGATES: Final = "surrogatepass"


class _PackedLink(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """A link as it is packed."""

    flags: int
    rest: bytes
    name: str = ""


class _Parts(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """A payload whose identity is not read yet."""

    identity: msgspec.Raw
    link: _PackedLink | None = None
    filler: None = None


class _PackedIdentity(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """An identity as it is packed, with metadata that is not deflated."""

    ids: bytes
    recipient: str
    issued: int
    life: int
    campaign: str = ""
    tags: tuple[str, ...] = ()
    metadata: str = ""
    flags: int = 0
    customer_id: str = ""


_NOT_COMMON: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_decode_identity: Final = msgspec.msgpack.Decoder(_PackedIdentity).decode
_decode_parts: Final = msgspec.msgpack.Decoder(_Parts).decode


def pack_identity(identity: Identity) -> bytes:
    """Return the packed identity, which all links of a copy share.

    Raises CannotSeal for a field over its bound.
    """
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
    fields[6] = _deflated(identity.metadata)
    while len(fields) > _IDENTITY_NEEDED and fields[-1] == _IDENTITY_TAIL[len(fields) - 1 - _IDENTITY_NEEDED]:
        fields.pop()
    return msgpack.packb(fields, unicode_errors=_SURROGATES)


def pack_link(link: Link) -> bytes:
    """Return one packed link of a copy. Raises CannotSeal for a field over its bound."""
    if len(link.target) > MAX_TARGET or len(link.name) > MAX_TEXT:
        raise CannotSeal(f"a target over {MAX_TARGET} bytes or a name over {MAX_TEXT} characters")
    flags = _UNSUBSCRIBE if link.unsubscribe else 0
    if link.ordinal >= 0:
        flags |= first_place(link.ordinal, link.part)
        if flags > MAX_FLAGS - PLACE_STEP:
            raise CannotSeal("a part of more links than there are ordinals")
    return pack_target(link.target, flags, link.name)


def pack_target(target: bytes, flags: int, name: str = "") -> bytes:
    """Return one packed link, of a target and name within their bounds. flags: without its beginning."""
    if target.startswith(b"https://"):
        prefix = 3 if target.startswith(b"https://www.") else 2
    else:
        prefix = 1 if target.startswith(b"http://") else 0
    flags |= prefix
    rest = target[_PREFIX_SIZES[prefix] :]
    if name:
        return msgpack.packb((flags, rest, name), unicode_errors=_SURROGATES)
    if len(rest) < 256 and flags < 128:  # what msgpack gives for nearly all links, at a third of the cost
        return b"\x92%c\xc4%c%b" % (flags, len(rest), rest)
    return msgpack.packb((flags, rest), unicode_errors=_SURROGATES)


def first_place(ordinal: int, part: str) -> int:
    """Return the bits of a link's flags that say its ordinal and part; PLACE_STEP is from one to the next."""
    return (ordinal + 1) * PLACE_STEP | (_TEXT_PART if part == "text" else 0)


def payload(identity: bytes, link: bytes, *, filler: bool) -> bytes:
    """Return the payload of a packed identity and link.

    link: b"" for none. filler: add a byte that says nothing. Raises CannotSeal for more than MAX_PAYLOAD
    bytes.
    """
    joined = _ARRAYS[1 + (link != b"") + filler] + identity + link
    if filler:
        joined += b"\xc0"
    if len(joined) > MAX_PAYLOAD:
        raise CannotSeal(f"the payload would exceed {MAX_PAYLOAD} bytes")
    return joined


def peek(kind: Kind, packed: bytes) -> tuple[int, int, bytes]:
    """Return the little that an answer needs: issued, expiry (Unix seconds), target (b"" without a link).

    Other fields are not checked. `unpack` reads all of them, at six times the cost.
    Raises BadToken("payload") for a payload in which these fields do not have this shape.
    """
    items = _items(packed)
    identity, link = items[0], items[1] if len(items) > 1 else None
    if type(identity) is not tuple or len(identity) < _IDENTITY_NEEDED:
        raise BadToken("payload")
    issued, life = identity[2], identity[3]
    if type(issued) is not int or type(life) is not int:
        raise BadToken("payload")
    if kind in OPENS or (link is None and kind not in CLICKS):
        return issued, issued + _YEAR + life, b""
    if type(link) is tuple and len(link) > 1 and type(link[0]) is int and type(link[1]) is bytes:
        return issued, issued + _YEAR + life, _PREFIXES[link[0] & 3] + link[1]
    raise BadToken("payload")


def message_of(packed: bytes) -> bytes:
    """Return the message id (16 bytes) of a payload; the rest is not read.

    Raises BadToken("payload") for a payload without one.
    """
    return _ids(packed)[:16]


def transmission_of(packed: bytes) -> int:
    """Return the transmission id of a payload; the rest is not read.

    Raises BadToken("payload") for a payload without one.
    """
    return int.from_bytes(_ids(packed)[16:], "big")


def _ids(packed: bytes) -> bytes:
    if packed[2:4] == b"\xc4\x18":  # two short arrays, then 24 bytes: what `payload` has always written
        return packed[4:28]
    identity = _items(packed)[0]
    if type(identity) is not tuple or not identity or type(identity[0]) is not bytes:
        raise BadToken("payload")
    return identity[0]


def unpack(kind: Kind, packed: bytes) -> tuple[Identity, Link | None]:
    """Return identity and link (None for none) of a payload, as `Opened.packed` and event records hold it.

    Raises BadToken("payload") for a payload of another shape, or a field over its bound.
    """
    found = _common(kind, packed)
    if found is not None:
        return found
    items = _items(packed)
    identity = _read_identity(items[0])
    match items[1:]:
        case () | (None,) if kind not in CLICKS:
            return identity, None
        case (fields,) | (fields, None) if fields is not None and kind not in OPENS:
            return identity, _read_link(fields, "amp" if kind is Kind.AMP_CLICK else "html")
    raise BadToken("payload")


def _common(kind: Kind, packed: bytes) -> tuple[Identity, Link | None] | None:
    """Return what `unpack` does, of payloads as `payload` writes nearly all; None of any other."""
    if len(packed) > MAX_PAYLOAD:
        return None
    try:
        parts = _decode_parts(packed)
    except _NOT_COMMON:  # of another shape, or with half a surrogate pair
        return None
    link = parts.link
    if (link is None) if kind in CLICKS else (link is not None and kind in OPENS):
        return None
    identity = _identity_in(bytes(parts.identity))
    if link is None:
        return (identity, None) if packed[0] != _THREE else None
    return identity, _link(link.flags, link.rest, link.name, "amp" if kind is Kind.AMP_CLICK else "html")


@lru_cache(maxsize=_IDENTITIES)
def _identity_in(packed: bytes) -> Identity:
    try:
        fields = msgspec.structs.astuple(_decode_identity(packed))
    except _NOT_COMMON:  # deflated metadata, or nothing that we wrote
        return _read_identity(_items(packed))
    return _identity(fields)


def _items(packed: bytes) -> tuple[Any, ...]:
    if len(packed) > MAX_PAYLOAD:
        raise BadToken("payload")
    try:
        items = msgpack.unpackb(
            packed,
            use_list=False,
            unicode_errors=_SURROGATES,
            max_array_len=MAX_TAGS,
            max_map_len=0,
            max_ext_len=0,
        )
    except (ValueError, msgpack.UnpackException):
        raise BadToken("payload") from None
    if type(items) is not tuple or not items:
        raise BadToken("payload")
    return items


def _read_identity(fields: Any) -> Identity:
    count = len(fields) if type(fields) is tuple else 0
    if not _IDENTITY_NEEDED <= count <= _IDENTITY_NEEDED + len(_IDENTITY_TAIL):
        raise BadToken("payload")
    full = fields + _IDENTITY_TAIL[count - _IDENTITY_NEEDED :]
    if type(full[6]) is bytes:
        full = (*full[:6], _inflated(full[6]), *full[7:])
    return _identity(full)


def _identity(full: Any) -> Identity:
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


def _read_link(fields: Any, markup: str) -> Link:
    """Return the link. markup: the part that it is in if it is in no text part."""
    if type(fields) is not tuple or not 2 <= len(fields) <= 3:
        raise BadToken("payload")
    flags, rest, name = fields if len(fields) == 3 else (*fields, "")
    if type(flags) is not int or type(rest) is not bytes or type(name) is not str:
        raise BadToken("payload")
    return _link(flags, rest, name, markup)


def _link(flags: int, rest: bytes, name: str, markup: str) -> Link:
    if not 0 <= flags <= MAX_FLAGS or flags >> 3 == 1 or len(name) > MAX_TEXT:  # 1: a part and no ordinal
        raise BadToken("payload")
    target = _PREFIXES[flags & 3] + rest
    if len(target) > MAX_TARGET:
        raise BadToken("payload")
    unsubscribe = flags & _UNSUBSCRIBE != 0
    if flags < PLACE_STEP:
        return Link(target, name, unsubscribe)
    part = "text" if flags & _TEXT_PART else markup
    return Link(target, name, unsubscribe, flags // PLACE_STEP - 1, part)


def _identity_is_sound(fields: Any) -> bool:
    """Return whether the nine fields have their types and bounds. Used before packing and after reading."""
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
        and len(metadata) <= MAX_METADATA
        and type(tags) is tuple
        and len(tags) <= MAX_TAGS
        and all(type(tag) is str and len(tag) <= MAX_TEXT for tag in tags)
    )


def _deflated(metadata: str) -> str | bytes:
    """Return metadata deflated, as bytes, where that saves enough, else as text. The type says which.

    Raises CannotSeal for more than MAX_METADATA bytes.
    """
    if len(metadata) < _DEFLATE_FROM:
        return metadata
    uncompressed = metadata.encode("utf-8", _SURROGATES)
    if len(uncompressed) > MAX_METADATA:
        raise CannotSeal(f"metadata over {MAX_METADATA} bytes")
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    short = deflate.compress(uncompressed) + deflate.flush()
    return short if len(short) + _DEFLATE_MUST_SAVE <= len(uncompressed) else metadata


def _inflated(short: bytes) -> str:
    inflate = zlib.decompressobj(-15)
    try:
        uncompressed = inflate.decompress(short, MAX_METADATA + 1)
        metadata = uncompressed.decode("utf-8", _SURROGATES)
    except (zlib.error, UnicodeDecodeError):
        raise BadToken("payload") from None
    if not inflate.eof or inflate.unused_data or len(uncompressed) > MAX_METADATA:
        raise BadToken("payload")
    return metadata
