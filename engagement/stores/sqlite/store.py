"""The store of a small site: one SQLite file, written by the shipper alone, read by any number.

In WAL mode readers do not wait for the writer. synchronous = FULL: when `add` returns, the rows survive a
power cut, as the spool deletes its copy then. Not for a folder on a network (WAL needs shared memory).
"""

import json
import math
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar
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
    Query,
    RowRefusedError,
    StoreError,
    clamped,
    cursor_position,
    is_place,
)
from engagement.stores.sqlite.migrate import check, migrate
from engagement.stores.sqlite.queries import (
    ADD_EVENT,
    ADD_FIGURE,
    ADD_MESSAGE,
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
    shown,
)

T = TypeVar("T")

_FOR_EVER = 2**62

_BUSY_SECONDS = 5.0  # readers never hold a lock that long; another writer is a mistake to report
_LOG_PAGES = 4_000  # 16 MB: with SQLite's 4 MB each full batch would be followed by a copy into the file
_LOG_BYTES = 4096 * _LOG_PAGES  # the size of the write-ahead log after a checkpoint
_CACHE_KIB = 32_768  # the inner pages of six indexes at some ten million events


class SqliteStore:
    """An `EventStore` in one file.

    writing: create and migrate it, or raise StoreError; otherwise it may not exist yet.
    """

    def __init__(self, path: Path, *, writing: bool = False) -> None:
        self._path = path
        self._writing = writing
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._process = os.getpid()
        self._closed = False
        self._file: tuple[int, int] | None = None  # device and inode of the connection's file
        self._frozen = False  # opened as a file that nobody writes: closed after each use
        self._minutes = MinuteRollup()
        self._seen_version = -1  # of the file, when the minutes were read
        self._tags = TagBook(self._tag_sets)
        if writing:
            self._do(lambda connection: None, None)

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
            changed = {(row.tenant, minute) for row in rows for minute in minutes_to_count(row.at_ms)}

            def insert(connection: sqlite3.Connection) -> int:
                connection.executemany(ADD_EVENT, values)
                if messages:
                    connection.executemany(ADD_MESSAGE, messages)
                if sets:
                    connection.executemany(ADD_TAG_SET, sets)
                connection.executemany(MARK_STALE, {(tenant, at // MINUTES) for tenant, at in changed})
                return len(rows)

            try:
                done = self._do(lambda connection: _in_transaction(connection, insert), 0)
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

        done = self._do(lambda connection: _in_transaction(connection, write), False)
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
            gone = _in_transaction(connection, delete)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return gone

        return self._do(erase, 0)

    def close(self) -> None:
        """See the port."""
        with self._lock:
            self._closed = True
            self._drop()

    def _ask(self, statement: str, values: list[object]) -> list[tuple[Any, ...]]:
        return self._do(lambda connection: connection.execute(statement, values).fetchall(), [])

    def _do(self, work: Callable[[sqlite3.Connection], T], nothing: T) -> T:
        """Run `work`; return `nothing` while the writer has not made the file yet.

        Raises RowRefusedError, StoreError.
        """
        with self._lock:
            try:
                connection = self._connected()
                if connection is None:
                    return nothing
                done = work(connection)
                if self._writing:
                    self._same_file()  # else it may be in a file that has no name any more
                    self._shorten_log(connection)
                return done
            except (
                sqlite3.IntegrityError,
                sqlite3.DataError,
                sqlite3.InterfaceError,
                OverflowError,
            ) as error:
                raise RowRefusedError(str(error)) from error
            except (sqlite3.Error, OSError) as error:
                self._drop()  # after a failed disk or a replaced file only a new connection is right
                raise StoreError(
                    f"{self._path}: {error}. Is there room, and may this user use it?"
                ) from error
            finally:
                if self._frozen:
                    self._drop()

    def _connected(self) -> sqlite3.Connection | None:
        if self._closed:
            raise StoreError(f"{self._path}: the store was closed")
        if self._process != os.getpid():  # after a fork the parent's connection is not ours to use or close
            self._connection = None
            self._process = os.getpid()
        if self._connection is not None:
            self._same_file()
        if self._connection is None:
            self._connection = self._open_writing() if self._writing else self._open_reading()
            self._file = _identity(self._path) if self._connection is not None else None
        return self._connection

    def _same_file(self) -> None:
        """Check that the path still leads to the connection's file; if not, a reader opens the new one.

        Raises StoreError for the writer: SQLite would write on to a file that nobody can open any more.
        """
        if self._frozen or self._file == _identity(self._path):
            return
        self._drop()
        if self._writing:
            raise StoreError(
                f"{self._path}: the file was removed or replaced while it was in use. What was being written "
                "stays in the spool and goes into the file that is there now, or into a new one; what only "
                "the old one held is gone unless you put it back"
            )

    def _shorten_log(self, connection: sqlite3.Connection) -> None:
        """Checkpoint a write-ahead log that grew while somebody read, and truncate it.

        SQLite's own limit (journal_size_limit) acts when the log restarts, which each reader delays.
        """
        try:
            if os.stat(f"{self._path}-wal").st_size <= 2 * _LOG_BYTES:
                return
        except OSError:
            return
        connection.execute("PRAGMA busy_timeout = 0")  # do not wait for readers: next time then
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError:
            return
        finally:
            connection.execute(f"PRAGMA busy_timeout = {int(_BUSY_SECONDS * 1000)}")

    def _open_writing(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o770, parents=True, exist_ok=True)
        # Nobody outside the group may read recipients. SQLite gives its other files this mode, too.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            (before,) = connection.execute("PRAGMA secure_delete").fetchone()
            connection.execute("PRAGMA secure_delete = ON")  # what a migration has copied is overwritten
            migrate(connection, str(self._path))
            connection.execute(f"PRAGMA secure_delete = {('OFF', 'ON', 'FAST')[before]}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_reading(self) -> sqlite3.Connection | None:
        if not self._path.exists():
            return None
        connection = self._read_only("mode=ro")
        try:
            try:
                ready = check(connection, str(self._path))
            except sqlite3.OperationalError:
                # Of a file nobody writes now a user who may not write to its folder cannot make the shared
                # memory; without a write-ahead log there is nothing in it to miss.
                if Path(f"{self._path}-wal").exists():
                    raise
                connection.close()
                connection = self._read_only("mode=ro&immutable=1")
                self._frozen = True
                ready = check(connection, str(self._path))
        except BaseException:
            connection.close()
            raise
        if not ready:
            connection.close()
            return None
        return connection

    def _read_only(self, options: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self._path.absolute().as_uri()}?{options}",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )

    def _drop(self) -> None:
        if self._connection is not None and self._process == os.getpid():
            self._connection.close()
        self._connection = None
        self._file = None
        self._frozen = False
        self._seen_version = -1


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of the file at a path, None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _in_transaction(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Run `work` in one transaction; return its result."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


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
