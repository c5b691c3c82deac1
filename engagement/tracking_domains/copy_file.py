"""The copy's file: written in one step, and read again when it was replaced.

What cannot be read costs no mail and no link: what was read last stays in force, and before there was
anything the configuration's domains count. Each trouble is reported once.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engagement.spool.names import replace_durably
from engagement.tracking_domains.model import NONE, CopyError, EnteredDomains, decoded

RECHECK: Final = 1.0  # seconds between two looks whether the file was replaced
_MAX_SIZE: Final = 1 << 24  # bytes: 100,000 domains


def write(path: Path, copy: bytes) -> None:
    """Replace the file in one step. Raises OSError."""
    path.parent.mkdir(mode=0o770, parents=True, exist_ok=True)
    # Readable by the group, as filter and tracker may run as other users of it.
    replace_durably(path, copy)


class CopyFile:
    """The domains as the file has them; safe to share between threads, and over a fork.

    report: called with each trouble once. clock: returns seconds that only grow.
    """

    def __init__(
        self, path: Path, report: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._report = report
        self._clock = clock
        self._due = 0.0
        self._seen: tuple[int, int, int] | None = None
        self._reported = ""
        self._domains = NONE

    def current(self) -> EnteredDomains:
        """Return the domains in force. The file is looked at once a second at most. Raises nothing."""
        now = self._clock()
        if now >= self._due:
            self._due = now + RECHECK
            self._check()
        return self._domains

    def _check(self) -> None:
        try:
            state = os.stat(self._path)
            stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
            if stamp == self._seen:
                return
            self._seen = stamp  # also where it cannot be read: not again before it is replaced
            with self._path.open("rb") as file:
                domains = decoded(file.read(_MAX_SIZE))
            if domains != self._domains:
                self._domains = domains
            self._reported = ""
        except FileNotFoundError:
            self._seen = None
            self._trouble("there is no such file; does `smtpapi ship` run on this host?")
        except (OSError, CopyError) as error:
            self._trouble(str(getattr(error, "strerror", None) or error))

    def _trouble(self, text: str) -> None:
        if text != self._reported:
            self._reported = text
            held = "what was read before" if self._domains is not NONE else "the configuration alone"
            self._report(f"tracking domains {self._path}: {text} Links go on; {held} counts.")
