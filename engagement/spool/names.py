"""What a spool's writers and its reader share: endings of file names, durable file operations."""

import errno
import fcntl
import json
import os
from pathlib import Path
from typing import Final

OPEN: Final = ".open"  # being written; its writer holds an exclusive flock
READY: Final = ".ready"  # complete
FRESH: Final = ".fresh"  # being made: not locked yet, so not to be read
REPEATS: Final = ".repeats"  # hits counted together (`repeats`); its writer holds an exclusive flock

UNKNOWN_KEYS = "unknown-keys."  # and a process id: counts of links whose key a tracker lacks


def unknown_keys(directory: Path) -> dict[str, int]:
    """Return how many links of unknown keys this spool's trackers have seen, by key id ("0": others)."""
    found: dict[str, int] = {}
    for path in sorted(directory.glob(f"{UNKNOWN_KEYS}*")):
        try:
            counts = json.loads(path.read_text())
            for key, count in counts.items():
                found[key] = found.get(key, 0) + int(count)
        except (OSError, ValueError, AttributeError, TypeError):
            continue  # only information, and the next write replaces it
    return found


def directory_size(directory: Path) -> int:
    """Return the size of all segments in the directory, in bytes. Raises OSError if it cannot be listed."""
    total = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith((OPEN, READY, REPEATS)):
                try:
                    total += entry.stat().st_size
                except FileNotFoundError:  # shipped at this moment
                    continue
    return total


def room(directory: Path, share: int) -> int:
    """Return a share (percent) of the directory's file system, in bytes. The directory need not exist yet.

    Raises OSError if the file system cannot be measured.
    """
    there = next((path for path in (directory, *directory.parents) if path.exists()), directory)
    found = os.statvfs(there)
    return found.f_blocks * found.f_frsize * share // 100


def begun(directory: Path, name: str, ending: str, head: bytes) -> int:
    """Make a file that begins with head, and return its descriptor, with an exclusive lock.

    The file is locked before it gets its final name: a reader takes an unlocked file for one whose process
    died, and would remove it. Raises OSError if it cannot be made; nothing is left then.
    """
    fresh, final = directory / (name + FRESH), directory / (name + ending)
    descriptor = -1
    try:
        directory.mkdir(mode=0o770, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | (os.O_APPEND if ending == OPEN else 0)
        descriptor = os.open(fresh, flags, 0o640)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.write(descriptor, head) != len(head):
            raise OSError(errno.ENOSPC, "no room for the first bytes", str(fresh))
        os.rename(fresh, final)
    except OSError:
        if descriptor >= 0:
            os.close(descriptor)
        for leftover in (fresh, final):
            _unlink(leftover)
        raise
    return descriptor


def _unlink(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        return


def sync_directory(directory: Path) -> None:
    """Put names made or changed in the directory on the disk. Raises OSError if that fails."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_durably(path: Path, data: bytes) -> None:
    """Replace the file at path by one with this content; after a power cut it is the old one or the new one.

    Raises OSError if it cannot be written; no half file is left then.
    """
    temporary = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
        sync_directory(path.parent)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
