"""Which tracking domains this site has put into links, and how long those links live: a small file.

Not which names are answered now (the settings, `tracker_web.links.hosts`): this is what was promised before.
The filter writes it, `check-config` reads it. It lies in the spool's folder, which the filter may write to.

Invariants: a file that cannot be read or written costs no mail; what is in it is never taken away.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NAME: Final = "domains.json"
VERSION: Final = 1
_AGAIN: Final = 3600.0  # seconds for which a process need not write the same domain again


@dataclass(frozen=True, slots=True)
class DomainUse:
    """A domain that stands in links.

    last: when the last of these links was made. until: when the last of them expires. Both in Unix seconds.
    """

    domain: str
    last: int
    until: int


def host_of(domain: str) -> str:
    """Return a `tracking_domain` without its port."""
    name, bracket, _ = domain.lower().partition("]")
    return name + bracket if bracket else name.partition(":")[0].removesuffix(".")


def read(directory: Path) -> tuple[DomainUse, ...]:
    """Return the domains in the directory's file, none without a file.

    Raises OSError for a file that cannot be read, ValueError for one that holds no list of domains.
    """
    try:
        content = json.loads((directory / NAME).read_bytes())
    except FileNotFoundError:
        return ()
    try:
        if (version := content.get("version", VERSION)) != VERSION:
            raise ValueError(
                f"{directory / NAME}: its version is {version!r:.20}, this program knows {VERSION}. "
                "Use the newer program."
            )
        domains = content["domains"]
        return tuple(
            DomainUse(str(name), int(one["last"]), int(one["until"])) for name, one in domains.items()
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{directory / NAME} holds no list of domains") from error


class DomainsFile:
    """Notes the domains that one process makes links for.

    report: called with the reason when a domain could not be noted. clock: returns Unix seconds.
    """

    def __init__(
        self, directory: Path, report: Callable[[str], None], clock: Callable[[], float] = time.time
    ) -> None:
        self._directory = directory
        self._report = report
        self._clock = clock
        self._noted: dict[str, tuple[float, int]] = {}

    def used(self, domain: str, expiry: int) -> None:
        """Note that links for domain are made now which live for expiry seconds. Raises nothing."""
        noted = self._noted.get(domain)
        if noted is not None and self._clock() < noted[0] and expiry <= noted[1]:
            return
        now = self._clock()
        self._noted[domain] = (now + _AGAIN, expiry)
        try:
            _note(self._directory, domain.lower(), int(now), int(now) + max(0, expiry))
        except (OSError, ValueError) as error:
            self._report(
                f"{self._directory / NAME}: cannot note that links name {domain}: {error}; check-config will "
                "not warn when that domain is left out of the configuration"
            )


def read_several(directories: Iterable[Path]) -> tuple[DomainUse, ...]:
    """Return the domains of several files together, by name. Raises as `read` does: OSError, ValueError."""
    found: dict[str, DomainUse] = {}
    for directory in directories:
        for each in read(directory):
            known = found.get(each.domain, each)
            found[each.domain] = DomainUse(
                each.domain, max(known.last, each.last), max(known.until, each.until)
            )
    return tuple(use for _, use in sorted(found.items()))


def write(directory: Path, domains: Iterable[DomainUse]) -> None:
    """Write a directory's file as a whole. Raises OSError."""
    content = {one.domain: {"last": one.last, "until": one.until} for one in sorted(domains, key=_name)}
    text = json.dumps({"version": VERSION, "domains": content}, indent=1) + "\n"
    temporary = directory / f"{NAME}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    with open(descriptor, "w", encoding="utf-8") as file:
        # No secret: each host of a cluster sends them to the others, by a program with a user of its own.
        os.fchmod(descriptor, 0o644)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    os.replace(temporary, directory / NAME)


def _name(use: DomainUse) -> str:
    return use.domain


def _note(directory: Path, domain: str, now: int, until: int) -> None:
    """Put one domain into the file, whoever else writes to it. Raises OSError, ValueError."""
    directory.mkdir(mode=0o770, parents=True, exist_ok=True)
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = {each.domain: each for each in read(directory)}
        before = known.get(domain, DomainUse(domain, 0, 0))
        known[domain] = DomainUse(domain, max(now, before.last), max(until, before.until))
        write(directory, known.values())
        os.fsync(lock)
    finally:
        os.close(lock)
