"""Events as bytes, for the spool. Not the frame around them (`spool.format`).

A record is a msgpack array: version, sort, then the event's values in the order of its class. A version is
read for ever; a new one adds at the end. Reading is strict: what was not written by `encode` is `BadRecord`.
Version 2 is a hit that stands for several: their number follows the values of version 1.
"""

from dataclasses import replace
from ipaddress import IPv6Address
from typing import Any, Final

import msgpack

from engagement.events.ids import is_event_id
from engagement.events.model import Event, Hit, Injection
from engagement.links.model import Kind

try:
    from engagement import _native
except ImportError:  # not built here: the same in more time
    _native = None  # type: ignore[assignment] # a name for a module

VERSION: Final = 1
SEVERAL: Final = 2
_HIT: Final = 1
_INJECTION: Final = 2
_CONTEXT: Final = Injection._fields.index("context")
_HIT_HEAD: Final = b"\x9e\x01\x01\xd9\x24"  # how `encode` begins a hit of version 1: then id, kind, time
_AT: Final = 42
_AFTER: Final = _AT + 9
_MAX_MS: Final = 1 << 48  # what an id can hold: the year 10889
_MOST: Final = 1 << 31  # of hits told together: what each store can add up
_KINDS: Final = {kind.value: kind for kind in Kind}
_HIT_TYPES: Final = (str, int, int, bytes, str, str, str, str, str, str, bool, bool)
_INJECTION_TYPES: Final = (  # of its fields in their order, which is the record's
    *(str, int, bytes, int, str, str, str, str, str, list, str, str),
    *(bool, bool, bool, bool, bool),
    *(int, str, str, dict, str),
)


# One for all: it holds nothing between two calls, and a call is not interrupted by another thread's.
_pack: Final = msgpack.Packer(unicode_errors="surrogatepass").pack


class BadRecord(ValueError):
    """These bytes are no record of ours, or of a version this program does not know."""


def encode_hit_by_msgpack(
    id: str,
    kind: Kind,
    at_ms: int,
    packed: bytes,
    tenant: str,
    client_address: str,
    user_agent: str,
    accept_language: str,
    method: str,
    host: str,
    spoiled: bool,
    expired: bool,
) -> bytes:
    """Return what `encode` returns for a `Hit` of these values, without making one: the answering path's."""
    values = (
        VERSION,
        _HIT,
        id,
        kind,
        at_ms,
        packed,
        tenant,
        client_address,
        user_agent,
        accept_language,
        method,
        host,
        spoiled,
        expired,
    )
    return _pack(values)


encode_hit = encode_hit_by_msgpack if _native is None else _native.encode_hit


def encode(event: Event) -> bytes:
    """Return the event as bytes. Text that is no valid Unicode (a lone surrogate) survives as it is."""
    if isinstance(event, Hit):
        values = (
            event.id,
            event.kind,
            event.at_ms,
            event.packed,
            event.tenant,
            event.client_address,
            event.user_agent,
            event.accept_language,
            event.method,
            event.host,
            event.spoiled,
            event.expired,
        )
        return _pack((VERSION, _HIT, *values) if event.hits == 1 else (SEVERAL, _HIT, *values, event.hits))
    return _pack((VERSION, _INJECTION, *event[:_CONTEXT], dict(event.context), event.rcpt_type))


def decode(data: bytes) -> Event:
    """Return the event that `encode` wrote. Raises BadRecord."""
    try:
        values = msgpack.unpackb(data, unicode_errors="surrogatepass")
    except (ValueError, TypeError, RecursionError) as error:
        raise BadRecord(f"not msgpack: {type(error).__name__}") from None
    if not isinstance(values, list) or len(values) < 3:
        raise BadRecord("not an array")
    version, sort, *rest = values
    if type(version) is not int or version not in (VERSION, SEVERAL):
        raise BadRecord(f"version {version!r:.20}")
    if sort == _HIT:
        return _hit(rest, _hits(rest) if version == SEVERAL else 1)
    if sort == _INJECTION and version == VERSION:
        return _injection(rest)
    raise BadRecord(f"sort {sort!r:.20}")


