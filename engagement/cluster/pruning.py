"""When what was taken out of a cluster need not be known as taken out any more. Pure.

A deleted entry stays as an entry without a value, so that a host that was cut off does not bring it back. It
goes when it is older than `PRUNE_AFTER` and every host that was heard in that time has the same entries. So
nothing comes back from a host that was away for less than that; one that was away for longer joins anew with
what its files have.
"""

from collections.abc import Iterable
from typing import Final

from engagement.cluster.entries import Entries
from engagement.cluster.hosts import NAME, HostReport

# Less than the 30 days for which Cassandra keeps what hosts say; nearly three times the ten days for which it
# keeps tombstones of its own by default.
PRUNE_AFTER: Final = 28 * 86_400.0  # seconds
PRUNE_EVERY: Final = 600.0  # seconds from one look for such entries to the next


def is_over(entries: Entries, name: str, now_ms: int) -> bool:
    """Return whether an entry is one that was deleted longer ago than `PRUNE_AFTER`."""
    entry = entries.get(name)
    return entry is not None and entry.value is None and entry.stamp.at_ms < now_ms - PRUNE_AFTER * 1000


def over(entries: Entries, now_ms: int) -> frozenset[str]:
    """Return the names of entries that were deleted longer ago than `PRUNE_AFTER`."""
    return frozenset(name for name in entries if is_over(entries, name, now_ms))


def pruned(entries: Entries, names: frozenset[str], now_ms: int) -> Entries:
    """Return the entries without those of `names` that are over; the same object where there is none."""
    gone = {name for name in names if is_over(entries, name, now_ms)}
    return {name: entry for name, entry in entries.items() if name not in gone} if gone else entries


def to_send(known: Entries, there: Entries, now_ms: int) -> Entries:
    """Return what a host writes of what it knows: nothing over that another host has pruned already.

    there: the entries as the registry has them.
    """
    return pruned(known, frozenset(name for name in over(known, now_ms) if name not in there), now_ms)


def acknowledged(reports: Iterable[HostReport], host: str, sort: str, fingerprint: str, now: float) -> bool:
    """Return whether every host that was heard within `PRUNE_AFTER` has the same entries of a sort.

    host: this one. fingerprint: of what it has. now: Unix seconds. A host that does not share the sort has
    none of its entries.
    """
    return all(
        report.sorts.get(sort, fingerprint) == fingerprint and not {sort, NAME} & report.trouble.keys()
        for report in reports
        if report.host != host and report.age(now) <= PRUNE_AFTER
    )
