"""Answers questions for figures from the absolute numbers that `recount` has written."""

from collections.abc import Iterable, Iterator, Mapping
from heapq import nsmallest
from itertools import chain
from typing import Any

from engagement.figures.contribution import Cell, Cube
from engagement.figures.definitions import FIGURES
from engagement.figures.query import FigureQuery, FigureRow, Reading, answer, reading
from engagement.stores.cassandra.figures.counting import (
    FIRST_UNIQUE,
    OF_ALL_MAIL,
    day_of,
    period_of,
    row_cells,
    unpack_counters,
)
from engagement.stores.cassandra.figures.ranks import RANKED, by_day, numbers_of, rank_cube
from engagement.stores.cassandra.queries import PLACE
from engagement.stores.cassandra.reader import Reader

_LAST: int = 2**31 - 1
_TOGETHER: int = 8  # partitions that one statement names
_FEW_DAYS: int = 63
_MOST_RANKED: int = 50  # groups that are read one by one; of more all are read
_Line = tuple[Any, ...]  # day, a, b, cells


def figures(reader: Reader, query: FigureQuery) -> tuple[FigureRow, ...]:
    """Return figures (see the port). Raises UnsupportedQueryError, ValueError, StoreError."""
    selection = reading(query)
    if selection.cube == Cube.CAMPAIGN_LIFE:
        return answer(query, _lives(reader, query.tenant, selection.a))
    if RANKED.get(selection.cube) == query.order_by != "" and not selection.a and query.limit <= _MOST_RANKED:
        return answer(query, _unpacked(selection, _of_ranked_groups(reader, query, selection)))
    lines = _lines(reader, query.tenant, selection)
    return answer(query, _unpacked(selection, _of_first_groups(query, selection, lines)))


def _cells(reader: Reader, tenant: str, selection: Reading) -> Iterator[tuple[Cell, int]]:
    return _unpacked(selection, _lines(reader, tenant, selection))


def _unpacked(selection: Reading, lines: Iterable[_Line]) -> Iterator[tuple[Cell, int]]:
    cube, needed = int(selection.cube), frozenset(selection.counters)  # none for all
    for _, a, b, cells in lines:
        for bucket, counter, n in row_cells(cells):
            if not needed or counter in needed:
                yield (cube, bucket, counter, a, b), n


def _of_ranked_groups(reader: Reader, query: FigureQuery, selection: Reading) -> Iterable[_Line]:
    """Return the lines of the groups to show, of which the ranks of days tell."""
    tenant, cube, (first, last) = query.tenant, int(selection.cube), _days(selection)
    days = _days_to_read(reader, tenant, first, last)
    periods = dict.fromkeys(period_of(Cube.TOTAL_DAY, day) for day in days)
    answers = reader.read_several(
        [
            *(("figure_stamps", (tenant, int(Cube.TOTAL_DAY), period, first, last)) for period in periods),
            *(("ranks", (tenant, rank_cube(cube), some)) for some in _parts(days)),
        ]
    )
    stamps = list(chain.from_iterable(answers[: len(periods)]))
    ranked = by_day(chain.from_iterable(answers[len(periods) :]), stamps)
    unranked = dict.fromkeys(day for day, _ in stamps if day not in ranked)
    others = [(tenant, cube, some, first, last) for some in _parts(unranked)]
    lines = list(chain.from_iterable(reader.read_each("figures_in", others)))
    numbers = numbers_of(query.order_by, chain.from_iterable(ranked.values()))
    for name, n in _numbers(query.order_by, lines, 1).items():
        numbers[name] = numbers.get(name, 0) + n
    chosen = _first(query, numbers)
    if sum(numbers[name] > 0 for name in chosen) < query.limit:
        return _lines(reader, tenant, selection)  # those that have none of it are shown as well
    found = reader.read_each(
        "figures_of_groups", [(tenant, cube, day, day, sorted(chosen)) for day in ranked]
    )
    return [*(line for line in lines if line[1] in chosen), *chain.from_iterable(found)]


