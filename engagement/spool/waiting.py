"""How much waits in a spool, found at little cost: for a program that asks every few seconds.

Sizes come from the directory and the reader's cursor, and no more than the first waiting record of each
segment is read. `read.SpoolReader.backlog` counts the records themselves. Repeats that are still being
counted (`repeats`) do not wait.
"""

import os
from pathlib import Path
from typing import Final, NamedTuple

from engagement.events.record import BadRecord, decode
from engagement.spool.format import HEADER, MAGIC, MAX_RECORD, scan
from engagement.spool.names import REPEATS
from engagement.spool.read import positions, stem_of

_ENOUGH: Final = 4096  # octets; nearly every record is shorter
_DAY_MS: Final = 86_400_000


class Waiting(NamedTuple):
    """What waits.

    size: octets. oldest_ms: when the oldest of it happened, Unix milliseconds; None where nothing waits.
    """

    size: int
    segments: int
    oldest_ms: int | None


def waiting(directory: Path) -> Waiting:
    """Return what waits in a spool's directory, nothing where it is not there.

    Raises OSError where it cannot be listed.
    """
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return Waiting(0, 0, None)
    committed = positions(directory)
    size = 0
    moments = []
    for name in names:
        stem = stem_of(name)
        if stem is None or name.endswith(REPEATS):
            continue
        position = max(committed.get(stem, 0), len(MAGIC))
        try:
            with (directory / name).open("rb") as file:
                there = os.fstat(file.fileno())
                if there.st_size <= position:
                    continue
                at_ms = _first(file.fileno(), position)
        except OSError:  # renamed or removed at this moment
            continue
        size += there.st_size - position
        moments.append(int(there.st_mtime * 1000) if at_ms is None else at_ms)
    return Waiting(size, len(moments), min(moments, default=None))


def _first(descriptor: int, position: int) -> int | None:
    """Return when the record there happened; None where it has a day alone (mode "hygiene") or is damaged."""
    for much in (_ENOUGH, HEADER.size + MAX_RECORD):
        found = scan(os.pread(descriptor, much, position), limit=1)
        if found.records:
            try:
                at_ms = decode(found.records[0][0]).at_ms
            except BadRecord:
                return None
            return at_ms if at_ms % _DAY_MS else None
    return None
