"""The reading end of the spool: one reader follows the segments of any number of writers in one directory.

Not what is done with the records (`engagement.shipper`). Open segments are read as they grow, so an event is
seen at once. A segment that is gone is no error. A repeats file (`repeats`) is put into a segment by its
writer; it is read here, as a whole, only when that writer is gone.

Invariants: every record is read at least once. `commit` puts the positions on the disk and only then removes
segments, so a reader that dies at any moment reads some records twice. Damage costs only what is damaged:
whole records before it are read, and the rest is moved to `corrupt/` for a person to examine.
"""

import errno
import fcntl
import json
import logging
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msgspec import Struct

from engagement.spool import repeats
from engagement.spool.format import HEADER, MAGIC, MAX_RECORD, ScanEnd, frame, is_newer, magic_end, scan
from engagement.spool.names import FRESH, READY, REPEATS, replace_durably

_log = logging.getLogger("engagement.spool")

CURSOR: Final = "cursor.json"
CURSOR_VERSION: Final = 1
CORRUPT: Final = "corrupt"
BUDGET: Final = 1024 * 1024  # bytes of one `read`: 3,000 to 7,000 events, a store's transaction of 0.2 s

_NAME = re.compile(
    r"(?P<stem>[^-]+-[0-9]+-(?P<start>[0-9]+)-(?P<number>[0-9]+))\.(?:open|ready|repeats)", re.ASCII
)
_FRESH_SECONDS = 60.0  # making a segment takes milliseconds; the process that made an older one died
_COMPLAIN_EVERY = 60.0  # seconds between two lines about the same trouble
_NEWER = "a newer program wrote it; use the newer program"


class SpoolEntry(Struct, frozen=True, gc=False):
    """One record, and where it stood. segment: name without its ending. start: offset of its frame."""

    record: bytes
    segment: str
    start: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits behind the committed positions. size: bytes. firsts: each segment's first waiting record."""

    size: int
    records: int
    segments: int
    firsts: tuple[bytes, ...]


@dataclass(slots=True)
class _Segment:
    """path as listed. position: of the next frame. stuck: damage begins there. done: nothing will follow."""

    stem: str
    path: Path
    position: int = 0
    stuck: bool = False
    done: bool = False


