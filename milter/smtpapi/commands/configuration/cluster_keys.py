"""Whether every host of a cluster has a key, before it signs: what `smtpapi keys use` and `rotate` ask."""

import time
from collections.abc import Callable
from contextlib import closing

from engagement.cluster import hosts
from engagement.cluster.hosts import Waiting
from engagement.cluster.program import host_name, keys_of
from engagement.cluster.sealing import SealError
from engagement.cluster.shared.ring import acknowledged
from engagement.links.keys import Ring
from engagement.registry import open_registry
from engagement.registry.port import RegistryError
from engagement.settings import Settings
from engagement.stores.port import StoreError

_LOOK_SECONDS = 1.0  # between two readings of the reports; each host writes one in ten seconds


class UnknownError(Exception):
    """Nobody knows which hosts have the key; the text says why."""


def waiting_for(
    settings: Settings,
    ring: Ring,
    key_id: int,
    *,
    until: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Waiting:
    """Return which hosts lack a key; where some do that live, look again until that time of the clock.

    Raises UnknownError where the cluster cannot be asked.
    """
    digest = acknowledged(ring).get(str(key_id), "")
    try:
        keys = keys_of(settings)
        with closing(open_registry(settings)) as registry:
            while True:
                reports, wrong = hosts.heard(registry, keys)
                found = hosts.lacking(
                    reports,
                    host_name(settings),
                    key_id,
                    digest,
                    time.time(),
                    settings.smtpapi_cluster.dead_after,
                )
                if (not found.missing and not wrong) or clock() >= until:
                    if wrong:
                        raise UnknownError("; ".join(wrong))
                    return found
                sleep(_LOOK_SECONDS)
    except (RegistryError, StoreError, SealError) as error:
        raise UnknownError(str(error)) from error


def refusal(found: Waiting, key_id: int) -> str:
    """Return why the key must not sign yet, "" for nothing."""
    if not found.missing:
        return ""
    names = ", ".join(f"{word.host} (heard {word.age(time.time()):.0f} s ago)" for word in found.missing)
    return (
        f"key {key_id} must not sign yet: links made with it would be dead on {names}. Wait some seconds; "
        "see `smtpapi cluster status`, and whether `smtpapi cluster run` runs there. "
        "--force: use it all the same"
    )


def warning(found: Waiting, key_id: int) -> str:
    """Return a warning of hosts that are held for dead, "" where there is none."""
    if not found.dead:
        return ""
    names = ", ".join(f"{word.host} (silent for {word.age(time.time()):.0f} s)" for word in found.dead)
    return (
        f"not waited for, as held for dead: {names}. Readers must not get there before it has key {key_id}: "
        "take it out of the load balancer; for good: `smtpapi cluster forget`"
    )
