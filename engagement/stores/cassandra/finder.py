"""The queries of the Cassandra store: by message, by recipient, by id, or backwards through the hours.

Reads only. A query by transmission goes through the hours too, so it should have a time range.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice
from typing import Any
from uuid import UUID

from engagement.events.fields import INJECTION, Fields
from engagement.events.ids import is_event_id
from engagement.events.rows import REPEAT_MS
from engagement.stores.aggregate import (
    HOUR_MS,
    MINUTE_MS,
    Aggregate,
    MinuteAggregate,
    RepeatFinder,
    as_counts,
    from_texts,
    hours_of,
    is_by_hours,
)
from engagement.stores.cassandra import queries
from engagement.stores.cassandra.connection import Connection, RefusedError
from engagement.stores.cassandra.queries import Filter, HourlyEvent, StoredEvent
from engagement.stores.customer_tags import Customer, TagSet
from engagement.stores.minute_rollup import Minute
from engagement.stores.port import Count, Query, StoreError, clamped, cursor_position

_LAST_MS = 1 << 48  # ids hold no later time
_PAGE = 500
_DATED_MS = (
    3_600_000,
    8 * 86_400_000,
)  # an injection's id is at most so far ahead of its event, or behind it


class Finder:
    """The reading half of `CassandraStore`. now: returns Unix seconds."""

    def __init__(self, connection: Connection, life: queries.Lifetimes, now: Callable[[], float]) -> None:
        self._connection = connection
        self._life = life
        self._now = now
        self._secret = b""

    # --- the port's queries ---

    def find(self, query: Query) -> Iterator[Fields]:
        """See the port."""
        position = _position(query)
        limit = clamped(query)
        if not limit:
            return iter(())
        if not (query.ids or query.messages or query.recipients):
            return iter(self._back_through_hours(query, position, limit))
        whole = self.whole(self._messages(query))
        wants = Filter(query, self._oldest(), self._sets(query)).wants
        found = [row for rows in whole.values() for row in rows if wants(row)]
        if position is not None:
            found = [row for row in found if row.order < position]
        found.sort(key=lambda row: row.order, reverse=True)
        return iter(_shown(found[:limit], whole))

    def counts(self, query: Query) -> Mapping[str, Count]:
        """See the port."""
        aggregate = Aggregate()
        if query.ids or query.messages or query.recipients:
            wants = Filter(query, self._oldest(), self._sets(query)).wants
            for rows in self.whole(self._messages(query)).values():
                repeated = _repeated(rows)
                for row in filter(wants, rows):
                    repeat = row.event_id in repeated
                    aggregate.add(
                        *(row.type, row.message, row.client),
                        expired=row.expired,
                        repeat=repeat,
                        hits=row.hits,
                    )
        else:
            wanted, repeats = Filter(query, sets=self._sets(query)).wants_slim, RepeatFinder()
            low = (query.from_ms or 0) - REPEAT_MS
            for slim in self._forward_through_hours(query, low):
                repeats.forget(slim.at_ms // HOUR_MS * HOUR_MS)
                repeat = repeats.is_repeat(slim.type, slim.link, slim.client, slim.at_ms)
                if wanted(slim):
                    aggregate.add(
                        *(slim.type, slim.message, slim.client),
                        expired=slim.expired,
                        repeat=repeat,
                        hits=slim.hits,
                    )
        return as_counts(aggregate.figures(), expired=query.expired)

    def totals(self, query: Query) -> Mapping[str, Count]:
        """See the port."""
        if not is_by_hours(query):
            return self.counts(query)
        first, last = hours_of(query)
        most = 2**31 - 1
        bound = [
            (query.tenant, campaign, min(first, most), most if last is None else min(last, most))
            for campaign in dict.fromkeys(query.campaigns or ("",))
        ]
        found = from_texts(text for lines in self.read_each("figures_of", bound) for (text,) in lines)
        return as_counts(found, expired=query.expired, types=query.types)

    def minutes(self, tenant: str, first: int, last: int) -> Mapping[int, Minute]:
        """Return what was counted in minutes since 1970, from first to last, exclusive."""
        begins = first * MINUTE_MS
        aggregate = MinuteAggregate(begins)
        span = Query(tenant=tenant, from_ms=begins, to_ms=last * MINUTE_MS)
        for slim in self._forward_through_hours(span, begins - REPEAT_MS):
            aggregate.add(
                *(slim.at_ms, slim.type, slim.message, slim.client, slim.link, slim.campaign),
                expired=slim.expired,
                hits=slim.hits,
            )
        return aggregate.seen()

    def tag_sets(self, customer: Customer) -> list[TagSet]:
        """Return the sets of a customer's tags that are listed."""
        return [queries.stored_tag_set(line) for line in self.read("tag_sets", (queries.PLACE, *customer))]

    def _sets(self, query: Query) -> frozenset[bytes]:
        """Return the ids of tag sets with a tag that the query names."""
        if not query.tags:
            return frozenset()
        sets = map(queries.stored_tag_set, self.read("all_tag_sets", (queries.PLACE, query.tenant)))
        return frozenset(each.set_id for each in sets if not set(query.tags).isdisjoint(each.tags))

    # --- by message ---

    def whole(
        self, messages: Iterable[bytes], low: int = 0, high: int = _LAST_MS
    ) -> dict[bytes, list[StoredEvent]]:
        """Return all rows of messages, each message's in time order; of hits only those in the time range."""
        keys = list(dict.fromkeys(messages))
        events = self.read_each("events", [(key, low, high) for key in keys])
        injections = self.read_each("injections", [(key,) for key in keys])
        oldest = self._oldest()
        found: dict[bytes, list[StoredEvent]] = {}
        for key, hits, others in zip(keys, events, injections, strict=True):
            rows = [*map(queries.stored_event, hits), *map(queries.stored_injection, others)]
            found[key] = sorted(
                (row for row in rows if row.injected is not None or row.at_ms >= oldest),
                key=lambda row: row.order,
            )
        return found

    def _oldest(self) -> int:
        """Return the time of the oldest event to show, Unix milliseconds; injections live longer."""
        return int((self._now() - self._life.events) * 1000) if self._life.events else 0

    def shown(self, places: Sequence[tuple[bytes, int, UUID]]) -> list[Fields]:
        """Return the events at (message, time, id) that exist, in that order."""
        times = [at for _, at, _ in places]
        low = max(0, min(times, default=0) - REPEAT_MS)
        whole = self.whole((message for message, _, _ in places), low, max(times, default=0))
        by_id = {row.event_id: row for rows in whole.values() for row in rows}
        return _shown([by_id[name] for _, _, name in places if name in by_id], whole)

    def messages_of(self, recipient: str, tenant: str) -> list[bytes]:
        """Return the messages of a recipient, given in lower case."""
        name = queries.pseudonym(self.secret(), tenant, recipient)
        bound = [(tenant, name, period) for period in self.periods(tenant)]
        return list(dict.fromkeys(key for lines in self.read_each("messages", bound) for (key,) in lines))

    def periods(self, tenant: str, from_ms: int | None = None, to_ms: int | None = None) -> range:
        """Return the periods in which a tenant has events, within a time range."""
        first, last = self._extent(tenant)
        low = max(first * HOUR_MS, from_ms or 0)
        high = (last + 1) * HOUR_MS if to_ms is None else min((last + 1) * HOUR_MS, to_ms)
        return range(low // queries.PERIOD_MS, (high - 1) // queries.PERIOD_MS + 1 if high > low else 0)

    def _messages(self, query: Query) -> list[bytes]:
        """Return the messages that a query by message, recipient or id may find."""
        if query.messages:
            return [key for key in map(_key, query.messages) if key]
        if query.ids:
            return self._messages_of_ids(query)
        secret, periods = self.secret(), self.periods(query.tenant, query.from_ms, query.to_ms)
        names = {queries.pseudonym(secret, query.tenant, name.lower()) for name in query.recipients}
        bound = [(query.tenant, name, period) for name in names for period in periods]
        return [key for lines in self.read_each("messages", bound) for (key,) in lines]

    def _messages_of_ids(self, query: Query) -> list[bytes]:
        bound = []
        names = [UUID(text) for text in query.ids if is_event_id(text)]
        for name in names:
            at_ms = name.int >> 80  # RFC 9562 5.7
            for shards in self.shards_of(query.tenant, at_ms // HOUR_MS):
                bound += [(query.tenant, at_ms // HOUR_MS, shard, at_ms, name) for shard in range(shards)]
        found = self.read_each("one", bound)
        missing = set(names) - {values[4] for values, lines in zip(bound, found, strict=True) if lines}
        return [
            *(key for lines in found for (key,) in lines),
            *(key for name in missing for key in self._dated(query.tenant, name)),
        ]

    def _dated(self, tenant: str, name: UUID) -> list[bytes]:
        """Return the message of an injection whose id begins with its mail's Date: search the hours."""
        at_ms = name.int >> 80
        ahead, older = _DATED_MS
        span = Query(tenant=tenant, types=(INJECTION,), from_ms=max(0, at_ms - ahead), to_ms=at_ms + older)
        every = self._newest_first(span, None, _PAGE)
        return list(islice((slim.message for slim in every if slim.event_id == name), 1))

    # --- by time ---

    def _back_through_hours(self, query: Query, position: tuple[int, int] | None, limit: int) -> list[Fields]:
        found: list[Fields] = []
        slims = self._newest_first(query, position, limit)
        while len(found) < limit:
            part = list(islice(slims, limit - len(found)))
            if not part:
                break
            found += self.shown([(slim.message, slim.at_ms, slim.event_id) for slim in part])
        return found

    def _newest_first(
        self, query: Query, position: tuple[int, int] | None, limit: int
    ) -> Iterator[HourlyEvent]:
        wants = Filter(query, sets=self._sets(query)).wants_slim
        before = position or (_LAST_MS, 0)
        if query.to_ms is not None:
            before = min(before, (max(query.to_ms, 0), 0))
        low = max(0, query.from_ms or 0)
        page = max(2, min(limit, _PAGE))
        last: UUID | None = None
        for hour, several in self._hours(query, low, before[0]):
            bound = [
                (query.tenant, hour, shard, low, before[0], UUID(int=before[1]))
                for shard in range(max(several))
            ]
            streams = self._streams("hour_before", bound, page)
            for slim in merge(*streams, key=lambda slim: slim.order, reverse=True):
                if slim.event_id != last and wants(slim):  # twice where the number of shards was changed
                    yield slim
                last = slim.event_id

    def _forward_through_hours(self, query: Query, low: int) -> Iterator[HourlyEvent]:
        """Yield all events of a tenant from low on; those of one link, which share a shard, in time order."""
        low = max(0, low)
        high = _LAST_MS if query.to_ms is None else max(query.to_ms, 0)
        # By campaign too: what repeats what is a matter of one message, and so of one campaign.
        hours = self._hours(query, low, max(low, high - 1))
        for hour, several in reversed(hours):
            bound = [(query.tenant, hour, shard, low, high) for shard in range(max(several))]
            streams = self._streams("hour", bound, 5000)
            if len(several) == 1:
                for stream in streams:
                    yield from sorted(stream, key=lambda slim: slim.order)
            else:
                once = {slim.event_id: slim for stream in streams for slim in stream}
                yield from sorted(once.values(), key=lambda slim: slim.order)

    def _streams(
        self, name: str, bound: Sequence[tuple[object, ...]], page: int
    ) -> list[Iterator[HourlyEvent]]:
        try:
            streams = self._connection.stream_each(name, bound, page)
        except RefusedError as error:
            raise self._refused(error) from error
        return [map(_slim, stream) for stream in streams]

    def _hours(self, query: Query, low: int, high: int) -> list[tuple[int, set[int]]]:
        """Return the hours that may have such events, newest first, with the numbers of shards they had."""
        first, last = low // HOUR_MS, min(high // HOUR_MS, 2**31 - 1)
        bound = [
            (query.tenant, campaign, min(first, 2**31 - 1), last)
            for campaign in dict.fromkeys(query.campaigns or ("",))
        ]
        found: dict[int, set[int]] = {}
        for lines in self.read_each("hours", bound):
            for hour, shards in lines:
                found.setdefault(hour, set()).add(shards)
        return sorted(found.items(), reverse=True)

    def shards_of(self, tenant: str, hour: int) -> list[int]:
        """Return the numbers of shards an hour was spread over."""
        if not 0 <= hour < 2**31:
            return []
        return [shards for _, shards in self.read("hours", (tenant, "", hour, hour))]

    def _extent(self, tenant: str) -> tuple[int, int]:
        """Return the first and the last hour in which a tenant has events; (0, -1) for none."""
        (first, last) = self.read_each("first_hour", [(tenant,)]) + self.read_each("last_hour", [(tenant,)])
        return (first[0][0], last[0][0]) if first and last else (0, -1)

    # --- statements ---

    def secret(self) -> bytes:
        """Return the key of recipients' pseudonyms. Raises StoreError."""
        if not self._secret:
            found = self.read("secret", ())
            if not found:
                raise StoreError(
                    "Cassandra: the secret of pseudonyms is missing. Run `smtpapi store migrate`."
                )
            self._secret = bytes(found[0][0])
        return self._secret

    def read(self, name: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        """Return the lines of a result. Raises StoreError."""
        try:
            return self._connection.read(name, values)
        except RefusedError as error:
            raise self._refused(error) from error

    def read_each(self, name: str, several: Sequence[tuple[object, ...]]) -> list[list[tuple[Any, ...]]]:
        """Return the lines of several results. Raises StoreError."""
        try:
            return self._connection.read_each(name, several)
        except RefusedError as error:
            raise self._refused(error) from error

    def _refused(self, error: RefusedError) -> StoreError:
        self._connection.recheck()
        return StoreError(f"Cassandra: {error}. `smtpapi store check` tells whether the tables are there.")


def _slim(line: tuple[Any, ...]) -> HourlyEvent:
    at_ms, event_id, message, kind, client, link, campaign, transmission, expired, tags, hits = line
    return HourlyEvent(
        *(at_ms, event_id, message, kind, client or "", link or b"", campaign or ""),
        *(transmission, bool(expired), tags or b"", hits or 1),
    )


def _position(query: Query) -> tuple[int, int] | None:
    if not query.cursor:
        return None
    at_ms, event_id = cursor_position(query.cursor)
    return at_ms, UUID(event_id).int


def _key(message: str) -> bytes:
    try:
        return bytes.fromhex(message)
    except ValueError:
        return b""


def _repeated(rows: Iterable[StoredEvent]) -> set[UUID]:
    """Return the ids of rows that are repeats. rows: of one message, in time order."""
    repeats: dict[str, RepeatFinder] = {}
    return {
        row.event_id
        for row in rows
        if repeats.setdefault(row.tenant, RepeatFinder()).is_repeat(row.type, row.link, row.client, row.at_ms)
    }


def _shown(rows: Iterable[StoredEvent], whole: Mapping[bytes, list[StoredEvent]]) -> list[Fields]:
    """Return the events of rows. whole: all rows of their messages that matter, by message."""
    repeated = {key: _repeated(found) for key, found in whole.items()}
    injected: dict[bytes, Fields] = {
        key: next((row.injected for row in reversed(found) if row.injected is not None), {})
        for key, found in whole.items()
    }
    return [
        row.shown(
            injected[row.message] if "message_id" in row.fields else {},
            repeat=row.event_id in repeated[row.message],
        )
        for row in rows
    ]
