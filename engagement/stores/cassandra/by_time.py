"""Slim rows by time: newest first through days or hours, or forward through hours.

Newest first, the partitions of several days or hours are read at once: as many as are likely to hold what is
still missing.
"""

from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import chain, dropwhile, groupby, takewhile, tee
from operator import itemgetter
from typing import Final, NamedTuple
from uuid import UUID

from engagement.events.rows import REPEAT_MS
from engagement.stores.aggregate import HOUR_MS, from_texts
from engagement.stores.cassandra.queries import PLACE
from engagement.stores.cassandra.reader import Reader, sets_with
from engagement.stores.cassandra.rows.filters import (
    Filter,
    condition,
    days_of_domains,
    days_to_read,
    is_brief,
    is_nothing,
    is_search,
    selects_here,
)
from engagement.stores.cassandra.rows.pace import FASTEST, SEARCHING, Pace, Together, in_turns
from engagement.stores.cassandra.rows.senders import Senders
from engagement.stores.cassandra.rows.stored import SlimEvent
from engagement.stores.customer_tags import DAY_MS
from engagement.stores.port import Query, UnsupportedQueryError

LAST_MS: Final = 1 << 48  # ids hold no later time
_HOURS_AT_ONCE: Final = 256
_SETS_AT_ONCE: Final = 5000
# A search that no index leads goes through at most so many events, or through a day of any size.
MOST_SEARCHED: Final = 2_000_000
_FREE_MS: Final = DAY_MS
_HOURS_IN_DAY: Final = DAY_MS // HOUR_MS
_LAST_HOUR: Final = 2**31 - 1

Hour = tuple[int, int]  # since 1970, and the most shards that it was spread over
Bounds = tuple[int, int, int]  # from when on, and the time and id before which


class _Read(NamedTuple):
    """How a query's partitions are read, whichever they are."""

    pace: Pace
    senders: Senders | None
    types: frozenset[str]
    brief: bool

    def following(self, count: int) -> int:
        """Return how many days or hours to read after the last `count`."""
        return self.pace.next(count, self.senders.likelihood if self.senders else 1.0)


