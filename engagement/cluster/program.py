"""`smtpapi cluster run` at work: a loop around the exchange, and a report every few seconds."""

import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from engagement.cluster import hosts
from engagement.cluster.exchange import Exchange
from engagement.cluster.hosts import BEAT_SECONDS, NAME, HostReport
from engagement.cluster.sealing import ClusterKeys, load
from engagement.cluster.shared.link_domains import SharedDomains
from engagement.cluster.shared.objection_list import SharedObjections
from engagement.cluster.shared.port import Shared
from engagement.cluster.shared.ring import SharedRing, acknowledged, put_together
from engagement.cluster.shared.rule_files import SharedRules
from engagement.cluster.shared.stop_list import SharedStops
from engagement.links.keys import Ring, RingError
from engagement.registry import open_registry
from engagement.registry.port import Registry, RegistryError
from engagement.settings import Settings
from engagement.settings.schema import DEFAULT_DOMAIN

_log = logging.getLogger("engagement.cluster")

# A change is noticed after one such time and known to the others after another; programs follow their files
# within a second. Two are well within the 10 s that are promised, and a question every two seconds costs a
# cluster nothing that it would notice.
EVERY_SECONDS: Final = 2.0


def host_name(settings: Settings) -> str:
    """Return the name of this host in its cluster."""
    return settings.smtpapi_cluster.host or socket.gethostname()


def keys_of(settings: Settings) -> ClusterKeys:
    """Return the keys of the cluster that the settings name. Raises SealError."""
    return load(settings.smtpapi_cluster.name, Path(settings.smtpapi_cluster.key_file))


def shared_files(settings: Settings) -> list[Shared]:
    """Return what this host shares: those of its files that the settings name."""
    named = {*settings.tracking_domains(), *settings.tracker.hosts} - {DEFAULT_DOMAIN}
    folder, spool = Path(settings.smtpapi_cluster.directory), Path(settings.spool.directory)
    found: list[Shared] = [
        SharedRing(Path(settings.keys.ring)),
        SharedStops(Path(settings.tracker.stop_list)),
        SharedDomains(folder, spool, host_name(settings), sorted(named)),
    ]
    if settings.privacy.objections:
        found.append(SharedObjections(Path(settings.privacy.objections)))
    if settings.classify.rules:
        found.append(SharedRules(Path(settings.classify.rules)))
    return found


class ClusterProgram:
    """The loop. Raises SealError for a key, StateError or OSError for a folder that cannot be used."""

    def __init__(
        self,
        settings: Settings,
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys_of(settings)
        self._now = now
        self._clock = clock
        self._last_report: HostReport | None = None
        self._reported_at = float("-inf")
        self._process = secrets.token_hex(8)
        self.exchange = Exchange(
            host_name(settings),
            self._keys,
            partial(open_registry, settings),
            shared_files(settings),
            Path(settings.smtpapi_cluster.directory),
            now,
        )

    def run(self, stop: threading.Event, alive: Callable[[], None], every: float = EVERY_SECONDS) -> None:
        """Run until stop is set. alive: called in each turn."""
        while not stop.is_set():
            alive()
            try:
                self.turn()
            except OSError as error:
                _log.error("%s: %s", error.filename, error.strerror)
            stop.wait(every)
        self.exchange.close()

    def turn(self) -> None:
        """Do one exchange, and say what this host has. Raises OSError where the folder cannot be written."""
        self.exchange.step()
        report = self.report()
        registry = self.exchange.registry()
        if registry is None:
            return
        same = self._last_report is not None and replace(self._last_report, at_ms=report.at_ms) == report
        if same and self._clock() - self._reported_at < BEAT_SECONDS:
            return
        try:
            hosts.say(
                registry, self._keys, replace(report, trouble={**report.trouble, **self._namesake(registry)})
            )
        except RegistryError as error:
            self.exchange.lost(error)
            return
        self._last_report, self._reported_at = report, self._clock()

    def _namesake(self, registry: Registry) -> dict[str, str]:
        """Return what is wrong where another program has this host's name. Raises RegistryError."""
        last = hosts.last_report(registry, self._keys, self.exchange.host)
        if self._last_report is None or last is None or last.process == self._process:
            return {}
        text = f"another host is called {last.host} as well; name each apart: smtpapi_cluster {{ host }}"
        _log.error("%s", text)
        return {NAME: text}

    def report(self) -> HostReport:
        """Return what this host says of itself."""
        ring = self._ring()
        return HostReport(
            self.exchange.host,
            int(self._now() * 1000),
            _program(),
            acknowledged(ring) if ring.keys else {},
            ring.signing.id if ring.keys else 0,
            self.exchange.fingerprints(),
            self.exchange.troubles(),
            self._process,
        )

    def _ring(self) -> Ring:
        try:
            return put_together(self.exchange.values("ring"))
        except RingError:
            return Ring()


def _program() -> str:
    try:
        return version("smtpapi-engagement")
    except PackageNotFoundError:
        return ""