def _first(query: FigureQuery, numbers: Mapping[str, int]) -> frozenset[str]:
    """Return the names of the groups to show. numbers: what they are ordered by."""
    return frozenset(nsmallest(query.limit, numbers, key=lambda name: (-numbers[name], name)))


def _numbers(
    order_by: str, lines: Iterable[_Line], column: int, first: int = -1, last: int = _LAST
) -> dict[str, int]:
    """Return what groups are ordered by, of the buckets from first to last. column: of the group's name."""
    factors = {int(counter): factor for counter, factor in FIGURES[order_by].parts.items()}
    numbers: dict[str, int] = {}
    for line in lines:
        n = sum(
            factors[counter] * n
            for bucket, counter, n in row_cells(line[3])
            if counter in factors and first <= bucket <= last
        )
        numbers[line[column]] = numbers.get(line[column], 0) + n
    return numbers


def _of_first_groups(query: FigureQuery, selection: Reading, lines: Iterable[_Line]) -> Iterable[_Line]:
    """Leave out the lines of groups that are not among the first ones to show.

    Of thousands of domains a page shows eight: only what they are ordered by is added up of all.
    """
    if not query.order_by or query.by not in ("campaign", "domain", "link"):
        return lines
    every = [line for line in lines if not selection.a or line[1] in selection.a]
    column = 2 if query.by == "link" else 1
    first = -1 if selection.first is None else selection.first
    last = _LAST if selection.last is None else selection.last
    chosen = _first(query, _numbers(query.order_by, every, column, first, last))
    return [line for line in every if line[column] in chosen]


def _lines(reader: Reader, tenant: str, selection: Reading) -> Iterator[_Line]:
    cube = int(selection.cube)
    first, last = _days(selection)
    days = _days_to_read(reader, tenant, first, last)
    if selection.a and cube not in OF_ALL_MAIL:
        names = list(dict.fromkeys(selection.a))
        bound = [(tenant, cube, period_of(cube, day), day, names) for day in days]
        found = reader.read_each("figures_of_groups", bound)
    else:
        periods = dict.fromkeys(period_of(cube, day) for day in days)
        found = reader.read_each(
            "figures_in", [(tenant, cube, some, first, last) for some in _parts(periods)]
        )
    return chain.from_iterable(found)


def _days(selection: Reading) -> tuple[int, int]:
    """Return the first and the last day since 1970 of the cells of a reading."""
    cube = int(selection.cube)
    ends = [
        default if bucket is None else day_of((cube, bucket, 0, "", "")) or 0
        for bucket, default in ((selection.first, 0), (selection.last, _LAST))
    ]
    return max(0, min(ends[0], _LAST)), max(0, min(ends[1], _LAST))


def _parts(periods: Iterable[int]) -> list[list[int]]:
    """Return periods, or days, in parts that one statement names."""
    every = list(periods)
    return [every[start : start + _TOGETHER] for start in range(0, len(every), _TOGETHER)]


def _days_to_read(reader: Reader, tenant: str, first: int, last: int) -> list[int]:
    """Return days among which are all that have figures; of some weeks every day, which costs no round."""
    if last - first < _FEW_DAYS:
        return list(range(first, last + 1))
    return [day for (day,) in reader.read("figure_days", (PLACE, tenant, first, last))]


def _lives(reader: Reader, tenant: str, campaigns: tuple[str, ...]) -> Iterator[tuple[Cell, int]]:
    """Yield the cells of campaigns' lives: what their days add up to, and what was seen once in all."""
    by_day = Reading(Cube.CAMPAIGN_DAY, None, None, campaigns, ())
    names = dict.fromkeys(campaigns)
    for (_, _, counter, a, _), n in _cells(reader, tenant, by_day):
        if a:
            names[a] = None
            if counter < FIRST_UNIQUE:
                yield (int(Cube.CAMPAIGN_LIFE), 0, counter, a, ""), n
    for name, lines in zip(names, reader.read_each("lives", [(tenant, a) for a in names]), strict=True):
        for (cells,) in lines:
            for counter, n in unpack_counters(cells).items():
                yield (int(Cube.CAMPAIGN_LIFE), 0, counter, name, ""), n
