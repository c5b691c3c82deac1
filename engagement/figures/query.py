"""What can be asked of figures, and how the answer is read from the cells that a store keeps.

An engine keeps sums of contributions by cell (`contribution.Cell`). To answer, it takes `reading(query)`,
selects the cells that this names, and hands them to `answer`. Nothing else is to be known of figures there.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from engagement.figures.contribution import Cell, Cube
from engagement.figures.definitions import FIGURES, figure, figures_of
from engagement.figures.increments import LEVELS, LIFE, PRECISIONS, Level, begin, end

GROUPS: Final = ("campaign", "domain", "link", "machine")
Grouping = Literal["sending_domain", "tag"]  # what no cube holds, and some engines count all the same
_TOTALS: Final = {
    Level.MINUTE: Cube.TOTAL_MINUTE,
    Level.HOUR: Cube.TOTAL_HOUR,
    Level.DAY: Cube.TOTAL_DAY,
}
_CAMPAIGNS: Final = {Level.HOUR: Cube.CAMPAIGN_HOUR, Level.DAY: Cube.CAMPAIGN_DAY}
_MINUTES_ONLY_IN_ALL: Final = "minutes are kept for all mail together; ask for hour or day, or for all"
_DAYS_ONLY: Final = "is kept by day; ask for day, week or month"


class UnsupportedQueryError(ValueError):
    """This engine does not offer such a query. The text says what to add or leave out."""


@dataclass(frozen=True, slots=True)
class FigureQuery:
    """Which figures (docs/figures.md). Empty fields match all.

    from_ms, to_ms: Unix milliseconds, rounded outwards to whole increments; None for no end. precision: the
    increment, one of `increments.PRECISIONS`, or `increments.LIFE`: whole campaigns, without time. It says
    within what a message is unique (contract.md 7.6). series: a row for each increment, else they are added
    up. by: "" or one of `GROUPS`. metrics: names of `definitions.FIGURES`, all if empty. campaigns: "" means
    mail without one. limit: groups, the first by order_by (a figure), descending, or by name if that is "".
    """

    from_ms: int | None = None
    to_ms: int | None = None
    precision: str = "day"
    series: bool = False
    by: str = ""
    metrics: tuple[str, ...] = ()
    campaigns: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    tenant: str = ""
    limit: int = 1000
    order_by: str = ""


class FigureRow(NamedTuple):
    """Figures of one group and increment.

    group: "" without `by`; of links as `contribution.link_group` names them; of machines "class reason".
    at_ms: where the increment begins, None without series. figures: by the figure's name; those that are 0
    are left out, and so are rows without any.
    """

    group: str
    at_ms: int | None
    figures: Mapping[str, int]


class Reading(NamedTuple):
    """Which cells answer a query.

    cube: of the cells. first, last: buckets, both inclusive; None for no end. a: values of `a`, () for all.
    counters: which are needed.
    """

    cube: Cube
    first: int | None
    last: int | None
    a: tuple[str, ...]
    counters: tuple[int, ...]


def reading(query: FigureQuery) -> Reading:
    """Return which cells answer a query.

    Raises UnsupportedQueryError where no cube holds them, ValueError for names that are not known.
    """
    _check(query)
    cube = _cube(query)
    a = query.domains if cube == Cube.DOMAIN_DAY else query.campaigns
    first, last = _buckets(query)
    names = {*(query.metrics or FIGURES), *((query.order_by,) if query.order_by else ())}
    counters = sorted({int(counter) for name in names for counter in FIGURES[name].parts})
    return Reading(cube, first, last, a, tuple(counters))


def answer(query: FigureQuery, cells: Iterable[tuple[Cell, int]]) -> tuple[FigureRow, ...]:
    """Return the rows that answer a query.

    cells: those of `reading(query)` with their sums; of one cell several are added up, others are ignored.
    Raises UnsupportedQueryError and ValueError as `reading` does.
    """
    selection = reading(query)
    groups: dict[str, dict[int | None, dict[int, int]]] = {}
    # Tens of thousands of cells make up a page, most of them next to one of the same group and time.
    of_cube, values = selection.cube, frozenset(selection.a)
    first = -math.inf if selection.first is None else selection.first
    last = math.inf if selection.last is None else selection.last
    before: tuple[int, str, str] | None = None
    sums: dict[int, int] = {}
    for (cube, bucket, counter, a, b), n in cells:
        if cube != of_cube or not first <= bucket <= last or (values and a not in values):
            continue
        if before != (bucket, a, b):
            before = bucket, a, b
            at_ms = _at(query, bucket) if query.series else None
            sums = groups.setdefault(_group(query.by, a, b), {}).setdefault(at_ms, {})
        sums[counter] = sums.get(counter, 0) + n
    return tuple(
        row
        for group in _first(query, groups)
        for at_ms, sums in sorted(groups[group].items(), key=lambda item: item[0] or 0)
        if (row := _row(query, group, at_ms, sums)).figures
    )


def _row(query: FigureQuery, group: str, at_ms: int | None, sums: Mapping[int, int]) -> FigureRow:
    return FigureRow(group, at_ms, figures_of(query.metrics or FIGURES, sums))


def _first(query: FigureQuery, groups: Mapping[str, Mapping[int | None, Mapping[int, int]]]) -> list[str]:
    """Return the groups to show, in order."""
    names = sorted(groups)
    if query.order_by:
        sizes = {
            group: sum(figure(query.order_by, sums) for sums in groups[group].values()) for group in names
        }
        names.sort(key=lambda group: -sizes[group])
    return names[: max(0, query.limit)]


def _check(query: FigureQuery) -> None:
    unknown = [name for name in (*query.metrics, query.order_by) if name and name not in FIGURES]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no figure; docs/figures.md lists them")
    if query.precision not in (*PRECISIONS, LIFE):
        raise ValueError(f"{query.precision!r} is no precision; known: {', '.join((*PRECISIONS, LIFE))}")
    if query.by and query.by not in GROUPS:
        raise ValueError(f"figures by {query.by!r} are not kept; known: {', '.join(GROUPS)}")
    if query.precision == LIFE and (query.series or query.from_ms is not None or query.to_ms is not None):
        raise UnsupportedQueryError("a campaign's life has no times; leave them and the series out")


def _cube(query: FigureQuery) -> Cube:
    level = LEVELS.get(query.precision)
    by_domain = bool(query.domains) or query.by == "domain"
    by_campaign = bool(query.campaigns) or query.by == "campaign"
    if by_domain and (by_campaign or query.by in ("link", "machine")):
        raise UnsupportedQueryError("domains are kept for all campaigns together; leave one of the two out")
    if query.by == "machine" and by_campaign:
        raise UnsupportedQueryError("machines are kept for all campaigns together; leave the campaigns out")
    if level is None:
        if not by_campaign or query.by in ("link", "machine"):
            raise UnsupportedQueryError("only campaigns have a life; name some, or ask by campaign")
        return Cube.CAMPAIGN_LIFE
    for applies, cube, what in (
        (by_domain, Cube.DOMAIN_DAY, "a domain"),
        (query.by == "link", Cube.LINK_DAY, "a link"),
        (query.by == "machine", Cube.MACHINE_DAY, "what machines did"),
    ):
        if applies:
            if level != Level.DAY:
                raise UnsupportedQueryError(f"{what} {_DAYS_ONLY}")
            return cube
    if not by_campaign:
        return _TOTALS[level]
    if level not in _CAMPAIGNS:
        raise UnsupportedQueryError(_MINUTES_ONLY_IN_ALL)
    return _CAMPAIGNS[level]


def _buckets(query: FigureQuery) -> tuple[int | None, int | None]:
    level = LEVELS.get(query.precision)
    if level is None:
        return None, None
    first = None if query.from_ms is None else begin(query.precision, query.from_ms) // level
    last = None if query.to_ms is None else end(query.precision, query.to_ms - 1) // level - 1
    return first, last


def _at(query: FigureQuery, bucket: int) -> int:
    return begin(query.precision, bucket * LEVELS[query.precision])


def _group(by: str, a: str, b: str) -> str:
    if by == "link":
        return b
    if by == "machine":
        return f"{a} {b}".rstrip()
    return a if by else ""
