"""The figures of the file: they follow the rows by differences, in transactions of their own.

Invariant: `fig` and `hourly` are the sums of what each message contributed with its rows up to the place
`rolled`, whatever has been removed since. Whoever changes or removes such rows applies the difference, or
decides that figures stay, in the same transaction.
"""

import sqlite3
from collections.abc import Iterable
from typing import Any, Final

from engagement.figures.contribution import ALONE, Contribution, Cube, Ever, add, contribution, difference
from engagement.figures.facts import Fact
from engagement.stores.sqlite import hourly
from engagement.stores.sqlite.codes import TYPE_CODES
from engagement.stores.sqlite.ever import from_text
from engagement.stores.sqlite.facts import COLUMNS, facts
from engagement.stores.sqlite.terms import Terms
from engagement.stores.sqlite.writing import Arrived, set_state, state

PORTION: Final = 5_000  # arrivals of one transaction

UPSERT: Final = """
INSERT INTO fig (tenant, cube, bucket, counter, a, b, n) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, cube, bucket, counter, a, b) DO UPDATE SET n = n + excluded.n
"""
UPSERT_HOUR: Final = """
INSERT INTO hourly (tenant, campaign, hour, type, recorded, expired, counted, people, messages,
    people_messages)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, campaign, hour, type) DO UPDATE SET recorded = recorded + excluded.recorded,
    expired = expired + excluded.expired, counted = counted + excluded.counted,
    people = people + excluded.people, messages = messages + excluded.messages,
    people_messages = people_messages + excluded.people_messages
"""
_OF_MESSAGE: Final = f"""
SELECT {COLUMNS} FROM event INDEXED BY by_message
WHERE event.message = ? AND event.tenant = ? AND event.place <= ?
"""  # noqa: S608 - fixed text
_OTHER_TYPES: Final = """
SELECT type, at_ms FROM event INDEXED BY by_message WHERE message = ? AND tenant = ? AND place <= ?
"""
_ARRIVED: Final = f"""
SELECT {COLUMNS}, event.tenant, event.message FROM body CROSS JOIN event
    ON event.tenant = body.tenant AND event.at_ms = body.at_ms AND event.event_id = body.event_id
WHERE body.place > ? ORDER BY body.place LIMIT ?
"""  # noqa: S608 - fixed text
_EVER: Final = "SELECT ever FROM message WHERE message = ?"


class Differences:
    """What is to be added to the figures, by tenant."""

    def __init__(self) -> None:
        self._cells: dict[int, Contribution] = {}
        self._hours: dict[int, hourly.Sums] = {}

    def change(
        self, tenant: int, before: list[Fact], after: list[Fact], ever: Ever, *, hours: bool = True
    ) -> None:
        """Add what a message contributes after a change, less what it did before.

        ever: of its events that are gone. hours: also for the figures of hours.
        """
        old = contribution(before, ever) if before or ever else {}
        add(self._cells.setdefault(tenant, {}), difference(contribution(after, ever), old))
        if hours:
            sums = self._hours.setdefault(tenant, {})
            hourly.add(sums, hourly.hourly(after))
            hourly.add(sums, hourly.hourly(before), -1)

    def add_alone(self, tenant: int, events: list[Fact]) -> None:
        """Add events that contribute by themselves to all but the figures of hours."""
        add(self._cells.setdefault(tenant, {}), contribution(events))

    def add_hours(self, tenant: int, sums: hourly.Sums, sign: int = 1) -> None:
        """Add to the figures of hours."""
        hourly.add(self._hours.setdefault(tenant, {}), sums, sign)

    @property
    def hours(self) -> set[tuple[int, int]]:
        """The hours, with their tenants, that change."""
        return {(tenant, hour) for tenant, sums in self._hours.items() for hour, _, _ in sums}

    def apply(self, connection: sqlite3.Connection, terms: Terms) -> None:
        """Write all, in a transaction of the caller's."""
        for tenant, cells in self._cells.items():
            numbers = terms.added(connection, {text for cell in cells for text in cell[3:]})
            values = [
                (tenant, int(cube), bucket, int(counter), numbers[a], numbers[b], n)
                for (cube, bucket, counter, a, b), n in cells.items()
            ]
            values.sort()  # neighbours in the tree, one after the other
            connection.executemany(UPSERT, values)
        for tenant, sums in self._hours.items():
            numbers = terms.added(connection, {campaign for _, campaign, _ in sums})
            connection.executemany(
                UPSERT_HOUR,
                sorted(
                    (tenant, numbers[campaign], hour, TYPE_CODES[kind], *each)
                    for (hour, campaign, kind), each in sums.items()
                    if any(each)
                ),
            )


