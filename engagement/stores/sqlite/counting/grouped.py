"""Figures by sending domain and by tag: sums of days that are over, and the rest counted from rows.

Nothing of it is written with an event: `settle` counts a day when it is over, in the shipper's idle moments
(docs/decisions/0039-figures-of-days-that-are-over.md). The sums lie in `fig` under cubes of their own, and
with those of a day a stamp that tells of which events they are: whatever is added to the day, or to what its
events are joined with, makes another stamp, and the day is counted from its rows until `settle` comes by.
Whoever changes or removes rows takes the stamp away (`forget`).
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from engagement.events.rows import REPEAT_MS
from engagement.figures.contribution import Cell, Cube
from engagement.figures.counters import Counter
from engagement.figures.increments import LEVELS, Level
from engagement.figures.query import FigureQuery, Grouping, UnsupportedQueryError, reading
from engagement.stores.aggregate import HOUR_MS
from engagement.stores.sqlite.codes import SECOND, TYPE_CODES
from engagement.stores.sqlite.counting.sums import Sums, summed
from engagement.stores.sqlite.reading import tenants
from engagement.stores.sqlite.terms import Terms
from engagement.stores.sqlite.writing import state

DAY: Final = int(Level.DAY)
_SELDOM: Final = 60.0  # seconds until days are looked for again, once none is left: they end once a day
_AFTER_MS: Final = 6 * HOUR_MS  # that a day is over: what comes late has mostly come
MOST_COUNTED: Final = 300_000  # events that an answer is counted from: a second or two
_MOST_OF_DAY: Final = 1_000_000  # events of a day that are counted in one transaction: some seconds
# Increments and cubes of each group, beside those of `contribution.Cube`. Numbers in files never change.
_CUBES: Final[dict[Grouping, dict[int, int]]] = {
    "sending_domain": {int(Level.HOUR): 20, DAY: 21},
    "tag": {int(Level.HOUR): 22, DAY: 23},
}
_COLUMNS: Final[dict[Grouping, str]] = {"sending_domain": "sender", "tag": "tags"}
CUBE_LEVELS: Final = {cube: level for cubes in _CUBES.values() for level, cube in cubes.items()}
_STAMP: Final = 0  # the counter of a stamp, in a cube of days
_JOINED: Final = 31  # days before it whose injections may still come and tell a day's events their sender
# No event is added without one of these counters rising, and none of them ever falls by it.
_RISING: Final = int(Counter.EXPIRED)
_KEY: Final = "sqlite_autoindex_event_1"
_HITS: Final = """
SELECT at_ms, event_id, type, class, certain, expired, hits, message, link, {column}
FROM event INDEXED BY {key} WHERE tenant = ? AND at_ms >= ? AND at_ms < ? AND type <= {last} AND {column} <> 0
ORDER BY at_ms, event_id
"""
_OTHERS: Final = """
SELECT at_ms / ?, type, CASE type WHEN {injection} THEN tries & 3 ELSE max(-1, min(tries, 1)) END, bounce,
    {column}, count(*), sum(size), sum(max(wait, 0))
FROM event INDEXED BY {key} WHERE tenant = ? AND at_ms >= ? AND at_ms < ? AND type > {last} AND {column} <> 0
    AND hits > 0
GROUP BY 1, 2, 3, 4, 5
"""
_NUMBER: Final = (
    "SELECT coalesce(sum(recorded + expired), 0) FROM hourly "
    "WHERE tenant = ? AND campaign = 0 AND hour >= ? AND hour < ?"
)
_RISEN: Final = f"""
SELECT bucket, sum(n), sum(n * (counter = {int(Counter.INJECTED)})) FROM fig INDEXED BY sqlite_autoindex_fig_1
WHERE tenant = ? AND cube = {int(Cube.TOTAL_DAY)} AND bucket >= ? AND bucket <= ? AND counter <= {_RISING}
GROUP BY bucket
"""  # noqa: S608 - numbers of ours
_STAMPS: Final = f"""
SELECT bucket, n FROM fig INDEXED BY sqlite_autoindex_fig_1
WHERE tenant = ? AND cube = ? AND bucket IN (SELECT value FROM json_each(?)) AND counter = {_STAMP}
"""  # noqa: S608 - a number of ours
_STORED_SUMS: Final = """
SELECT bucket, counter, a, sum(n) FROM fig INDEXED BY sqlite_autoindex_fig_1
WHERE tenant = ? AND cube = ? AND bucket IN (SELECT value FROM json_each(?))
    AND counter IN (SELECT value FROM json_each(?)) GROUP BY bucket, counter, a
