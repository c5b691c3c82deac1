"""Figures as they are asked for, and counted again from the rows."""

import sqlite3
from typing import Final

from engagement.events.rows import REPEAT_MS
from engagement.figures.contribution import Cell, Contribution, Cube, add, contribution
from engagement.figures.definitions import FIGURES
from engagement.figures.facts import Fact
from engagement.figures.increments import Level
from engagement.figures.query import FigureQuery, reading
from engagement.stores.aggregate import HOUR_MS, Figure, as_counts, hours_of
from engagement.stores.port import Count, Query
from engagement.stores.sqlite.codes import TYPE_CODES, TYPES
from engagement.stores.sqlite.counting import hourly
from engagement.stores.sqlite.counting.facts import COLUMNS, fact
from engagement.stores.sqlite.counting.figures import UPSERT, UPSERT_HOUR
from engagement.stores.sqlite.reading import tenants
from engagement.stores.sqlite.terms import Terms
from engagement.stores.sqlite.writing import state

_FOR_EVER: Final = 2**62  # later than any hour there is, and SQLite can hold it
_HOURS: Final = """
SELECT type, sum(recorded), sum(expired), sum(counted), sum(people), sum(messages), sum(people_messages)
FROM hourly WHERE tenant = ? AND campaign = ? AND hour >= ? AND hour <= ? GROUP BY type
"""
_OF_SPAN: Final = f"""
SELECT {COLUMNS}, event.message FROM event INDEXED BY sqlite_autoindex_event_1
WHERE event.tenant = ? AND event.at_ms >= ? AND event.at_ms < ? AND event.place <= ?
"""  # noqa: S608 - fixed text
_OF_DAY: Final = (
    "SELECT counter, bucket, a, b, n FROM fig WHERE tenant = ? AND cube = ? AND bucket >= ? AND bucket < ?"
)
_IS_PARTIAL: Final = "SELECT 1 FROM partial_day WHERE tenant = ? AND day = ?"
# Which column tells the groups apart (`contribution.Cube`).
_GROUP_COLUMNS: Final = {"campaign": "a", "domain": "a", "link": "b"}
_MOST_GROUPS: Final = 1_000  # that a statement names one by one; of more, as of many equal ones, all are read
_SEEKS: Final = 400  # a year of days
# The increments of the cubes that lie within days.
LEVELS: Final = {
    Cube.TOTAL_MINUTE: Level.MINUTE,
    Cube.TOTAL_HOUR: Level.HOUR,
    Cube.TOTAL_DAY: Level.DAY,
    Cube.CAMPAIGN_HOUR: Level.HOUR,
    Cube.CAMPAIGN_DAY: Level.DAY,
    Cube.DOMAIN_DAY: Level.DAY,
    Cube.LINK_DAY: Level.DAY,
    Cube.MACHINE_DAY: Level.DAY,
}


def totals(connection: sqlite3.Connection, terms: Terms, query: Query) -> dict[str, Count]:
    """Return figures of whole hours (see the port)."""
    tenant = terms.number(connection, query.tenant)
    first, last = hours_of(query)
    sums: dict[str, list[int]] = {}
    for campaign in dict.fromkeys(query.campaigns or ("",)):
        number = terms.number(connection, campaign)
        span = tenant, number, first, _FOR_EVER if last is None else last
        for kind, *numbers in connection.execute(_HOURS, span):
            before = sums.get(TYPES[kind], [0] * 6)
            sums[TYPES[kind]] = [old + new for old, new in zip(before, numbers, strict=True)]
    found = {name: Figure(*numbers) for name, numbers in sorted(sums.items()) if any(numbers)}
    return as_counts(found, expired=query.expired, types=query.types)


def cells(connection: sqlite3.Connection, terms: Terms, query: FigureQuery) -> list[tuple[Cell, int]]:
    """Return the cells that answer a query of figures.

    Raises UnsupportedQueryError and ValueError as `figures.query.reading` does.
    """
    selection, tenant = reading(query), terms.number(connection, query.tenant)
    where = ["tenant = ?", "cube = ?"]
    bound: list[object] = [tenant, int(selection.cube)]
    begin, end = selection.first, selection.last
    if begin is not None and end is not None and end - begin < _SEEKS:
        # One by one the index is searched in each for counters and groups; a range of buckets is read whole.
        buckets = range(begin, end + 1)
        where.append(f"bucket IN ({', '.join('?' * len(buckets))})")
        bound += buckets
    else:
        for sign, bucket in ((">=", begin), ("<=", end)):
            if bucket is not None:
                where.append(f"bucket {sign} ?")
                bound.append(bucket)
    if selection.a:
        where.append(f"a IN ({', '.join('?' * len(selection.a))})")
        bound += [terms.number(connection, text) for text in selection.a]
    column = _GROUP_COLUMNS.get(query.by)
    if column and query.order_by:
        first = _first(connection, query, column, " AND ".join(where), bound)
        if first is not None:
            where.append(f"{column} IN ({', '.join('?' * len(first))})")
            bound += first
    counters = selection.counters
    where.append(f"counter IN ({', '.join('?' * len(counters))})")
    bound += counters
    at = "bucket" if query.series else "min(bucket)"
    group = "bucket, counter, a, b" if query.series else "counter, a, b"
    statement = f"""SELECT {at}, counter, a, b, sum(n) FROM fig INDEXED BY sqlite_autoindex_fig_1
        WHERE {" AND ".join(where)} GROUP BY {group}"""  # noqa: S608 - names of ours
    return [
        ((int(selection.cube), first, counter, terms.text(connection, a), terms.text(connection, b)), n)
        for first, counter, a, b, n in connection.execute(statement, bound)
    ]


