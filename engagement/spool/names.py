"""What a spool's writers and its reader agree on besides the format: endings of names, durable steps."""

import json
import os
from pathlib import Path
from typing import Final

OPEN: Final = ".open"  # being written; its writer holds an exclusive flock
READY: Final = ".ready"  # complete
FRESH: Final = ".fresh"  # being made: not locked yet, so not to be looked at


UNKNOWN_KEYS = "unknown-keys."  # and a process id: what trackers tell of links whose key they lack


def unknown_keys(directory: Path) -> dict[str, int]:
    """Return how many links of each unknown key trackers on this spool have seen, by key id ("0": others)."""
    found: dict[str, int] = {}
    for path in sorted(directory.glob(f"{UNKNOWN_KEYS}*")):
        try:
            counts = json.loads(path.read_text())
            for key, count in counts.items():
                found[key] = found.get(key, 0) + int(count)
        except (OSError, ValueError, AttributeError, TypeError):
            continue  # news only, and the next writing mends it
    return found


def directory_size(directory: Path) -> int:
    """Return the bytes of all segments in the directory. Raises OSError."""
    total = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith((OPEN, READY)):
                try:
                    total += entry.stat().st_size
                except FileNotFoundError:  # shipped in this moment
                    continue
    return total


def sync_directory(directory: Path) -> None:
    """See that names made or changed in the directory survive a power cut. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_durably(path: Path, data: bytes) -> None:
    """Put a file with this content in the place of path: after a power cut the old one or the new.

    Raises OSError, having left no half file.
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
