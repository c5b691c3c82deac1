"""The lock that allows one shipper for each spool: an flock on a file in the spool's directory.

The system releases it when its holder dies.
"""

import fcntl
import os
import threading
import time
from pathlib import Path
from typing import Final

FILE: Final = "shipper.lock"
_POLL_SECONDS = 0.5  # between two tries of a shipper that stands by: it takes over within a second
_TRIES = 4  # of one `take`, with
_TRY_SECONDS = 0.02  # between them: `is_held` has the lock for a moment only


class ShipperLock:
    """The right to ship from one spool directory. Raises OSError if the directory cannot be used."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o770, parents=True, exist_ok=True)
        self._directory = directory
        self._descriptor = os.open(directory / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def was_lost(self) -> bool:
        """Return whether the locked file was removed; if so, make it and take the lock again.

        Raises OSError if the directory or the file cannot be made again.
        """
        ours = os.fstat(self._descriptor)
        try:
            there = os.stat(self._directory / FILE)
        except FileNotFoundError:
            there = None
        if there is not None and (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
            return False
        self._directory.mkdir(mode=0o770, parents=True, exist_ok=True)
        fresh = os.open(self._directory / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        os.dup2(fresh, self._descriptor, inheritable=False)
        os.close(fresh)
        self.take()
        return True

    def take(self) -> bool:
        """Take the lock if it is free; return whether it is ours.

        It tries for longer than `is_held` holds the lock. Raises OSError if the file cannot be written.
        """
        for _ in range(_TRIES):
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(_TRY_SECONDS)
        else:
            return False
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        return True

    def wait(self, stop: threading.Event) -> bool:
        """Wait until the lock is ours or stop is set; return whether it is ours.

        Raises OSError if the file cannot be written.
        """
        while not stop.is_set():
            if self.take():
                return True
            stop.wait(_POLL_SECONDS)
        return False

    def holder(self) -> str:
        """Return the process id of the holder as text, "" if it has not written it."""
        return os.pread(self._descriptor, 20, 0).decode("ascii", "replace").strip()

    def release(self) -> None:
        """Release the lock. It cannot be taken again."""
        os.close(self._descriptor)


def is_held(directory: Path) -> bool:
    """Return whether a shipper runs on the directory. Nothing is changed there."""
    try:
        descriptor = os.open(directory / FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
