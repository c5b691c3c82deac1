"""The store of a large site: a Cassandra cluster.

No counters or secondary indexes; each row is an upsert. The only transactions are turns at computing figures.
An event is whole by message, slim by hour, and slim again by campaign or rare type. Rows expire by
themselves. `arrivals` may return an event twice: when the spool was read twice.
"""

import math
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final
from uuid import UUID

from engagement.events.fields import Fields
from engagement.events.model import Injection, MessageEvent, MessageName
from engagement.events.rows import EventRow
from engagement.settings.schema import CassandraClientStanza
from engagement.stores.aggregate import HOUR_MS, minutes_to_count, to_text
from engagement.stores.cassandra import queries
from engagement.stores.cassandra.arrivals import arrival_writes, read_arrivals
from engagement.stores.cassandra.connection import RENEW_SECONDS, Connection, RefusedError
from engagement.stores.cassandra.erasing import erasure
from engagement.stores.cassandra.figures.turns import RollupTurns, stamp
from engagement.stores.cassandra.finder import Finder
from engagement.stores.cassandra.labels import Labels
from engagement.stores.cassandra.reader import Reader
from engagement.stores.cassandra.rows.statements import READS, WRITES
from engagement.stores.cassandra.schema import check_version
from engagement.stores.cassandra.waiting import no_longer_waiting, read_waiting, waiting_writes
from engagement.stores.cassandra.writing import EventWriting, RecentKeys, Writes
from engagement.stores.customer_tags import tags_of
from engagement.stores.minute_rollup import MINUTES, Hour, Minute, MinuteRollup, by_turns
from engagement.stores.port import (
    SWEEP_LIMIT,
    Arrivals,
    Count,
    LabelledHit,
    PastLabel,
    Query,
    RowRefusedError,
)

_CLOSED_MS: Final = 600_000  # after an hour's end; its mark as stale stays until then, as more will come
_APART_HOURS: Final = 26  # marks of others stay so much longer: their clocks may be a day behind
_TURNS_OUTLIVE: Final = 7 * 86400  # seconds: numbers must not start again while there are figures