def _check(values: list[Any], types: tuple[type, ...]) -> None:
    found = tuple(map(type, values))
    if found != types:
        raise BadRecord(f"values of types {' '.join(sort.__name__ for sort in found)}"[:200])
    if not is_event_id(values[0]):
        raise BadRecord("the id is no UUID")


def _hits(values: list[Any]) -> int:
    """Take the number of hits off the end."""
    hits = values.pop()
    if type(hits) is not int or not 1 < hits < _MOST:
        raise BadRecord(f"{hits!r:.20} hits")
    return hits


def _hit(values: list[Any], hits: int) -> Hit:
    _check(values, _HIT_TYPES)
    kind = _KINDS.get(values[1])
    if kind is None:
        raise BadRecord(f"kind {values[1]}")
    if not 0 <= values[2] < _MAX_MS:
        raise BadRecord("time out of range")
    return Hit(values[0], kind, *values[2:], hits)  # type: ignore[call-arg] # takes what is in the list for many


def _injection(values: list[Any]) -> Injection:
    _check(values, _INJECTION_TYPES)
    if not 0 <= values[1] < _MAX_MS:
        raise BadRecord("time out of range")
    if not 0 <= values[3] < 1 << 64 or values[17] < 0:
        raise BadRecord("number out of range")
    if not all(type(tag) is str for tag in values[9]):
        raise BadRecord("a tag is not text")
    if not all(type(name) is str and type(value) is str for name, value in values[20].items()):
        raise BadRecord("context is not text")
    values[9] = tuple(values[9])
    return Injection(*values)


def link_and_client(record: bytes) -> bytes | None:
    """Return what names the link and the client's address in the record of a hit.

    None for what is no hit as the answering path writes it, or stands for several already.
    """
    # 0x9e: an array of 14; 0xd9 0x24: text of 36 bytes; 0xcf: a number of 8, as times since 1970 are.
    if record[:5] != _HIT_HEAD or record[_AT] != 0xCF:
        return None
    sort = record[_AFTER]  # the link's payload: binary of up to 255 bytes, or of more
    if sort == 0xC4:
        stop = _AFTER + 2 + record[_AFTER + 1]
    elif sort == 0xC5:
        stop = _AFTER + 3 + int.from_bytes(record[_AFTER + 1 : _AFTER + 3], "big")
    else:
        return None
    length = record[stop + 1]
    if record[stop] != 0xA0 or not 0xA0 <= length <= 0xBF:  # no tenant; an address is shorter than 32
        return None
    if record.find(b":", stop, stop + 2 + length - 0xA0) < 0:
        return record[_AFTER : stop + 2 + length - 0xA0]
    return record[_AFTER:stop] + _network(record[stop + 2 : stop + 2 + length - 0xA0])


def _network(address: bytes) -> bytes:
    """Of IPv6 the first 64 bits: whoever has one address has all that share them."""
    try:
        return IPv6Address(address.decode("ascii")).packed[:8]
    except ValueError:
        return address


def differ_in_time_alone(one: bytes, other: bytes) -> bool:
    """Tell whether two records that have a `link_and_client` are of the same but for id and time."""
    return one[_AT - 1] == other[_AT - 1] and one[_AFTER:] == other[_AFTER:]


def moment(record: bytes) -> int:
    """Return the time (Unix milliseconds) of a record that has a `link_and_client`."""
    return int.from_bytes(record[_AT + 1 : _AFTER], "big")


def event_id(record: bytes) -> str:
    """Return the id of a record that has a `link_and_client`."""
    return record[5 : _AT - 1].decode("ascii")


def several(record: bytes, id: str, at_ms: int, hits: int) -> bytes:
    """Return the record of so many hits like this one, the last of them with this id and time.

    Raises BadRecord.
    """
    hit = decode(record)
    if not isinstance(hit, Hit):
        raise BadRecord("no hit")
    return encode(replace(hit, id=id, at_ms=at_ms, hits=hits))
