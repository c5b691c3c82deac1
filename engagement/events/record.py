"""Events as bytes, for the spool. Not the frame around them (`engagement.spool.format`).

A record is a MessagePack array: the version, the sort of event, then the event's values in the order of its
class in `model`, which is the only place that lists them. A version is read for ever; a new one adds values
at the end.

    hits        version 1: 12 values   2: and hits   3: 12 and signals   4: 12, signals and hits
    injections  version 1: 22 values   2: 29   3: and clicks_without_metadata   4: and marks of links
    message events  version 1: all

Invariant: reading is strict. What `encode` cannot have written is `BadRecord`.

Two libraries, the same bytes: msgspec writes in a third of the time, but refuses text with a lone surrogate
(which stands for bytes that are no UTF-8). msgpack writes such text, and reads every record.
"""

import re
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Final, TypeVar

import msgpack
import msgspec
from msgspec.structs import astuple, replace

from engagement.events.ids import is_event_id
from engagement.events.model import Event, Hit, Injection, MessageEvent
from engagement.links.marks import SIZE as MARK_SIZE

_HIT: Final = 1
_INJECTION: Final = 2
_MESSAGE_EVENT: Final = 3
_HIT_NAMES: Final = Hit.__struct_fields__
_OLD_HIT_NAMES: Final = _HIT_NAMES[:-2]  # without signals and hits
HIT_VERSIONS: Final = {
    1: _OLD_HIT_NAMES,
    2: (*_OLD_HIT_NAMES, "hits"),
    3: _HIT_NAMES[:-1],
    4: _HIT_NAMES,
}
_WITHOUT_METADATA: Final = Injection._fields.index("clicks_without_metadata")
_MARKED: Final = Injection._fields.index("link_base")
INJECTION_VERSIONS: Final = {
    1: Injection._fields[:22],
    2: Injection._fields[:_WITHOUT_METADATA],
    3: Injection._fields[:_MARKED],
    4: Injection._fields,
}
MESSAGE_EVENT_VERSION: Final = 1
_NEWEST: Final = {
    _HIT: max(HIT_VERSIONS),
    _INJECTION: max(INJECTION_VERSIONS),
    _MESSAGE_EVENT: MESSAGE_EVENT_VERSION,
}
_CONTEXT: Final = Injection._fields.index("context")
_SINGLE_HEAD: Final = bytes((0x9E, 1, _HIT))  # an array of 14: version, sort, and 12 values
_SIGNALS_HEAD: Final = bytes((0x9F, 3, _HIT))
_SEVERAL_HEAD: Final = bytes((0xDC, 0, 16, 4, _HIT))
# How `encode` begins a single hit: then id, kind, time.
_HIT_HEADS: Final = (b"\x9e\x01\x01\xd9\x24", b"\x9f\x03\x01\xd9\x24")
_AT: Final = 42  # where the time begins in such a record: its mark, then 8 bytes
_AFTER: Final = _AT + 9  # where the link's payload begins
# How the ids begin in the payload of a shared pixel (`links.payload`): binary of 24 bytes, all zero.
OF_NOBODY: Final = b"\xc4\x18" + bytes(24)
_MAX_MS: Final = 1 << 48  # what an id can hold: the year 10889
_MAX_HITS: Final = 1 << 31  # one more than what an integer column of each store holds
_MAX_SIGNALS: Final = 1 << 31  # `Signals` has 19 bits today; those of newer programs are read as well
_MAX_MARK: Final = 0xFFFF  # what `events.model.recipient_mark` makes

# One of each for all threads: they hold nothing between two calls, and no other thread runs within a call.
_encode: Final = msgspec.msgpack.Encoder().encode
_encode_any_text: Final = msgpack.Packer(unicode_errors="surrogatepass").pack
_decode_hit: Final = msgspec.msgpack.Decoder(Hit).decode
# By the head of a record (version 2 of an injection, 1 of a message event), what reads its values at once,
# and how they begin as an array of their own.
_COMMON: Final[dict[bytes, tuple[Callable[[bytes], Injection | MessageEvent], bytes]]] = {
    b"\xdc\x00\x1f\x02\x02": (msgspec.msgpack.Decoder(Injection).decode, b"\xdc\x00\x1d"),
    b"\xdc\x00\x1b\x01\x03": (msgspec.msgpack.Decoder(MessageEvent).decode, b"\xdc\x00\x19"),
}
# A single hit's record without version and sort: what its values alone are as an array.
_HIT_ALONE: Final = {_SINGLE_HEAD: b"\x9c", _SIGNALS_HEAD: b"\x9d"}

_Event = TypeVar("_Event", Hit, Injection, MessageEvent)


class BadRecord(ValueError):
    """These bytes are no record of ours, or of a version this program does not know."""


