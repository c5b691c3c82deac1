"""The snapshot's file: written in one step, followed by the filter while others replace it.

What cannot be read never stops mail: the table that was read last stays in force, and before there was one
nobody is suppressed (docs/suppression.md, "When the copy is missing"). Each trouble is reported once.
"""

import mmap
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engagement.spool.names import replace_durably
from engagement.suppression.snapshot import EMPTY, SnapshotError, Table, decoded

RECHECK: Final = 1.0  # seconds between two looks whether the file was replaced


def write(path: Path, snapshot: bytes) -> None:
    """Replace the file in one step, so that a reader sees the one or the other. Raises OSError."""
    path.parent.mkdir(mode=0o770, parents=True, exist_ok=True)
    # Readable by the group, as the filter may run as another user of it.
    replace_durably(path, snapshot)


def load(path: Path) -> Table:
    """Return the table in a file, mapped into memory. Raises OSError, SnapshotError."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise SnapshotError("it is empty")
        # The mapping lives as long as the table's views of it, also when the file was replaced meanwhile.
        return decoded(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))


class SnapshotFile:
    """The table as the file has it, followed by a thread of its own, so that no mail waits for it.

    report: called with each trouble once. `current` may be called before `start`, and from any thread.
    """

    def __init__(self, path: Path, report: Callable[[str], None], recheck: float = RECHECK) -> None:
        self._path = path
        self._report = report
        self._recheck = recheck
        self._table = EMPTY
        self._seen: tuple[int, int, int] | None = None
        self._reported = ""
        self._stop = threading.Event()
        self.check()

    def start(self) -> None:
        """Begin to follow the file, in this process."""
        threading.Thread(target=self._follow, name="suppression", daemon=True).start()

    def close(self) -> None:
        """Follow the file no more."""
        self._stop.set()

    def current(self) -> Table:
        """Return the table in force."""
        return self._table

    def check(self) -> None:
        """Read the file if it is another one than the last time. Raises nothing."""
        try:
            state = os.stat(self._path)
            stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
            if stamp == self._seen:
                return
            self._seen = stamp  # also where it cannot be read: not again before it is replaced
            self._table = load(self._path)
            self._reported = ""
        except FileNotFoundError:
            self._seen = None
            self._trouble("there is no such file; does `smtpapi ship` run on this host?")
        except (OSError, SnapshotError, ValueError) as error:
            self._trouble(str(getattr(error, "strerror", None) or error))

    def _follow(self) -> None:
        while not self._stop.wait(self._recheck):
            self.check()

    def _trouble(self, text: str) -> None:
        if text == self._reported:
            return
        self._reported = text
        held = (
            "the list as it was read before stays in force"
            if self._table is not EMPTY
            else "nobody is suppressed until it is there"
        )
        self._report(f"suppression list {self._path}: {text} Mail goes on; {held}.")
