"""The cluster: whether this host and the others are heard, and share all that they should."""

import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from engagement.cluster import hosts
from engagement.cluster.hosts import HostReport
from engagement.cluster.program import host_name, keys_of
from engagement.cluster.sealing import SealError
from engagement.registry import open_registry
from engagement.settings import Settings
from smtpapi.doctor.finding import Finding, Level
from smtpapi.doctor.host.registry import TROUBLES

CHECK: Final = "cluster"
_SILENT: Final = 60.0  # seconds: six reports that did not come
_STATUS: Final = "smtpapi cluster status"


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """A cluster as its registry has it. name: "" where the host is in none. reports: of all hosts."""

    name: str
    host: str = ""
    reports: tuple[HostReport, ...] = ()
    trouble: str = ""
    dead_after: float = 300.0
    shared: bool = True  # the registry is one that other hosts have as well


def read(settings: Settings) -> ClusterFacts:
    """Return what is so of the cluster."""
    name, host = settings.smtpapi_cluster.name, host_name(settings)
    if not name:
        return ClusterFacts("")
    shared = settings.store.engine == "cassandra"
    dead_after = settings.smtpapi_cluster.dead_after
    try:
        with closing(open_registry(settings)) as registry:
            reports, wrong = hosts.heard(registry, keys_of(settings))
    except (*TROUBLES, SealError) as error:
        return ClusterFacts(name, host, (), str(error), dead_after, shared)
    return ClusterFacts(name, host, reports, "; ".join(wrong), dead_after, shared)


def check(facts: ClusterFacts, now: float) -> Iterator[Finding]:
    """Yield what is wrong with the cluster. now: Unix seconds."""
    if not facts.name:
        return
    found = [*_here(facts, now), *_others(facts, now)]
    yield from found
    if not found:
        yield Finding(CHECK, Level.OK, f"{len(facts.reports)} host(s) of {facts.name} have the same")


def _here(facts: ClusterFacts, now: float) -> Iterator[Finding]:
    if not facts.shared:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"the cluster {facts.name} has its registry in a file of this host, which no other host sees",
            "Nothing is shared.",
            "store { engine = cassandra }, on all hosts",
        )
    if facts.trouble:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"the cluster cannot be asked: {facts.trouble}",
            "This host goes on with what it has; it tells others of no change and hears of none.",
            _STATUS,
        )
        return
    own = next((report for report in facts.reports if report.host == facts.host), None)
    if own is None or own.age(now) > _SILENT:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"{facts.host} was not heard " + (f"for {own.age(now):.0f} s" if own else "yet"),
            "A key that signs on another host is not known here: its links are answered with 404.",
            "systemctl enable --now smtpapi-cluster",
        )


def _others(facts: ClusterFacts, now: float) -> Iterator[Finding]:
    for report in facts.reports:
        for sort, text in sorted(report.trouble.items()):
            yield Finding(
                CHECK,
                Level.ERROR,
                f"{report.host} does not share its {sort}: {text}",
                "What is changed on one host has no effect on the other.",
                _STATUS,
            )
        if report.host != facts.host and report.age(now) > _SILENT:
            dead = report.age(now) > facts.dead_after
            yield Finding(
                CHECK,
                Level.WARNING,
                f"{report.host} was not heard for {report.age(now):.0f} s"
                + (" and is held for dead" if dead else ""),
                "`smtpapi keys use` does not wait for it." if dead else "`smtpapi keys use` waits for it.",
                f"systemctl status smtpapi-cluster, there; for good: smtpapi cluster forget {report.host}",
            )
    yield from _differing(facts.reports, facts.host, now)


def _differing(reports: Iterable[HostReport], host: str, now: float) -> Iterator[Finding]:
    own = next((report for report in reports if report.host == host), None)
    for report in reports if own is not None else ():
        assert own is not None
        alive = report.age(now) <= _SILENT and own.age(now) <= _SILENT
        differs = sorted(name for name, has in own.sorts.items() if report.sorts.get(name, has) != has)
        if alive and differs and not report.trouble and not own.trouble:
            yield Finding(
                CHECK,
                Level.NOTE,
                f"{report.host} has other {', '.join(differs)} than {host} at this moment",
                "After a change it takes up to 10 s until all have the same.",
                _STATUS,
            )


def checked(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with the cluster that the settings name."""
    yield from check(read(settings), time.time())