def encode(event: Event) -> bytes:
    """Return the event's record. Text with lone surrogates is written as it is.

    Raises OverflowError for a number of more than 64 bits.
    """
    if isinstance(event, Hit):
        if not event.signals:
            return _without_signals(event)
        try:
            fields = _encode(event)  # an array of 14: its head is one byte, and so is the number 1 at its end
        except UnicodeEncodeError:
            fields = _encode_any_text(astuple(event))
        return _SIGNALS_HEAD + fields[1:-1] if event.hits == 1 else _SEVERAL_HEAD + fields[1:]
    if isinstance(event, MessageEvent):
        return _any_text((MESSAGE_EVENT_VERSION, _MESSAGE_EVENT, *event))
    context = dict(event.context)  # may be any Mapping
    version, stop = 2, _WITHOUT_METADATA
    if event.link_marks:
        version, stop = 4, len(event)
    elif event.clicks_without_metadata:
        version, stop = 3, _MARKED
    return _any_text((version, _INJECTION, *event[:_CONTEXT], context, *event[_CONTEXT + 1 : stop]))


def _without_signals(hit: Hit) -> bytes:
    """Return the record of a hit as programs wrote it that recorded no signals."""
    values = astuple(hit)[:-2]
    return _any_text((1, _HIT, *values) if hit.hits == 1 else (2, _HIT, *values, hit.hits))


def _any_text(values: tuple[object, ...]) -> bytes:
    try:
        return _encode(values)
    except UnicodeEncodeError:
        return _encode_any_text(values)


def decode(data: bytes) -> Event:
    """Return the event of a record that `encode` wrote. Raises BadRecord for any other bytes."""
    head = _HIT_ALONE.get(data[:3])
    if head is not None and (hit := _single_hit(head + data[3:])) is not None:
        return hit
    if (event := _common(data)) is not None:
        return event
    try:
        values = msgpack.unpackb(data, unicode_errors="surrogatepass")
    except (ValueError, TypeError, RecursionError) as error:
        raise BadRecord(f"not msgpack: {type(error).__name__}") from None
    if not isinstance(values, list) or len(values) < 3:
        raise BadRecord("not an array")
    version, sort, *rest = values
    if type(version) is not int or type(sort) is not int:
        raise BadRecord(f"version {version!r:.20}, sort {sort!r:.20}")
    if sort == _HIT and version in HIT_VERSIONS:
        return _hit(rest, version)
    if sort == _INJECTION and version in INJECTION_VERSIONS:
        return _injection(rest, version)
    if sort == _MESSAGE_EVENT and version == MESSAGE_EVENT_VERSION:
        return _message_event(rest)
    newer = sort > max(_NEWEST) or version > _NEWEST.get(sort, version)
    end = ", which this program does not know: use the newer program" if newer else ""
    raise BadRecord(f"version {version!r:.20} of sort {sort!r:.20}{end}")


def _single_hit(values: bytes) -> Hit | None:
    """Return the hit of these values, None where `_hit` has to say what they are.

    Nearly all records are such, and reading one at once takes half as long.
    """
    try:
        hit = _decode_hit(values)
    except (msgspec.MsgspecError, UnicodeDecodeError):  # text with a lone surrogate, or no record of ours
        return None
    sound = is_event_id(hit.id) and 0 <= hit.at_ms < _MAX_MS
    if values[0] == 0x9D:
        sound = sound and 0 < hit.signals < _MAX_SIGNALS
    return hit if sound else None


def _common(data: bytes) -> Injection | MessageEvent | None:
    """Return the event of a record as nearly all injections and message events have it, read at once.

    None where the slower way has to say what it is. Raises BadRecord for a number out of range.
    """
    reader = _COMMON.get(data[:5])
    if reader is None:
        return None
    read, head = reader
    try:
        event = read(head + data[5:])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if not is_event_id(event.id) or not 0 <= event.at_ms < _MAX_MS:
        return None
    return _sound_injection(event, 2) if isinstance(event, Injection) else _sound_message_event(event)


def _hit(values: list[object], version: int) -> Hit:
    names = HIT_VERSIONS[version]
    if version == 2 and len(values) == len(names):
        values = [*values[:-1], 0, values[-1]]  # no signals
        names = _HIT_NAMES
    hit = _typed(values, Hit, names)
    if version in (2, 4) and not 1 < hit.hits < _MAX_HITS:
        raise BadRecord(f"{hit.hits!r:.20} hits")
    if not 0 <= hit.signals < _MAX_SIGNALS or (version >= 3 and not hit.signals):
        raise BadRecord(f"signals {hit.signals!r:.20}")
    return hit


def _injection(values: list[object], version: int) -> Injection:
    return _sound_injection(_typed(values, Injection, INJECTION_VERSIONS[version]), version)


def _sound_injection(injection: Injection, version: int) -> Injection:
    """Return the injection of a record of a version. Raises BadRecord for numbers that cannot be."""
    least = min(injection.size, injection.links, injection.parts, injection.recipient_mark)
    if (
        not 0 <= injection.transmission_id < 1 << 64
        or least < 0
        or (version < 4 and (version == 3) != injection.clicks_without_metadata)
    ):
        raise BadRecord("number out of range")
    if version == 4 and not (
        0 < injection.link_key <= _MAX_MARK
        and injection.link_expiry >= 0
        and injection.link_marks
        and not len(injection.link_marks) % MARK_SIZE
    ):
        raise BadRecord("marks of links without a key, or none")
    if injection.recipient_mark > _MAX_MARK:
        raise BadRecord("number out of range")
    return injection


