"""Hosts of links, shared: each host says which names it uses, and has a file with those of all hosts.

Not the file in the spool, which the filter writes: the common one lies in the cluster's folder, in the same
format. Times are rounded to days, so that a host says nothing new but once a day.
"""

import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from engagement.cluster.shared.port import SharedError, Values
from engagement.links import domains_file
from engagement.links.domains_file import DomainUse

_DAY: Final = 86_400
# For which a name counts that a configuration has: a host that is gone for good is forgotten after that.
_CONFIGURED: Final = 30 * _DAY


class SharedDomains:
    """The hosts of links. host: this one's name. named: of its configuration. spool: of its filter."""

    name = "domains"
    parts = 4
    only_grows = False

    def __init__(
        self,
        folder: Path,
        spool: Path,
        host: str,
        named: Collection[str],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._spool = spool
        self.own = f"{host}/"
        self._named = named
        self._now = now

    def holds(self, name: str) -> bool:
        """Return whether an entry of this name has a place in the file."""
        return "/" in name

    def stamp(self) -> object:
        """Return another value each time: it takes no more to read the file than to look at it."""
        return object()

    def read(self, before: Values) -> Values | None:
        """Return what this host says, and of others what they said last; see the port. Raises SharedError."""
        now = int(self._now())
        today = now - now % _DAY
        found = {domain: (today, today + _CONFIGURED) for domain in self._named}
        try:
            for each in domains_file.read(self._spool):
                if each.until > now:
                    last, until = found.get(each.domain, (0, 0))
                    found[each.domain] = (
                        max(last, each.last - each.last % _DAY),
                        max(until, each.until - each.until % _DAY + _DAY),
                    )
        except (OSError, ValueError) as error:
            raise SharedError(f"{self._spool / domains_file.NAME}: {error}") from error
        others = {name: value for name, value in before.items() if not name.startswith(self.own)}
        return others | {f"{self.own}{name}": f"{last} {until}" for name, (last, until) in found.items()}

    def write(self, before: Values | None, after: Values) -> bool:
        """Write the names of all hosts; see the port. Raises SharedError."""
        found: dict[str, DomainUse] = {}
        for name, value in after.items():
            domain = name.partition("/")[2]
            last, _, until = value.partition(" ")
            known = found.get(domain, DomainUse(domain, 0, 0))
            try:
                found[domain] = DomainUse(domain, max(known.last, int(last)), max(known.until, int(until)))
            except ValueError:
                continue  # of a host with a later program
        try:
            domains_file.write(self._folder, found.values())
        except OSError as error:
            raise SharedError(f"{self._folder / domains_file.NAME}: {error.strerror}") from error
        return True

    def clash(self, own: Values, others: Values) -> str:
        """Return "": each host says its own."""
        return ""
