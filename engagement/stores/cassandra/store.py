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
from contextlib import AbstractContextManager, nullcontext
from uuid import UUID

from engagement.events.fields import Fields
from engagement.events.model import Injection, MessageEvent, MessageName
from engagement.events.rows import EventRow
from engagement.settings.schema import CassandraClientStanza
from engagement.stores.cassandra import queries
from engagement.stores.cassandra.arrivals import arrival_writes, read_arrivals
from engagement.stores.cassandra.connection import RENEW_SECONDS, Connection, RefusedError
from engagement.stores.cassandra.erasing import erasure
from engagement.stores.cassandra.figures.reading import figures
from engagement.stores.cassandra.figures.recount import Recount
from engagement.stores.cassandra.finder import Finder
from engagement.stores.cassandra.labels import Labels
from engagement.stores.cassandra.reader import Reader
from engagement.stores.cassandra.rows.statements import READS, WRITES
from engagement.stores.cassandra.schema import check_version
from engagement.stores.cassandra.waiting import no_longer_waiting, read_waiting, waiting_writes
from engagement.stores.cassandra.writing import EventWriting, RecentKeys, Writes
from engagement.stores.customer_tags import tags_of
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
    PastLabel,
    Query,
    RowRefusedError,
    StoreError,
)


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
        self._shipper = secrets.token_hex(6)
        self._erasures = b""  # as they stood when rows were last written
        self._arrival_rows = 0  # rows of arrivals written under this name
        self._recount = Recount(self._reader, self._counted, self._life, self._shipper)

    def add(self, events: Iterable[EventRow]) -> int:
        """See the port."""
        rows = list(events)
        with self._lock:
            self._follow_erasures()
            try:
                portion = self._writing.portion(rows, self._now())
            except (ValueError, TypeError, OverflowError, RecursionError) as error:
                raise RowRefusedError(str(error)) from error
            if not rows:
                return 0
            try:
                self._mark(portion.changed)
                self._written(portion.rows.writes())
            except BaseException:
                self._writing.forget_tags()
                raise
            self._writing.remembered.add(portion.remembered)
            self._write_arrivals(portion.arrived)
        return len(rows)

    def together(self) -> AbstractContextManager[bool]:
        """See the port."""
        return nullcontext(False)

    def find(self, query: Query) -> Iterator[Fields]:
        """See the port."""
        return self._finder.find(query)

    def number(self, query: Query, most: int) -> int:
        """See the port."""
        return self._finder.number(query, most)

    def names(self, what: Named, tenant: str, most: int) -> tuple[str, ...] | None:
        """See the port. There is a list of campaigns, and none of domains."""
        return self._finder.campaigns(tenant, most) if what == "campaign" else None

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
        """See the port. The first call includes what earlier shippers left undone. Returns how many days."""
        with self._lock:
            return self._recount.roll_up(seconds, self._now())

    def figures(self, query: FigureQuery) -> tuple[FigureRow, ...]:
        """See the port."""
        return figures(self._reader, query)

    def grouped(
        self, group: Grouping, query: FigureQuery, values: tuple[str, ...] = ()
    ) -> tuple[FigureRow, ...] | None:
        """See the port. It cannot."""
        return None

    def recount(self, day: int) -> int:
        """See the port."""
        with self._lock:
            return self._recount.again(("", day), self._now())

    def is_whole(self, day: int) -> bool:
        """See the port. What an erased event counted stays there without it."""
        return self._recount.is_countable(("", day), self._now())

    def arrivals(self, mark: str, limit: int = 1000, *, expired: bool = False) -> Arrivals:
        """See the port. The mark holds each shipper's name, and how far it was read."""
        refs, after = read_arrivals(self._reader, mark, limit)
        shown = self._finder.shown([(message, at, UUID(bytes=name)) for message, at, name in refs])
        return Arrivals(tuple(event for event in shown if expired or "x_expired" not in event), after)

    # --- names, labels ---

    def injections(
        self, names: Iterable[MessageName], _enough: Enough | None = None, _since_ms: int = 0
    ) -> Mapping[MessageName, tuple[Injection, ...]]:
        """See the port. All of a name are found at once."""
        return self._finder.injections(names)

    def newest_injection(self) -> int | None:
        """See the port. Other shippers write too, and hours would have to be asked one by one."""
        return None

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
            self._mark([(row.tenant, row.at_ms, row.message) for change in changes for row in change.rows])
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
        self._written([("erased", [(secrets.token_bytes(8),)])])
        made = erasure(self._reader, self._finder, self._labels, recipient.lower(), tenant, self._now())
        with self._lock:
            self._recount.settle(made.changed, self._now())
            self._mark(made.changed)
            for writes in (made.first, made.writes, made.last):
                self._written(writes)
            self._written([("erased", [(secrets.token_bytes(8),)])])  # of what was read meanwhile
        return made.events

    def close(self) -> None:
        """See the port."""
        self.connection.close()

    # --- writing ---

    def _follow_erasures(self) -> None:
        """Forget what was written before, if an erasure, by whatever program, may have removed it."""
        erasures = self._reader.erasures()
        if erasures != self._erasures:
            self._writing.remembered = RecentKeys()
            self._erasures = erasures

    def _mark(self, changed: Iterable[tuple[str, int, bytes]]) -> None:
        """Mark that figures of these events will have to be counted."""
        self._written(self._recount.marks.changed(changed))
        self._recount.marks.are_written()

    def _written(self, writes: Writes) -> None:
        """Write rows. Raises RowRefusedError, StoreError."""
        try:
            self.connection.write_batches(writes)
        except RefusedError:
            self.connection.recheck()  # raises if the tables are gone: then it is not the row's fault
            try:
                self.connection.write_batches(writes)  # they may have come back just now
            except RefusedError as error:
                raise RowRefusedError(str(error)) from error

    def _counted(self, writes: Writes) -> None:
        """Write figures. Raises StoreError, also where they are refused: no row is at fault."""
        try:
            self._written(writes)
        except RowRefusedError as error:
            raise StoreError(f"Cassandra: figures were refused ({error})") from error

    def _write_arrivals(self, arrived: list[tuple[bytes, int, bytes]]) -> None:
        """Write what came in to the table of arrivals, many events a row; after the events themselves."""
        writes, positions, number = arrival_writes(self._shipper, self._arrival_rows, arrived)
        self._written(writes)
        self._written(positions)
        self._arrival_rows = number
