"""The figures of the file: they follow the rows by differences, in transactions of their own.

Invariant: `fig` and `hourly` are the sums of what each message contributed with its rows up to the place
`rolled`, whatever has been removed since. Whoever changes or removes such rows applies the difference, or
decides that figures stay, in the same transaction.
"""

import sqlite3
from collections import defaultdict
from typing import Any, Final

from engagement.figures.contribution import Contribution, Ever, add, contribution, difference
from engagement.figures.facts import Fact
from engagement.stores.aggregate import HOUR_MS
from engagement.stores.sqlite.codes import LABELLED, TYPE_CODES
from engagement.stores.sqlite.counting import hourly, spread
from engagement.stores.sqlite.counting.ever import from_text
from engagement.stores.sqlite.counting.facts import COLUMNS, facts
from engagement.stores.sqlite.counting.quick import ALONE_CODES, Sums, is_uniform
from engagement.stores.sqlite.terms import Terms
from engagement.stores.sqlite.writing import set_state, state
from engagement.stores.sqlite.written import Arrived

PORTION: Final = 40_000  # arrivals of one transaction: 30 MB of memory, and each cell is written once

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
_HITS_OF_MESSAGE: Final = f"{_OF_MESSAGE}AND event.type IN ({', '.join(map(str, LABELLED))})"
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
        self._sums: dict[int, Sums] = {}

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

    def add(self, tenant: int, sums: Sums) -> None:
        """Add sums. Of each tenant once."""
        self._sums[tenant] = sums

    @property
    def hours(self) -> set[tuple[int, int]]:
        """The hours, with their tenants, that change."""
        quick = {(tenant, hour) for tenant, sums in self._sums.items() for _, hour, _ in sums.hours} | {
            (tenant, sort[0]) for tenant, sums in self._sums.items() for sort in sums.by_campaign
        }
        return quick | {(tenant, hour) for tenant, sums in self._hours.items() for hour, _, _ in sums}

    def apply(self, connection: sqlite3.Connection, terms: Terms) -> None:
        """Write all, in a transaction of the caller's."""
        cells: list[tuple[int, ...]] = []
        hours: list[tuple[int, ...]] = []
        for tenant, made in self._cells.items():
            numbers = terms.numbers(connection)
            cells += [
                (tenant, int(cube), bucket, int(counter), numbers[a], numbers[b], n)
                for (cube, bucket, counter, a, b), n in made.items()
            ]
        for tenant, sums in self._hours.items():
            numbers = terms.numbers(connection)
            hours += [
                (tenant, numbers[campaign], hour, TYPE_CODES[kind], *each)
                for (hour, campaign, kind), each in sums.items()
                if any(each)
            ]
        for tenant, quick in self._sums.items():
            found = spread.cells(
                quick, terms.numbers(connection), lambda number: terms.text(connection, number)
            )
            cells += [(tenant, *cell, n) for cell, n in found.items()]
            hours += [(tenant, *cell, *each) for cell, each in spread.hours(quick).items() if any(each)]
        cells.sort()  # neighbours in the tree, one after the other
        connection.executemany(UPSERT, cells)
        connection.executemany(UPSERT_HOUR, hours)


def of_message(
    connection: sqlite3.Connection, terms: Terms, tenant: int, message: bytes, place: int
) -> list[Fact]:
    """Return the facts of a message's rows up to a place."""
    return facts(connection, terms, connection.execute(_OF_MESSAGE, (message, tenant, place)))


def ever_of(connection: sqlite3.Connection, message: bytes) -> Ever:
    """Return what counts once of a message's events that are gone."""
    line = connection.execute(_EVER, (message,)).fetchone() if message else None
    return from_text(line[0]) if line and line[0] else {}


def arrivals(connection: sqlite3.Connection, after: int, limit: int) -> list[Arrived]:
    """Return the rows that came after a place, in order."""
    lines = connection.execute(_ARRIVED, (after, limit)).fetchall()
    return [Arrived(line[17], line[18], line[19], line, 0) for line in lines]


def follow(connection: sqlite3.Connection, terms: Terms, arrived: list[Arrived], rolled: int) -> int:
    """Add what these rows change, the first ones behind `rolled`; return how many hours changed."""
    made, sums = Differences(), defaultdict[int, Sums](Sums)
    groups: dict[tuple[int, bytes], list[tuple[Any, ...]]] = {}
    fresh_ones = set()
    for _, tenant, message, line, fresh_from in arrived:
        if not message:
            sums[tenant].add_message([line])
        elif (rows := groups.get((tenant, message))) is None:
            groups[tenant, message] = [line]
            if fresh_from > rolled:
                fresh_ones.add((tenant, message))
        else:
            rows.append(line)
    for whose, new in groups.items():
        tenant, message = whose
        fresh, of_tenant = whose in fresh_ones, sums[tenant]
        hits = [line for line in new if line[1] not in ALONE_CODES]
        if len(hits) < len(new):
            had = set() if fresh else _had(connection, (message, tenant, rolled))
            others = [line for line in new if line[1] in ALONE_CODES] if hits else new
            for line in others:
                of_tenant.add_alone(line)
            of_tenant.add_hours(others, had)
            if not hits:
                continue
        # What a message did before counts for its hits alone, and they for each other.
        old = [] if fresh else connection.execute(_HITS_OF_MESSAGE, (message, tenant, rolled)).fetchall()
        ever = {} if fresh else ever_of(connection, message)
        if ever or not is_uniform([*old, *hits]):
            before = facts(connection, terms, old)
            made.change(tenant, before, before + facts(connection, terms, hits), ever)
            continue
        of_tenant.add_message([*old, *hits])
        if old:
            of_tenant.add_message(old, -1)
    for tenant, each_sums in sums.items():
        made.add(tenant, each_sums)
    made.apply(connection, terms)
    set_state(connection, "rolled", arrived[-1].place)
    return len(made.hours)


def _had(connection: sqlite3.Connection, whose: tuple[bytes, int, int]) -> set[tuple[int, int]]:
    """Return the types and hours that a message's rows have."""
    return {(kind, at_ms // HOUR_MS) for kind, at_ms in connection.execute(_OTHER_TYPES, whose)}


def roll(
    connection: sqlite3.Connection, terms: Terms, pending: list[Arrived], limit: int = PORTION
) -> tuple[int, int]:
    """Bring the figures up by one portion, in a transaction of the caller's.

    Return how many hours changed, and the place that figures hold now, 0 if they held all before. pending:
    rows that this process remembers to have come, in order; it takes them instead of reading them again if
    they are the next ones, and no other process has written between them.
    """
    rolled, last = state(connection, "rolled"), state(connection, "next") - 1
    if rolled >= last:
        return 0, 0
    arrived = pending[:limit]
    if not arrived or (arrived[0].place, arrived[-1].place) != (rolled + 1, rolled + len(arrived)):
        arrived = arrivals(connection, rolled, limit)
    if not arrived:
        set_state(connection, "rolled", last)
        return 0, last
    return follow(connection, terms, arrived, rolled), arrived[-1].place
