"""The sets of tags that messages of each customer have, each set stored once.

As in Momentum, at most `TAGS` different tags of a customer are listed (contract.md 3.2). An event has its
tags in any case, but it cannot be found by one that is not listed. Pure; the time is handed in.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from engagement.events.field_values import valid

TAGS: Final = 100  # different ones of a customer (contract.md 3.2)
SETS: Final = 2_000  # of them in one customer's list: a partition of some hundred kilobytes
LIFE_SECONDS: Final = 600.0  # of what is cached (contract.md 3.2), then it is read again
DAY_MS: Final = 86_400_000
_CUSTOMERS: Final = 1_000  # whose lists are cached; beyond, it begins anew, which bounds its memory

Customer = tuple[str, str]  # tenant, customer id


@dataclass(frozen=True, slots=True)
class TagSet:
    """A set of tags. set_id: 8 bytes, of `set_id`. tags: sorted. used: day since 1970, the last one."""

    set_id: bytes
    tags: tuple[str, ...]
    used: int


@dataclass(slots=True)
class _Known:
    """What is cached of a customer. until: when it expires. listed: day by set. refused: no room for them."""

    until: float
    listed: dict[bytes, int] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    refused: set[bytes] = field(default_factory=set)


def set_id(customer: Customer, tags: Iterable[str]) -> bytes:
    """Return the id of a set of tags of a customer, whatever their order."""
    named = json.dumps((*customer, *sorted(set(tags)))).encode("utf-8", "surrogatepass")
    return blake2b(named, digest_size=8).digest()


def tags_of(sets: Iterable[TagSet]) -> tuple[str, ...]:
    """Return the different tags of sets, sorted; at most `TAGS`."""
    return tuple(sorted({tag for each in sets for tag in each.tags})[:TAGS])


class TagBook:
    """A cache of the listed tags of customers, and of the sets that there was no room for.

    load: returns the sets of a customer from the store. Not safe to share between threads.
    """

    def __init__(self, load: Callable[[Customer], Iterable[TagSet]]) -> None:
        self._load = load
        self._known: dict[Customer, _Known] = {}
        self._ids: dict[tuple[Customer, tuple[str, ...]], bytes] = {}

    def forget(self) -> None:
        """Drop the cache, as what was to be written may not be in the store."""
        self._known.clear()

    def set_id(self, customer: Customer, tags: tuple[str, ...]) -> bytes:
        """Return `set_id`, cached."""
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
            known = self._fetched(customer, now)
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

    def _fetched(self, customer: Customer, now: float) -> _Known:
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
