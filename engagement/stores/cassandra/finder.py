"""The queries of the Cassandra store: by message, by what names one, or backwards through days and hours.

Reads only.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Final
from uuid import UUID

from engagement.events.fields import INJECTION, Fields
from engagement.events.ids import is_event_id
from engagement.stores.aggregate import (
    HOUR_MS,
    Aggregate,
    RepeatFinder,
    as_counts,
    from_texts,
    hours_of,
    is_by_hours,
)
from engagement.stores.cassandra import queries
from engagement.stores.cassandra.by_message import ByMessage
from engagement.stores.cassandra.by_time import ByTime, from_before
from engagement.stores.cassandra.reader import Reader
from engagement.stores.cassandra.rows.filters import Filter, is_small
from engagement.stores.cassandra.rows.pace import PAGE
from engagement.stores.cassandra.rows.senders import Likelihoods, Senders
from engagement.stores.cassandra.rows.stored import (
    SlimEvent,
    StoredEvent,
    repeated,
    shown,
)
from engagement.stores.port import Count, Query, clamped, cursor_position

# An injection's id is at most so far ahead of its event, or behind it.
_DATED_MS: Final = (3_600_000, 8 * 86_400_000)


class Finder(ByMessage):
    """The reading half of `CassandraStore`. now: returns Unix seconds."""

    def __init__(self, reader: Reader, life: queries.Lifetimes, now: Callable[[], float]) -> None:
        super().__init__(reader, life, now)
        self.times = ByTime(reader)
        self._likelihoods = Likelihoods()

    # --- the port's queries ---

    def find(self, query: Query) -> Iterator[Fields]:
        """See the port."""
        position = _position(query)
        limit = clamped(query)
        if not limit:
            return iter(())
        if not is_small(query):
            return iter(self._back(query, position, limit))
        whole = self.whole(self._messages(query))
        found = self._matching(query, whole)
        if position is not None:
            found = [row for row in found if row.order < position]
        found.sort(key=lambda row: row.order, reverse=True)
        return iter(shown(found[:limit], whole))

    def number(self, query: Query, most: int) -> int:
        """See the port."""
        position = _position(query)
        if is_small(query):
            rows = self._matching(query, self.whole(self._messages(query)))
            return min(most, sum(position is None or row.order < position for row in rows))
        senders = self._likelihoods.senders(query, most)
        slims = self.times.in_rounds(query, position, most, senders)
        number = sum(1 for _ in islice(self._of_senders(map(_no_repeat, slims), senders), most))
        self._likelihoods.learn(query, senders)
        return number

    def campaigns(self, tenant: str, most: int) -> tuple[str, ...] | None:
        """Return the campaigns of a tenant, None for more than `most`."""
        (lines,) = self._reader.streams("campaigns", [()], 1000)
        found = list(islice((name for whose, name in lines if whose == tenant and name), most + 1))
        return tuple(found) if len(found) <= most else None

    def counts(self, query: Query) -> Mapping[str, Count]:
        """See the port."""
        aggregate, once = Aggregate(), _Once()
        if is_small(query):
            whole = self.whole(self._messages(query))
            repeats = {name for rows in whole.values() for name in repeated(rows)}
            for row in filter(once.counts, self._matching(query, whole)):
                repeat = row.event_id in repeats
                aggregate.add(
                    row.type, row.message, row.client, expired=row.expired, repeat=repeat, hits=row.hits
                )
            return as_counts(aggregate.figures(), expired=query.expired)
        for slim, repeat in self._of_senders(self._with_repeats(query), self._likelihoods.senders(query, 1)):
            if not once.counts(slim):
                continue
            aggregate.add(
                slim.type, slim.message, slim.client, expired=slim.expired, repeat=repeat, hits=slim.hits
            )
        return as_counts(aggregate.figures(), expired=query.expired)

    def _with_repeats(self, query: Query) -> Iterator[tuple[SlimEvent, bool]]:
        """Yield the slim rows that a query wants, and whether each is a repeat."""
        matches, repeats = Filter(query, sets=self._reader.matching_sets(query)).wants_slim, RepeatFinder()
        for slim in self.times.forward(query, from_before(query)):
            repeats.forget(slim.at_ms // HOUR_MS * HOUR_MS)
            repeat = repeats.is_repeat(slim.type, slim.link, slim.client, slim.at_ms)
            if matches(slim):
                yield slim, repeat

    def _of_senders(
        self, rows: Iterable[tuple[SlimEvent, bool] | None], senders: Senders | None
    ) -> Iterator[tuple[SlimEvent, bool]]:
        """Yield those of a sending domain that is looked for; hits have it from their injection.

        rows: with None before more is read. senders: None if all are to be yielded. Messages that were not
        read with the rows are read here.
        """
        if senders is None:
            yield from filter(None, rows)
            return
        for one in rows:
            if one:
                senders.note(one[0], repeat=one[1])
            if senders.are_many if one else senders.suffice:
                senders.add(self.borrowed(senders.unread))
            yield from senders.passed()
        senders.add(self.borrowed(senders.unread))
        yield from senders.passed()

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
        found = from_texts(text for lines in self._reader.read_each("figures_of", bound) for (text,) in lines)
        return as_counts(found, expired=query.expired, types=query.types)

    # --- which messages ---

    def messages_of(self, recipient: str, tenant: str) -> list[bytes]:
        """Return the messages of a recipient, given in lower case."""
        name = queries.pseudonym(self._reader.secret(), tenant, recipient)
        bound = [(tenant, name, period) for period in self.periods(tenant)]
        return list(
            dict.fromkeys(key for lines in self._reader.read_each("messages", bound) for (key,) in lines)
        )

    def periods(self, tenant: str, from_ms: int | None = None, to_ms: int | None = None) -> range:
        """Return the periods in which a tenant has events, within a time range."""
        first, last = self.times.extent(tenant)
        low = max(first * HOUR_MS, from_ms or 0)
        high = (last + 1) * HOUR_MS if to_ms is None else min((last + 1) * HOUR_MS, to_ms)
        return range(low // queries.PERIOD_MS, (high - 1) // queries.PERIOD_MS + 1 if high > low else 0)

    def _matching(self, query: Query, whole: Mapping[bytes, list[StoredEvent]]) -> list[StoredEvent]:
        wants = Filter(query, self.oldest(), self._reader.matching_sets(query)).wants
        found = []
        for rows in whole.values():
            injection = next((row for row in reversed(rows) if row.injected is not None), None)
            from_injection = {**(injection.injected or {}), **_names(injection.fields)} if injection else {}
            found += [row for row in rows if wants(row, from_injection)]
        return found

    def _messages(self, query: Query) -> list[bytes]:
        """Return the messages that a query by message, recipient, id or another name may find."""
        if query.messages:
            return [key for key in map(_key, query.messages) if key]
        if query.ids:
            return self.messages_of_ids(query)
        if query.recipients:
            secret, periods = self._reader.secret(), self.periods(query.tenant, query.from_ms, query.to_ms)
            people = {queries.pseudonym(secret, query.tenant, name.lower()) for name in query.recipients}
            bound = [(query.tenant, name, period) for name in people for period in periods]
            return [key for lines in self._reader.read_each("messages", bound) for (key,) in lines]
        if query.queue_ids or query.message_id_headers:
            what = "queue_id" if query.queue_ids else "message_id_header"
            names = [(what, text) for text in query.queue_ids or query.message_id_headers]
            return [key for keys in self.named(query.tenant, names) for key in keys]
        names = [("transmission", text) for text in query.transmissions]
        return [key for keys in self.named(query.tenant, names) for key in keys] + self._searched(query)

    def _searched(self, query: Query) -> list[bytes]:
        """Return messages of transmissions from before schema 7, which had no `lookup`: search the hours."""
        indexed = self._reader.indexed_from() * HOUR_MS
        if not indexed:
            return []
        to_ms = indexed if query.to_ms is None else min(query.to_ms, indexed)
        old = self.times.newest_first(replace(query, to_ms=to_ms, cursor="", sending_domains=()), None, PAGE)
        return list(dict.fromkeys(slim.message for slim in old))

    def messages_of_ids(self, query: Query) -> list[bytes]:
        """Return the messages of events, by the ids that a query names."""
        bound = []
        names = [UUID(text) for text in query.ids if is_event_id(text)]
        for name in names:
            at_ms = name.int >> 80  # RFC 9562 5.7
            for shards in self.times.shards_of(query.tenant, at_ms // HOUR_MS):
                bound += [(query.tenant, at_ms // HOUR_MS, shard, at_ms, name) for shard in range(shards)]
        found = self._reader.read_each("one", bound)
        missing = set(names) - {values[4] for values, lines in zip(bound, found, strict=True) if lines}
        others = self.named(query.tenant, [("event", str(name)) for name in missing])
        return [
            *(key for lines in found for (key,) in lines),
            *(key for keys in others for key in keys),
            *(
                key
                for name, keys in zip(missing, others, strict=True)
                if not keys
                for key in self._dated(query.tenant, name)
            ),
        ]

    def _dated(self, tenant: str, name: UUID) -> list[bytes]:
        """Return the message of an injection whose id begins with its mail's Date: search the hours.

        Since schema 7 such ids are in `lookup`.
        """
        at_ms = name.int >> 80
        ahead, older = _DATED_MS
        indexed = self._reader.indexed_from() * HOUR_MS
        if at_ms - ahead >= indexed:
            return []
        span = Query(
            tenant=tenant,
            types=(INJECTION,),
            from_ms=max(0, at_ms - ahead),
            to_ms=min(at_ms + older, indexed),
        )
        every = self.times.newest_first(span, None, PAGE)
        return list(islice((slim.message for slim in every if slim.event_id == name), 1))

    # --- by time ---

    def _back(self, query: Query, position: tuple[int, int] | None, limit: int) -> list[Fields]:
        found: list[Fields] = []
        senders = self._likelihoods.senders(query, limit)
        read = self.times.in_rounds(query, position, limit, senders)
        slims = (slim for slim, _ in self._of_senders(map(_no_repeat, read), senders))
        wants = Filter(query).wants_shown
        while len(found) < limit:
            part = list(islice(slims, limit - len(found)))
            if not part:
                break
            found += [fields for fields in self.page(part, senders.texts if senders else {}) if wants(fields)]
        self._likelihoods.learn(query, senders)
        return found


def _no_repeat(slim: SlimEvent | None) -> tuple[SlimEvent, bool] | None:
    return (slim, False) if slim else None


def _names(fields: Fields) -> Fields:
    """Return those of an injection's fields that its message is found by."""
    return {name: fields[name] for name in ("x_queue_id", "x_message_id_header") if name in fields}


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


class _Once:
    """Tells the further injections of messages that were sent again, which count once."""

    def __init__(self) -> None:
        self._seen: set[UUID] = set()

    def counts(self, row: StoredEvent | SlimEvent) -> bool:
        """Return whether a row counts; note it."""
        if row.type != INJECTION:
            return True
        before = len(self._seen)
        self._seen.add(row.event_id)
        return len(self._seen) > before
