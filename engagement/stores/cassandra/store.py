"""The store of a large site: a Cassandra cluster. Its queries are in `finder`, its statements in `queries`.

No counters, secondary indexes or filtering; each row is an upsert. The only transactions are turns at
computing an hour's figures (`turns`). An event costs two or three rows: whole by message, slim by hour, and
the first of a message in a period by recipient. Rows expire by themselves. `arrivals` may return an event
twice: when the spool was read twice.
"""

import math
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final
from uuid import UUID

from engagement.events.fields import Fields, valid
from engagement.events.rows import EventRow
from engagement.settings.schema import CassandraClientStanza
from engagement.stores.aggregate import HOUR_MS, minutes_to_count, to_text
from engagement.stores.cassandra import queries
from engagement.stores.cassandra.connection import RENEW_SECONDS, Connection, RefusedError
from engagement.stores.cassandra.finder import Finder
from engagement.stores.cassandra.schema import check_version
from engagement.stores.cassandra.turns import RollupTurns, stamp
from engagement.stores.customer_tags import DAY_MS, Customer, TagBook, tags_of
from engagement.stores.json_text import as_text
from engagement.stores.minute_rollup import MINUTES, Hour, Minute, MinuteRollup, by_turns
from engagement.stores.port import (
    SWEEP_LIMIT,
    Arrivals,
    Count,
    Query,
    RowRefusedError,
)

ARRIVALS_LIFE: Final = 7 * 86400
_REMEMBERED: Final = 200_000
_CLOSED_MS: Final = 600_000  # after an hour's end; its mark as stale stays until then, as more will come
_APART_HOURS: Final = 26  # marks of others stay so much longer: their clocks may be a day behind
_TURNS_OUTLIVE: Final = 7 * 86400  # seconds: numbers must not start again while there are figures

_Writes = list[tuple[str, list[tuple[object, ...]]]]


