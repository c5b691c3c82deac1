"""Answers questions for figures from the absolute numbers that `recount` has written."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from engagement.figures.contribution import Cell, Cube
from engagement.figures.definitions import FIGURES, figure
from engagement.figures.query import FigureQuery, FigureRow, Reading, answer, reading
from engagement.stores.cassandra.figures.counting import (
    FIRST_UNIQUE,
    day_of,
    row_cells,
    unpack_counters,
    unpack_row,
)
from engagement.stores.cassandra.figures.recount import OF_ALL_MAIL, period_of
from engagement.stores.cassandra.queries import PLACE
from engagement.stores.cassandra.reader import Reader

_LAST: int = 2**31 - 1
_Line = tuple[Any, ...]  # day, a, b, cells


def figures(reader: Reader, query: FigureQuery) -> tuple[FigureRow, ...]:
    """Return figures (see the port). Raises UnsupportedQueryError, ValueError, StoreError."""
    wanted = reading(query)
    if wanted.cube == Cube.CAMPAIGN_LIFE:
        return answer(query, _lives(reader, query.tenant, wanted.a))
    lines = _lines(reader, query.tenant, wanted)
    return answer(query, _unpacked(wanted, _of_first_groups(query, wanted, lines)))


def _cells(reader: Reader, tenant: str, wanted: Reading) -> Iterator[tuple[Cell, int]]:
    return _unpacked(wanted, _lines(reader, tenant, wanted))


def _unpacked(wanted: Reading, lines: Iterable[_Line]) -> Iterator[tuple[Cell, int]]:
    for _, a, b, cells in lines:
        yield from unpack_row((int(wanted.cube), a, b), cells).items()


def _of_first_groups(query: FigureQuery, wanted: Reading, lines: Iterable[_Line]) -> Iterable[_Line]:
    """Leave out the lines of groups that are not among the first ones to show.

    Of thousands of domains a page shows eight: only what they are ordered by is added up of all.
    """
    if not query.order_by or query.by not in ("campaign", "domain", "link"):
        return lines
    every = [line for line in lines if not wanted.a or line[1] in wanted.a]
    column = 2 if query.by == "link" else 1
    first = -1 if wanted.first is None else wanted.first
    last = _LAST if wanted.last is None else wanted.last
    parts = {int(counter) for counter in FIGURES[query.order_by].parts}
    sums: dict[str, dict[int, int]] = {}
    for line in every:
        group = sums.setdefault(line[column], {})
        for bucket, counter, n in row_cells(line[3]):
            if counter in parts and first <= bucket <= last:
                group[counter] = group.get(counter, 0) + n
    sizes = {name: figure(query.order_by, group) for name, group in sums.items()}
    shown = sorted(sorted(sizes), key=lambda name: -sizes[name])
    chosen = frozenset(shown[: max(0, query.limit)])
    return [line for line in every if line[column] in chosen]


def _lines(reader: Reader, tenant: str, wanted: Reading) -> Iterator[_Line]:
    cube = int(wanted.cube)
    first, last = _days(wanted)
    days = [day for (day,) in reader.read("figure_days", (PLACE, tenant, first, last))]
    if wanted.a and cube not in OF_ALL_MAIL:
        places = [(tenant, cube, period_of(cube, day), day) for day in days]
        found = reader.read_each("figures_of_value", [(*place, a) for place in places for a in wanted.a])
    else:
        periods = dict.fromkeys(period_of(cube, day) for day in days)
        found = reader.read_each("figures", [(tenant, cube, period, first, last) for period in periods])
    return chain.from_iterable(found)


def _days(wanted: Reading) -> tuple[int, int]:
    """Return the first and the last day since 1970 of the cells of a reading."""
    cube = int(wanted.cube)
    ends = [
        default if bucket is None else day_of((cube, bucket, 0, "", "")) or 0
        for bucket, default in ((wanted.first, 0), (wanted.last, _LAST))
    ]
    return max(0, min(ends[0], _LAST)), max(0, min(ends[1], _LAST))


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
