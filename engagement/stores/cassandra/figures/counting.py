"""Counts a virtual shard's day from what is known of its events. Pure.

Besides the cells of `engagement.figures` there are those of `TOTALS`: the port's old figures of hours, by
campaign and type. Each is a sum over messages, so those of a day are the sums over its virtual shards.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from engagement.figures.contribution import (
    Cell,
    Contribution,
    Cube,
    add,
    contribution,
    is_sent_again,
    seen_ever,
)
from engagement.figures.facts import Fact
from engagement.figures.increments import Level
from engagement.stores.aggregate import HOUR_MS, Aggregate, Figure, RepeatFinder
from engagement.stores.cassandra.figures.day_facts import ERASED, Facts
from engagement.stores.customer_tags import DAY_MS

TOTALS: Final = (
    100  # a: campaign, "" for all mail; b: type; the counter: which of the six numbers of `Figure`
)
FIRST_UNIQUE: Final = (
    60  # of engagement.figures.counters: from here on counters tell different messages or links
)

OF_ALL_MAIL: Final = frozenset((Cube.TOTAL_MINUTE, Cube.TOTAL_HOUR, Cube.TOTAL_DAY))
_PERIOD_DAYS: Final = 30
_LEVELS: Final = {
    Cube.TOTAL_MINUTE: Level.MINUTE,
    Cube.TOTAL_HOUR: Level.HOUR,
    Cube.CAMPAIGN_HOUR: Level.HOUR,
    TOTALS: Level.HOUR,
}
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode

Key = tuple[int, str, str]  # cube, a, b: a row of `figure`
Flags = dict[
    tuple[int, str | bytes | int], int
]  # the first counter and the link: by whom it was seen at best


class DayOfShard(NamedTuple):
    """A virtual shard's day. seen: by campaign and message."""

    cells: Contribution
    seen: dict[tuple[str, bytes], Flags]


def day_of(cell: Cell) -> int | None:
    """Return the day (since 1970) of a cell, None for a campaign's life."""
    if cell[0] == Cube.CAMPAIGN_LIFE:
        return None
    return cell[1] * _LEVELS.get(cell[0], Level.DAY) // DAY_MS


def period_of(cube: int, day: int) -> int:
    """Return the period of a row of `figure`: minutes of all mail by day, hours and days by 30 days."""
    return day // _PERIOD_DAYS if cube in (Cube.TOTAL_HOUR, Cube.TOTAL_DAY) else day


def count(day: int, facts: Facts, before: Facts) -> DayOfShard:
    """Return the figures of a day, of all messages of a virtual shard.

    before: the last hits of the day before, of messages where they matter.
    """
    counted = DayOfShard({}, {})
    for message, own in facts.items():
        every = [*before.get(message, ()), *own]
        cells = contribution(every)
        add(counted.cells, {cell: n for cell, n in cells.items() if day_of(cell) == day})
        _totals(counted.cells, day, every)
        if not message.startswith(ERASED):
            for ((_, _, campaign, _), first, link), rank in seen_ever(own).items():
                counted.seen.setdefault((campaign, message), {})[first, link] = rank
    return counted


def _totals(cells: Contribution, day: int, facts: Iterable[Fact]) -> None:
    """Add the port's old figures of one message."""
    hours: dict[tuple[int, str], Aggregate] = {}
    repeats, taken_in = RepeatFinder(), set[str | bytes | int]()
    for fact in sorted(facts, key=lambda fact: (fact.at_ms, fact.order)):
        link = fact.link if isinstance(fact.link, bytes) else b""
        repeat = repeats.is_repeat(fact.type, link, fact.client, fact.at_ms)
        if fact.at_ms // DAY_MS != day:
            continue
        if is_sent_again(fact, taken_in):
            continue
        for campaign in dict.fromkeys(("", fact.campaign)):
            aggregate = hours.setdefault((fact.at_ms // HOUR_MS, campaign), Aggregate())
            aggregate.add(fact.type, 0, fact.client, expired=fact.expired, repeat=repeat, hits=fact.hits)
    for (hour, campaign), aggregate in hours.items():
        for kind, figure in aggregate.figures().items():
            for number, n in enumerate(figure.numbers()):
                if n:
                    cell = (TOTALS, hour, number, campaign, kind)
                    cells[cell] = cells.get(cell, 0) + n


def pack(cells: Mapping[Cell, int]) -> bytes:
    """Return cells as bytes; equal for equal cells."""
    return _encode([(*cell, n) for cell, n in sorted(cells.items())])


def unpack(packed: bytes) -> Contribution:
    """Return what `pack` was given."""
    return {(cube, bucket, counter, a, b): n for cube, bucket, counter, a, b, n in _decode(packed)}


def by_key(cells: Mapping[Cell, int]) -> dict[Key, list[tuple[int, int, int]]]:
    """Return cells by the rows of `figure`: (bucket, counter, n) of each, in order."""
    found: dict[Key, list[tuple[int, int, int]]] = {}
    for (cube, bucket, counter, a, b), n in sorted(cells.items()):
        found.setdefault((cube, a, b), []).append((bucket, counter, n))
    return found


def pack_row(cells: list[tuple[int, int, int]]) -> bytes:
    """Return the column `cells` of a row of `figure`."""
    return _encode(cells)


def row_cells(packed: bytes) -> list[tuple[int, int, int]]:
    """Return (bucket, counter, number) of the cells of a row of `figure`."""
    cells: list[tuple[int, int, int]] = _decode(packed)
    return cells


def unpack_row(key: Key, packed: bytes) -> Contribution:
    """Return the cells of a row of `figure`."""
    cube, a, b = key
    return {(cube, bucket, counter, a, b): n for bucket, counter, n in _decode(packed)}


def totals_by_hour(cells: Mapping[Cell, int]) -> dict[tuple[str, int], dict[str, Figure]]:
    """Return the old figures among cells, by campaign and hour."""
    numbers: dict[tuple[str, int], dict[str, list[int]]] = {}
    for (cube, hour, number, campaign, kind), n in cells.items():
        if cube == TOTALS:
            numbers.setdefault((campaign, hour), {}).setdefault(kind, [0] * 6)[number] = n
    return {
        place: {kind: Figure(*six) for kind, six in sorted(kinds.items())} for place, kinds in numbers.items()
    }


def pack_flags(flags: Flags) -> bytes:
    """Return the column `ever` of a row of `seen`."""
    return _encode(sorted((first, link or b"", rank) for (first, link), rank in flags.items()))


def life_of(lines: Iterable[tuple[Any, ...]]) -> tuple[dict[int, int], int]:
    """Return a campaign's uniques by counter, and the sum of turns, from lines of `seen`.

    Each line is message, turn, ever. The sum grows with everything that is written into the partition, so of
    two readings the one with the greater sum has seen more.
    """
    best: dict[bytes, dict[tuple[int, bytes], int]] = {}
    turns = 0
    for message, turn, packed in lines:
        turns += turn
        own = best.setdefault(message, {})
        for first, link, rank in _decode(packed):
            own[first, link] = min(rank, own.get((first, link), rank))
    counters: dict[int, int] = {}
    for own in best.values():
        for (first, _), rank in own.items():
            counters[first + rank] = counters.get(first + rank, 0) + 1
    return counters, turns


def pack_counters(counters: Mapping[int, int]) -> bytes:
    """Return the column `cells` of a row of `life`."""
    return _encode(sorted(counters.items()))


def unpack_counters(packed: bytes) -> dict[int, int]:
    """Return what `pack_counters` was given."""
    return dict(_decode(packed))
