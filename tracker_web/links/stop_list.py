"""Reads the list of stopped links again when it changes, on a thread of its own.

The thread checks the file once a second, so that a request costs no check. Not what the list means
(`engagement.links.stops`).

Invariant: while the file is broken or missing its copy is in force, and without one what was read before.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engagement.links.stops import Stops, recovered

CHECK_EVERY: Final = 1.0  # seconds

_Stamp = tuple[int, int, int, int]


class StopListFollower:
    """The list as its file has it. One per process, made after fork.

    report: called once with the text of each trouble. first: a list that was read elsewhere, in force until
    the file was read here. every: seconds between two checks. stops: the list in force, None if nothing is
    stopped.
    """

    def __init__(
        self,
        path: Path,
        report: Callable[[str], None],
        first: Stops | None = None,
        *,
        every: float = CHECK_EVERY,
    ) -> None:
        self._path = path
        self._report = report
        self._every = every
        self._seen: _Stamp | None = None
        self._reported = ""
        self.stops: Stops | None = first or None  # None: nothing is stopped
        self.check()

    def start(self) -> "StopListFollower":
        """Start checking, until the process ends; return this object."""
        threading.Thread(target=self._run, name="stopped-links", daemon=True).start()
        return self

    def check(self) -> None:
        """Read the file if it has changed. Raises nothing."""
        stamp = self._stamp()
        if stamp is not None and stamp == self._seen:
            return
        stops, trouble = recovered(self._path)
        if stamp is None and not trouble and self.stops is not None:
            stops = None
            trouble = (
                f"{self._path}: the list of stopped links is gone, and its copy; what was stopped stays so "
                "until the tracker is started anew. Write it again with `smtpapi links`"
            )
        if stops is not None:
            self.stops = stops or None
        self._seen = None if trouble else stamp
        if trouble and trouble != self._reported:
            self._report(trouble)
        self._reported = trouble

    def _stamp(self) -> _Stamp | None:
        try:
            state = os.stat(self._path)
        except OSError:
            return None  # `recovered` reports it
        return state.st_mtime_ns, state.st_ctime_ns, state.st_ino, state.st_size

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(self._every)
            try:
                self.check()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next check must come
                self._report(f"{self._path}: {type(error).__name__}: {error}")
