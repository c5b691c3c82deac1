"""The bytes of a repeats file: how often one client asked for one link again. Pure: no files here (`fold`).

A repeats file is `MAGIC`, then slots back to back:

    frame       the record of the first repeat (`format`)
    36 bytes    state, twice; the one with more hits counts:
                  4 bytes   CRC-32 over the rest
                  8 bytes   number of hits, little endian
                  8 bytes   time of the last one, Unix milliseconds
                 16 bytes   id of the last one

A new state is written over the older of the two, so a write that a power cut tears loses one hit at most.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID
from zlib import crc32

from engagement.events.record import BadRecord, several
from engagement.spool.format import HEADER, frame, scan

MAGIC: Final = b"smtprpt1"
_STATE: Final = struct.Struct("<QQ16s")
_STATE_SIZE: Final = 4 + _STATE.size


@dataclass(frozen=True, slots=True)
class RepeatSlot:
    """What a slot holds. hits: their number. record: of that many hits, as it goes into a segment.

    start, stop: offsets of the slot in its file.
    """

    start: int
    stop: int
    hits: int
    record: bytes


def slot(record: bytes, id: str, at_ms: int) -> bytes:
    """Return a new slot, of one hit so far. Raises ValueError for a record of more than MAX_RECORD bytes."""
    return frame(record) + state(1, id, at_ms) + bytes(_STATE_SIZE)


def state(hits: int, id: str, at_ms: int) -> bytes:
    """Return the state of a slot. id, at_ms: of its last hit.

    Raises ValueError for an id not in hexadecimal.
    """
    body = _STATE.pack(hits, at_ms, bytes.fromhex(id.replace("-", "")))
    return crc32(body).to_bytes(4, "little") + body


def place_of_state(record_size: int, hits: int) -> int:
    """Return the offset in its slot of the state for this number of hits."""
    return HEADER.size + record_size + (_STATE_SIZE if hits % 2 == 0 else 0)


def slots(data: bytes, start: int) -> Iterator[RepeatSlot]:
    """Yield what each slot from start on holds, until damage or the end of data. Equal data, equal result."""
    while True:
        found = scan(data, start, 1)
        if not found.records:
            return
        ((record, stop),) = found.records
        states = (
            _read(data[stop : stop + _STATE_SIZE]),
            _read(data[stop + _STATE_SIZE : stop + 2 * _STATE_SIZE]),
        )
        hits, at_ms, id = max(states)
        if not hits:
            return
        try:
            counted = record if hits == 1 else several(record, str(UUID(bytes=id)), at_ms, hits)
        except BadRecord:
            return
        stop += 2 * _STATE_SIZE
        yield RepeatSlot(start, stop, hits, counted)
        start = stop


def _read(data: bytes) -> tuple[int, int, bytes]:
    if len(data) != _STATE_SIZE or crc32(data[4:]) != int.from_bytes(data[:4], "little"):
        return 0, 0, b""
    hits, at_ms, id = _STATE.unpack_from(data, 4)
    return hits, at_ms, id
