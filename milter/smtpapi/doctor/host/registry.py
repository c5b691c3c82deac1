"""The registry: whether it opens, and whether every program that writes to its file may.

What is in it is looked at by `suppression` and `webhooks`, which open it here: nothing is made by looking.
"""

import grp
import os
import pwd
import sqlite3
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from engagement.extras import NotInstalledError
from engagement.registry import open_registry
from engagement.registry.port import Registry, RegistryError
from engagement.settings import Settings
from engagement.stores.port import StoreError
from smtpapi.doctor.finding import Finding, Level

CHECK: Final = "registry"
TROUBLES: Final = (RegistryError, StoreError, NotInstalledError)  # that opening and reading raise
# Who writes to it, with their users in the packages (docs/decisions/0030-users.md), and what stands still
# where they cannot.
WRITERS: Final[Mapping[str, tuple[str, str]]] = {
    "web": ("smtpapi-web", "Nobody can sign in, and no entry on the pages or over the API is kept."),
    "webhooks": ("smtpapi-webhooks", "No webhook gets an event."),
    "ship": (
        "smtpapi-shipper",
        "Unsubscribes, bounces and complaints do not come onto the suppression list, and the filter's copy "
        "of it stands still.",
    ),
}


@dataclass(frozen=True, slots=True)
class User:
    """Who runs a program. groups: all of them."""

    role: str
    name: str
    uid: int
    groups: frozenset[int]


@dataclass(frozen=True, slots=True)
class Node:
    """A file or folder. mode: with its type, as stat gives it."""

    path: Path
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class RegistryFacts:
    """The registry. path: None in a cluster.

    nodes: its folder and files, those that are there. trouble: why it cannot be opened. users: who write.
    """

    path: Path | None
    nodes: tuple[Node, ...] = ()
    users: tuple[User, ...] = ()
    trouble: str = ""


def opened(settings: Settings) -> Registry | None:
    """Return the registry, None where nothing was ever entered: then nothing is made by looking.

    Raises RegistryError, StoreError, NotInstalledError.
    """
    path = Path(settings.registry.path)
    if not _in_cluster(settings) and (not there(path) or _schema(path) == 0):
        return None
    return open_registry(settings)


def _in_cluster(settings: Settings) -> bool:
    return settings.store.engine == "cassandra" and bool(settings.cassandra_client)


def _schema(path: Path) -> int:
    """Return the number of a file's schema, 0 for an empty one. Raises RegistryError."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            number: int = connection.execute("PRAGMA user_version").fetchone()[0]
            return number
    except sqlite3.Error as error:
        raise RegistryError(f"{path}: {error}") from error


def users_of(running: Mapping[str, str]) -> tuple[User, ...]:
    """Return who write to the registry. running: users of running programs, by role.

    Where the packages' users run, or nothing does, those of the others count as well.
    """
    names = {role: name for role, name in running.items() if role in WRITERS}
    packaged = {user for user, _ in WRITERS.values()}
    if not names or packaged & set(names.values()):
        names = {role: user for role, (user, _) in WRITERS.items()} | names
    return tuple(user for role, name in names.items() if (user := user_of(role, name)) is not None)


def user_of(role: str, name: str) -> User | None:
    """Return a user of this host, None for none."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return User(role, name, int(name), frozenset()) if name.isdigit() else None
    return User(role, name, found.pw_uid, frozenset(os.getgrouplist(name, found.pw_gid)))


def there(path: Path) -> bool:
    """Return whether there is such a file. Raises OSError where this user may not know."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def node(path: Path) -> Node:
    """Return what is so of a file or folder. Raises OSError."""
    found = path.stat()
    return Node(path, found.st_mode, found.st_uid, found.st_gid)


def may(user: User, at: Node, bits: int) -> bool:
    """Return whether a user has rights by a node's mode. bits: 4 read, 2 write, 1 search."""
    if user.uid == 0:
        return True
    shift = 6 if user.uid == at.uid else 3 if at.gid in user.groups else 0
    return (at.mode >> shift) & bits == bits


def shut_to(user: User, path: Path) -> str:
    """Return what keeps a user from reading a file, "" for nothing. Raises OSError."""
    for at, bits in ((node(path.parent), 1), (node(path), 4)):
        if not may(user, at, bits):
            mode, group = at.mode & 0o7777, group_name(at.gid)
            return f"{user.name} may not read {at.path} (mode {mode:04o}, group {group})"
    return ""