def _message_event(values: list[object]) -> MessageEvent:
    return _sound_message_event(_typed(values, MessageEvent, MessageEvent._fields))


def _sound_message_event(event: MessageEvent) -> MessageEvent:
    """Return the event of a record. Raises BadRecord for numbers that cannot be."""
    if not 0 <= event.recipient_mark <= _MAX_MARK or not 0 <= event.bounce_class < 1000:
        raise BadRecord("number out of range")
    if not all(0 <= mark <= _MAX_MARK for _, mark in event.earlier):
        raise BadRecord("number out of range")
    if event.queue_time < -1 or event.num_retries < -1 or len(event.message_id) not in (0, 16):
        raise BadRecord("number out of range")
    return event


def _typed(values: list[object], sort: type[_Event], names: tuple[str, ...]) -> _Event:
    """Return the event of these values. names: the fields they are of.

    Raises BadRecord for values of other types, another number of them, or an id or time that cannot be.
    """
    if len(values) != len(names):
        raise BadRecord(f"{len(values)} values, not {len(names)}")
    try:
        # Without builtin_types it would take text for bytes, as base64.
        event = msgspec.convert(values, sort, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        place = re.search(r"\$\[(\d+)\]", str(error))
        raise BadRecord(f"{names[int(place[1])]}: {error}" if place else str(error)) from None
    if not is_event_id(event.id):
        raise BadRecord("the id is no UUID")
    if not 0 <= event.at_ms < _MAX_MS:
        raise BadRecord("time out of range")
    return event


def link_and_client(record: bytes) -> bytes | None:
    """Return bytes that name the link and the client's address in the record of a hit.

    Of IPv6 the first 64 bits of the address are in it. None for a record that is no hit as the tracker writes
    it, or stands for several already; and for one of a shared pixel without an address, as its readers could
    not be distinguished.
    """
    # 0xd9 0x24: text of 36 bytes; 0xcf: a number of 8, as times since 1970 are.
    if record[:5] not in _HIT_HEADS or record[_AT] != 0xCF:
        return None
    sort = record[_AFTER]  # the link's payload: binary of up to 255 bytes, or of more
    if sort == 0xC4:
        stop = _AFTER + 2 + record[_AFTER + 1]
    elif sort == 0xC5:
        stop = _AFTER + 3 + int.from_bytes(record[_AFTER + 1 : _AFTER + 3], "big")
    else:
        return None
    if record[stop] != 0xA0:  # a tenant
        return None
    length = record[stop + 1]
    if 0xA0 <= length <= 0xBF:  # text of up to 31 bytes
        start, end = stop + 2, stop + 2 + length - 0xA0
    elif length == 0xD9:  # longer, as most addresses of IPv6 are
        start, end = stop + 3, stop + 3 + record[stop + 2]
    else:
        return None
    if start == end and record.find(OF_NOBODY, _AFTER, stop) > 0:
        return None
    if record.find(b":", start, end) < 0:
        return record[_AFTER:end]
    return record[_AFTER:stop] + _network(record[start:end])


def _network(address: bytes) -> bytes:
    """Return the first 64 bits of an IPv6 address: a client with one such address has all that share them."""
    try:
        return IPv6Address(address.decode("ascii")).packed[:8]
    except ValueError:
        return address


def differ_in_time_alone(one: bytes, other: bytes) -> bool:
    """Return whether two records that have a `link_and_client` are equal in all but id and time."""
    return one[_AT - 1] == other[_AT - 1] and one[_AFTER:] == other[_AFTER:]


def time_in_record(record: bytes) -> bytes:
    """Return the time in a record that has a `link_and_client`: bytes, in the times' order."""
    return record[_AT:_AFTER]


def later(time: bytes, ms: int) -> bytes:
    """Return a time of `time_in_record` and so many milliseconds."""
    return time[:1] + (int.from_bytes(time[1:], "big") + ms).to_bytes(8, "big")


def moment(record: bytes) -> int:
    """Return the time (Unix milliseconds) of a record that has a `link_and_client`."""
    return int.from_bytes(record[_AT + 1 : _AFTER], "big")


def event_id(record: bytes) -> str:
    """Return the id of a record that has a `link_and_client`."""
    return record[5 : _AT - 1].decode("ascii")


def several(record: bytes, id: str, at_ms: int, hits: int) -> bytes:
    """Return the record that stands for a number of hits like this one.

    id, at_ms: of the last of them. Raises BadRecord for a record that is no hit, OverflowError for a number
    of more than 64 bits.
    """
    hit = decode(record)
    if not isinstance(hit, Hit):
        raise BadRecord("no hit")
    return encode(replace(hit, id=id, at_ms=at_ms, hits=hits))
