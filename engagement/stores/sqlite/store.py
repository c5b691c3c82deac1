"""The store of a small site: one SQLite file, written by the shipper alone, read by any number.

The connection is in `connection`, labels in `labels`, events that wait in `waiting`.
"""

import json
import math
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from uuid import UUID

from engagement.events.fields import Fields, valid
from engagement.events.rows import REPEAT_MS, EventRow
from engagement.stores.aggregate import (
    HOUR_MS,
    MINUTE_MS,
    MinuteAggregate,
    as_counts,
    from_texts,
    hours_of,
    is_by_hours,
    minutes_to_count,
    to_text,
)
from engagement.stores.customer_tags import DAY_MS, Customer, TagBook, TagSet, tags_of
from engagement.stores.json_text import as_text
from engagement.stores.minute_rollup import MINUTES, Hour, Minute, MinuteRollup, by_turns
from engagement.stores.port import (
    SWEEP_LIMIT,
    Arrivals,
    Count,
    FigureQuery,
    FigureRow,
    Query,
    RowRefusedError,
    UnsupportedQueryError,
    clamped,
    cursor_position,
    is_place,
)
from engagement.stores.sqlite.connection import in_transaction
from engagement.stores.sqlite.labels import LabelledEvents
from engagement.stores.sqlite.queries import (
    ADD_EVENT,
    ADD_FIGURE,
    ADD_MESSAGE,
    ADD_NAME,
    ADD_TAG_SET,
    ERASE_EVENTS,
    ERASE_LONE_EVENTS,
    ERASE_MESSAGE,
    FIGURES,
    FORGET_FIGURES,
    MARK_STALE,
    MESSAGES_OF,
    NO_LONGER_STALE,
    OF_MINUTE,
    SHOWN,
    STALE,
    SWEEP_EVENTS,
    SWEEP_FIGURES,
    SWEEP_MESSAGES,
    SWEEP_TAG_SETS,
    TAG_SETS,
    conditions,
    counts_of,
    event_values,
    name_key,
    shown,
)
from engagement.stores.sqlite.waiting import event_key

_FOR_EVER = 2**62