def of_message(
    connection: sqlite3.Connection, terms: Terms, tenant: int, message: bytes, place: int
) -> list[Fact]:
    """Return the facts of a message's rows up to a place."""
    return facts(connection, terms, connection.execute(_OF_MESSAGE, (message, tenant, place)))


def ever_of(connection: sqlite3.Connection, message: bytes) -> Ever:
    """Return what counts once of a message's events that are gone."""
    line = connection.execute(_EVER, (message,)).fetchone() if message else None
    return from_text(line[0]) if line and line[0] else {}


def arrivals(connection: sqlite3.Connection, terms: Terms, after: int, limit: int) -> list[Arrived]:
    """Return the rows that came after a place, in order."""
    lines = connection.execute(_ARRIVED, (after, limit)).fetchall()
    made = facts(connection, terms, lines)
    return [Arrived(line[17], line[18], line[19], each, 0) for line, each in zip(lines, made, strict=True)]


def follow(connection: sqlite3.Connection, terms: Terms, arrived: list[Arrived], rolled: int) -> int:
    """Add what these rows change, the first ones behind `rolled`; return how many hours changed."""
    made = Differences()
    groups: dict[tuple[int, bytes], list[Arrived]] = {}
    alone: dict[int, list[Fact]] = {}
    for each in arrived:
        if each.message:
            groups.setdefault((each.tenant, each.message), []).append(each)
        else:
            made.change(each.tenant, [], [each.fact], {})
    for (tenant, message), rows in groups.items():
        new = [each.fact for each in rows]
        fresh = rows[0].fresh_from > rolled
        if all(each.type in ALONE for each in new):
            alone.setdefault(tenant, []).extend(new)
            before = [] if fresh else connection.execute(_OTHER_TYPES, (message, tenant, rolled)).fetchall()
            made.add_hours(tenant, _hours_alone(new, before))
            continue
        old = [] if fresh else of_message(connection, terms, tenant, message, rolled)
        made.change(tenant, old, old + new, {} if fresh else ever_of(connection, message))
    for tenant, events in alone.items():
        made.add_alone(tenant, events)
    made.apply(connection, terms)
    set_state(connection, "rolled", arrived[-1].place)
    return len(made.hours)


def _hours_alone(new: list[Fact], before: Iterable[tuple[Any, ...]]) -> hourly.Sums:
    """Return what events that are no hits add to the hours. before: type and time of the message's rows."""
    sums: hourly.Sums = {}
    had = {(kind, at_ms // hourly.HOUR_MS) for kind, at_ms in before}
    for fact in new:
        key = TYPE_CODES[fact.type], fact.at_ms // hourly.HOUR_MS
        hourly.add_one(sums, fact, first=key not in had)
        had.add(key)
    return sums


def roll(
    connection: sqlite3.Connection, terms: Terms, pending: list[Arrived], limit: int = PORTION
) -> tuple[int, int]:
    """Bring the figures up by one portion, in a transaction of the caller's; return hours and rows.

    pending: rows that this process remembers to have come, in order; it takes them instead of reading them
    again if they are the next ones.
    """
    rolled, last = state(connection, "rolled"), state(connection, "next") - 1
    if rolled >= last:
        return 0, 0
    if pending and pending[0].place == rolled + 1:
        arrived = pending[:limit]
    else:
        arrived = arrivals(connection, terms, rolled, limit)
    if not arrived:
        set_state(connection, "rolled", last)
        return 0, 0
    return follow(connection, terms, arrived, rolled), len(arrived)


def day_cubes() -> tuple[int, ...]:
    """Return the cubes whose buckets lie within days."""
    return tuple(int(cube) for cube in Cube if cube is not Cube.CAMPAIGN_LIFE)
