"""What one message adds to the figures of hours (`EventStore.totals`). Pure.

Alike `figures.contribution`, by type as it is shown: open and amp_open apart, no verdicts.
"""

from collections.abc import Iterable
from typing import Final

from engagement.events.classify import MACHINES, ReaderClass
from engagement.events.rows import REPEAT_MS
from engagement.figures.facts import Fact
from engagement.stores.aggregate import HOUR_MS

# (hour, campaign, type); campaign "" is all events.
Cell = tuple[int, str, str]
# recorded, expired, counted, people, messages, people_messages.
Sums = dict[Cell, list[int]]

_NONE: Final = (0, 0, 0, 0, 0, 0)


def hourly(facts: Iterable[Fact]) -> Sums:
    """Return what a message with these events contributes."""
    sums: Sums = {}
    last: dict[tuple[str, object, str], int] = {}
    for fact in sorted(facts, key=_in_time):
        if not fact.hits:
            continue
        repeat = False
        if fact.link:
            key = (fact.type, fact.link, fact.client)
            before = last.get(key)
            last[key] = fact.at_ms
            repeat = before is not None and fact.at_ms - before < REPEAT_MS
        counted = not repeat and not fact.expired and fact.client != ReaderClass.PROBE
        person = counted and fact.client not in MACHINES
        hour = fact.at_ms // HOUR_MS
        for campaign in {"", fact.campaign}:
            cell = (hour, campaign, fact.type)
            numbers = sums.get(cell)
            if numbers is None:
                numbers = sums[cell] = list(_NONE)
            numbers[1 if fact.expired else 0] += fact.hits
            if counted:
                numbers[2] += 1
                numbers[4] = 1
            if person:
                numbers[3] += 1
                numbers[5] = 1
    return sums


def add(sums: Sums, more: Sums, sign: int = 1) -> None:
    """Add to sums, in place."""
    for cell, numbers in more.items():
        found = sums.get(cell)
        if found is None:
            sums[cell] = [sign * n for n in numbers]
        else:
            sums[cell] = [old + sign * new for old, new in zip(found, numbers, strict=True)]


def _in_time(fact: Fact) -> tuple[int, str | bytes | int]:
    return fact.at_ms, fact.order
