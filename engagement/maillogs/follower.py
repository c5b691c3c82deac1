"""From a log to the spool: the loop of `smtpapi follow`.

Each step reads some lines, makes their events safe in the spool, and only then makes the cursor and what was
learned durable, together. So whatever is killed when, a line is recorded at least once; and recorded
twice it is one event, as its id follows from it.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

from engagement.events.record import encode
from engagement.maillogs.facts import Line
from engagement.maillogs.files import LogFile
from engagement.maillogs.lines import parsed
from engagement.maillogs.memory import MemoryFileError, QueueMemory
from engagement.maillogs.outcomes import Outcomes
from engagement.spool.write import SpoolWriter

_log = logging.getLogger("engagement.maillogs")

IDLE_SECONDS: Final = 0.1  # from one look for new lines to the next, as the shipper looks for hits
FIRST_WAIT: Final = 0.5  # seconds after a failure; doubled each time
_UNKNOWN: Final = 100  # lines without a head at the beginning, after which that is said
LONGEST_WAIT: Final = 10.0  # seconds, so that a log that is back is read soon


class Source(Protocol):
    """A log that is followed. All but `close` raise OSError where it cannot be read."""

    def cursor(self) -> dict[str, object]:
        """Return where the next line begins."""

    def rewind(self, cursor: dict[str, object]) -> None:
        """Go back to a cursor."""

    def read(self) -> list[Line]:
        """Return the next lines, [] where there are none yet."""

    def close(self) -> None:
        """Close what is open."""


class FileLines:
    """A log file as a source of lines. now: returns Unix seconds."""

    def __init__(self, file: LogFile, now: Callable[[], float] = time.time) -> None:
        self._file = file
        self._now = now
        self._unknown = 0  # lines so far, none of which has a head; -1 once one has

    def cursor(self) -> dict[str, object]:
        """Return where the next line begins."""
        return self._file.cursor()

    def rewind(self, cursor: dict[str, object]) -> None:
        """Go back to a cursor."""
        self._file.rewind(cursor)

    def close(self) -> None:
        """Close what is open."""
        self._file.close()

    def read(self) -> list[Line]:
        """Return the next lines that have a head, [] where there are none yet. Raises OSError."""
        while raw := self._file.read():
            now_ms = int(self._now() * 1000)
            lines = [line for each in raw if (line := parsed(each, now_ms)) is not None]
            if lines:
                self._unknown = -1
                return lines
            self._count_unknown(len(raw))
        return []

    def _count_unknown(self, count: int) -> None:
        """Say once that a log may be of a form that is not known, or none of an MTA."""
        if self._unknown < 0:
            return
        self._unknown += count
        if self._unknown >= _UNKNOWN:
            _log.warning(
                "None of the first %d lines has a stamp that is known: is follow.log the MTA's, and of a "
                "form that docs/deliveries.md names?",
                self._unknown,
            )
            self._unknown = -1


class FollowError(Exception):
    """The spool takes nothing. The text says so."""


class Follower:
    """The loop over one log. name: of the log, under which its cursor is kept. now: returns Unix seconds."""

    def __init__(
        self,
        name: str,
        source: Source,
        memory: QueueMemory,
        outcomes: Outcomes,
        spool: SpoolWriter,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._name = name
        self._source = source
        self._memory = memory
        self._outcomes = outcomes
        self._spool = spool
        self._now = now
        self._committed = source.cursor()
        self.recorded = 0
        self.recorded_by_type: Counter[str] = Counter()
        self.lines = 0
        self.newest_ms = 0  # time of the last line
        self.blocked = False

    def step(self) -> int:
        """Record what the next lines say; return how many lines there were.

        Raises OSError where the log cannot be read, FollowError where the spool takes nothing, and
        MemoryFileError. Nothing is lost then: `rewind`, and the step is done again.
        """
        lines = self._source.read()
        if not lines:
            return 0
        events = [event for line in lines for event in self._outcomes.of(line)]
        for event in events:
            if not self._spool.append(encode(event), 0):
                raise FollowError("the spool takes no events")
        if events and not self._spool.make_safe():
            raise FollowError("the spool cannot be made safe")
        cursor = self._source.cursor()
        self._memory.commit(self._name, cursor, self._now())
        self._committed = cursor
        self.recorded += len(events)
        self.recorded_by_type.update(event.type for event in events)
        self.lines += len(lines)
        self.newest_ms = lines[-1].at_ms
        return len(lines)

    def rewind(self) -> None:
        """Go back to where the last step that succeeded ended."""
        self._memory.undo()
        self._source.rewind(self._committed)

    def run(self, stop: threading.Event, alive: Callable[[], None] = lambda: None) -> None:
        """Follow until stop is set. alive: called in each turn of the loop."""
        wait, trouble = FIRST_WAIT, ""
        while not stop.is_set():
            alive()
            try:
                read = self.step()
            except (OSError, FollowError, MemoryFileError) as error:
                if str(error) != trouble:
                    trouble = str(error)
                    _log.error("not following %s: %s", self._name, trouble)
                self.blocked = True
                self.rewind()
                stop.wait(wait)
                wait = min(wait * 2, LONGEST_WAIT)
                continue
            if trouble:
                _log.warning("following %s again", self._name)
            wait, trouble = FIRST_WAIT, ""
            self.blocked = False
            if not read:
                stop.wait(IDLE_SECONDS)

    def drain(self) -> None:
        """Record what is there. Raises as `step` does."""
        while self.step():
            pass
