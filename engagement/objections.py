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
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, NamedTuple

from engagement.domain_names import ascii_domain

_RECHECK = 1.0  # seconds between two checks whether the file has changed
_DOMAIN = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[a-z0-9.:-]+\]")
# In no recipient: brackets around one, controls, and what came along unseen when it was copied.
_ODD = re.compile(r"[<>\s\x00-\x1f\x7f-\x9f\u200b\ufeff]")


class ObjectionsError(ValueError):
    """The list, or a line of it, cannot be used; the text says where and what to do."""


class Content(NamedTuple):
    """What a list was read from. stamp: of the file. size: bytes. lines: of them. digest: of them all."""

    stamp: tuple[int, int, int]
    size: int
    lines: int
    digest: bytes

    def begins(self, content: bytes) -> bool:
        """Return whether other content begins with this one, and a new line behind it."""
        size = self.size
        if not 0 < size <= len(content) or content[size - 1 : size] != b"\n":
            return False
        return _digest(memoryview(content)[:size]) == self.digest


@dataclass(frozen=True, slots=True)
class Objections:
    """The list as it was read.

    addresses, domains: in lower case, domains in ASCII and without the @. strange: one message for each line
    that has no effect. content: what it was read from, None for none.
    """

    addresses: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    strange: tuple[str, ...] = ()
    content: Content | None = field(default=None, compare=False)

    def hold(self, recipient: str) -> bool:
        """Return whether this recipient, or all of their domain, objected."""
        local, sign, domain = recipient.lower().rpartition("@")
        domain = ascii_domain(domain)
        return local + sign + domain in self.addresses or (sign != "" and domain in self.domains)


def parse(text: str, name: str) -> Objections:
    """Read a list from its text. name: of the file, for the messages in `strange`."""
    return _parse(text.splitlines(), name, 1)


def _parse(lines: list[str], name: str, first: int) -> Objections:
    addresses, domains, strange = set(), set(), []
    for number, line in enumerate(lines, first):
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


def load(path: Path, known: Objections | None = None) -> Objections:
    """Read the list from its file. Raises ObjectionsError when the file cannot be read.

    known: as it was read before. If lines were only added since, as this program does it, those alone are
    parsed: in a list of three million addresses that takes half a second instead of five.
    """
    try:
        with path.open("rb") as file:
            stamp, content = _stamp(os.fstat(file.fileno())), file.read()
    except OSError as error:
        raise ObjectionsError(
            f"{path}: {error.strerror}; make it, empty if nobody objected, or correct privacy.objections"
        ) from None
    size, before = len(content), known.content if known else None
    if known is None or before is None or not before.begins(content):
        known, before = Objections(), Content(stamp, 0, 0, b"")
    # What an editor puts at the start is no part of the first line, and of no other.
    encoding = "utf-8" if before.size else "utf-8-sig"
    lines = content[before.size :].decode(encoding, "surrogateescape").splitlines()
    added = _parse(lines, str(path), before.lines + 1)
    return Objections(
        known.addresses | added.addresses,
        known.domains | added.domains,
        known.strange + added.strange,
        Content(stamp, size, before.lines + len(lines), _digest(content)),
    )


def _stamp(state: os.stat_result) -> tuple[int, int, int]:
    return state.st_mtime_ns, state.st_size, state.st_ino


def _digest(content: bytes | memoryview) -> bytes:
    return blake2b(content, digest_size=16).digest()


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
        self._seen = first.content.stamp if first is not None and first.content is not None else None
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
            if self._list and self._seen is not None and _stamp(os.stat(self._path)) == self._seen:
                self._report_new(self._list.strange)  # of a list that was handed over
                return
        except OSError:
            pass  # `load` reports it
        try:
            self._list = load(self._path, self._list)
            self._seen = self._list.content.stamp if self._list.content else None
            self._report_new(self._list.strange)
        except ObjectionsError as error:
            self._seen = None
            self._report_new((str(error),))

    def _report_new(self, troubles: tuple[str, ...]) -> None:
        if troubles != self._reported:
            before = set(self._reported)
            for trouble in troubles:
                if trouble not in before:
                    self._report(trouble)
            self._reported = troubles
