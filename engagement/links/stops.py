"""Links that the operator stopped or pointed elsewhere: a list file that `smtpapi links` writes.

Not how the tracker follows its changes (`tracker_web.links.stop_list`), nor what a reader is shown. A list is
one file, replaced as a whole, so a program that reads it has the old list or the new one.

Beside the list lies a copy of it (`.last`), which is written first: when the list is lost or damaged, links
that were stopped must stay stopped. Invariants: a list that cannot be read is reported, and never taken for
an empty one. A link is pointed only to a target that could have been sealed.
"""

import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from engagement.links.model import BadToken, Kind
from engagement.links.payload import message_of, transmission_of, unpack
from engagement.links.urls import refusal

VERSION: Final = 1
_SORTS: Final = ("messages", "transmissions", "campaigns", "targets")
_MODE: Final = 0o640
_MAX_SIZE: Final = 1 << 26  # bytes, as it is read whole: half a million targets of 100 characters


class StopsError(ValueError):
    """The list cannot be used. The text says where the fault is and what to do."""


@dataclass(frozen=True, slots=True)
class Stops:
    """What is stopped, each with the sender's name to show ("": the configured one), and what is redirected.

    messages: hex, one recipient's copy each. transmissions: decimal, all copies of a message. targets: URLs
    as the author wrote them. points: from such a URL to another.
    """

    messages: Mapping[str, str] = field(default_factory=dict)
    transmissions: Mapping[str, str] = field(default_factory=dict)
    campaigns: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, str] = field(default_factory=dict)
    points: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Return whether anything is in the list."""
        return bool(self.messages or self.transmissions or self.campaigns or self.targets or self.points)

    def sender(self, kind: Kind, packed: bytes, target: bytes) -> str | None:
        """Return who stopped the link, "" if the list has no name, None if the link is not stopped."""
        url = target.decode("latin-1")
        for found in (
            self.targets.get(url),
            self.targets.get(self.points.get(url, "")),
            self._of_mail(kind, packed),
        ):
            if found is not None:
                return found
        return None

    def _of_mail(self, kind: Kind, packed: bytes) -> str | None:
        found = None
        with suppress(BadToken):  # genuine, but made by a faulty program: it names no message
            if self.messages:
                found = self.messages.get(message_of(packed).hex())
            if found is None and self.transmissions:
                found = self.transmissions.get(str(transmission_of(packed)))
            if found is None and self.campaigns:
                found = self.campaigns.get(unpack(kind, packed)[0].campaign)
        return found

    def leads_to(self, target: bytes) -> bytes:
        """Return where a link with this target leads now."""
        other = self.points.get(target.decode("latin-1"))
        return target if other is None else other.encode("ascii")


def copy_of(path: Path) -> Path:
    """Return the path of a list's copy."""
    return path.with_name(f"{path.name}.last")


def load(path: Path) -> Stops:
    """Return a list, its copy where the list is gone, or an empty one where both are.

    Raises StopsError for a file that cannot be read.
    """
    if not path.exists() and copy_of(path).exists():
        return _load(copy_of(path))
    return _load(path)


def recovered(path: Path) -> tuple[Stops | None, str]:
    """Return what is stopped, and what is wrong with the list ("" for nothing).

    Of a list that is gone or broken the copy is used. None where that cannot be read either.
    """
    copy = copy_of(path)
    try:
        if path.exists() or not copy.exists():
            return _load(path), ""
        trouble = f"{path}: the list of stopped links is gone; its copy {copy} counts"
    except StopsError as error:
        trouble = str(error)
    try:
        return (_load(copy) if copy.exists() else None), trouble
    except StopsError as error:
        return None, f"{trouble}; {error}"


def _load(path: Path) -> Stops:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_SIZE + 1)
    except FileNotFoundError:
        return Stops()
    except OSError as error:
        raise StopsError(f"{path}: cannot read the list of stopped links: {error.strerror}") from None
    if len(data) > _MAX_SIZE:
        raise StopsError(f"{path}: larger than {_MAX_SIZE} bytes; this is no list of stopped links")
    try:
        content = json.loads(data)
        if type(content["version"]) is int and content["version"] > VERSION:
            raise StopsError(
                f"{path}: its version is {content['version']!r:.20}, this program knows {VERSION}. "
                "Use the newer program."
            )
        return _read(content)
    except StopsError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        mend = f"put its copy {copy_of(path)} in its place" if copy_of(path).exists() else "take a backup"
        raise StopsError(f"{path}: not a list that `smtpapi links` wrote ({error}); {mend}") from None


def _read(content: Any) -> Stops:
    if content["version"] != VERSION:
        raise ValueError(f"its version is {content['version']!r:.20}, this program knows {VERSION}")
    maps = {name: dict(content.get(name, {})) for name in (*_SORTS, "points")}
    for each in maps.values():
        if not all(type(one) is str and type(other) is str for one, other in each.items()):
            raise ValueError("something in it is no text")
    for target in maps["points"].values():
        if (why := refusal(target.encode("utf-8", "replace"))) is not None:
            raise ValueError(f"a link is pointed to what cannot be a link's target: {why}")
    return Stops(**maps)


def edit(path: Path, change: Callable[[Stops], Stops]) -> Stops:
    """Read, change and save a list, and return it once it is on disk. Edits of several processes take turns.

    Raises StopsError for a list that cannot be read or written.
    """
    try:
        path.parent.mkdir(mode=0o770, parents=True, exist_ok=True)
        lock = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            stops = change(load(path))
            for each in (copy_of(path), path):  # the copy first: it must never hold less than the list
                _save(each, stops)
            os.fsync(lock)
        finally:
            os.close(lock)
    except OSError as error:
        raise StopsError(f"{path}: cannot write the list of stopped links: {error.strerror}") from None
    return stops


def _save(path: Path, stops: Stops) -> None:
    """Replace the file as a whole. Its owner is that of the file before, or else of its folder."""
    content = {name: dict(sorted(getattr(stops, name).items())) for name in (*_SORTS, "points")}
    text = json.dumps({"version": VERSION, **content}, indent=1, ensure_ascii=False) + "\n"
    descriptor, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            like = (path if path.exists() else path.parent).stat()
            new = os.fstat(descriptor)
            if (like.st_uid, like.st_gid) != (new.st_uid, new.st_gid):
                os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, _MODE)
            file.write(text.encode("utf-8", "surrogateescape"))
            file.flush()
            os.fsync(descriptor)
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise
