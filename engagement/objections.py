"""Who objected to being tracked: the operator's list, followed while it changes (docs/privacy.md).

Not what an objection means for a mail or an event: who asks decides. One address or @domain a line, `#`
before a remark, in any letter case.

Invariants: a line that is neither is told and costs no other line; a list that was read once stays in force
while its file cannot be read.
"""

import os
import re
import threading
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_RECHECK = 1.0  # seconds between two looks at the file
_DOTS = re.compile("[.\u3002\uff0e\uff61]")  # what stands for a dot in a domain
_DOMAIN = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[a-z0-9.:-]+\]")
# In no recipient: brackets around one, controls, and what came along unseen when it was copied.
_ODD = re.compile(r"[<>\s\x00-\x1f\x7f-\x9f\u200b\ufeff]")


class ObjectionsError(ValueError):
    """The list, or a line of it, cannot be used; the text says where and what to do."""


@dataclass(frozen=True, slots=True)
class Objections:
    """The list. strange: what is wrong with it.

    addresses, domains: in lower case, domains in ASCII and without the @.
    """

    addresses: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    strange: tuple[str, ...] = ()

    def hold(self, recipient: str) -> bool:
        """Whether this recipient, or all of their domain, objected."""
        local, sign, domain = recipient.lower().rpartition("@")
        domain = _ascii(domain)
        return local + sign + domain in self.addresses or (sign != "" and domain in self.domains)


def _ascii(domain: str) -> str:
    """Return a domain, in lower case, as the DNS has it (IDNA 2008).

    Without its checks: what is no domain comes out as something that is none.
    """
    if not domain.isascii():
        labels = _DOTS.split(unicodedata.normalize("NFKC", domain).lower())
        domain = ".".join(
            label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")
            for label in labels
        )
    return domain.removesuffix(".")


def parse(text: str, name: str) -> Objections:
    """Read a list; name stands for its file in `strange`."""
    addresses, domains, strange = set(), set(), []
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.partition("#")[0].strip().lower()
        if not entry:
            continue
        local, sign, written = entry.rpartition("@")
        domain = _ascii(written)
        if not sign or _ODD.search(entry) or not _DOMAIN.fullmatch(domain):
            # Not the line itself: it may hold somebody's address.
            strange.append(f"{name}:{number}: neither an address nor @domain; the line has no effect")
        elif local:
            addresses.add(f"{local}@{domain}")
        else:
            domains.add(domain)
    return Objections(frozenset(addresses), frozenset(domains), tuple(strange))


def load(path: Path) -> Objections:
    """Read the file. Raises ObjectionsError when there is none to read."""
    try:
        text = path.read_text("utf-8-sig", "surrogateescape")
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
