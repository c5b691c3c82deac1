"""Host names under which the tracker answers requests that carry no genuine token.

Not DNS: names are compared as `Host` has them, without port and letter case.
"""

import re
import time
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engagement.links import domains_file
from engagement.settings import Settings
from engagement.tracking_domains.copy_file import CopyFile
from tracker_web.links.client_address import Address, as_address, host_name

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_RECHECK: Final = 1.0  # seconds; as the programs look at their other files
_MAX_NAME: Final = 253  # RFC 1035 2.3.4
_NAME: Final = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*|\[[0-9a-f:.]{2,45}\]", re.ASCII)


def recorded_name(host: str) -> str:
    """Return the name in a `Host` field if it can be a host's, else "", as anybody may write it."""
    name = host_name(host)
    return name if len(name) <= _MAX_NAME and _NAME.fullmatch(name) else ""


@dataclass(frozen=True, slots=True)
class HttpListen:
    """Where the tracker listens. host: a name or an address, without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def address(self) -> Address | None:
        """Return the host, if it is written as an address."""
        return as_address(self.host)

    @property
    def local(self) -> bool:
        """Return whether loopback's names lead here: it listens on loopback, or on every address."""
        address = self.address
        if address is None:
            return self.host.lower() == "localhost"
        return address.is_loopback or address.is_unspecified

    @property
    def names(self) -> frozenset[str]:
        """Return what `host_name` may return for a request sent to this address without a proxy."""
        address = self.address
        own = (
            frozenset({host_name(str(self))})
            if address is None or not address.is_unspecified
            else frozenset()
        )
        return own | _LOOPBACK if self.local else own


def parse_listen(text: str) -> HttpListen:
    """Read `tracker.listen`, which the settings have checked: ADDRESS:PORT, IPv6 in brackets."""
    host, _, port = text.rpartition(":")
    return HttpListen(host.removeprefix("[").removesuffix("]"), int(port))


Names = Callable[[], frozenset[str]]


def entered_names(settings: Settings, report: Callable[[str], None]) -> Names:
    """Return what gives the names that people entered and that lead here; none where they are not used."""
    if not settings.entered_domains.enabled:
        return frozenset
    file = CopyFile(Path(settings.entered_domains.snapshot), report)
    return lambda: file.current().names


def tracking_hosts(settings: Settings) -> frozenset[str]:
    """Return the names under which requests without a genuine token are answered, as `host_name` has them."""
    named = {host_name(domain) for domain in (*settings.tracking_domains(), *settings.tracker.hosts)}
    return (parse_listen(settings.tracker.listen).names | named) - {""}


class ClusterHosts:
    """The names of `tracking_hosts`, and those that other hosts of the cluster put into links.

    Their file is read again when it changes, at most every `_RECHECK` seconds; while it cannot be read those
    count that were read last. named: of the configuration. clock: returns seconds.
    """

    def __init__(
        self, named: frozenset[str], directory: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._named = named
        self._directory = directory
        self._clock = clock
        self._due = float("-inf")
        self._seen: tuple[int, int] | None = None
        self._others: frozenset[str] = frozenset()

    def __contains__(self, name: object) -> bool:
        """Return whether requests without a genuine token are answered under this name."""
        if name in self._named:
            return True
        if self._clock() >= self._due:
            self._due = self._clock() + _RECHECK
            self._check()
        return name in self._others

    def _check(self) -> None:
        try:
            state = (self._directory / domains_file.NAME).stat()
            seen = (state.st_mtime_ns, state.st_ino)
            if seen != self._seen:
                now = time.time()
                found = (each.domain for each in domains_file.read(self._directory) if each.until > now)
                self._others, self._seen = frozenset(map(host_name, found)) - {""}, seen
        except (OSError, ValueError):
            return  # not there yet; `smtpapi cluster status` says what is wrong


def answered_hosts(settings: Settings) -> Container[str] | None:
    """Return the names under which the tracker answers what has no genuine token; None: under any."""
    if settings.tracker.any_host:
        return None
    named = tracking_hosts(settings)
    return (
        ClusterHosts(named, Path(settings.smtpapi_cluster.directory))
        if settings.smtpapi_cluster.name
        else named
    )
