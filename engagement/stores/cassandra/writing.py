"""From rows to writes: which tables an event goes into, and which of its entries are there already."""

import time
from collections.abc import Iterable
from typing import Final
from uuid import UUID

from engagement.events.field_values import valid
from engagement.events.rows import EventRow
from engagement.stores.aggregate import HOUR_MS
from engagement.stores.cassandra import queries
from engagement.stores.cassandra.figures.day_facts import fact_values
from engagement.stores.cassandra.reader import Reader
from engagement.stores.customer_tags import DAY_MS, Customer, TagBook
from engagement.stores.json_text import as_text

_REMEMBERED: Final = 200_000

Lines = list[tuple[object, ...]]
Writes = list[tuple[str, Lines]]  # statement, and the values of rows of one partition


class RecentKeys:
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


class Partitions:
    """Collects rows, those of one partition together."""

    def __init__(self) -> None:
        self._lines: dict[tuple[object, ...], Lines] = {}

    def add(self, statement: str, partition: tuple[object, ...], values: tuple[object, ...]) -> None:
        """Add a row. values: all of them, with those of the partition."""
        self._lines.setdefault((statement, *partition), []).append(values)

    def writes(self) -> Writes:
        """Return what was added."""
        return [(str(key[0]), lines) for key, lines in self._lines.items()]


class Portion:
    """The writes for some rows that came in together.

    remembered: keys of index entries among them. arrived: (message, at_ms, event id) of each row. changed:
    (tenant, at_ms, message) of those that figures are counted from.
    """

    def __init__(self) -> None:
        self.rows = Partitions()
        self.remembered: set[object] = set()
        self.arrived: list[tuple[bytes, int, bytes]] = []
        self.changed: list[tuple[str, int, bytes]] = []


class EventWriting:
    """Makes the writes for rows. Not safe to share between threads. shards: those of an hour."""

    def __init__(self, reader: Reader, life: queries.Lifetimes, shards: int) -> None:
        self._reader = reader
        self._life = life
        self._shards = shards
        self.forget()

    def forget(self) -> None:
        """Forget what was written before, as a new process would."""
        self.remembered = RecentKeys()
        self._tags = TagBook(self._reader.tag_sets)

    def forget_tags(self) -> None:
        """Forget the listed tags, as what was to be written may not be in the store."""
        self._tags.forget()

    def portion(self, rows: list[EventRow], now: float) -> Portion:
        """Return the writes for rows. now: Unix seconds.

        Raises ValueError, TypeError, OverflowError or RecursionError for one that cannot be stored.
        """
        made = Portion()
        used: dict[tuple[Customer, tuple[str, ...], int], None] = {}  # in the order of their coming
        for row in rows:
            tags = None
            if row.tags:
                customer = (row.tenant, row.customer)
                tags = self._tags.set_id(customer, row.tags)
                used[customer, row.tags, row.at_ms // DAY_MS] = None
            self._event(made, row, tags, now)
        for name, lines in self._tag_sets(used, now):
            for values in lines:
                made.rows.add(name, values[:4], values)
        return made

    def _event(self, made: Portion, row: EventRow, tags: bytes | None, now: float) -> None:
        key = queries.message_key(row)
        table, whole = queries.whole_values(row, key)
        slim = queries.slim_values(row, key, tags)
        made.arrived.append((key, row.at_ms, UUID(row.event_id).bytes))
        stamp = queries.written_at(row.at_ms, row.rules)
        life = queries.ttl(row.at_ms, self._life.events, now)
        long = queries.ttl(row.at_ms, self._life.message, now)
        if table == "injection_by_message" and long is not None:
            made.rows.add(table, (key,), (*whole, long, stamp))
        if long is not None:
            self._lookups(made, row, key, now, stamp)
        if life is None:
            return
        if table == "event_by_message":
            made.rows.add(table, (key,), (*whole, life, stamp))
        tenant, shard = row.tenant, queries.shard_of(key, self._shards)
        in_hour = (tenant, row.at_ms // HOUR_MS, shard)
        made.rows.add("event_by_hour", in_hour, (*in_hour, *slim, life, stamp))
        self._facts(made, row, key, now, stamp)
        for what, value in queries.days_of(row.type, row.campaign, row.domain):
            in_day = (tenant, what, value, queries.day_of(row.at_ms), shard)
            made.rows.add("event_by_day", in_day, (*in_day, *slim, life, stamp))
        self._index(made, row, key, now, stamp)

    def _facts(self, made: Portion, row: EventRow, key: bytes, now: float, stamp: int) -> None:
        values = fact_values(row, key)
        left = queries.ttl((row.at_ms // DAY_MS + 1) * DAY_MS, self._life.events, now)
        made.rows.add("tally", values[:3], (*values, left or 0, stamp))
        made.changed.append((row.tenant, row.at_ms, key))

    def _lookups(self, made: Portion, row: EventRow, key: bytes, now: float, stamp: int) -> None:
        """Add the names of a row's message, except those that earlier rows have written."""
        period = row.at_ms // queries.PERIOD_MS
        for what, text, with_message in queries.lookups_of(row):
            if not self._is_new(made, (what, row.tenant, text, period, key)):
                continue
            ends = row.at_ms if with_message else (period + 1) * queries.PERIOD_MS
            left = queries.ttl(ends, self._life.message if with_message else self._life.events, now)
            name = queries.name_key(self._reader.secret(), row.tenant, what, text)
            if left is not None:
                place = (row.tenant, what, name)
                made.rows.add("lookup", place, (*place, key, left, stamp))

    def _index(self, made: Portion, row: EventRow, key: bytes, now: float, stamp: int) -> None:
        """Add a row's other index entries, except those that earlier rows have written."""
        hour = row.at_ms // HOUR_MS
        for campaign in dict.fromkeys(("", row.campaign)):
            if self._is_new(made, (row.tenant, campaign, hour)):
                left = queries.ttl((hour + 1) * HOUR_MS, self._life.events, now)
                place = (row.tenant, campaign)
                made.rows.add("hour_by_campaign", place, (*place, hour, self._shards, left or 0, stamp))
        period = row.at_ms // queries.PERIOD_MS
        if row.recipient and self._is_new(made, (row.tenant, row.recipient, period, key)):
            left = queries.ttl((period + 1) * queries.PERIOD_MS, self._life.events, now)
            name = queries.pseudonym(self._reader.secret(), row.tenant, row.recipient)
            in_period = (row.tenant, name, period)
            made.rows.add("message_by_recipient", in_period, (*in_period, key, left or 0, stamp))

    def _is_new(self, made: Portion, entry: object) -> bool:
        fresh = entry not in self.remembered and entry not in made.remembered
        made.remembered.add(entry)
        return fresh

    def _tag_sets(self, used: Iterable[tuple[Customer, tuple[str, ...], int]], now: float) -> Writes:
        """Return the writes for tag sets that are new, or are used for the first time today."""
        writes: Writes = []
        for (tenant, customer), each in self._tags.news(used, time.monotonic()):
            ends = (each.used + 1) * DAY_MS
            left = queries.ttl(ends, self._life.events, now)
            if left is not None:
                values = (queries.PLACE, tenant, valid(customer), each.set_id, as_text(each.tags), each.used)
                writes.append(("tag_set", [(*values, left, ends * 1000)]))
        return writes
