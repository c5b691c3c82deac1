"""Events as bytes, for the spool. Not the frame around them (`spool.format`).

A record is a msgpack array: version, sort, then the event's values in the order of its class. A version is
read for ever; a new one adds at the end. Reading is strict: what was not written by `encode` is `BadRecord`.
"""

from typing import Any, Final

import msgpack

from engagement.events.ids import is_event_id
from engagement.events.types import Event, Hit, Injection
from engagement.links.types import Kind

try:
    from engagement import _native
except ImportError:  # not built here: the same in more time
    _native = None  # type: ignore[assignment] # a name for a module

VERSION: Final = 1
_HIT: Final = 1
_INJECTION: Final = 2
_CONTEXT: Final = Injection._fields.index("context")
_MAX_MS: Final = 1 << 48  # what an id can hold: the year 10889
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
        return encode_hit_by_msgpack(
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
    if type(version) is not int or version != VERSION:
        raise BadRecord(f"version {version!r:.20}")
    if sort == _HIT:
        return _hit(rest)
    if sort == _INJECTION:
        return _injection(rest)
    raise BadRecord(f"sort {sort!r:.20}")


def _check(values: list[Any], types: tuple[type, ...]) -> None:
    found = tuple(map(type, values))
    if found != types:
        raise BadRecord(f"values of types {' '.join(sort.__name__ for sort in found)}"[:200])
    if not is_event_id(values[0]):
        raise BadRecord("the id is no UUID")


def _hit(values: list[Any]) -> Hit:
    _check(values, _HIT_TYPES)
    kind = _KINDS.get(values[1])
    if kind is None:
        raise BadRecord(f"kind {values[1]}")
    if not 0 <= values[2] < _MAX_MS:
        raise BadRecord("time out of range")
    return Hit(values[0], kind, *values[2:])


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
