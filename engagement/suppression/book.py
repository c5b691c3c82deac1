"""The suppression list in the registry: entries added, removed and found.

Who may change it is the caller's matter. Invariant: an entry of the source Compliance stays one, whatever is
added in its place, and is not removed.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from engagement.registry.port import MOST, ConflictError, Registry
from engagement.suppression.model import (
    KIND,
    Entry,
    MailKind,
    Source,
    checked,
    data_of,
    entry_of,
    normalised,
    prefix_of,
)

_TRIES: Final = 10  # of a change that others make at the same time
# Entries that are read for one page: some 100 ms. What a search leaves out counts, so that one which finds
# little ends in time as well, with a cursor to go on from.
_READ: Final = 20_000


class ComplianceError(Exception):
    """The entry is one of the source Compliance, which nobody removes here."""


def add(registry: Registry, entry: Entry) -> Entry:
    """Add an entry, in place of the one with its tenant, recipient, list and type; return it as it is kept.

    updated_ms: when, now if 0; of an entry that was there `created_ms` stays. Raises BadEntryError, and
    ConflictError for an entry that others change all the time, RegistryError.
    """
    new = checked(entry)
    for _ in range(_TRIES):
        there = registry.get(KIND, new.key)
        merged = _merged(new, entry_of(there.data) if there else None, _now_ms())
        try:
            registry.put(KIND, merged.key, data_of(merged), expected=there.version if there else 0)
        except ConflictError:
            continue
        return merged
    raise ConflictError("the entry is changed by others all the time; try again")


def add_many(registry: Registry, entries: Iterable[Entry]) -> int:
    """Add entries as `add` does, a portion at a time; return how many.

    What others change in the moment between reading and writing is overwritten. Raises BadEntryError before
    anything of a portion is written, RegistryError.
    """
    count = 0
    portion: dict[str, Entry] = {}
    for entry in entries:
        new = checked(entry)
        portion[new.key] = new
        if len(portion) == MOST:
            count += _add_portion(registry, portion)
            portion = {}
    return count + _add_portion(registry, portion)


def _add_portion(registry: Registry, portion: dict[str, Entry]) -> int:
    now_ms = _now_ms()
    documents = []
    for key, new in portion.items():
        there = registry.get(KIND, key)
        documents.append((key, data_of(_merged(new, entry_of(there.data) if there else None, now_ms))))
    return registry.put_many(KIND, documents) if documents else 0


def _merged(new: Entry, there: Entry | None, now_ms: int) -> Entry:
    updated = new.updated_ms or now_ms
    created = there.created_ms if there else new.created_ms or updated
    source = Source.COMPLIANCE if there and there.source is Source.COMPLIANCE else new.source
    return replace(new, created_ms=created, updated_ms=updated, source=source)


def get(registry: Registry, recipient: str, tenant: str = "") -> tuple[Entry, ...]:
    """Return all entries of a recipient, by list and type. Raises RegistryError, BadEntryError."""
    found: list[Entry] = []
    prefix, after = prefix_of(tenant, normalised(recipient)), ""
    while documents := registry.find(KIND, prefix, after):
        found += [entry_of(each.data) for each in documents]
        after = documents[-1].key
        if len(documents) < MOST:
            break
    return tuple(found)


def remove(
    registry: Registry,
    recipient: str,
    *,
    types: Sequence[MailKind] = tuple(MailKind),
    list_id: str | None = None,
    tenant: str = "",
) -> int:
    """Remove entries of a recipient; return how many there were.

    list_id: that list's entries, "" for those of no list, None for all. Raises ComplianceError where one of
    them must stay, and then removes none; RegistryError; BadEntryError for a document that is no entry.
    """
    selected = [
        each
        for each in get(registry, recipient, tenant)
        if each.type in types and (list_id is None or each.list_id.lower() == list_id.lower())
    ]
    if any(each.source is Source.COMPLIANCE for each in selected):
        raise ComplianceError("Recipient could not be removed - Compliance")
    return sum(registry.delete(KIND, each.key) for each in selected)


@dataclass(frozen=True, slots=True)
class Search:
    """What entries to find.

    types, sources: any of them, all where empty. domain: of the recipient. description: a text in it, in any
    letter case; strict: the whole description. list_id: that list, "" for entries of no list, None for all.
    from_ms, to_ms: of the last change, Unix milliseconds, from included, to not; None for no bound.
    """

    tenant: str = ""
    types: frozenset[MailKind] = frozenset()
    sources: frozenset[Source] = frozenset()
    domain: str = ""
    description: str = ""
    strict: bool = False
    list_id: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None

    def fits(self, entry: Entry) -> bool:
        """Return whether an entry is one to find. Its tenant is not looked at."""
        has, sought = entry.description.lower(), self.description.lower()
        return (
            (not self.types or entry.type in self.types)
            and (not self.sources or entry.source in self.sources)
            and (not self.domain or entry.recipient.rpartition("@")[2] == self.domain.lower())
            and (has == sought if self.strict and sought else sought in has)
            and (self.list_id is None or entry.list_id.lower() == self.list_id.lower())
            and (self.from_ms is None or entry.updated_ms >= self.from_ms)
            and (self.to_ms is None or entry.updated_ms < self.to_ms)
        )


class Found(NamedTuple):
    """A page of entries, by recipient. cursor: to go on from, "" where there is no more."""

    entries: tuple[Entry, ...]
    cursor: str


def find(registry: Registry, search: Search, cursor: str = "", limit: int = MOST) -> Found:
    """Return the entries after a cursor that fit, at most so many, in the order of their recipients.

    A page may have fewer, and even none, before the last one. What is added or removed meanwhile shifts
    nothing: no entry comes twice, and none that stays is left out. Raises RegistryError, and BadEntryError
    for a document that is no entry.
    """
    found: list[Entry] = []
    after, looked_at = cursor, 0
    prefix = prefix_of(search.tenant)
    while looked_at < _READ:
        documents = registry.find(KIND, prefix, after)
        looked_at += len(documents)
        for each in documents:
            after = each.key
            entry = entry_of(each.data)
            if search.fits(entry):
                found.append(entry)
                if len(found) == limit:
                    return Found(tuple(found), after)
        if len(documents) < MOST:
            return Found(tuple(found), "")
    return Found(tuple(found), after)


def _now_ms() -> int:
    return int(time.time() * 1000)
