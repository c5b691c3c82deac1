"""Follows a log file over its rotations.

Where it was left is known by the offset and a hash of the first bytes, which a new name, a compression or a
copy do not change, and by the file's number (inode) while nothing was read. When another file has the name,
or this one was emptied, the rest is looked for among the files beside it whose names begin the same
(`mail.log.1`, `mail.log-20261129.gz`), then those that came after it are read, then the one with the name.
A compressed one that is damaged is read as far as that goes, and reported.

Invariants: a line is given once it has its end, in the order of the log. What was rotated away and removed
while nobody followed is reported, not guessed.
"""

import bz2
import gzip
import hashlib
import logging
import lzma
import os
import re
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

_log = logging.getLogger("engagement.maillogs")

PORTION: Final = 256 * 1024  # bytes that are read in one step, which bounds its memory and its commit
_HEAD: Final = 512  # bytes at the beginning by which a file is known: a few lines, each with its time
_LONGEST: Final = 1024 * 1024  # a line without an end is given up after so many bytes
_OPENERS: Final[dict[str, Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_UNREADABLE: Final = (OSError, EOFError, zlib.error, lzma.LZMAError)


class FilePlace(NamedTuple):
    """Where a file was left. offset: bytes that were read. head: how many first bytes digest is of."""

    inode: int = 0
    offset: int = 0
    head: int = 0
    digest: str = ""


class _Open:
    """A file that is read: at `place`, and `rest` behind it was read without being given yet.

    live: somebody may still write to it.
    """

    def __init__(self, path: Path, offset: int, *, live: bool) -> None:
        opener = None if live else _OPENERS.get(path.suffix)
        self.live = live
        self.rest = b""
        self._path = path
        self._packed = opener is not None
        self._ended = False  # at a damage
        self._file: Any = opener(path) if opener else path.open("rb")
        inode = os.stat(path).st_ino if opener else os.fstat(self._file.fileno()).st_ino
        head = b""
        try:
            head = self._file.read(min(offset, _HEAD))
            self._file.seek(offset)
        except _UNREADABLE as error:
            self._end_at(error)
        self.place = FilePlace(inode, offset, len(head), _digest(head))
        self._beginning = head

    def more(self) -> bool:
        """Read on; return whether there was something."""
        data = self._unpacked() if self._packed else self._file.read(PORTION)
        self.rest += data
        return bool(data)

    def _unpacked(self) -> bytes:
        """Return the next portion of a compressed file; of a damaged one what is before the damage."""
        data = b""
        try:
            while not self._ended and len(data) < PORTION and (piece := self._file.read1(PORTION)):
                data += piece
        except _UNREADABLE as error:
            self._end_at(error)
        return data

    def _end_at(self, error: Exception) -> None:
        """End a compressed file where it is damaged. Raises other errors: the system's have a number."""
        if not self._packed or (isinstance(error, OSError) and error.errno):
            raise error
        self._ended = True
        _report_damage(self._path, _inode(self._path), str(error))

    def lines(self) -> list[bytes]:
        """Return the whole lines of `rest`; of a file that is complete also a last one without its end."""
        end = self.rest.rfind(b"\n") + 1
        if end == 0 and (not self.live or len(self.rest) > _LONGEST):
            end = len(self.rest)
        given, self.rest = self.rest[:end], self.rest[end:]
        if given:
            if len(self._beginning) < _HEAD:
                self._beginning = (self._beginning + given)[:_HEAD]
            offset = self.place.offset + end
            self.place = FilePlace(self.place.inode, offset, len(self._beginning), _digest(self._beginning))
        return given.removesuffix(b"\n").split(b"\n") if given else []

    def was_emptied(self) -> bool:
        """Return whether the file was emptied, and perhaps written to again, since it was read."""
        head = os.pread(self._file.fileno(), self.place.head, 0)
        return head != self._beginning[: self.place.head] or (
            os.fstat(self._file.fileno()).st_size < self.place.offset + len(self.rest)
        )

    def modified(self) -> float:
        """Return when it was written to last, Unix seconds."""
        return os.fstat(self._file.fileno()).st_mtime

    def close(self) -> None:
        """Close it."""
        self._file.close()


@lru_cache(maxsize=64)
def _report_damage(path: Path, _inode: int, error: str) -> None:
    """Report a damaged file, once: while there is no newer one it is opened again and again."""
    _log.warning("%s is damaged and read no further: %s", path, error)


class LogFile:
    """A log file that is followed.

    path: its name. cursor: what `cursor` returned, {} for never: then from the beginning.
    """

    def __init__(self, path: Path, cursor: dict[str, object]) -> None:
        self._path = path
        self._open: _Open | None = None
        self._place = _place_of(cursor)

    def cursor(self) -> dict[str, object]:
        """Return where the next line begins."""
        place = self._open.place if self._open else self._place
        return dict(place._asdict()) if place else {}

    def rewind(self, cursor: dict[str, object]) -> None:
        """Go back to a cursor."""
        self.close()
        self._place = _place_of(cursor)

    def close(self) -> None:
        """Close what is open."""
        if self._open is not None:
            self._place = self._open.place
            self._open.close()
        self._open = None

    def read(self) -> list[bytes]:
        """Return the next lines, [] where there are none yet. Raises OSError."""
        while True:
            if self._open is None and not self._resume():
                return []
            current = self._open
            assert current is not None
            if current.live and current.was_emptied():
                _log.warning("%s was emptied in its place", self._path)
                self.close()
                continue
            if not current.more() and current.live and not self._was_renamed(current):
                return []
            if lines := current.lines():
                return lines
            if not current.live and not current.rest and not current.more():
                self._go_on()
                if self._open is None:
                    return []

    def _was_renamed(self, current: _Open) -> bool:
        """Return whether another file has the name and is written to; then the present one is complete."""
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return False
        # An empty one was just made, and the writer does not know yet.
        if there.st_ino == current.place.inode or there.st_size == 0:
            return False
        current.live = False
        current.more()  # what came between the last look and the new file
        return True

    def _go_on(self) -> None:
        """Close the complete file, and go on with the one that was written to after it.

        It is looked for once more when it was opened: a rotation between the two gives names to other files.
        """
        assert self._open is not None
        done, since = self._open.place, self._open.modified()
        self._open.close()
        self._open, self._place = None, done
        while self._open is None:
            path = self._after(done, since)
            try:
                found = _Open(path or self._path, 0, live=path is None)
            except FileNotFoundError:
                if path is None:
                    return  # the writer has not made a new one: the complete one is the newest
                continue
            if self._after(done, since) == path and found.place.inode == _inode(path or self._path):
                self._open, self._place = found, None
            else:
                found.close()

    def _after(self, done: FilePlace, since: float) -> Path | None:
        """Return the rotated file that was written to after a complete one, None if there is none.

        since: when the complete one was written to last, Unix seconds, by which the next is known where it is
        gone.
        """
        beside = self._beside()
        places = [number for number, (path, _) in enumerate(beside) if _is_in(done, path, live=False)]
        if places:
            later = [path for path, _ in beside[places[-1] + 1 :]]
        else:
            later = [path for path, at in beside if at > since]
        return later[0] if later else None

    def _resume(self) -> bool:
        """Open the file that the place is in, or the one with the name; return whether there is one."""
        place = self._place
        if place is not None and not _is_in(place, self._path, live=True):
            beside = self._beside()
            for path, _ in beside:
                if _is_in(place, path, live=False):
                    # The newest is still written to until the writer makes a file with the name.
                    live = path == beside[-1][0] and path.suffix not in _OPENERS and not self._is_written()
                    self._open = _Open(path, place.offset, live=live)
                    return True
            if not self._path.exists():
                return False
            if place.offset:
                _log.warning("%s: the file that was read last is gone; read from its beginning", self._path)
            place = None
        try:
            self._open = _Open(self._path, place.offset if place else 0, live=True)
        except FileNotFoundError:
            return False
        return True

    def _is_written(self) -> bool:
        try:
            return self._path.stat().st_size > 0
        except FileNotFoundError:
            return False

    def _beside(self) -> list[tuple[Path, float]]:
        """Return what the log was rotated to and when each was written last, oldest first."""
        found = []
        for path in self._path.parent.glob(f"{_literal(self._path.name)}[.-]*"):
            try:
                if path.is_file() and not (path.suffix in _OPENERS and path.with_suffix("").exists()):
                    found.append((path, path.stat().st_mtime))
            except OSError:
                continue
        return sorted(found, key=lambda each: (each[1], _age(each[0].name)))


def _age(name: str) -> tuple[int, str]:
    """Return what orders files of one moment: numbers grow with age (`mail.log.2`), dates do not."""
    number = re.search(r"\.(\d{1,5})(?:\.|\Z)", name)
    return (-int(number[1]), "") if number else (0, name)


def _inode(path: Path) -> int:
    """Return a file's number, 0 where there is none."""
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0


def _literal(name: str) -> str:
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in name)


def _digest(head: bytes) -> str:
    return hashlib.blake2b(head, digest_size=16).hexdigest()


def _is_in(place: FilePlace, path: Path, *, live: bool) -> bool:
    """Return whether a file is the one that was left at the place."""
    opener = None if live else _OPENERS.get(path.suffix)
    try:
        if place.head == 0:
            return os.stat(path).st_ino == place.inode
        with opener(path) if opener else path.open("rb") as file:
            if _digest(file.read(place.head)) != place.digest:
                return False
            return opener is not None or os.stat(path).st_size >= place.offset
    except _UNREADABLE:
        return False


def _place_of(cursor: dict[str, object]) -> FilePlace | None:
    try:
        inode, offset, head = (int(str(cursor[name])) for name in ("inode", "offset", "head"))
    except (KeyError, ValueError):
        return None
    if not (0 <= offset < 1 << 63 and 0 <= head <= _HEAD):
        return None
    return FilePlace(inode, offset, head, str(cursor.get("digest", "")))
