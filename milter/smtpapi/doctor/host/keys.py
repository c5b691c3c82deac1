"""The key ring's file and folder: who may read them, and how old the key is that signs."""

import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engagement.links.keys import Ring, RingError
from engagement.links.ring_file import load_ring
from smtpapi.doctor.finding import Finding, Level

CHECK: Final = "keys"
_DAY: Final = 86_400
_OLD: Final = 400 * _DAY  # docs/links.md: once a year, so that it stays practised


@dataclass(frozen=True, slots=True)
class RingFacts:
    """A ring and its file.

    trouble: why it cannot be loaded. owner: of the file. open_folder: others may write. group: the
    number of the group that may read it, None where none may.
    """

    path: Path
    ring: Ring | None
    trouble: str = ""
    owner: str = ""
    open_folder: str = ""
    group: int | None = None


def read(path: Path) -> RingFacts:
    """Return what is so of a ring."""
    folder = path.parent
    try:
        mode = folder.stat().st_mode
        open_folder = (
            f"{folder} is {stat.S_IMODE(mode):04o}" if mode & 0o002 and not mode & stat.S_ISVTX else ""
        )
    except OSError:
        open_folder = ""
    owner, group = _owner(path), _group(path)
    try:
        return RingFacts(path, load_ring(path), "", owner, open_folder, group)
    except RingError as error:
        return RingFacts(path, None, str(error), owner, open_folder, group)


def _group(path: Path) -> int | None:
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_gid if state.st_mode & stat.S_IRGRP else None


def _is_of(user: str, group: int) -> bool:
    try:
        found = pwd.getpwnam(user)
    except KeyError:
        return False
    return group in os.getgrouplist(user, found.pw_gid)


def _owner(path: Path) -> str:
    try:
        number = os.stat(path).st_uid
    except OSError:
        return ""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def check(facts: RingFacts, users: frozenset[str], now: float) -> Iterator[Finding]:
    """Yield what is wrong with the ring. users: under whom filter and tracker run here."""
    path = facts.path
    if facts.open_folder:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"anybody may write into the folder of the key ring: {facts.open_folder}",
            "Who puts a ring of his own there makes links in your name.",
            f"chmod o-w {path.parent}",
        )
    if facts.ring is None:
        yield Finding(
            CHECK,
            Level.ERROR,
            facts.trouble,
            "Without the ring no link is made, and those in mail already sent are dead.",
            f"smtpapi keys init --ring {path} --owner smtpapi, or put the backup back (chmod 600)",
        )
        return
    strangers = sorted(
        user for user in users - {facts.owner, "root"} if facts.group is None or not _is_of(user, facts.group)
    )
    if strangers:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"{path} belongs to {facts.owner}, and {', '.join(strangers)} must read it",
            "The program under that user makes or opens no links.",
            f"chown {strangers[0]} {path}",
        )
    signing = facts.ring.signing
    age = now - signing.created
    if age > _OLD:
        yield Finding(
            CHECK,
            Level.WARNING,
            f"key {signing.id} of {path} signs since {age / _DAY:.0f} days",
            "A rotation that is never practised fails on the day a key was stolen.",
            "smtpapi keys rotate (hosts with copies and no cluster: keys add, copy the ring, keys use)",
        )
    else:
        days = round(max(0, age) / _DAY)
        since = f"since {days} day{'s' * (days > 1)}" if days else "since today"
        yield Finding(CHECK, Level.OK, f"key {signing.id} signs {since}")
