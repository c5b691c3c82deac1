"""Carries kept copies from the spool's folder to the registry, and ends them: beside the shipper.

A copy ends when it is over, when its recipient is erased (`erasures.carrying` asks for that) or is found on
the list of objections.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engagement.extras import NotInstalledError
from engagement.html_copies.book import CopyBook
from engagement.html_copies.folder import CopyFolder
from engagement.objections import Objections, ObjectionsError, ObjectionsFile
from engagement.registry.port import Registry, RegistryError

_log = logging.getLogger("engagement.shipper")

STEP_SECONDS: Final = 10.0  # from one look for new copies to the next; nobody waits for a map
ENDING_SECONDS: Final = 600.0  # from one look for copies that are over to the next
_NOBODY: Final = Objections()


class CopyCarrier:
    """The copies of one spool and one registry.

    registry: opens it, at the first need and after a failure. objections: the operator's list, None for none.
    clock: returns seconds that only grow. now: returns Unix seconds. keeps: whether any scope keeps copies.
    Where none does, the registry is looked at once, for copies of an earlier configuration, and again only
    while there are any or a file waits.
    """

    def __init__(
        self,
        registry: Callable[[], Registry],
        directory: Path,
        objections: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        *,
        keeps: bool = True,
    ) -> None:
        self._open = registry
        self._keeps = keeps
        self._none_left = False  # no copy is in the registry, and none will come
        self._folder = CopyFolder(directory)
        self._listed = ObjectionsFile(objections, _log.error, clock) if objections else None
        self._clock = clock
        self._now = now
        self._book: CopyBook | None = None
        self._next = self._ends = float("-inf")
        self._objected: Objections | None = None  # the list by which copies were looked through last
        self._failed = False

    def turn(self, *, now: bool = False) -> int:
        """Do what can be done now, at most every `STEP_SECONDS`; return how many copies were taken over.

        What fails is logged once and tried again at the next turn. now: without waiting.
        """
        if not now and self._clock() < self._next:
            return 0
        self._next = self._clock() + STEP_SECONDS
        try:
            taken = self._step()
        except (RegistryError, OSError, NotInstalledError) as error:
            self._book = None
            if self._keeps or self._waits():
                if not self._failed:
                    _log.error("copies of mail for the click map wait: %s", error)
                self._failed = True
            return 0
        self._failed = False
        return taken

    def _step(self) -> int:
        objected = self._objections()
        self._end(objected)
        taken = 0
        now_ms = int(self._now() * 1000)
        for path, copy in self._folder.copies():
            if objected is None:
                break  # nobody knows who objected: what waits, waits on
            if copy is not None and copy.until_ms > now_ms and not objected.hold(copy.recipient):
                self._none_left = False
                taken += self._registry().add(copy, now_ms)
            path.unlink(missing_ok=True)
        return taken

    def _end(self, objected: Objections | None) -> None:
        """Remove what is over, every few minutes, and what is of readers who have objected, at once."""
        due = self._clock() >= self._ends
        if self._none_left or (not due and objected == self._objected):
            return
        now_ms = int(self._now() * 1000)
        book = self._registry()
        hold = (objected or _NOBODY).hold
        gone = book.remove_where(lambda copy: copy.until_ms <= now_ms or hold(copy.recipient))
        if gone:
            book.registry.scrub()
        self._objected = objected
        self._ends = self._clock() + ENDING_SECONDS
        if not self._keeps and book.is_empty():
            self._none_left = True
            book.registry.close()
            self._book = None

    def _waits(self) -> bool:
        """Return whether a copy is on its way."""
        try:
            return any(copy is not None for _, copy in self._folder.copies())
        except OSError:
            return True

    def _objections(self) -> Objections | None:
        """Return the list in force, None while nobody knows who is in it."""
        if self._listed is None:
            return _NOBODY
        try:
            return self._listed.current()
        except ObjectionsError:
            return None

    def _registry(self) -> CopyBook:
        if self._book is None:
            self._book = CopyBook(self._open())
        return self._book
