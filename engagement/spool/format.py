"""The bytes of a spool segment. Not its files (`write`, `read`): pure functions over bytes.

A segment is `MAGIC`, then frames back to back:

    4 bytes  length of the record, little endian
    4 bytes  CRC-32 over those four bytes and the record
    n bytes  the record

The checksum covers the length too, so that a stretch of zeros, which a power cut may leave, is no frame.
"""

import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from zlib import crc32

MAGIC: Final = b"smtpspl1"
HEADER: Final = struct.Struct("<II")
# A record holds one request or one message's labels: a few hundred bytes, at most what headers of 64 kB and
# metadata allow. A longer length is damage.
MAX_RECORD: Final = 1 << 20


class ScanEnd(StrEnum):
    """How the scanned bytes end."""

    WHOLE = "whole"  # behind the last byte of a frame
    TORN = "torn"  # within a frame: its writer has not finished it, or died
    CORRUPT = "corrupt"  # before bytes that are no frame


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a scan found.

    records: each with the offset just behind its frame. stop: where the last whole frame ends. end: what is
    there.
    """

    records: tuple[tuple[bytes, int], ...]
    stop: int
    end: ScanEnd


def frame(record: bytes) -> bytes:
    """Return the record with its length and checksum. Raises ValueError for more than MAX_RECORD bytes."""
    if len(record) > MAX_RECORD:
        raise ValueError(f"a record of {len(record)} bytes: at most {MAX_RECORD} can be kept")
    size = len(record)
    return HEADER.pack(size, crc32(record, crc32(size.to_bytes(4, "little")))) + record


def scan(data: bytes, start: int = 0, limit: int | None = None) -> ScanResult:
    """Return the whole frames of data from start on, at most limit of them.

    data: may begin anywhere in a segment. start: offset of a frame's first byte. All offsets are in data.
    `MAGIC` is not expected (`magic_end`).
    """
    records: list[tuple[bytes, int]] = []
    position, size, head = start, len(data), HEADER.size
    unpack = HEADER.unpack_from
    while position < size and (limit is None or len(records) < limit):
        if size - position < head:
            return ScanResult(tuple(records), position, ScanEnd.TORN)
        length, checksum = unpack(data, position)
        if length > MAX_RECORD:
            return ScanResult(tuple(records), position, ScanEnd.CORRUPT)
        stop = position + head + length
        if stop > size:
            return ScanResult(tuple(records), position, ScanEnd.TORN)
        record = data[position + head : stop]
        if crc32(record, crc32(data[position : position + 4])) != checksum:
            return ScanResult(tuple(records), position, ScanEnd.CORRUPT)
        records.append((record, stop))
        position = stop
    return ScanResult(tuple(records), position, ScanEnd.WHOLE)


def magic_end(data: bytes) -> ScanEnd:
    """Return how a segment begins: WHOLE for `MAGIC`, TORN for a part of it, CORRUPT for other bytes."""
    if data.startswith(MAGIC):
        return ScanEnd.WHOLE
    return ScanEnd.TORN if MAGIC.startswith(data) else ScanEnd.CORRUPT


def is_newer(data: bytes, magic: bytes) -> bool:
    """Return whether data begins like a file of a later version: as magic does, but for a higher digit."""
    end = len(magic) - 1
    return data[:end] == magic[:end] and magic[end:] < data[end : end + 1] <= b"9"
