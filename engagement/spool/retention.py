"""What the spool has kept longer than events are kept at all: unshipped segments, and what was set aside.

Not the ordinary end of a segment (`read.Reader.commit`). Invariants: a segment goes only when nobody writes
it and every record of it that waits is older than the age; nothing goes at the first look, so a clock that is
wrong for a while takes nothing away.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engagement.spool.read import CORRUPT, SpoolReader

GRACE: Final = 3000.0  # seconds between the first look at something too old and its end; less than an hour

_ASIDE = re.compile(r".+\.(?:record|rest|segment)(?:\.new)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class RemovedFiles:
    """set_aside: files of `corrupt/`. segments: that waited. records: whole ones in them, not shipped."""

    set_aside: int = 0
    segments: int = 0
    records: int = 0


class SpoolRetention:
    """Removes what is older than age (seconds). moment: tells when a record happened, None if it cannot.

    What cannot be read, or tells no time, is as old as its file was last written.
    """

    def __init__(self, directory: Path, age: float, moment: Callable[[bytes], float | None]) -> None:
        self._directory = directory
        self._age = age
        self._moment = moment
        self._seen: dict[Path, float] = {}  # too old: since when we know so

    def remove(self, reader: SpoolReader, now: float, tick: float) -> RemovedFiles:
        """Remove what is too old now (Unix seconds) and was so GRACE earlier by tick (monotonic seconds).

        Raises OSError; what went until then is gone.
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
        """Each segment that is too old, and how many records wait in it."""
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
    """When the file was last written, Unix seconds; never, if it is gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
