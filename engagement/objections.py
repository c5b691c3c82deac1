"""Who objected to being tracked: the operator's list, read again when it changes (docs/privacy.md).

Not what an objection means for a mail or an event: the caller decides that. The file has one address or
@domain a line, in any letter case; `#` begins a comment.

Invariants: a line that is neither is reported and the other lines count all the same; a list that was read
once stays in force while its file cannot be read.
"""

import fcntl
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from engagement.domain_names import ascii_domain

_RECHECK = 1.0  # seconds between two checks whether the file has changed
_DOMAIN = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[a-z0-9.:-]+\]")
# In no recipient: brackets around one, controls, and what came along unseen when it was copied.
_ODD = re.compile(r"[<>\s\x00-\x1f\x7f-\x9f\u200b\ufeff]")


class ObjectionsError(ValueError):
    """The list, or a line of it, cannot be used; the text says where and what to do."""


@dataclass(frozen=True, slots=True)
class Objections:
    """The list as it was read.

    addresses, domains: in lower case, domains in ASCII and without the @. strange: one message for each line
    that has no effect.
    """

    addresses: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    strange: tuple[str, ...] = ()

    def hold(self, recipient: str) -> bool:
        """Return whether this recipient, or all of their domain, objected."""
        local, sign, domain = recipient.lower().rpartition("@")
        domain = ascii_domain(domain)
        return local + sign + domain in self.addresses or (sign != "" and domain in self.domains)


def parse(text: str, name: str) -> Objections:
    """Read a list from its text. name: of the file, for the messages in `strange`."""
    addresses, domains, strange = set(), set(), []
    for number, line in enumerate(text.splitlines(), 1):
        subject = line.partition("#")[0].strip().lower()
        if not subject:
            continue
        local, sign, written = subject.rpartition("@")
        domain = ascii_domain(written)
        if not sign or _ODD.search(subject) or not _DOMAIN.fullmatch(domain):
            # Not the line itself: it may hold somebody's address.
            strange.append(f"{name}:{number}: neither an address nor @domain; the line has no effect")
        elif local:
            addresses.add(f"{local}@{domain}")
        else:
            domains.add(domain)
    return Objections(frozenset(addresses), frozenset(domains), tuple(strange))


def load(path: Path) -> Objections:
    """Read the list from its file. Raises ObjectionsError when the file cannot be read."""
    try:
        text = path.read_text("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise ObjectionsError(
            f"{path}: {error.strerror}; make it, empty if nobody objected, or correct privacy.objections"
        ) from None
    return parse(text, str(path))


def add(path: Path, recipients: Iterable[str]) -> int:
    """Add addresses to the list, durably; return how many were new.

    Raises ObjectionsError for a file that cannot be read or written, ValueError for what is no address.
    """
    known, lines = load(path), list[str]()
    for recipient in dict.fromkeys(each.lower() for each in recipients):
        read = parse(recipient, str(path))
        if len(read.addresses) != 1 or read.strange or "\n" in recipient:
            raise ValueError("no address")
        lines += [recipient] if not read.addresses <= known.addresses else []
    extend(path, lines)
    return len(lines)


def extend(path: Path, subjects: Iterable[str]) -> None:
    """Add lines, durably: addresses and @domains that are not there. Raises ObjectionsError."""
    lines = list(subjects)
    try:
        with _locked(path) as file:
            file.seek(0, os.SEEK_END)
            if file.tell():
                file.seek(-1, os.SEEK_END)
                lines = lines if file.read(1) == b"\n" or not lines else ["", *lines]
            file.write("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ObjectionsError(f"{path}: {error.strerror}: this program must be able to write it") from None


def begin(path: Path) -> None:
    """Make an empty list where there is none. Raises ObjectionsError."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640))
    except OSError as error:
        raise ObjectionsError(f"{path}: {error.strerror}") from None


def remove(path: Path, subjects: Collection[str]) -> None:
    """Take addresses and @domains out of the list; its other lines stay. Raises ObjectionsError.

    For those that were taken out by hand on another host of a cluster.
    """
    try:
        with _locked(path) as file:
            remaining = [line for line in file.read().splitlines(keepends=True) if not _names(line, subjects)]
            beside = path.with_name(f".{path.name}.new")
            with beside.open("wb") as new:
                _make_like(new.fileno(), os.fstat(file.fileno()))
                new.write(b"".join(remaining))
                new.flush()
                os.fsync(new.fileno())
            os.replace(beside, path)
    except OSError as error:
        raise ObjectionsError(f"{path}: {error.strerror}: this program must be able to write it") from None


def _make_like(descriptor: int, old: os.stat_result) -> None:
    """Give a file the owner, group and mode of the one it replaces. Raises OSError.

    Where its group may write to it, as the packages have it, it is no matter who of them owns it.
    """
    new = os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        try:
            os.fchown(descriptor, old.st_uid, old.st_gid)
        except PermissionError:
            if old.st_gid != new.st_gid or not old.st_mode & stat.S_IWGRP:
                raise
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _names(line: bytes, subjects: Collection[str]) -> bool:
    found = parse(line.decode("utf-8-sig", "surrogateescape"), "")
    return any(each in subjects for each in (*found.addresses, *(f"@{domain}" for domain in found.domains)))


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Open the list for change, alone. Raises OSError."""
    while True:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            mine = os.fstat(file.fileno())
            now = os.stat(path)
            if (mine.st_dev, mine.st_ino) == (now.st_dev, now.st_ino):  # else it was replaced meanwhile
                yield file
                return


class ObjectionsFile:
    """The list as its file has it, checked once a second; safe to share between threads.

    report: called once with the text of each trouble. first: a list that was read elsewhere; it is in force
    until the file could be read here. The constructor raises nothing.
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
        self._reported: tuple[str, ...] = ()
        self._due = float("-inf")

    def current(self) -> Objections:
        """Return the list in force.

        Raises ObjectionsError while no list was ever read, as nobody knows who is in it.
        """
        if self._clock() >= self._due and self._lock.acquire(blocking=False):
            try:
                self._due = self._clock() + _RECHECK
                self._check_file()
            finally:
                self._lock.release()
        if self._list is None:
            raise ObjectionsError(f"{self._path}: the list of objections was never read")
        return self._list

    def _check_file(self) -> None:
        try:
            state = os.stat(self._path)
            stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
        except OSError:
            stamp = None  # `load` reports it
        if stamp is not None and stamp == self._seen:
            return
        try:
            self._list = load(self._path)
            self._seen = stamp
            self._report_new(self._list.strange)
        except ObjectionsError as error:
            self._seen = None
            self._report_new((str(error),))

    def _report_new(self, troubles: tuple[str, ...]) -> None:
        for trouble in troubles:
            if trouble not in self._reported:
                self._report(trouble)
        self._reported = troubles
