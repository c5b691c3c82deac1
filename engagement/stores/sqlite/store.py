"""The store of a small site: one SQLite file, written by the shipper alone, read by any number.

This module is the port's methods; what they do is in its neighbours: `connection`, `plan` and `reading`,
`written` and `writing`, `labels`, `waiting`, `removing`, `counting` (figures), `earlier` (older schemas).
"""

import json
import math
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from engagement.events.field_values import valid
from engagement.events.fields import Fields
from engagement.events.model import Injection, MessageName
from engagement.events.rows import EventRow
from engagement.figures.contribution import Cell
from engagement.figures.query import answer
from engagement.stores.aggregate import is_by_hours
from engagement.stores.customer_tags import Customer, TagBook, TagSet, tags_of
from engagement.stores.port import (
    SWEEP_LIMIT,
    Arrivals,
    Count,
    Enough,
    FigureQuery,
    FigureRow,
    Grouping,
    LabelledHit,
    Named,
    NotTogetherError,
    PastLabel,
    Query,
    RowRefusedError,
    cursor_position,
    is_place,
)
from engagement.stores.sqlite import labels, reading, removing, writing
from engagement.stores.sqlite.codes import event_key, recipient_hash
from engagement.stores.sqlite.connection import in_transaction
from engagement.stores.sqlite.counting import counted, figures, grouped
from engagement.stores.sqlite.earlier import before
from engagement.stores.sqlite.plan import ARRIVALS
from engagement.stores.sqlite.terms import Terms
from engagement.stores.sqlite.waiting import WaitingEvents
from engagement.stores.sqlite.writing import SomeAreThereError, state
from engagement.stores.sqlite.written import ADD_TAG_SET, TAG_SETS, Arrived, tag_values

T = TypeVar("T")
N = TypeVar("N")


