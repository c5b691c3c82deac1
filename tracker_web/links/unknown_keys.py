"""Counts links whose key this host does not have; logged once a minute, and shown by `ship --status`.

Most often another host sealed them with a key that was not copied here. A guessing stranger looks the same,
so no answer depends on it. Nothing of a token but its key's id is stored.
"""

import json
import os
import time
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Final

from engagement.spool.names import UNKNOWN_KEYS

_REPEAT: Final = 60.0  # seconds between two lines in the log
_WRITE: Final = 1.0  # seconds between two writings of the file, whatever a stranger sends
_MOST_IDS: Final = 16  # counted each by itself; a stranger can name 65,535


class UnknownKeys:
    """Counts of one process.

    directory: the spool's. report: called with the counts so far, as text. counted: called for each.
    """

    def __init__(
        self,
        directory: Path,
        report: Callable[[str], None],
        counted: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._counted = counted
        self._file = directory / f"{UNKNOWN_KEYS}{os.getpid()}"
        self._report = report
        self._clock = clock
        self._lock = Lock()
        self._counts: Counter[int] = Counter()
        self._reported = self._written = float("-inf")

    def add(self, token: bytes) -> None:
        """Count one more token whose key is unknown. Raises nothing."""
        try:
            number = int.from_bytes(urlsafe_b64decode(token[:8])[2:4], "big")
        except ValueError:
            return
        self._counted()
        with self._lock:
            if number not in self._counts and len(self._counts) >= _MOST_IDS:
                number = 0  # the rest, together
            self._counts[number] += 1
            now = self._clock()
            write, report = now - self._written >= _WRITE, now - self._reported >= _REPEAT
            self._written = now if write else self._written
            self._reported = now if report else self._reported
            counts = dict(self._counts.most_common()) if write or report else {}
        if report:
            self._report(", ".join(f"{count} of key {each or 'others'}" for each, count in counts.items()))
        if write:
            self._write(counts)

    def _write(self, counts: dict[int, int]) -> None:
        try:
            self._file.parent.mkdir(mode=0o770, parents=True, exist_ok=True)
            self._file.write_text(json.dumps({str(each): count for each, count in counts.items()}))
        except OSError:
            return  # the log has the counts, too
