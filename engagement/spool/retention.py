"""Removing what the spool holds longer than events are kept: unshipped segments, and set-aside files.

Not the ordinary end of a segment (`read.SpoolReader.commit`). Invariants: a segment is removed only when
nobody writes it and every record of it that waits is older than the age. Nothing is removed at the first
check, so a clock that is wrong for a while removes nothing.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engagement.spool.read import CORRUPT, SpoolReader

GRACE: Final = 3000.0  # seconds from finding something too old to removing it; below the hour between checks

_ASIDE = re.compile(r".+\.(?:record|rest|segment)(?:\.new)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class RemovedFiles:
    """Numbers of what was removed. set_aside: files of `corrupt/`. records: unshipped, in segments."""

    set_aside: int = 0
    segments: int = 0
    records: int = 0


class SpoolRetention:
    """Removes what is older than an age.

    age: seconds. moment: returns the Unix seconds of a record's event, None for what is no event. What cannot
    be read or has no time is as old as its file's last change.
    """

    def __init__(self, directory: Path, age: float, moment: Callable[[bytes], float | None]) -> None:
        self._directory = directory
        self._age = age
        self._moment = moment
        self._seen: dict[Path, float] = {}  # too old: monotonic seconds since when that is known

    def remove(self, reader: SpoolReader, now: float, tick: float) -> RemovedFiles:
        """Remove what is too old now and was so GRACE seconds earlier; return how much.

        now: Unix seconds. tick: monotonic seconds. Raises OSError if something cannot be listed or removed;
        what was removed before is gone.
        """
        limit = now - self._age
        old = {path: -1 for path in self._set_aside(limit)}
        old |= dict(self._segments(reader, limit))
        self._seen = {path: self._seen.get(path, tick) for path in old}
        set_aside = segments = records = 0
        for path, waiting in old.items():
            if tick - self._seen[path] < GRACE:
                continue
            path.unlink(missing_ok=True)
            if waiting < 0:
                set_aside += 1
            else:
                segments += 1
                records += waiting
        return RemovedFiles(set_aside, segments, records)

    def _set_aside(self, limit: float) -> Iterator[Path]:
        folder = self._directory / CORRUPT
        for name in os.listdir(folder) if folder.is_dir() else ():
            path = folder / name
            if _ASIDE.fullmatch(name) and _written(path) < limit:
                yield path

    def _segments(self, reader: SpoolReader, limit: float) -> Iterator[tuple[Path, int]]:
        """Yield each segment that is too old, and how many records wait in it."""
        for path in reader.finished():
            if _written(path) >= limit:
                continue
            waiting = 0
            try:
                for entry in reader.waiting_in(path):
                    at = self._moment(entry.record)
                    if at is not None and at >= limit:
                        break
                    waiting += 1
                else:
                    yield path, waiting
            except OSError:
                yield path, waiting


def _written(path: Path) -> float:
    """Return when the file was last written, Unix seconds; infinity if it is gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