class SqliteStore(LabelledEvents):
    """An `EventStore` in one file.

    writing: create and migrate it, or raise StoreError; otherwise it may not exist yet.
    """

    def __init__(self, path: Path, *, writing: bool = False) -> None:
        self._minutes = MinuteRollup()
        self._seen_version = -1  # of the file, when the minutes were read
        self._tags = TagBook(self._tag_sets)
        super().__init__(path, writing=writing)

    def _forget(self) -> None:
        self._seen_version = -1

    def _changed(self, tenant: str, minute: int) -> None:
        self._minutes.changed(tenant, minute)

    def add(self, events: Iterable[EventRow]) -> int:
        """See the port."""
        rows = list(events)
        with self._lock:
            try:
                values, sets = self._values(rows)
                messages = [
                    (bytes.fromhex(row.message_id), row.at_ms, as_text(row.message))
                    for row in rows
                    if row.message is not None
                ]
            except (ValueError, TypeError, OverflowError, RecursionError) as error:
                raise RowRefusedError(str(error)) from error
            names = [
                (name_key(name.what, name.text), event_key(row.event_id), bytes.fromhex(row.message_id))
                for row in rows
                for name in row.names
            ]
            changed = {(row.tenant, minute) for row in rows for minute in minutes_to_count(row.at_ms)}

            def insert(connection: sqlite3.Connection) -> int:
                connection.executemany(ADD_EVENT, values)
                if messages:
                    connection.executemany(ADD_MESSAGE, messages)
                if names:
                    connection.executemany(ADD_NAME, names)
                if sets:
                    connection.executemany(ADD_TAG_SET, sets)
                connection.executemany(MARK_STALE, {(tenant, at // MINUTES) for tenant, at in changed})
                return len(rows)

            try:
                done = self._do(lambda connection: in_transaction(connection, insert), 0)
            except BaseException:
                self._tags.forget()
                raise
            for tenant, minute in changed:
                self._minutes.changed(tenant, minute)
        return done

    def _values(self, rows: list[EventRow]) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
        """Return the values of `ADD_EVENT` for the rows, and of `ADD_TAG_SET` for new tag sets."""
        values = []
        used: dict[tuple[Customer, tuple[str, ...], int], None] = {}  # in the order of their coming
        for row in rows:
            tags = None
            if row.tags:
                customer = (row.tenant, row.customer)
                tags = self._tags.set_id(customer, row.tags)
                used[customer, row.tags, row.at_ms // DAY_MS] = None
            values.append(event_values(row, tags))
        sets: list[tuple[object, ...]] = [
            (tenant, valid(customer), each.set_id, as_text(each.tags), each.used)
            for (tenant, customer), each in self._tags.news(used, time.monotonic())
        ]
        return values, sets

    def _tag_sets(self, customer: Customer) -> list[TagSet]:
        lines = self._ask(TAG_SETS, [customer[0], valid(customer[1])])
        return [TagSet(name, tuple(json.loads(tags)), used) for name, tags, used in lines]

    def tags(self, customer: str, tenant: str = "") -> tuple[str, ...]:
        """See the port."""
        return tags_of(self._tag_sets((tenant, customer)))

    def find(self, query: Query) -> Iterator[Fields]:
        """See the port."""
        where, values = conditions(query)
        if query.cursor:
            at_ms, event_id = cursor_position(query.cursor)
            where.append("(event.at_ms, event.event_id) < (?, ?)")
            values += [at_ms, UUID(event_id).bytes]
        order = "event.at_ms DESC, event.event_id DESC"
        statement = f"{SHOWN} WHERE {' AND '.join(where)} ORDER BY {order} LIMIT ?"
        return map(shown, self._ask(statement, [*values, clamped(query)]))

    def counts(self, query: Query) -> Mapping[str, Count]:
        """See the port."""
        where, values = conditions(query)
        statement = counts_of(where)
        return {name: Count(*numbers) for name, *numbers in self._ask(statement, values)}

    def totals(self, query: Query) -> Mapping[str, Count]:
        """See the port."""
        if not is_by_hours(query):
            return self.counts(query)
        first, last = hours_of(query)
        last = _FOR_EVER if last is None else last
        found = from_texts(
            text
            for campaign in dict.fromkeys(query.campaigns or ("",))
            for (text,) in self._ask(FIGURES, [query.tenant, campaign, first, last])
        )
        return as_counts(found, expired=query.expired, types=query.types)

    def roll_up(self, seconds: float = math.inf) -> int:
        """See the port."""
        until, done = time.monotonic() + seconds, 0
        for place, (tenant, hour) in enumerate(by_turns(self._ask(STALE, []))):
            with self._lock:
                if self._roll_up((tenant, hour), until):
                    done += 1
            if place and time.monotonic() >= until:
                break
        return done

    def _roll_up(self, hour: Hour, until: float) -> bool:
        version = self._do(_version, 0)
        if version != self._seen_version:  # another connection has written: an erasure, or a second shipper
            self._minutes.forget()
            self._seen_version = version

        def read(first: int, last: int) -> Mapping[int, Minute]:
            return self._do(lambda connection: _minutes(connection, hour[0], first, last), {})

        if not self._minutes.bring_up(hour, read, until):
            return False
        figures, everything = self._minutes.figures(hour)

        def write(connection: sqlite3.Connection) -> bool:
            if everything:
                connection.execute(FORGET_FIGURES, hour)
            connection.executemany(
                ADD_FIGURE,
                [(hour[0], campaign, hour[1], to_text(each)) for campaign, each in figures.items()],
            )
            if _version(connection) != version:  # the hour may have got more since it was read
                return False
            connection.execute(NO_LONGER_STALE, hour)
            return True

        done = self._do(lambda connection: in_transaction(connection, write), False)
        self._minutes.written(hour)
        return done

    def arrivals(self, mark: str, limit: int = 1000, *, expired: bool = False) -> Arrivals:
        """See the port. The mark is the place of the last row seen."""
        if not is_place(mark):
            ((place,),) = self._ask("SELECT max(seq) FROM sqlite_sequence WHERE name = 'event'", []) or [(0,)]
            return Arrivals((), str(place or 0))
        found = self._ask(
            f"{SHOWN} WHERE event.place > ? ORDER BY event.place LIMIT ?",
            [int(mark), limit],
        )
        events = tuple(event for event in map(shown, found) if expired or "x_expired" not in event)
        return Arrivals(events, str(found[-1][-1]) if found else mark)

    def figures(self, query: FigureQuery) -> tuple[FigureRow, ...]:
        """See the port."""
        raise UnsupportedQueryError("these figures are not made yet: ask `totals`")

    def recount(self, day: int) -> int:
        """See the port."""
        return 0

    def sweep(self, before_ms: int, limit: int = SWEEP_LIMIT) -> int:
        """See the port."""

        def delete(connection: sqlite3.Connection) -> int:
            gone = connection.execute(SWEEP_EVENTS, (before_ms, limit)).rowcount
            if gone < limit:
                gone += connection.execute(SWEEP_MESSAGES, (before_ms, limit - gone)).rowcount
                connection.execute(SWEEP_FIGURES, (before_ms // HOUR_MS,))
                connection.execute(SWEEP_TAG_SETS, (before_ms // DAY_MS,))
            return gone

        return self._do(delete, 0)

    def erase(self, recipient: str, tenant: str = "") -> int:
        """See the port. What is removed is overwritten, also in the write-ahead log."""
        whose = (recipient.lower(), tenant)

        def delete(connection: sqlite3.Connection) -> int:
            messages = connection.execute(MESSAGES_OF, whose).fetchall()
            gone = connection.executemany(ERASE_EVENTS, messages).rowcount if messages else 0
            gone = max(gone, 0) + connection.execute(ERASE_LONE_EVENTS, whose).rowcount
            connection.executemany(ERASE_MESSAGE, messages)
            return gone

        def erase(connection: sqlite3.Connection) -> int:
            connection.execute("PRAGMA secure_delete = ON")
            gone = in_transaction(connection, delete)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return gone

        return self._do(erase, 0)


def _version(connection: sqlite3.Connection) -> int:
    """Return a number that changes when another connection writes."""
    (number,) = connection.execute("PRAGMA data_version").fetchone()
    return int(number)


def _minutes(connection: sqlite3.Connection, tenant: str, first: int, last: int) -> Mapping[int, Minute]:
    """Return what was counted in minutes since 1970, from first to last, exclusive."""
    aggregate = MinuteAggregate(first * MINUTE_MS)
    span = (first * MINUTE_MS - REPEAT_MS, last * MINUTE_MS, tenant)
    for at_ms, kind, message, client, link, campaign, expired, hits in connection.execute(OF_MINUTE, span):
        aggregate.add(at_ms, kind, message, client, link, campaign, expired=bool(expired), hits=hits)
    return aggregate.seen()