class ByTime:
    """Reads `event_by_hour` and `event_by_day`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def newest_first(self, query: Query, position: tuple[int, int] | None, limit: int) -> Iterator[SlimEvent]:
        """Yield the events that a query asks for by anything but recipients, messages and names.

        position: time and id, of an event after which it begins. Where a sending domain is looked for, events
        that do not say theirs are yielded too. Raises UnsupportedQueryError for a search through too many
        events.
        """
        return (slim for slim in self.in_rounds(query, position, limit, None) if slim is not None)

    def in_rounds(
        self, query: Query, position: tuple[int, int] | None, limit: int, senders: Senders | None
    ) -> Iterator[SlimEvent | None]:
        """Yield the same, and None each time before more is read.

        senders: the messages that it has not read yet are read with what comes next. Raises
        UnsupportedQueryError as `newest_first` does.
        """
        before = position or (LAST_MS, 0)
        if query.to_ms is not None:
            before = min(before, (max(query.to_ms, 0), 0))
        low = max(0, query.from_ms or 0)
        if (low, 0) >= before or is_nothing(query):
            return
        hours, sets = self._hours_and_sets(query, low, before[0])
        if query.tags and not sets:
            return
        pace = Pace(limit, few=bool(query.sending_domains))
        wants = Filter(query, sets=sets).wants_slim
        how = _Read(pace, senders, frozenset(query.types), is_brief(query))
        every: list[Iterator[SlimEvent | None]] = []
        for values, indexed in self._leads(query):
            if (max(low, indexed), 0) < before:
                hours, own = tee(hours)
                every.append(self._by_day(query, values, sets, (max(low, indexed), *before), own, how))
            before = min(before, (indexed, 0))
        if (low, 0) < before:
            every.append(self._by_hour(query, sets, (low, *before), hours, how))
        last: UUID | None = None
        for slim in chain(*every):
            if slim is None:
                yield None
                continue
            if slim.event_id != last and wants(slim):  # twice where the number of shards was changed
                # Of hits the caller finds out whose they are.
                pace.found(sure=bool(not query.sending_domains or slim.sending_domain))
                yield slim
            last = slim.event_id

    def _hours_and_sets(self, query: Query, low: int, high: int) -> tuple[Iterator[Hour], frozenset[bytes]]:
        """Return the hours that may have such events, newest first, and the tag sets, read at once."""
        several: list[tuple[str, tuple[object, ...], int]] = [
            ("hours", values, _HOURS_AT_ONCE) for values in _places_of_hours(query, low, high)
        ]
        if query.tags:
            several.append(("all_tag_sets", (PLACE, query.tenant), _SETS_AT_ONCE))
        streams = self._reader.stream_several(several)
        sets = sets_with(query.tags, streams.pop()) if query.tags else frozenset()
        lines = merge(*streams, reverse=True)
        return ((hour, max(lines)[1]) for hour, lines in groupby(lines, key=itemgetter(0))), sets

    def _leads(self, query: Query) -> Iterator[tuple[list[tuple[str, str]], int]]:
        """Yield what leads to such events by days, and since when, the later first."""
        domains, others = days_of_domains(query), days_to_read(query)
        if domains:
            yield domains, self._reader.domains_from() * HOUR_MS
        if others:
            yield others, self._reader.indexed_from() * HOUR_MS

    def forward(self, query: Query, low: int) -> Iterator[SlimEvent]:
        """Yield all events of a tenant from low on; those of one link, which share a shard, in time order."""
        low = max(0, low)
        high = LAST_MS if query.to_ms is None else max(query.to_ms, 0)
        # By campaign too: what repeats what is a matter of one message, and so of one campaign.
        hours = self.hours(query, low, max(low, high - 1))
        for hour, several in reversed(hours):
            bound = [(query.tenant, hour, shard, low, high) for shard in range(max(several))]
            streams = self._reader.slim_streams("hour", bound, 5000)
            if len(several) == 1:
                for stream in streams:
                    yield from sorted(stream, key=lambda slim: slim.order)
            else:
                once = {slim.event_id: slim for stream in streams for slim in stream}
                yield from sorted(once.values(), key=lambda slim: slim.order)

    def hours(self, query: Query, low: int, high: int) -> list[tuple[int, set[int]]]:
        """Return the hours that may have such events, newest first, with the numbers of shards they had."""
        found: dict[int, set[int]] = {}
        for lines in self._reader.read_each("hours", _places_of_hours(query, low, high)):
            for hour, shards in lines:
                found.setdefault(hour, set()).add(shards)
        return sorted(found.items(), reverse=True)

    def shards_of(self, tenant: str, hour: int) -> list[int]:
        """Return the numbers of shards an hour was spread over."""
        if not 0 <= hour < _LAST_HOUR:
            return []
        return [shards for _, shards in self._reader.read("hours", (tenant, "", hour, hour))]

    def extent(self, tenant: str) -> tuple[int, int]:
        """Return the first and the last hour in which a tenant has events; (0, -1) for none."""
        first, last = self._reader.read_several([("first_hour", (tenant,)), ("last_hour", (tenant,))])
        return (first[0][0], last[0][0]) if first and last else (0, -1)

    # --- newest first ---

    def _by_day(
        self,
        query: Query,
        values: list[tuple[str, str]],
        sets: frozenset[bytes],
        bounds: Bounds,
        hours: Iterator[Hour],
        how: _Read,
    ) -> Iterator[SlimEvent | None]:
        low, at_ms, after = bounds
        days = _days(_within(hours, low, at_ms))
        led_by = values[0][0]
        column, needed = condition(query, sets, led_by)
        how.pace.selective = selects_here(query, column, led_by)
        bound: Iterator[Together] = (
            (
                day,
                [
                    (query.tenant, *value, day, shard, low, at_ms, UUID(int=after))
                    for value in values
                    for shard in range(shards)
                ],
            )
            for day, shards in days
        )
        yield from self._in_turns("day_before", bound, (column, needed), how)

    def _by_hour(
        self,
        query: Query,
        sets: frozenset[bytes],
        bounds: Bounds,
        hours: Iterator[Hour],
        how: _Read,
    ) -> Iterator[SlimEvent | None]:
        low, at_ms, after = bounds
        hours = _within(hours, low, at_ms)
        column, needed = condition(query, sets)
        how.pace.selective = selects_here(query, column)
        if not days_to_read(query) and is_search(query) and at_ms - low > _FREE_MS:
            hours = self._not_too_many(query, low, hours)
        bound: Iterator[Together] = (
            (hour, [(query.tenant, hour, shard, low, at_ms, UUID(int=after)) for shard in range(shards)])
            for hour, shards in hours
        )
        yield from self._in_turns("hour_before", bound, (column, needed), how)

    def _in_turns(
        self,
        name: str,
        bound: Iterable[Together],
        narrowed: tuple[str, list[tuple[object, ...]]],
        how: _Read,
    ) -> Iterator[SlimEvent | None]:
        """Yield what is in partitions, which are given newest first by the day or hour that they share."""
        column, needed = narrowed
        searching = bool(column) and name.startswith("hour")
        if column:
            name = f"{name}_{column}"
            bound = ((when, [(*one, *value) for one in each for value in needed]) for when, each in bound)

        def read(places: list[tuple[object, ...]]) -> list[Iterator[SlimEvent]]:
            return self._reader.found_streams(
                name, places, how.pace.page(len(places)), how.types, how.senders
            )

        if how.brief:
            name = f"{name}_brief"
        for several in in_turns(bound, read, how.following, SEARCHING if searching else FASTEST):
            if not several:
                yield None
            elif len(several) == 1:
                yield from several[0]
            else:
                yield from merge(*several, key=lambda slim: slim.order, reverse=True)

    def _not_too_many(self, query: Query, low: int, hours: Iterator[Hour]) -> Iterator[Hour]:
        """Yield the hours of a search: those of the newest day, then the others if they are not too much."""
        newest = next(hours, None)
        if newest is None:
            return
        yield newest
        checked = False
        for hour, shards in hours:
            if not checked and newest[0] - hour >= _HOURS_IN_DAY:
                self._see_that_it_is_not_too_much(query, low // HOUR_MS, newest[0])
                checked = True
            yield hour, shards

    def _see_that_it_is_not_too_much(self, query: Query, first: int, last: int) -> None:
        lines = self._reader.read("figures_of", (query.tenant, "", first, last))
        events = sum(figure.recorded for figure in from_texts(text for (text,) in lines).values())
        if events > MOST_SEARCHED:
            raise UnsupportedQueryError(
                f"Cassandra: this would be searched for among {events} events, of at most {MOST_SEARCHED}. "
                "Add a campaign, recipient, transmission, message or queue id, a type other than injection, "
                "delivery, open and initial_open, or a span of at most a day."
            )


def _places_of_hours(query: Query, low: int, high: int) -> list[tuple[object, ...]]:
    first, last = min(low // HOUR_MS, _LAST_HOUR), min(high // HOUR_MS, _LAST_HOUR)
    return [(query.tenant, campaign, first, last) for campaign in dict.fromkeys(query.campaigns or ("",))]


def _within(hours: Iterator[Hour], low: int, high: int) -> Iterator[Hour]:
    first, last = low // HOUR_MS, high // HOUR_MS
    return takewhile(lambda one: one[0] >= first, dropwhile(lambda one: one[0] > last, hours))


def _days(hours: Iterator[Hour]) -> Iterator[tuple[int, int]]:
    for day, several in groupby(hours, key=lambda one: one[0] // _HOURS_IN_DAY):
        yield day, max(shards for _, shards in several)


def from_before(query: Query) -> int:
    """Return where to begin so that what repeats the first events is known."""
    return (query.from_ms or 0) - REPEAT_MS
