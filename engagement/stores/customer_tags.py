"""The tags that customers use: which sets of them their messages carry, each set kept once.

As Momentum keeps tags beside its events (contract.md 3.2): at most `TAGS` different tags of a customer are
listed. An event keeps its tags in any case; what is not listed cannot be asked for. Pure, but for the time
that is handed in.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from engagement.events.fields import valid

TAGS: Final = 100  # different ones of a customer (contract.md 3.2)
SETS: Final = 2_000  # of them in one customer's list: a partition of some hundred kilobytes
LIFE_SECONDS: Final = 600.0  # of what is known (contract.md 3.2), then it is asked for anew
DAY_MS: Final = 86_400_000
_CUSTOMERS: Final = 1_000

Customer = tuple[str, str]  # tenant, customer id


@dataclass(frozen=True, slots=True)
class TagSet:
    """set_id: 8 bytes, of `set_id`. tags: sorted. used: the day since 1970 of the last message seen."""

    set_id: bytes
    tags: tuple[str, ...]
    used: int


@dataclass(slots=True)
class _Known:
    """until: when it is asked for anew. listed: day by set. refused: sets that there was no room for."""

    until: float
    listed: dict[bytes, int] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    refused: set[bytes] = field(default_factory=set)


def set_id(customer: Customer, tags: Iterable[str]) -> bytes:
    """Return what a set of tags of a customer is known by, whatever their order."""
    named = json.dumps((*customer, *sorted(set(tags)))).encode("utf-8", "surrogatepass")
    return blake2b(named, digest_size=8).digest()


def tags_of(sets: Iterable[TagSet]) -> tuple[str, ...]:
    """Return the different tags of sets, sorted; at most `TAGS`."""
    return tuple(sorted({tag for each in sets for tag in each.tags})[:TAGS])


class TagBook:
    """What of a customer's tags is listed, remembered for ten minutes; also that there is no room for more.

    load: asks the store for the sets of a customer. Not safe to share between threads.
    """

    def __init__(self, load: Callable[[Customer], Iterable[TagSet]]) -> None:
        self._load = load
        self._known: dict[Customer, _Known] = {}
        self._ids: dict[tuple[Customer, tuple[str, ...]], bytes] = {}

    def forget(self) -> None:
        """Ask anew, as what is written may not have come through."""
        self._known.clear()

    def set_id(self, customer: Customer, tags: tuple[str, ...]) -> bytes:
        """Return `set_id`, remembered."""
        key = (customer, tags)
        found = self._ids.get(key)
        if found is None:
            if len(self._ids) > 20 * _CUSTOMERS:
                self._ids.clear()
            found = self._ids[key] = set_id(customer, tags)
        return found

    def news(
        self, used: Iterable[tuple[Customer, tuple[str, ...], int]], now: float
    ) -> list[tuple[Customer, TagSet]]:
        """Return the sets to write, once each. used: customer, tags and day. now: seconds, of any clock."""
        found: dict[tuple[Customer, bytes], TagSet] = {}
        for customer, tags, day in used:
            known = self._asked(customer, now)
            name = self.set_id(customer, tags)
            if known.listed.get(name, -1) >= day or name in known.refused:
                continue
            clean = tuple(sorted({valid(tag) for tag in tags}))
            if name not in known.listed and not _has_room(known, clean):
                known.refused.add(name)
                continue
            known.listed[name] = day
            known.tags.update(clean)
            found[customer, name] = TagSet(name, clean, day)
        return [(customer, each) for (customer, _), each in found.items()]

    def _asked(self, customer: Customer, now: float) -> _Known:
        known = self._known.get(customer)
        if known is None or now >= known.until:
            if len(self._known) >= _CUSTOMERS:
                self._known.clear()
            known = self._known[customer] = _Known(now + LIFE_SECONDS)
            for each in self._load(customer):
                known.listed[each.set_id] = each.used
                known.tags.update(each.tags)
        return known


def _has_room(known: _Known, tags: tuple[str, ...]) -> bool:
    return len(known.listed) < SETS and len(known.tags.union(tags)) <= TAGS
