"""Finding one recipient's records in the spool, and erasing them from files that were set aside.

Not from segments: a recipient's records in one are shipped, and removed with the segment. Nobody ships files
that were set aside, so there the recipient's bytes are overwritten where they stand. Invariant: the bytes of
others stay as they are.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from engagement.domain_names import spellings
from engagement.events.record import BadRecord, decode
from engagement.events.rows import rows
from engagement.links.model import BadToken
from engagement.spool.format import HEADER, MAX_RECORD, scan
from engagement.spool.names import OPEN, READY, REPEATS
from engagement.spool.read import CORRUPT

_WORK = 64  # bytes whose checksum is computed for each byte passed, at most
# How a frame may begin behind damage: a length from 1 to about MAX_RECORD, a checksum, a MessagePack array,
# as each record is one (`engagement.events.record`).
_LIKELY = re.compile(rb"(?!\0{4})(?=..[\0-\x10]\0.{4}[\x90-\x9f\xdc])", re.DOTALL)


class RecipientTraces:
    """What the spool directory holds of one address, in any case and with its domain in each form."""

    def __init__(self, directory: Path, address: str) -> None:
        self._directory = directory
        self._addresses = spellings(address)
        self._repeats: set[str] = set()  # of what `segments` returned

    def segments(self) -> set[str]:
        """Return the names without ending of segments that hold anything of the recipient, shipped or not.

        Raises OSError for a segment that cannot be read.
        """
        found = {path for path in self._segments() if any(self._theirs(_read(path)))}
        self._repeats |= {path.stem for path in found if path.suffix == REPEATS}
        return {path.stem for path in found}

    def left(self, segments: set[str]) -> set[str]:
        """Return those of the segments that are still there.

        What was in a repeats file that is gone is in a segment now; then all segments are searched again.
        Raises OSError for a segment that cannot be read.
        """
        there = {path.stem for path in self._segments()}
        if moved := (segments & self._repeats) - there:
            self._repeats -= moved
            return self.segments()
        return segments & there

    def blank(self) -> int:
        """Overwrite the recipient's bytes in set-aside files with zeros; return the number of files changed.

        A file with nothing else in it is removed. Zeros are no record (`format`). Raises OSError for a file
        that cannot be read or written.
        """
        blanked = 0
        for path in self._files(self._directory / CORRUPT):
            data = bytearray(_read(path))
            theirs = list(self._theirs(bytes(data)))
            if not theirs:
                continue
            _overwrite(path, theirs)
            for start, stop in theirs:
                data[start:stop] = bytes(stop - start)
            if not any(data):
                path.unlink(missing_ok=True)
            blanked += 1
        return blanked

    def _segments(self) -> list[Path]:
        return [path for path in self._files(self._directory) if path.suffix in (OPEN, READY, REPEATS)]

    def _files(self, folder: Path) -> list[Path]:
        try:
            return sorted(path for path in folder.iterdir() if path.is_file())
        except FileNotFoundError:
            return []

    def _theirs(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Yield start and stop of the recipient's records, and of damage with the address in it."""
        if not self._is_in(data):
            return
        damage = 0
        for start, stop, record in _frames(data):
            if self._is_in(data[damage:start]):
                yield damage, start
            if self._is_of(record):
                yield start, stop
            damage = stop
        if self._is_in(data[damage:]):
            yield damage, len(data)

    def _is_of(self, record: bytes) -> bool:
        if not self._is_in(record):
            return False
        try:
            return any(row.recipient in self._addresses for row in rows(decode(record)))
        except (BadRecord, BadToken):
            return True

    def _is_in(self, data: bytes) -> bool:
        text = data.decode("utf-8", "replace").lower()
        return any(address in text for address in self._addresses)


def _frames(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield start, stop and record of each whole frame, also behind damage.

    Checksums are computed over at most `_WORK` times the data and two longest records, so the time is linear.
    Damage in which very much looks like lengths may hide a whole frame, which then counts as damage too.
    """
    position, seen, work = 0, 0, 2 * MAX_RECORD
    while position < len(data):
        work += (position - seen) * _WORK
        seen = position
        length = int.from_bytes(data[position : position + 4], "little")
        # At most half of what is left, so that one long attempt leaves enough for the short ones behind it.
        if length <= min(MAX_RECORD, len(data) - position - HEADER.size, work // 2):
            work -= length
            found = scan(data, position, 1)
            if found.records:
                ((record, stop),) = found.records
                yield position, stop, record
                position = stop
                continue
        likely = _LIKELY.search(data, position + 1)
        position = likely.start() if likely else len(data)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _overwrite(path: Path, places: list[tuple[int, int]]) -> None:
    """Overwrite these places with zeros, on the disk too.

    The file keeps its time: its retention goes by that.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        before = os.fstat(descriptor)
        for start, stop in places:
            os.pwrite(descriptor, bytes(stop - start), start)
        os.utime(descriptor, ns=(before.st_atime_ns, before.st_mtime_ns))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