class SpoolReader:
    """The reader of one spool directory.

    There must be one at a time; its caller holds the lock for that. set_aside_count: files put into
    `corrupt/`. trouble: the last segment that could not be read, and why.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._committed = positions(directory)
        self._written = dict(self._committed)
        self._segments: dict[str, _Segment] = {}
        self._was_listed = False  # before, the cursor is all that is known of the segments
        self._complained = float("-inf")
        self.set_aside_count = 0
        self.trouble = ""
        self._tidy()

    def read(self, budget: int = BUDGET) -> tuple[SpoolEntry, ...]:
        """Return the next records, about budget bytes of them; none if there is nothing new.

        A directory that is not there yet is empty. Raises OSError if the directory cannot be listed.
        """
        entries: list[SpoolEntry] = []
        for segment in self._listed():
            if budget <= 0:
                break
            if segment.done:
                continue
            before = segment.position
            try:
                entries += self._read(segment, budget)
            except FileNotFoundError:  # renamed or removed at this moment: the next listing shows which
                continue
            except OSError as error:
                segment.position = before  # what was read of it is not in entries
                self._complain(segment, str(error.strerror))
            budget -= segment.position - before
        return tuple(entries)

    def commit(self) -> None:
        """Save that all records read are done, then remove the segments that are done with.

        Raises OSError if the positions cannot be saved or a segment cannot be removed; nothing is lost then.
        """
        if not self._was_listed:
            return
        positions = {stem: segment.position for stem, segment in self._segments.items() if segment.position}
        done = [segment for segment in self._segments.values() if segment.done]
        try:
            if positions != self._written:
                _save(self._directory / CURSOR, positions)
                self._written = positions
            self._committed = positions
        except OSError:
            # On a full disk room must be made first. What is done is in the store, durably. A cursor that
            # still names a segment that is gone costs nothing.
            for segment in done:
                self._remove(segment)
            raise
        for segment in done:
            self._remove(segment)

    def has_done(self) -> bool:
        """Return whether `commit` would remove a segment."""
        return any(segment.done for segment in self._segments.values())

    def rewind(self) -> None:
        """Go back to the last commit: what was read since will be read again."""
        for stem, segment in self._segments.items():
            segment.position = self._committed.get(stem, 0)
            segment.done = segment.stuck = False

    def set_aside(self, entry: SpoolEntry, why: str) -> None:
        """Write a whole record that nobody can use, with its frame, to `corrupt/`.

        why: for the log. Raises OSError if it cannot be written.
        """
        name = f"{entry.segment}.{entry.start}.record"
        self._write_aside(name, frame(entry.record))
        self._report(name, why)

    def backlog(self) -> Backlog:
        """Return how much waits. It reads all of it, so it is for a person's question, not for every second.

        Raises OSError if the directory cannot be listed.
        """
        size = records = segments = 0
        firsts = []
        for segment in self._listed():
            position = self._committed.get(segment.stem, 0)
            first = None
            try:
                for entry in _entries(segment.path, segment.stem, position):
                    first = first or entry.record
                    records += 1
                size += max(0, segment.path.stat().st_size - max(position, len(MAGIC)))
            except OSError:
                continue
            if first is not None:
                firsts.append(first)
                segments += 1
        return Backlog(size, records, segments, tuple(firsts))

    def finished(self) -> list[Path]:
        """Return the segments that nobody writes any more, oldest first.

        Raises OSError if the directory cannot be listed.
        """
        return [segment.path for segment in self._listed() if _is_finished(segment.path)]

    def waiting_in(self, path: Path) -> Iterator[SpoolEntry]:
        """Yield the whole records of a segment that are not committed.

        Raises OSError if it cannot be read.
        """
        return _entries(path, path.stem, self._committed.get(path.stem, 0))

    def _listed(self) -> list[_Segment]:
        """Return the segments there are, oldest first, with what is known of them."""
        found: dict[str, tuple[int, int, Path]] = {}
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            names = []
        for name in names:
            match = _NAME.fullmatch(name)
            if match:
                found[match["stem"]] = (int(match["start"]), int(match["number"]), self._directory / name)
        self._segments = {
            stem: self._segments.get(stem) or _Segment(stem, path, self._committed.get(stem, 0))
            for stem, (_, _, path) in sorted(found.items(), key=lambda item: item[1])
        }
        for stem, segment in self._segments.items():
            segment.path = found[stem][2]
        self._was_listed = True
        return list(self._segments.values())

    def _read(self, segment: _Segment, budget: int) -> list[SpoolEntry]:
        descriptor = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # Asked first: what the writer wrote last is then in the file.
            finished = segment.path.suffix == READY or _writer_is_gone(descriptor)
            if segment.path.suffix == REPEATS:
                return self._read_repeats(segment, descriptor) if finished else []
            if is_newer(os.pread(descriptor, len(MAGIC), 0), MAGIC):
                raise OSError(errno.EPROTONOSUPPORT, _NEWER)
            entries: list[SpoolEntry] = []
            while True:
                size = os.fstat(descriptor).st_size - segment.position
                if size <= 0 or budget <= 0:
                    segment.done = finished and size <= 0
                    return entries
                data = os.pread(
                    descriptor, min(size, max(budget, HEADER.size + MAX_RECORD)), segment.position
                )
                start = 0
                end = magic_end(data) if segment.position == 0 else ScanEnd.WHOLE
                if end is ScanEnd.WHOLE:
                    start = len(MAGIC) if segment.position == 0 else 0
                    found = scan(data, start)
                    stem, base = segment.stem, segment.position - HEADER.size
                    entries += [
                        SpoolEntry(record, stem, base + stop - len(record)) for record, stop in found.records
                    ]
                    segment.position += found.stop
                    budget -= found.stop
                    end = found.end
                if end is ScanEnd.CORRUPT or (end is ScanEnd.TORN and len(data) == size):
                    # A live writer may be in the middle of a write: wait for the rest, or for its end.
                    segment.stuck = segment.done = finished
                    return entries
        finally:
            os.close(descriptor)

    def _read_repeats(self, segment: _Segment, descriptor: int) -> list[SpoolEntry]:
        if os.fstat(descriptor).st_nlink == 0:  # its writer put it into a segment at this moment
            return []
        size = os.fstat(descriptor).st_size
        data = os.pread(descriptor, size, 0)
        if is_newer(data, repeats.MAGIC):
            raise OSError(errno.EPROTONOSUPPORT, _NEWER)
        slots = list(repeats.slots(data, max(segment.position, len(repeats.MAGIC))))
        segment.position = slots[-1].stop if slots else max(segment.position, len(repeats.MAGIC))
        segment.done = True
        segment.stuck = segment.position < size
        return [SpoolEntry(each.record, segment.stem, each.start) for each in slots]

    def _remove(self, segment: _Segment) -> None:
        if segment.stuck:
            self._set_rest_aside(segment)
        else:
            segment.path.unlink(missing_ok=True)
        self._segments.pop(segment.stem, None)

    def _set_rest_aside(self, segment: _Segment) -> None:
        try:
            with segment.path.open("rb") as file:
                file.seek(segment.position)
                rest = file.read()
        except FileNotFoundError:
            return
        name = f"{segment.stem}.{segment.position}.rest"
        if rest:
            try:
                self._write_aside(name, rest)
            except OSError:  # no room to copy the rest: moving the whole segment needs none
                segment.path.rename(self._directory / CORRUPT / f"{segment.stem}.{segment.position}.segment")
                self._report(name, "damaged")
                return
            self._report(name, f"{len(rest)} bytes that are no whole record")
        segment.path.unlink(missing_ok=True)

    def _write_aside(self, name: str, data: bytes) -> None:
        folder = self._directory / CORRUPT
        folder.mkdir(mode=0o770, exist_ok=True)
        replace_durably(folder / name, data)

    def _report(self, name: str, why: str) -> None:
        self.set_aside_count += 1
        _log.error("spool %s: set aside as %s/%s: %s", self._directory, CORRUPT, name, why)

    def _complain(self, segment: _Segment, why: str) -> None:
        self.trouble = f"{segment.path}: {why}"
        now = time.monotonic()
        if now - self._complained >= _COMPLAIN_EVERY:
            self._complained = now
            _log.error(
                "spool: %s cannot be read: %s. It stays where it is, and is tried again.", segment.path, why
            )

    def _tidy(self) -> None:
        """Remove files of writers that died while they made a segment: there is no record in them."""
        if not self._directory.is_dir():
            return
        for path in self._directory.glob("*" + FRESH):
            try:
                if time.time() - path.stat().st_mtime > _FRESH_SECONDS:
                    path.unlink()
            except OSError:
                continue


def _entries(path: Path, stem: str, position: int) -> Iterator[SpoolEntry]:
    """Yield the whole records of a segment from position on."""
    with path.open("rb") as file:
        if path.suffix == REPEATS:
            data = file.read()
            if not is_newer(data, repeats.MAGIC):
                for slot in repeats.slots(data, max(position, len(repeats.MAGIC))):
                    yield SpoolEntry(slot.record, stem, slot.start)
            return
        head = file.read(len(MAGIC))
        if is_newer(head, MAGIC) or (position == 0 and head != MAGIC):
            return
        position = max(position, len(MAGIC))
        file.seek(position)
        rest = b""
        while chunk := file.read(BUDGET):
            found = scan(rest + chunk)
            for record, stop in found.records:
                yield SpoolEntry(record, stem, position + stop - len(record) - HEADER.size)
            position += found.stop
            rest = (rest + chunk)[found.stop :]
            if found.end is ScanEnd.CORRUPT:
                return


def _is_finished(path: Path) -> bool:
    if path.suffix == READY:
        return True
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # renamed at this moment, or not readable for us: whether it is written is not known
        return False
    try:
        return _writer_is_gone(descriptor)
    finally:
        os.close(descriptor)


def _writer_is_gone(descriptor: int) -> bool:
    """Return whether nobody holds the lock on a segment. Its writer does as long as it lives."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def stem_of(name: str) -> str | None:
    """Return the name without its ending of a file that holds records; None for another file."""
    match = _NAME.fullmatch(name)
    return match["stem"] if match else None


def positions(directory: Path) -> dict[str, int]:
    """Return how far each segment of a directory was read and committed, in bytes, by name without ending."""
    path = directory / CURSOR
    try:
        content = json.loads(path.read_bytes())
        if (version := content.get("version", CURSOR_VERSION)) != CURSOR_VERSION:
            raise ValueError(f"its version is {version!r:.20}, this program knows {CURSOR_VERSION}")
        values = content["positions"]
        return {str(stem): position for stem, position in values.items() if type(position) is int}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        # Reading again from the start is safe: events are known by their ids.
        _log.error("spool: %s is not usable (%s); every segment is read from its start.", path, error)
        return {}


def _save(path: Path, positions: dict[str, int]) -> None:
    replace_durably(path, json.dumps({"version": CURSOR_VERSION, "positions": positions}).encode())