class _RecentKeys:
    """The keys of rows written recently, which need not be written again. A forgotten one costs a row."""

    def __init__(self, most: int = _REMEMBERED) -> None:
        self._most = most
        self._new: set[object] = set()
        self._old: set[object] = set()

    def __contains__(self, key: object) -> bool:
        return key in self._new or key in self._old

    def add(self, keys: Iterable[object]) -> None:
        """Add keys, and forget the older half when there are too many."""
        self._new.update(keys)
        if len(self._new) > self._most // 2:
            self._old, self._new = self._new, set()


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
        self._shards = stanza.shards
        self.connection = Connection(
            stanza, queries.WRITES | queries.READS, ready=check_version, renew_after=renew_after
        )
        self._finder = Finder(self.connection, life, now)
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Forget what was written before, as a new process would."""
        self._remembered = _RecentKeys()
        self._tags = TagBook(self._finder.tag_sets)
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
                writes, remembered, arrived = self._writes(rows)
            except (ValueError, TypeError, OverflowError, RecursionError) as error:
                raise RowRefusedError(str(error)) from error
            if not rows:
                return 0
            changed = {(row.tenant, minute) for row in rows for minute in minutes_to_count(row.at_ms)}
            stale = {(tenant, minute // MINUTES) for tenant, minute in changed}
            if self._stale is not None:
                self._stale |= stale
            self._added |= stale & self._under_way.keys()
            for tenant, minute in changed:
                self._minutes.changed(tenant, minute)
            try:
                self._written(self._marks(stale) + writes)
            except BaseException:
                self._tags.forget()
                raise
            self._remembered.add(remembered)
            if arrived:
                self._write_arrivals(arrived)
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
        return tags_of(self._finder.tag_sets((tenant, customer)))

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
        newest_of = dict(self._read("shippers", (queries.PLACE,)))
        read = _places_of(mark)
        if read is None:
            return Arrivals((), _mark({name: (number, 0) for name, number in newest_of.items()}))
        refs: list[tuple[bytes, int, bytes]] = []
        for name, newest in sorted(newest_of.items()):
            place = read.get(name, (0, 0))
            while len(refs) < limit and place[0] < newest:
                place = self._read_arrivals(name, place, limit - len(refs), refs, newest)
            read[name] = place
        shown = self._finder.shown([(message, at, UUID(bytes=name)) for message, at, name in refs])
        events = tuple(event for event in shown if expired or "x_expired" not in event)
        return Arrivals(events, _mark({name: place for name, place in read.items() if name in newest_of}))

    def sweep(self, before_ms: int, limit: int = SWEEP_LIMIT) -> int:
        """See the port: rows expire by themselves."""
        return 0

    def erase(self, recipient: str, tenant: str = "") -> int:
        """See the port."""
        lower = recipient.lower()
        messages = self._finder.messages_of(lower, tenant)
        found = [row for rows in self._finder.whole(messages).values() for row in rows]
        newest = max((row.at_ms * 1000 + 999 for row in found), default=0)
        at = max(int(self._now() * 1_000_000), newest)
        writes: _Writes = []
        for message in messages:
            writes.append(("erase_message", [(at, message)]))
            writes.append(("erase_injection", [(at, message)]))
        for row in found:
            hour = row.at_ms // HOUR_MS
            for shards in self._finder.shards_of(row.tenant, hour):
                shard = queries.shard_of(row.message, shards)
                writes.append(("erase_in_hour", [(at, row.tenant, hour, shard, row.at_ms, row.event_id)]))
        self._written(writes)
        name = queries.pseudonym(self._finder.secret(), tenant, lower)
        # Last, so that an interrupted erasure finds the messages again.
        self._written(
            [("erase_recipient", [(at, tenant, name, period)]) for period in self._finder.periods(tenant)]
        )
        with self._lock:
            self._remembered = _RecentKeys()
        return len(found)

    def close(self) -> None:
        """See the port."""
        self.connection.close()

    # --- writing ---

    def _writes(self, rows: list[EventRow]) -> tuple[_Writes, set[object], list[tuple[bytes, int, bytes]]]:
        """Return the writes for rows, the keys to remember, and (message, at_ms, event id) of each row."""
        now = self._now()
        single: _Writes = []
        hours: dict[tuple[str, int, int], list[tuple[object, ...]]] = {}
        messages: dict[bytes, list[tuple[object, ...]]] = {}
        used: dict[tuple[Customer, tuple[str, ...], int], None] = {}  # in the order of their coming
        remembered: set[object] = set()
        arrived = []
        for row in rows:
            key = queries.message_key(row)
            table, whole = queries.whole_values(row, key)
            tags = None
            if row.tags:
                customer = (row.tenant, row.customer)
                tags = self._tags.set_id(customer, row.tags)
                used[customer, row.tags, row.at_ms // DAY_MS] = None
            slim = queries.hour_values(row, key, self._shards, tags)
            arrived.append((key, row.at_ms, UUID(row.event_id).bytes))
            stamp = queries.written_at(row)
            life = queries.ttl(row.at_ms, self._life.events, now)
            long = queries.ttl(row.at_ms, self._life.message, now)
            if table == "injection_by_message" and long is not None:
                single.append((table, [(*whole, long, stamp)]))
            if life is None:
                continue
            if table == "event_by_message":
                messages.setdefault(key, []).append((*whole, life, stamp))
            tenant, hour, shard = row.tenant, row.at_ms // HOUR_MS, queries.shard_of(key, self._shards)
            hours.setdefault((tenant, hour, shard), []).append((*slim, life, stamp))
            single += self._index(row, key, now, stamp, remembered)
        single += [("event_by_message", lines) for lines in messages.values()]
        single += [("event_by_hour", lines) for lines in hours.values()]
        return single + self._tag_sets(used, now), remembered, arrived

    def _tag_sets(self, used: Iterable[tuple[Customer, tuple[str, ...], int]], now: float) -> _Writes:
        """Return the writes for tag sets that are new, or are used for the first time today."""
        writes: _Writes = []
        for (tenant, customer), each in self._tags.news(used, time.monotonic()):
            ends = (each.used + 1) * DAY_MS
            left = queries.ttl(ends, self._life.events, now)
            if left is not None:
                values = (queries.PLACE, tenant, valid(customer), each.set_id, as_text(each.tags), each.used)
                writes.append(("tag_set", [(*values, left, ends * 1000)]))
        return writes

    def _index(self, row: EventRow, key: bytes, now: float, stamp: int, remembered: set[object]) -> _Writes:
        """Return the writes for a row's index entries, except those that earlier rows have written."""
        writes: _Writes = []

        def new(entry: object) -> bool:
            fresh = entry not in self._remembered and entry not in remembered
            remembered.add(entry)
            return fresh

        hour = row.at_ms // HOUR_MS
        for campaign in dict.fromkeys(("", row.campaign)):
            if new((row.tenant, campaign, hour)):
                left = queries.ttl((hour + 1) * HOUR_MS, self._life.events, now)
                writes.append(
                    ("hour_by_campaign", [(row.tenant, campaign, hour, self._shards, left or 0, stamp)])
                )
        period = row.at_ms // queries.PERIOD_MS
        if row.recipient and new((row.tenant, row.recipient, period, key)):
            left = queries.ttl((period + 1) * queries.PERIOD_MS, self._life.events, now)
            name = queries.pseudonym(self._finder.secret(), row.tenant, row.recipient)
            writes.append(("message_by_recipient", [(row.tenant, name, period, key, left or 0, stamp)]))
        return writes

    def _marks(self, stale: set[tuple[str, int]]) -> _Writes:
        writes: _Writes = []
        for tenant, hour in stale:
            if not any(name.startswith(self._shipper) for name in self._marked.get((tenant, hour), ())):
                writes.append(("stale_hour", [(queries.PLACE, tenant, hour, self._mark)]))
        return writes

    def _written(self, writes: _Writes) -> None:
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
        writes: _Writes = []
        number = self._arrival_rows
        for start in range(0, len(arrived), queries.EVENTS_IN_ARRIVAL):
            packed = queries.pack_arrival(arrived[start : start + queries.EVENTS_IN_ARRIVAL])
            part = number // queries.ARRIVALS_IN_PART
            writes.append(("arrival", [(self._shipper, part, number, packed, ARRIVALS_LIFE)]))
            number += 1
        self._written(writes)
        at = queries.arrivals_written_at(number)
        self._written([("shipper", [(queries.PLACE, self._shipper, number, ARRIVALS_LIFE, at)])])
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
        return self._finder.read(name, values)

    def _read_arrivals(
        self,
        name: str,
        place: tuple[int, int],
        wanted: int,
        refs: list[tuple[bytes, int, bytes]],
        newest: int,
    ) -> tuple[int, int]:
        """Add the next events of a shipper to refs; return the place after them."""
        number, offset = place
        part = number // queries.ARRIVALS_IN_PART
        most = wanted // queries.EVENTS_IN_ARRIVAL + 2
        lines = self._read("arrivals", (name, part, number, most))
        for at, packed in lines:
            if at != number:
                number, offset = at, 0
            found = list(queries.unpack_arrival(packed))[offset:]
            taken = found[:wanted]
            refs += taken
            wanted -= len(taken)
            if len(taken) < len(found):
                return number, offset + len(taken)
            number, offset = number + 1, 0
        if not lines:  # expired: continue with the next part, or at the newest
            number = min((part + 1) * queries.ARRIVALS_IN_PART, newest)
        return number, 0 if not lines else offset


def _mark(places: Mapping[str, tuple[int, int]]) -> str:
    return ",".join(f"{name}:{number}:{offset}" for name, (number, offset) in sorted(places.items())) or "0"


def _places_of(mark: str) -> dict[str, tuple[int, int]] | None:
    if mark == "0":  # of a store that no shipper has written to
        return {}
    places = {}
    for entry in mark.split(","):
        name, _, rest = entry.partition(":")
        number, _, offset = rest.partition(":")
        if not (
            len(name) == 12 and all(x.isascii() and x.isdigit() and len(x) < 10 for x in (number, offset))
        ):
            return None
        places[name] = (int(number), int(offset))
    return places
