"""Who objected to being tracked: the operator's list, followed while it changes (docs/privacy.md).

Not what an objection means for a mail or an event: who asks decides. One address or @domain a line, `#`
before a remark, in any letter case.

Invariants: a line that is neither is told and costs no other line; a list that was read once stays in force
while its file cannot be read.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_RECHECK = 1.0  # seconds between two looks at the file


class ObjectionsError(ValueError):
    """The list, or a line of it, cannot be used; the text says where and what to do."""


@dataclass(frozen=True, slots=True)
class Objections:
    """The list. addresses, domains: lower case, domains without the @. strange: what is wrong with it."""

    addresses: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    strange: tuple[str, ...] = ()

    def hold(self, recipient: str) -> bool:
        """Whether this recipient, or all of their domain, objected."""
        address = recipient.lower()
        _, sign, domain = address.rpartition("@")
        return address in self.addresses or (sign != "" and domain in self.domains)


def parse(text: str, name: str) -> Objections:
    """Read a list; name stands for its file in `strange`."""
    addresses, domains, strange = set(), set(), []
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.partition("#")[0].strip().lower()
        local, sign, domain = entry.rpartition("@")
        if not entry:
            continue
        if not sign or not domain or any(character.isspace() for character in entry):
            # Not the line itself: it may hold somebody's address.
            strange.append(f"{name}:{number}: neither an address nor @domain; the line has no effect")
        elif local:
            addresses.add(entry)
        else:
            domains.add(domain)
    return Objections(frozenset(addresses), frozenset(domains), tuple(strange))


def load(path: Path) -> Objections:
    """Read the file. Raises ObjectionsError when there is none to read."""
    try:
        text = path.read_text("utf-8", "surrogateescape")
    except OSError as error:
        raise ObjectionsError(
            f"{path}: {error.strerror}; make it, empty if nobody objected, or correct privacy.objections"
        ) from None
    return parse(text, str(path))


class ObjectionsFile:
    """The list as the file has it, looked at once a second; safe to share between threads.

    report: hears of each trouble once. first: a list read elsewhere, which holds until the file could be
    read here. Nothing is raised here: `current` raises ObjectionsError for as long as there is neither, since
    nobody knows who is in it.
    """

    def __init__(
        self,
        path: Path,
        report: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        first: Objections | None = None,
    ) -> None:
        self._path = path
        self._report = report
        self._clock = clock
        self._lock = threading.Lock()
        self._list = first
        self._seen: tuple[int, int, int] | None = None
        self._told: tuple[str, ...] = ()
        self._due = float("-inf")

    def current(self) -> Objections:
        """Return the list to go by now."""
        if self._clock() >= self._due and self._lock.acquire(blocking=False):
            try:
                self._due = self._clock() + _RECHECK
                self._look()
            finally:
                self._lock.release()
        if self._list is None:
            raise ObjectionsError(f"{self._path}: the list of objections was never read")
        return self._list

    def _look(self) -> None:
        try:
            state = os.stat(self._path)
            stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
        except OSError:
            stamp = None  # `load` says it in words
        if stamp is not None and stamp == self._seen:
            return
        try:
            self._list = load(self._path)
            self._seen = stamp
            self._tell(self._list.strange)
        except ObjectionsError as error:
            self._seen = None
            self._tell((str(error),))

    def _tell(self, troubles: tuple[str, ...]) -> None:
        for trouble in troubles:
            if trouble not in self._told:
                self._report(trouble)
        self._told = troubles