def _first(
    connection: sqlite3.Connection, query: FigureQuery, column: str, where: str, bound: list[object]
) -> list[int] | None:
    """Return the groups among which a query's first ones are, None for all.

    Of thousands of domains a page shows ten, and reading every figure of all takes a second.
    """
    parts = FIGURES[query.order_by].parts
    factor = " ".join(f"WHEN {int(counter)} THEN {times}" for counter, times in parts.items())
    marks = ", ".join("?" * len(parts))
    size = f"sum(n * CASE counter {factor} END)"
    statement = f"""SELECT {column}, {size} FROM fig INDEXED BY sqlite_autoindex_fig_1
        WHERE {where} AND counter IN ({marks}) GROUP BY {column}"""  # noqa: S608 - names of ours
    sizes = connection.execute(statement, [*bound, *map(int, parts)]).fetchall()
    if not 0 < query.limit < len(sizes):
        return None
    least = sorted((size for _, size in sizes), reverse=True)[query.limit - 1]
    first = [group for group, size in sizes if size >= least]  # of equal ones the name decides, later
    return first if least > 0 and len(first) <= _MOST_GROUPS else None


def recount(connection: sqlite3.Connection, terms: Terms, day: int) -> int:
    """Count a day again, in a transaction of the caller's; return how many cells were wrong."""
    wrong, rolled = 0, state(connection, "rolled")
    for tenant in tenants(connection):
        if connection.execute(_IS_PARTIAL, (tenant, day)).fetchone():
            continue
        groups = _groups(connection, terms, tenant, day * Level.DAY, (day + 1) * Level.DAY, rolled)
        right: Contribution = {}
        for group in groups:
            add(right, contribution(group))
        for cube, level in LEVELS.items():
            wrong += _mend(
                connection, terms, tenant, cube, day * Level.DAY // level, Level.DAY // level, right
            )
        for hour in range(day * 24, day * 24 + 24):
            recount_hour(connection, terms, tenant, hour)
    return wrong


def recount_hour(connection: sqlite3.Connection, terms: Terms, tenant: int, hour: int) -> None:
    """Count the figures of one hour again."""
    right: hourly.Sums = {}
    groups = _groups(
        connection, terms, tenant, hour * HOUR_MS, (hour + 1) * HOUR_MS, state(connection, "rolled")
    )
    for group in groups:
        hourly.add(right, hourly.hourly(group))
    connection.execute("DELETE FROM hourly WHERE tenant = ? AND hour = ?", (tenant, hour))
    numbers = terms.numbers(connection)
    connection.executemany(
        UPSERT_HOUR,
        [
            (tenant, numbers[campaign], hour, TYPE_CODES[kind], *sums)
            for (at, campaign, kind), sums in right.items()
            if at == hour
        ],
    )


def _groups(
    connection: sqlite3.Connection, terms: Terms, tenant: int, from_ms: int, to_ms: int, rolled: int
) -> list[list[Fact]]:
    """Return the facts of a span by message, and those just before it, which tell repeats."""
    groups: dict[bytes, list[Fact]] = {}
    for line in connection.execute(_OF_SPAN, (tenant, from_ms - REPEAT_MS, to_ms, rolled)):
        groups.setdefault(line[18] or line[2], []).append(fact(connection, terms, line))
    return list(groups.values())


def _mend(
    connection: sqlite3.Connection, terms: Terms, tenant: int, cube: Cube, first: int, count: int,
    right: Contribution,
) -> int:  # fmt: skip
    """Set the cells of a cube's buckets right; return how many were wrong."""
    stored = {
        (int(cube), bucket, counter, terms.text(connection, a), terms.text(connection, b)): n
        for counter, bucket, a, b, n in connection.execute(_OF_DAY, (tenant, int(cube), first, first + count))
        if n
    }
    expected = {
        (int(cell[0]), cell[1], int(cell[2]), *cell[3:]): n
        for cell, n in right.items()
        if cell[0] == cube and first <= cell[1] < first + count
    }
    wrong = {cell for cell in stored.keys() | expected.keys() if stored.get(cell) != expected.get(cell)}
    numbers = terms.numbers(connection)
    connection.executemany(
        UPSERT,
        [
            (
                tenant,
                *cell[:3],
                numbers[cell[3]],
                numbers[cell[4]],
                expected.get(cell, 0) - stored.get(cell, 0),
            )
            for cell in wrong
        ],
    )
    return len(wrong)