"""
_FIRST: Final = f"SELECT min(at_ms) FROM event INDEXED BY {_KEY} WHERE tenant = ?"  # noqa: S608 - fixed text
_FORGET: Final = f"DELETE FROM fig WHERE tenant = ? AND cube = ? AND bucket = ? AND counter = {_STAMP}"  # noqa: S608 - a number of ours
_CLEAR: Final = "DELETE FROM fig WHERE tenant = ? AND cube = ? AND bucket >= ? AND bucket < ?"
_ADD: Final = "INSERT INTO fig (tenant, cube, bucket, counter, a, b, n) VALUES (?, ?, ?, ?, ?, 0, ?)"
_TAGS: Final = "SELECT set_id, tags FROM tag_set WHERE tenant = ?"


class Settling:
    """When days are settled: in moments without other work, and seldom where there was none to settle."""

    def __init__(self) -> None:
        self._next = 0.0

    def work(self, settle: Callable[[], bool], until: float) -> None:
        """Go on with days until a moment of the monotonic clock. settle: does one; returns whether it did."""
        if time.monotonic() < self._next:
            return
        while time.monotonic() < until:
            if not settle():
                self._next = time.monotonic() + _SELDOM
                return


class _UnlistedTagsError(Exception):
    """Some event has tags that no list holds: only its record tells them."""


def cells(
    connection: sqlite3.Connection, terms: Terms, group: Grouping, query: FigureQuery, values: tuple[str, ...]
) -> list[tuple[Cell, int]] | None:
    """Return the cells that answer a query of figures by a group (see the port: `grouped`).

    Raises UnsupportedQueryError and ValueError as `figures.query.reading` does, and UnsupportedQueryError
    where more than MOST_COUNTED events would be read.
    """
    selection, level = reading(query), LEVELS[query.precision]
    if selection.first is None or selection.last is None:
        return None
    tenant = terms.number(connection, query.tenant)
    numbers = {number for each in values if (number := terms.number(connection, each)) > 0}
    first, last = selection.first * level, (selection.last + 1) * level
    cube = _CUBES[group].get(level)
    stored_days = _stored_days(connection, tenant, group, first, last) if cube is not None else set()
    found: list[tuple[int, int, int, int]] = []
    if cube is not None:
        each_day = DAY // level
        buckets = [
            bucket for day in sorted(stored_days) for bucket in range(day * each_day, (day + 1) * each_day)
        ]
        within = [bucket for bucket in buckets if selection.first <= bucket <= selection.last]
        counters = json.dumps([int(counter) for counter in selection.counters])
        found += connection.execute(_STORED_SUMS, (tenant, cube, json.dumps(within), counters))
    spans = list(_spans(first, last, stored_days))
    _see_that_they_are_not_too_many(connection, tenant, spans)
    texts: dict[int, str] = {}
    for span in spans:
        try:
            names, sums = _counted(connection, tenant, group, span, (level,))
        except _UnlistedTagsError:
            return None
        texts |= names
        found += [(bucket, counter, value, n) for (_, bucket, counter, value), n in sums.items()]
    return [
        ((int(selection.cube), bucket, counter, name if query.by else "", ""), n)
        for bucket, counter, value, n in found
        if (not values or value in numbers or texts.get(value) in values)
        and (name := texts[value] if value in texts else terms.text(connection, value))
    ]


def settle(connection: sqlite3.Connection, terms: Terms, now_ms: int) -> bool:
    """Count a day that is over and has no sums, the newest; return whether there was one.

    In a transaction of the caller's. Of a file whose events still move from an older schema there is none.
    """
    if state(connection, "moving"):
        return False
    for tenant in tenants(connection):
        first = connection.execute(_FIRST, (tenant,)).fetchone()[0] // DAY
        over = (now_ms - _AFTER_MS) // DAY  # this one is not
        for group in _CUBES:
            stamps = _stamps(connection, tenant, first, over - 1)
            stored = _present(connection, tenant, group, stamps)
            days = [day for day in sorted(stamps, reverse=True) if stored.get(day) != stamps[day]]
            for day in days:
                if _settled(connection, terms, tenant, group, day, stamps[day]):
                    return True
    return False


def forget(connection: sqlite3.Connection, changed: Iterable[tuple[int, int]]) -> None:
    """Forget the sums of the days in which rows changed, in a transaction of the caller's.

    changed: tenants and times.
    """
    days = {(tenant, at_ms // DAY) for tenant, at_ms in changed}
    connection.executemany(
        _FORGET, [(tenant, cubes[DAY], day) for tenant, day in days for cubes in _CUBES.values()]
    )


def _settled(
    connection: sqlite3.Connection, terms: Terms, tenant: int, group: Grouping, day: int, stamp: int
) -> bool:
    """Count a day; return whether that was possible."""
    (number,) = connection.execute(_NUMBER, (tenant, day * 24, (day + 1) * 24)).fetchone()
    if number > _MOST_OF_DAY:
        return False
    levels = tuple(_CUBES[group])
    try:
        names, sums = _counted(connection, tenant, group, (day * DAY, (day + 1) * DAY), levels)
    except _UnlistedTagsError:
        return False
    numbers = terms.numbers(connection)
    known = {value: numbers[name] for value, name in names.items()}
    lines = [
        (tenant, _CUBES[group][level], bucket, counter, known.get(value, value), n)
        for (level, bucket, counter, value), n in sums.items()
    ]
    lines.append((tenant, _CUBES[group][DAY], day, _STAMP, 0, stamp))
    for level, cube in _CUBES[group].items():
        connection.execute(_CLEAR, (tenant, cube, day * DAY // level, (day + 1) * DAY // level))
    connection.executemany(_ADD, sorted(lines))
    return True


def _counted(
    connection: sqlite3.Connection, tenant: int, group: Grouping, span: tuple[int, int],
    levels: tuple[int, ...],
) -> tuple[dict[int, str], Sums]:  # fmt: skip
    """Return the figures of a span from its rows, and what values are called that are no terms.

    Raises _UnlistedTagsError.
    """
    first, last = span
    fragments: dict[str, Any] = {"key": _KEY, "last": SECOND, "injection": TYPE_CODES["injection"]}
    fragments["column"] = _COLUMNS[group]
    hits = connection.execute(_HITS.format(**fragments), (tenant, first - REPEAT_MS, last)).fetchall()
    others = connection.execute(_OTHERS.format(**fragments), (levels[0], tenant, first, last)).fetchall()
    if group == "sending_domain":
        return {}, summed(hits, others, first, levels, lambda value: (value,))
    names, values_of = _tags(connection, tenant)
    try:
        return names, summed(hits, others, first, levels, values_of)
    except KeyError as error:
        raise _UnlistedTagsError from error


def _tags(
    connection: sqlite3.Connection, tenant: int
) -> tuple[dict[int, str], Callable[[int], tuple[int, ...]]]:
    """Return the tags of a tenant by numbers made up here, which are no terms, and those of each set."""
    (name,) = connection.execute(
        "SELECT coalesce((SELECT text FROM term WHERE id = ?), '')", (tenant,)
    ).fetchone()
    numbers: dict[str, int] = {}
    sets: dict[int, tuple[int, ...]] = {}
    for set_id, text in connection.execute(_TAGS, (name,)):
        tags = tuple(numbers.setdefault(tag, -1 - len(numbers)) for tag in json.loads(text) if tag)
        sets[int.from_bytes(set_id, "big", signed=True)] = tags
    return {number: tag for tag, number in numbers.items()}, sets.__getitem__


def _stored_days(
    connection: sqlite3.Connection, tenant: int, group: Grouping, first_ms: int, last_ms: int
) -> set[int]:
    """Return the days of a span whose sums are of all their events."""
    stamps = _stamps(connection, tenant, first_ms // DAY, (last_ms - 1) // DAY)
    stored = _present(connection, tenant, group, stamps)
    return {day for day, stamp in stored.items() if stamps[day] == stamp}


def _stamps(connection: sqlite3.Connection, tenant: int, first: int, last: int) -> dict[int, int]:
    """Return what the stamps of days with events are now."""
    lines = connection.execute(_RISEN, (tenant, first - _JOINED, last)).fetchall()
    injected = {day: injections for day, _, injections in lines}
    return {
        day: risen + sum(injected.get(day - before, 0) for before in range(1, _JOINED + 1))
        for day, risen, _ in lines
        if day >= first
    }


def _present(
    connection: sqlite3.Connection, tenant: int, group: Grouping, days: Iterable[int]
) -> dict[int, int]:
    """Return the stamps that sums of days have."""
    return dict(connection.execute(_STAMPS, (tenant, _CUBES[group][DAY], json.dumps(list(days)))).fetchall())


def _spans(first_ms: int, last_ms: int, stored_days: set[int]) -> Iterator[tuple[int, int]]:
    """Yield the parts of a span that lie in no day with sums, as long as they can be."""
    begins = first_ms
    for day in sorted(stored_days):
        if begins < day * DAY:
            yield begins, day * DAY
        begins = max(begins, (day + 1) * DAY)
    if begins < last_ms:
        yield begins, last_ms


def _see_that_they_are_not_too_many(
    connection: sqlite3.Connection, tenant: int, spans: Iterable[tuple[int, int]]
) -> None:
    """Raise UnsupportedQueryError for more events than an answer is counted from."""
    number = 0
    for first, last in spans:
        span = tenant, first // HOUR_MS, -(-last // HOUR_MS)
        number += connection.execute(_NUMBER, span).fetchone()[0]
    if number > MOST_COUNTED:
        raise UnsupportedQueryError(
            f"{number} events would have to be counted, of at most {MOST_COUNTED}: ask for less time, or "
            "later, when sums of the days that are over are there"
        )