class SqliteStore(WaitingEvents):
    """An `EventStore` in one file.

    writing: create and migrate it, or raise StoreError; otherwise it may not exist yet.
    """

    def __init__(self, path: Path, *, writing: bool = False) -> None:
        self._terms = Terms()
        self._pending: list[Arrived] = []
        self._tags = TagBook(self._tag_sets)
        self._settling = grouped.Settling()
        self._is_joined, self._joined_adds = False, 0
        super().__init__(path, writing=writing)

    def _forget(self) -> None:
        self._terms.forget()
        self._pending.clear()
        self._tags.forget()

    def _write(self, work: Callable[[sqlite3.Connection], T], nothing: N) -> T | N:
        """Do work in one transaction; forget what was remembered of it if it fails."""
        try:
            return self._do(lambda connection: in_transaction(connection, work), nothing)
        except BaseException:
            self._forget()
            raise

    def add(self, events: Iterable[EventRow]) -> int:
        """See the port."""
        rows = list(events)

        def insert(connection: sqlite3.Connection, *, new: bool = True) -> list[Arrived]:
            before.fetch(connection, self._terms, rows)
            arrived, changes = writing.add(connection, self._terms, rows, numbers, new=new)
            if changes:
                labels.change(connection, self._terms, changes)
                self._pending.clear()  # what waits for its figures may be among them
            if sets:
                connection.executemany(ADD_TAG_SET, sets)
            return arrived

        with self._lock:
            try:
                numbers, sets = tag_values(self._tags, rows, time.monotonic())
                try:
                    arrived = self._write(insert, [])
                except SomeAreThereError as error:
                    if self._is_joined:
                        raise NotTogetherError from error
                    arrived = self._write(lambda connection: insert(connection, new=False), [])
            except (ValueError, TypeError, OverflowError, RecursionError, RowRefusedError) as error:
                if self._is_joined:
                    raise NotTogetherError from error
                raise RowRefusedError(str(error)) from error
            self._pending += arrived
            self._joined_adds += 1
            if self._is_joined and self._joined_adds > 1:
                self._note_backlog()
            if len(self._pending) >= figures.PORTION and not self._is_joined:
                self._roll()
        return len(rows)

    @contextmanager
    def together(self) -> Iterator[bool]:
        """See the port."""
        with self._lock:
            with self._joined():
                self._is_joined, self._joined_adds = True, 0
                try:
                    yield True
                finally:
                    self._is_joined = False
            if len(self._pending) >= figures.PORTION:
                self._roll()

    def _tag_sets(self, customer: Customer) -> list[TagSet]:
        lines = self._ask(TAG_SETS, [customer[0], valid(customer[1])])
        return [TagSet(name, tuple(json.loads(tags)), used) for name, tags, used in lines]

    def tags(self, customer: str, tenant: str = "") -> tuple[str, ...]:
        """See the port."""
        return tags_of(self._tag_sets((tenant, customer)))

    def find(self, query: Query) -> Iterator[Fields]:
        """See the port."""

        def read(connection: sqlite3.Connection) -> list[Fields]:
            return before.merged(connection, query, reading.find(connection, self._terms, query))

        if query.cursor:
            cursor_position(query.cursor)
        return iter(self._do(read, []))

    def number(self, query: Query, most: int) -> int:
        """See the port."""

        def count(connection: sqlite3.Connection) -> int:
            found = reading.number(connection, self._terms, query, most)
            return before.number(connection, query, found, most)

        if query.cursor:
            cursor_position(query.cursor)
        return self._do(count, 0)

    def names(self, what: Named, tenant: str, most: int) -> tuple[str, ...] | None:
        """See the port."""

        def read(connection: sqlite3.Connection) -> tuple[str, ...] | None:
            if before.is_moving(connection):
                return None
            return reading.names(connection, self._terms, what, tenant, most)

        return self._do(read, ())

    def counts(self, query: Query) -> Mapping[str, Count]:
        """See the port."""

        def count(connection: sqlite3.Connection) -> Mapping[str, Count]:
            return before.together(connection, query, reading.counts(connection, self._terms, query))

        return self._do(count, {})

    def totals(self, query: Query) -> Mapping[str, Count]:
        """See the port."""
        if not is_by_hours(query):
            return self.counts(query)
        return self._do(lambda connection: counted.totals(connection, self._terms, query), {})

    def figures(self, query: FigureQuery) -> tuple[FigureRow, ...]:
        """See the port."""
        return answer(query, self._do(lambda connection: counted.cells(connection, self._terms, query), []))

    def grouped(
        self, group: Grouping, query: FigureQuery, values: tuple[str, ...] = ()
    ) -> tuple[FigureRow, ...] | None:
        """See the port."""

        def read(connection: sqlite3.Connection) -> list[tuple[Cell, int]] | None:
            moving = before.is_moving(connection)
            return None if moving else grouped.cells(connection, self._terms, group, query, values)

        cells = self._do(read, [])
        return None if cells is None else answer(query, cells)

    def recount(self, day: int) -> int:
        """See the port."""
        self.roll_up()

        def work(connection: sqlite3.Connection) -> int:
            removing.note_gone(connection, day)
            return counted.recount(connection, self._terms, day)

        return self._write(work, 0)

    def is_whole(self, day: int) -> bool:
        """See the port."""
        return self._do(lambda connection: removing.is_whole(connection, day), nothing=True)

    def roll_up(self, seconds: float = math.inf) -> int:
        """See the port. It returns how many times an hour's figures changed."""
        until, hours = time.monotonic() + seconds, 0
        with self._lock:
            while True:
                changed, place = self._roll()
                hours += changed
                if not place or time.monotonic() >= until:
                    break
            while self._write(lambda connection: before.move(connection, self._terms), nothing=False):
                if time.monotonic() >= until:
                    break
            if not hours and seconds < math.inf:  # a moment in which there is nothing else to do
                self._settling.work(self._settle, until)
        return hours

    def _settle(self) -> bool:
        now_ms = int(time.time() * 1000)
        return self._write(lambda connection: grouped.settle(connection, self._terms, now_ms), nothing=False)

    def _roll(self) -> tuple[int, int]:
        """Bring the figures up by one portion; return as `figures.roll`."""
        done = self._write(lambda connection: figures.roll(connection, self._terms, self._pending), (0, 0))
        self._pending = [each for each in self._pending if each.place > done[1]] if done[1] else []
        return done

    def arrivals(self, mark: str, limit: int = 1000, *, expired: bool = False) -> Arrivals:
        """See the port. The mark is the place of the last row seen."""
        if not is_place(mark):
            last = self._do(lambda connection: state(connection, "next") - 1, 0)
            return Arrivals((), str(last))

        def read(connection: sqlite3.Connection) -> list[tuple[int, Fields]]:
            lines = connection.execute(ARRIVALS, (int(mark), limit)).fetchall()
            found = [(line[10], reading.shown(connection, self._terms, line)) for line in lines]
            return before.arrived(connection, found, int(mark), limit)

        came = self._do(read, [])
        events = tuple(event for _, event in came if expired or "x_expired" not in event)
        return Arrivals(events, str(came[-1][0]) if came else mark)

    def injections(
        self, names: Iterable[MessageName], enough: Enough | None = None, since_ms: int = 0
    ) -> Mapping[MessageName, tuple[Injection, ...]]:
        """See the port."""
        requested = list(dict.fromkeys(names))

        def read(connection: sqlite3.Connection) -> dict[MessageName, tuple[Injection, ...]]:
            runs = labels.Runs(connection, since_ms)
            return {name: tuple(labels.injections(connection, name, runs, enough)) for name in requested}

        return {name: found for name, found in self._do(read, {}).items() if found}

    def hits(self, from_ms: int, to_ms: int, after: str = "", limit: int = 1000) -> tuple[LabelledHit, ...]:
        """See the port."""
        at_ms, event_id = cursor_position(after) if after else (-1, "")
        begin = at_ms, event_key(event_id) if event_id else b""

        def read(connection: sqlite3.Connection) -> list[LabelledHit]:
            found = labels.hits(connection, self._terms, (from_ms, to_ms), begin, limit)
            return before.hits(connection, found, (from_ms, to_ms), begin, limit)

        return tuple(self._do(read, []))

    def hits_of(self, messages: Iterable[bytes]) -> Mapping[bytes, tuple[LabelledHit, ...]]:
        """See the port."""
        requested = sorted(set(messages))

        def read(connection: sqlite3.Connection) -> dict[bytes, tuple[LabelledHit, ...]]:
            return {
                each: tuple(labels.hits_of(connection, self._terms, each) or before.hits_of(connection, each))
                for each in requested
            }

        return {message: found for message, found in self._do(read, {}).items() if found}

    def deliveries(self, messages: Iterable[bytes]) -> Mapping[bytes, int]:
        """See the port."""
        requested = sorted(set(messages))

        def read(connection: sqlite3.Connection) -> dict[bytes, int | None]:
            return {each: labels.delivered(connection, each) for each in requested}

        return {message: at for message, at in self._do(read, {}).items() if at is not None}

    def relabel(self, labels_given: Iterable[LabelledHit], at_ms: int) -> int:
        """See the port."""
        given = list(labels_given)

        def change(connection: sqlite3.Connection) -> int:
            before.fetch_messages(connection, self._terms, [event_key(hit.id) for hit, _ in given])
            return labels.relabel(connection, self._terms, given, at_ms)

        with self._lock:
            done = self._write(change, 0)
            self._pending.clear()  # what waits for its figures may be among them
        return done

    def past_labels(self, event_id: str) -> tuple[PastLabel, ...]:
        """See the port."""
        return self._do(lambda connection: labels.past_labels(connection, self._terms, event_id), ())

    def sweep(self, before_ms: int, limit: int = SWEEP_LIMIT) -> int:
        """See the port."""
        self.roll_up()
        return self._write(lambda connection: before.swept(connection, self._terms, before_ms, limit), 0)

    def erase(self, recipient: str, tenant: str = "") -> int:
        """See the port. What is removed is overwritten, also in the write-ahead log."""

        def erase(connection: sqlite3.Connection) -> int:
            connection.execute("PRAGMA secure_delete = ON")
            gone = in_transaction(connection, delete)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return gone

        def delete(connection: sqlite3.Connection) -> int:
            before.fetch_recipient(connection, self._terms, recipient.lower())
            number = self._terms.number(connection, tenant)
            return removing.erase(connection, self._terms, number, recipient_hash(tenant, recipient.lower()))

        if not recipient:
            return 0
        self.roll_up()
        with self._lock:
            return self._do(erase, 0)