class CassandraStore:
    """An `EventStore` in a cluster. It connects at first use.

    life: of the rows. now: returns Unix seconds. renew_after: as in `Connection`.
    """

    def __init__(
        self,
        stanza: CassandraClientStanza,
        *,
        life: queries.Lifetimes = queries.Lifetimes(),  # noqa: B008 - a frozen value, safe to share
        now: Callable[[], float] = time.time,
        renew_after: float = RENEW_SECONDS,
    ) -> None:
        self._life = life
        self._now = now
        self.connection = Connection(stanza, WRITES | READS, ready=check_version, renew_after=renew_after)
        self._reader = Reader(self.connection)
        self._finder = Finder(self._reader, life, now)
        self._labels = Labels(self._reader, self._finder, life.events)
        self._writing = EventWriting(self._reader, life, stanza.shards)
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Forget what was written before, as a new process would."""
        self._writing.forget()
        self._reader.forget()
        self._minutes = MinuteRollup()
        self._shipper = secrets.token_hex(6)
        self._arrival_rows = 0  # rows of arrivals written under this name
        self._stale: set[Hour] | None = None  # None: marks of others were not read yet
        self._marks_made = 0
        self._mark = self._shipper  # the name of marks to come
        self._marked: dict[Hour, set[str]] = {}
        self._turns = RollupTurns(self._read, self._shipper)
        self._under_way: dict[Hour, int] = {}  # the turn of each hour that is being read
        self._added: set[Hour] = set()  # hours that got events since their turn was taken

    def add(self, events: Iterable[EventRow]) -> int:
        """See the port."""
        rows = list(events)
        with self._lock:
            try:
                portion = self._writing.portion(rows, self._now())
            except (ValueError, TypeError, OverflowError, RecursionError) as error:
                raise RowRefusedError(str(error)) from error
            if not rows:
                return 0
            try:
                self._written(self._marks([(row.tenant, row.at_ms) for row in rows]) + portion.rows.writes())
            except BaseException:
                self._writing.forget_tags()
                raise
            self._writing.remembered.add(portion.remembered)
            self._write_arrivals(portion.arrived)
        return len(rows)

    def find(self, query: Query) -> Iterator[Fields]:
        """See the port."""
        return self._finder.find(query)

    def counts(self, query: Query) -> Mapping[str, Count]:
        """See the port."""
        return self._finder.counts(query)

    def totals(self, query: Query) -> Mapping[str, Count]:
        """See the port."""
        return self._finder.totals(query)

    def tags(self, customer: str, tenant: str = "") -> tuple[str, ...]:
        """See the port."""
        return tags_of(self._reader.tag_sets((tenant, customer)))

    def roll_up(self, seconds: float = math.inf) -> int:
        """See the port. The first call includes what earlier shippers left undone.

        Another shipper that adds to an hour takes a turn of its own (`turns`). So of an hour in which nobody
        else had a turn, only the minutes that this one changed are read again.
        """
        until = time.monotonic() + seconds
        with self._lock:
            stale = self._stale if self._stale is not None else self._read_marks()
            done = 0
            for place, hour in enumerate(by_turns(stale)):
                if self._finish(hour, until):
                    stale.discard(hour)
                    done += 1
                if place and time.monotonic() >= until:
                    break
            self._remove_marks(stale)
        return done

    def arrivals(self, mark: str, limit: int = 1000, *, expired: bool = False) -> Arrivals:
        """See the port. The mark holds each shipper's name, and how far it was read."""
        refs, after = read_arrivals(self._reader, mark, limit)
        shown = self._finder.shown([(message, at, UUID(bytes=name)) for message, at, name in refs])
        return Arrivals(tuple(event for event in shown if expired or "x_expired" not in event), after)

    # --- names, labels ---

    def injections(self, names: Iterable[MessageName]) -> Mapping[MessageName, tuple[Injection, ...]]:
        """See the port."""
        return self._finder.injections(names)

    def put_waiting(self, events: Iterable[MessageEvent]) -> None:
        """See the port."""
        self._written(waiting_writes(self._reader, events))

    def waiting(self, names: Iterable[MessageName]) -> tuple[MessageEvent, ...]:
        """See the port."""
        return read_waiting(self._reader, names)

    def drop_waiting(self, events: Iterable[MessageEvent]) -> None:
        """See the port."""
        self._written(no_longer_waiting(self._reader, events))

    def sweep_waiting(self, before_ms: int) -> int:
        """See the port: rows expire by themselves."""
        return 0

    def hits(self, from_ms: int, to_ms: int, after: str = "", limit: int = 1000) -> tuple[LabelledHit, ...]:
        """See the port."""
        return self._labels.hits(from_ms, to_ms, after, limit)

    def hits_of(self, messages: Iterable[bytes]) -> Mapping[bytes, tuple[LabelledHit, ...]]:
        """See the port."""
        return self._labels.hits_of(messages)

    def deliveries(self, messages: Iterable[bytes]) -> Mapping[bytes, int]:
        """See the port."""
        return self._labels.deliveries(messages)

    def relabel(self, labels: Iterable[LabelledHit], at_ms: int) -> int:
        """See the port."""
        with self._lock:
            changes = self._labels.to_change(labels)
            marks = self._marks([(row.tenant, row.at_ms) for change in changes for row in change.rows])
            self._written(marks)
            self._written(self._labels.writes(changes, at_ms, self._now()))
        return len(changes)

    def past_labels(self, event_id: str) -> tuple[PastLabel, ...]:
        """See the port."""
        return self._labels.past_labels(event_id)

    def sweep(self, before_ms: int, limit: int = SWEEP_LIMIT) -> int:
        """See the port: rows expire by themselves."""
        return 0

    def erase(self, recipient: str, tenant: str = "") -> int:
        """See the port."""
        made = erasure(self._reader, self._finder, self._labels, recipient.lower(), tenant, self._now())
        self._written(made.writes)
        self._written(made.last)
        with self._lock:
            self._writing.remembered = RecentKeys()
        return made.events

    def close(self) -> None:
        """See the port."""
        self.connection.close()

    # --- writing ---

    def _marks(self, changed: Iterable[tuple[str, int]]) -> Writes:
        """Note that events of these tenants and times change, and return the marks to write before them."""
        minutes = {(tenant, minute) for tenant, at_ms in changed for minute in minutes_to_count(at_ms)}
        stale = {(tenant, minute // MINUTES) for tenant, minute in minutes}
        if self._stale is not None:
            self._stale |= stale
        self._added |= stale & self._under_way.keys()
        for tenant, minute in minutes:
            self._minutes.changed(tenant, minute)
        return [
            ("stale_hour", [(queries.PLACE, tenant, hour, self._mark)])
            for tenant, hour in stale
            if not any(name.startswith(self._shipper) for name in self._marked.get((tenant, hour), ()))
        ]

    def _written(self, writes: Writes) -> None:
        """Write rows, and note the marks among them. Raises RowRefusedError, StoreError."""
        try:
            self.connection.write_batches(writes)
        except RefusedError:
            self.connection.recheck()  # raises if the tables are gone: then it is not the row's fault
            try:
                self.connection.write_batches(writes)  # they may have come back just now
            except RefusedError as error:
                raise RowRefusedError(str(error)) from error
        for name, lines in writes:
            if name == "stale_hour":
                for _, tenant, hour, shipper in lines:
                    self._marked.setdefault((str(tenant), int(str(hour))), set()).add(str(shipper))

    def _write_arrivals(self, arrived: list[tuple[bytes, int, bytes]]) -> None:
        """Write what came in to the table of arrivals, many events a row; after the events themselves."""
        writes, told, number = arrival_writes(self._shipper, self._arrival_rows, arrived)
        self._written(writes)
        self._written(told)
        self._arrival_rows = number

    def _read_marks(self) -> set[Hour]:
        """Read the hours that any shipper has marked; this one takes them over."""
        stale = set()
        for tenant, hour, name in self._read("stale", (queries.PLACE,)):
            stale.add((tenant, hour))
            self._marked.setdefault((tenant, hour), set()).add(name)
        self._stale = stale
        return stale

    def _remove_marks(self, stale: set[Hour]) -> None:
        """Remove the marks of hours that are done and over; those of other shippers later."""
        closed = (self._now() * 1000 - _CLOSED_MS) // HOUR_MS
        gone = [
            (hour, name)
            for hour, names in self._marked.items()
            if hour not in stale
            for name in names
            if hour[1] < (closed if name.startswith(self._shipper) else closed - _APART_HOURS)
        ]
        if not gone:
            return
        self._written([("no_longer_stale", [(queries.PLACE, *hour, name)]) for hour, name in gone])
        for hour, name in gone:
            self._marked[hour].discard(name)
            if not self._marked[hour]:
                del self._marked[hour]
        # A removed mark cannot be set again (`queries`), so later marks get another name.
        self._marks_made += 1
        self._mark = f"{self._shipper}.{self._marks_made}"

    def _finish(self, hour: Hour, until: float) -> bool:
        """Continue with an hour's figures; tell whether the hour is done."""
        tenant, number = hour
        ends = queries.ttl((number + 1) * HOUR_MS, self._life.events, self._now())
        if ends is None:
            self._under_way.pop(hour, None)
            return True
        if hour not in self._under_way:
            turn, was_ours = self._turns.take(hour, ends + _TURNS_OUTLIVE if ends else 0)
            if not was_ours:  # others may have added events since
                self._minutes.forget_hour(hour)
            self._under_way[hour] = turn
            self._added.discard(hour)

        def read(first: int, last: int) -> Mapping[int, Minute]:
            return self._finder.minutes(tenant, first, last)

        if not self._minutes.bring_up(hour, read, until):
            return False
        figures, _ = self._minutes.figures(hour)
        at = stamp(number, self._under_way[hour])
        self._written(
            [
                ("figures", [(tenant, campaign, number, to_text(each), ends, at)])
                for campaign, each in figures.items()
            ]
        )
        self._minutes.written(hour)
        del self._under_way[hour]
        return hour not in self._added  # events that came while it was read need another turn

    # --- reading ---

    def _read(self, name: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        return self._reader.read(name, values)
