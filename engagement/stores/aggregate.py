"""Computes figures, alike for every engine: repeats in time order, counts by type, an hour's figures as text.

Pure. The rules of counting are in contract.md 6.2 to 6.4 and 7.6; `sqlite.queries` has the same in SQL.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import add
from typing import Final

from engagement.events.classify import MACHINES, ReaderClass
from engagement.events.rows import REPEAT_MS
from engagement.stores.port import Count, Query

HOUR_MS: Final = 3_600_000

_Link = str | bytes
_FORGET_AT: Final = 100_000  # links that are remembered; for fewer a pass over all is not worth it


class RepeatFinder:
    """Finds repeats in a stream of hits. Those of one link must come in time order."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, _Link, str], int] = {}

    def is_repeat(self, kind: str, link: _Link, client: str, at_ms: int) -> bool:
        """Return whether this hit repeats an earlier one; note it."""
        if not link:
            return False
        key = (kind, link, client)
        before = self._last.get(key)
        self._last[key] = at_ms
        return before is not None and at_ms - before < REPEAT_MS

    def forget(self, before_ms: int) -> None:
        """Drop what no hit at before_ms or later can repeat, if there is much of it."""
        if len(self._last) > _FORGET_AT:
            limit = before_ms - REPEAT_MS
            self._last = {key: at for key, at in self._last.items() if at > limit}


class Aggregate:
    """Counts events."""

    def __init__(self) -> None:
        self._recorded: Counter[str] = Counter()
        self._expired: Counter[str] = Counter()
        self._counted: Counter[str] = Counter()
        self._people: Counter[str] = Counter()
        self._messages: defaultdict[str, set[Hashable]] = defaultdict(set)
        self._people_messages: defaultdict[str, set[Hashable]] = defaultdict(set)

    def add(
        self, kind: str, message: Hashable, client: str, *, expired: bool, repeat: bool, hits: int = 1
    ) -> None:
        """Count one event. kind: its type. message: any key of its message.

        hits: the number of requests that the event stands for; all but the first are repeats.
        """
        if expired:
            self._expired[kind] += hits
            return
        self._recorded[kind] += hits
        if repeat or client == ReaderClass.PROBE:
            return
        self._counted[kind] += 1
        self._messages[kind].add(message)
        if client not in MACHINES:
            self._people[kind] += 1
            self._people_messages[kind].add(message)

    def figures(self) -> "Figures":
        """Return what was counted so far."""
        return {
            kind: Figure(
                *numbers, len(self._messages.get(kind, ())), len(self._people_messages.get(kind, ()))
            )
            for kind, numbers in self._numbers()
        }

    def _numbers(self) -> Iterator[tuple[str, tuple[int, int, int, int]]]:
        for kind in sorted(self._recorded.keys() | self._expired.keys()):
            yield (
                kind,
                (self._recorded[kind], self._expired[kind], self._counted[kind], self._people[kind]),
            )


@dataclass(frozen=True, slots=True)
class Figure:
    """As `Count`, but hits on expired links are in `expired` and not in `recorded`."""

    recorded: int = 0
    expired: int = 0
    counted: int = 0
    people: int = 0
    messages: int = 0
    people_messages: int = 0

    def numbers(self) -> tuple[int, ...]:
        """Return all six, in order."""
        return (
            *(self.recorded, self.expired, self.counted, self.people, self.messages),
            self.people_messages,
        )


Figures = Mapping[str, Figure]


def as_counts(figures: Figures, *, expired: bool = False, types: tuple[str, ...] = ()) -> dict[str, Count]:
    """Return figures as a query asks for them: with or without expired hits, of some types or all."""
    found = {}
    for kind, figure in figures.items():
        recorded = figure.recorded + (figure.expired if expired else 0)
        if recorded and (not types or kind in types):
            found[kind] = Count(
                recorded, figure.counted, figure.people, figure.messages, figure.people_messages
            )
    return found


def together(several: Iterable[Figures]) -> Figures:
    """Return the sums of figures of hours or campaigns; different messages are counted in each of them."""
    sums: dict[str, list[int]] = {}
    for figures in several:
        for kind, figure in figures.items():
            before = sums.setdefault(kind, [0] * 6)
            sums[kind] = [one + other for one, other in zip(before, figure.numbers(), strict=True)]
    return {kind: Figure(*numbers) for kind, numbers in sorted(sums.items())}


def to_text(figures: Figures) -> str:
    """Return figures as JSON, for an engine to store."""
    return json.dumps(
        {kind: figure.numbers() for kind, figure in figures.items()}, separators=(",", ":"), sort_keys=True
    )


def from_texts(texts: Iterable[str]) -> Figures:
    """Return the sums of figures that `to_text` wrote, as `together` does. A thousand hours: some 10 ms."""
    sums: dict[str, list[int]] = {}
    for text in texts:
        for kind, numbers in json.loads(text).items():
            before = sums.get(kind)
            sums[kind] = numbers if before is None else list(map(add, before, numbers))
    return {kind: Figure(*numbers) for kind, numbers in sorted(sums.items())}


def is_by_hours(query: Query) -> bool:
    """Return whether the figures of hours answer a query."""
    return not (query.recipients or query.messages or query.transmissions or query.ids)


def hours_of(query: Query) -> tuple[int, int | None]:
    """Return the first hour since 1970 that the query touches, and the last one, None for no end."""
    last = None if query.to_ms is None else (query.to_ms - 1) // HOUR_MS
    return max(0, query.from_ms or 0) // HOUR_MS, last