def read(settings: Settings, running: Mapping[str, str]) -> RegistryFacts:
    """Return what is so of the registry. running: users of running programs, by role. Raises OSError."""
    path = None if _in_cluster(settings) else Path(settings.registry.path)
    nodes: list[Node] = []
    if path is not None:
        beside = (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm")))
        nodes = [node(each) for each in (path.parent, *beside) if there(each)]
    trouble = ""
    try:
        registry = opened(settings)
        if registry is not None:
            with closing(registry):
                registry.find("user", limit=1)
    except TROUBLES as error:
        trouble = str(error)
    return RegistryFacts(path, tuple(nodes), users_of(running), trouble)


def check(facts: RegistryFacts) -> Iterator[Finding]:
    """Yield what is wrong with the registry."""
    path = facts.path
    if path is not None and not any(each.path == path for each in facts.nodes):
        yield Finding(
            CHECK,
            Level.NOTE,
            f"there is no registry at {path} yet",
            "Users, API keys, webhooks and suppressed addresses go there. Whoever makes it first owns it.",
            f"install -m 0660 -o smtpapi-web -g smtpapi-store /dev/null {path}",
        )
        return
    bad = [*_check_opens(facts), *_check_file(facts.nodes, facts.users)]
    yield from bad
    if not bad:
        who = ", ".join(sorted({each.name for each in facts.users}))
        where = f"the registry {path}" if path else "the registry in the cluster"
        yield Finding(
            CHECK, Level.OK, f"{where} opens" + (f"; {who} may write to it" if path and who else "")
        )


def _check_opens(facts: RegistryFacts) -> Iterator[Finding]:
    if facts.trouble:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"the registry cannot be used: {facts.trouble}",
            "Nobody signs in, no API key counts, webhooks and the suppression list stand still.",
            f"Stop smtpapi-web, smtpapi-webhooks and smtpapi-shipper; put back the last copy of {facts.path}"
            if facts.path
            else "smtpapi store check; after an update: smtpapi store migrate",
        )


def _check_file(nodes: Sequence[Node], users: Iterable[User]) -> Iterator[Finding]:
    writers = [each for each in users if each.uid != 0]
    for each in nodes:
        if stat.S_ISREG(each.mode) and each.mode & 0o006:
            yield Finding(
                CHECK,
                Level.ERROR,
                f"everybody on this host may use {_shown(each)}",
                "It has addresses, hashes of passwords, and webhooks' secrets in the clear.",
                f"chmod o= {each.path}",
            )
    for user in writers:
        shut = [each for each in nodes if not may(user, each, 3 if stat.S_ISDIR(each.mode) else 6)]
        if shut:
            yield Finding(
                CHECK,
                Level.ERROR,
                f"`smtpapi {user.role}` as {user.name} may not write to {', '.join(map(_shown, shut))}",
                WRITERS[user.role][1],
                _opening(shut, nodes[0]),
            )
    folder = nodes[0] if nodes else None
    if folder is not None and len({each.uid for each in writers}) > 1 and not folder.mode & stat.S_ISGID:
        yield Finding(
            CHECK,
            Level.WARNING,
            f"what is made in {_shown(folder)} gets the group of its maker",
            "SQLite makes files beside the registry whenever it is opened; other programs then cannot write.",
            f"chmod g+s {folder.path}",
        )


def _opening(shut: Sequence[Node], folder: Node) -> str:
    """Return what lets the folder's group write."""
    group = group_name(folder.gid)
    lines = []
    for each in shut:
        rights = "2770" if stat.S_ISDIR(each.mode) else "660"
        lines.append(f"chgrp {group} {each.path} && chmod {rights} {each.path}")
    return "; ".join(lines) + f" (its user in the group {group}; packages: smtpapi-store)"


def _shown(one: Node) -> str:
    try:
        owner = pwd.getpwuid(one.uid).pw_name
    except KeyError:
        owner = str(one.uid)
    return f"{one.path} (mode {stat.S_IMODE(one.mode):04o}, {owner}:{group_name(one.gid)})"


def group_name(number: int) -> str:
    """Return a group's name, its number where it has none."""
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
