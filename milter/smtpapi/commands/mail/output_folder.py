"""A folder for many files whose names come from elsewhere: nothing is written outside of it.

Invariants: no symbolic link below it is followed; a file is there whole or not at all.
"""

import os
from contextlib import suppress
from pathlib import Path, PurePosixPath

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_below(folder: Path, name: str, data: bytes) -> None:
    """Write a file below the folder, which is made where it is missing.

    name: relative, with "/" between its parts. Raises OSError, and ValueError for a name that leads outside.
    """
    parts = PurePosixPath(name).parts
    if not parts or parts[0] == "/" or ".." in parts:
        raise ValueError(f"no name for a file below a folder: {name!r}")
    *above, last = parts
    folder.mkdir(parents=True, exist_ok=True)
    place = os.open(folder, _FOLDER)
    try:
        for part in above:
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=place)
            inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=place)
            os.close(place)
            place = inner
        _put(place, last, data)
    finally:
        os.close(place)


def _put(place: int, name: str, data: bytes) -> None:
    """Write under another name first, then take the place: of a symbolic link, not of what it leads to."""
    new = f".{os.getpid()}.new"
    try:
        with os.fdopen(os.open(new, _NEW, 0o666, dir_fd=place), "wb") as file:
            file.write(data)
        os.rename(new, name, src_dir_fd=place, dst_dir_fd=place)
    except BaseException:
        with suppress(OSError):
            os.unlink(new, dir_fd=place)
        raise
