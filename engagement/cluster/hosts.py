"""The hosts of a cluster, as each says of itself every few seconds: that it lives, and which keys it has.

A host whose last report is older than `dead_after` is held for dead: nobody waits for it, and people are
warned.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Final

from engagement.cluster.sealing import ClusterKeys, NewerError, SealError
from engagement.registry.port import Data, Registry

# A kind of its own: whoever follows the documents need not read these (engagement.registry.cassandra).
KIND: Final = "cluster-host"
BEAT_SECONDS: Final = 10.0  # from one note of a program that it runs to the next
NAME: Final = "name"


@dataclass(frozen=True, slots=True)
class HostReport:
    """What a host says of itself.

    at_ms: when, Unix milliseconds by its own clock. program: its version. keys: of each key that opens links
    on it, its id and what distinguishes it from another one of that id. signing: the id of the one that
    signs, 0 for none. sorts: a fingerprint of what it has of each sort. trouble: what it cannot share, and
    why; under `NAME` that another host has its name. process: by chance, of the program that says it.
    """

    host: str
    at_ms: int
    program: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    signing: int = 0
    sorts: Mapping[str, str] = field(default_factory=dict)
    trouble: Mapping[str, str] = field(default_factory=dict)
    process: str = ""

    def age(self, now: float) -> float:
        """Return how old the report is, in seconds. now: Unix seconds."""
        return max(0.0, now - self.at_ms / 1000)


def say(registry: Registry, keys: ClusterKeys, report: HostReport) -> None:
    """Store what this host says. Raises RegistryError."""
    place = f"{keys.name}/{report.host}"
    registry.put(KIND, place, keys.seal(_sealed_for(place), asdict(report)))


def last_report(registry: Registry, keys: ClusterKeys, host: str) -> HostReport | None:
    """Return what a host said last, None for nothing that can be read. Raises RegistryError."""
    place = f"{keys.name}/{host}"
    document = registry.get(KIND, place)
    try:
        return opened(keys, place, document.data) if document is not None else None
    except SealError:
        return None


def heard(registry: Registry, keys: ClusterKeys) -> tuple[tuple[HostReport, ...], tuple[str, ...]]:
    """Return what all hosts say, by name, and what is wrong with reports that cannot be read.

    Raises RegistryError.
    """
    found: list[HostReport] = []
    wrong: list[str] = []
    prefix, after = f"{keys.name}/", ""
    while page := registry.find(KIND, prefix, after):
        for document in page:
            try:
                found.append(opened(keys, document.key, document.data))
            except NewerError as error:
                wrong.append(str(error))
            except SealError as error:
                wrong.append(str(error))
        after = page[-1].key
    return tuple(found), tuple(wrong)


def forget(registry: Registry, keys: ClusterKeys, host: str) -> bool:
    """Remove a host that is gone for good; return whether there was one. Raises RegistryError."""
    return registry.delete(KIND, f"{keys.name}/{host}")


def opened(keys: ClusterKeys, place: str, data: Data) -> HostReport:
    """Return the report in a document. Raises SealError."""
    content = keys.open(_sealed_for(place), data)
    try:
        return HostReport(
            str(content["host"]),
            int(content["at_ms"]),
            str(content["program"]),
            dict(content["keys"]),
            int(content["signing"]),
            dict(content["sorts"]),
            dict(content["trouble"]),
            str(content.get("process", "")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SealError(f"a host's word that cannot be read: {error}") from error


def _sealed_for(place: str) -> str:
    return f"host {place}"  # so that it is none of the other documents', whatever the host is called


@dataclass(frozen=True, slots=True)
class Waiting:
    """Who lacks a key. missing: hosts that live. dead: hosts that were silent for too long."""

    missing: tuple[HostReport, ...]
    dead: tuple[HostReport, ...]


def lacking(
    reports: Iterable[HostReport], host: str, key_id: int, acknowledged: str, now: float, dead_after: float
) -> Waiting:
    """Return which hosts have not acknowledged a key.

    host: this one, which need not. acknowledged: what distinguishes the key from another one of that id.
    now: Unix seconds.
    """
    others = [
        report
        for report in reports
        if NAME in report.trouble or (report.host != host and report.keys.get(str(key_id)) != acknowledged)
    ]
    return Waiting(
        tuple(report for report in others if report.age(now) <= dead_after),
        tuple(report for report in others if report.age(now) > dead_after),
    )
