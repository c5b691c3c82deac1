"""The bytes of a repeats file: how often one client asked for one link again. Pure: no files here (`fold`).

A repeats file is `MAGIC`, then slots back to back:

    frame       the record of the first repeat (`format`)
    36 bytes    state, twice, of which the one with more hits counts:
                  4 bytes   CRC-32 over the rest
                  8 bytes   number of hits, little endian
                  8 bytes   time of the last one, Unix milliseconds
                 16 bytes   id of the last one

A state is written over the older of the two, so that one write that a power cut tore spoils one hit at most.
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
    """What a slot tells: the record of so many hits, as it goes into a segment. start, stop: of the slot."""

    start: int
    stop: int
    hits: int
    record: bytes


def slot(record: bytes, id: str, at_ms: int) -> bytes:
    """Return a new slot: one hit so far. Raises ValueError for a record that is too long."""
    return frame(record) + state(1, id, at_ms) + bytes(_STATE_SIZE)


def state(hits: int, id: str, at_ms: int) -> bytes:
    """Return the state of a slot."""
    body = _STATE.pack(hits, at_ms, bytes.fromhex(id.replace("-", "")))
    return crc32(body).to_bytes(4, "little") + body


def place_of_state(record_size: int, hits: int) -> int:
    """Return where in its slot the state of so many hits stands."""
    return HEADER.size + record_size + (_STATE_SIZE if hits % 2 == 0 else 0)


def slots(data: bytes, start: int) -> Iterator[RepeatSlot]:
    """Yield what each slot from `start` on tells, until damage or the end of data: the same each time."""
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
            told = record if hits == 1 else several(record, str(UUID(bytes=id)), at_ms, hits)
        except BadRecord:
            return
        stop += 2 * _STATE_SIZE
        yield RepeatSlot(start, stop, hits, told)
        start = stop


def _read(data: bytes) -> tuple[int, int, bytes]:
    if len(data) != _STATE_SIZE or crc32(data[4:]) != int.from_bytes(data[:4], "little"):
        return 0, 0, b""
    hits, at_ms, id = _STATE.unpack_from(data, 4)
    return hits, at_ms, id
