"""Slim rows by time: newest first through days or hours, or forward through hours.

Newest first, the partitions of several days or hours are asked at once, more of them the longer it takes.
"""

from collections.abc import Callable, Iterator
from heapq import merge
from itertools import chain
from typing import Final, TypeVar
from uuid import UUID

from engagement.events.rows import REPEAT_MS
from engagement.stores.aggregate import HOUR_MS, from_texts
from engagement.stores.cassandra.reader import Reader
from engagement.stores.cassandra.rows.filters import (
    Filter,
    condition,
    days_of_domains,
    days_to_read,
    is_nothing,
    is_search,
)
from engagement.stores.cassandra.rows.stored import SlimEvent
from engagement.stores.customer_tags import DAY_MS
from engagement.stores.port import Query, UnsupportedQueryError

LAST_MS: Final = 1 << 48  # ids hold no later time
PAGE: Final = 500
MOST_AT_ONCE: Final = 64  # days or hours
# A search that no index leads goes through at most so many events, or through a day of any size.
MOST_SEARCHED: Final = 2_000_000
_FREE_MS: Final = DAY_MS
_HOURS_IN_DAY: Final = DAY_MS // HOUR_MS
_LAST_HOUR: Final = 2**31 - 1

T = TypeVar("T")

# Partitions to read, in order, by the day or hour that several share.
Asked = list[tuple[int, list[tuple[object, ...]]]]


class ByTime:
    """Reads `event_by_hour` and `event_by_day`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def newest_first(self, query: Query, position: tuple[int, int] | None, limit: int) -> Iterator[SlimEvent]:
        """Yield the events that a query asks for by anything but recipients, messages and names.

        position: time and id, of an event after which it begins. Raises UnsupportedQueryError for a search
        through too many events.
        """
        before = position or (LAST_MS, 0)
        if query.to_ms is not None:
            before = min(before, (max(query.to_ms, 0), 0))
        low = max(0, query.from_ms or 0)
        sets = self._reader.wanted_sets(query)
        if (query.tags and not sets) or is_nothing(query):
            return
        page = max(2, min(limit, PAGE))
        wants = Filter(query, sets=sets).wants_slim
        every: list[Iterator[SlimEvent]] = []
        for values, indexed in self._leads(query):
            if (max(low, indexed), 0) < before:
                every.append(self._by_day(query, values, sets, (max(low, indexed), *before), page))
            before = min(before, (indexed, 0))
        if (low, 0) < before:
            every.append(self._by_hour(query, sets, (low, *before), page))
        last: UUID | None = None
        for slim in chain(*every):
            if slim.event_id != last and wants(slim):  # twice where the number of shards was changed
                yield slim
            last = slim.event_id

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
        first, last = low // HOUR_MS, min(high // HOUR_MS, _LAST_HOUR)
        bound = [
            (query.tenant, campaign, min(first, _LAST_HOUR), last)
            for campaign in dict.fromkeys(query.campaigns or ("",))
        ]
        found: dict[int, set[int]] = {}
        for lines in self._reader.read_each("hours", bound):
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
        read = self._reader.read_each
        (first, last) = read("first_hour", [(tenant,)]) + read("last_hour", [(tenant,)])
        return (first[0][0], last[0][0]) if first and last else (0, -1)

    # --- newest first ---

    def _by_day(
        self,
        query: Query,
        values: list[tuple[str, str]],
        sets: frozenset[bytes],
        bounds: tuple[int, int, int],
        page: int,
    ) -> Iterator[SlimEvent]:
        low, at_ms, after = bounds
        days: dict[int, int] = {}
        for hour, several in self.hours(query, low, at_ms):
            day = hour // _HOURS_IN_DAY
            days[day] = max(days.get(day, 1), *several)
        column, wanted = condition(query, sets, led_by=values[0][0])
        bound: Asked = [
            (
                day,
                [
                    (query.tenant, *value, day, shard, low, at_ms, UUID(int=after))
                    for value in values
                    for shard in range(shards)
                ],
            )
            for day, shards in sorted(days.items(), reverse=True)
        ]
        yield from self._in_turns("day_before", bound, column, wanted, page)

    def _by_hour(
        self,
        query: Query,
        sets: frozenset[bytes],
        bounds: tuple[int, int, int],
        page: int,
    ) -> Iterator[SlimEvent]:
        low, at_ms, after = bounds
        hours = self.hours(query, low, at_ms)
        column, wanted = condition(query, sets)
        if not days_to_read(query) and is_search(query) and at_ms - low > _FREE_MS:
            self._see_that_it_is_not_too_much(query, [hour for hour, _ in hours])
        bound: Asked = [
            (
                hour,
                [(query.tenant, hour, shard, low, at_ms, UUID(int=after)) for shard in range(max(several))],
            )
            for hour, several in hours
        ]
        yield from self._in_turns("hour_before", bound, column, wanted, page)

    def _in_turns(
        self,
        name: str,
        bound: Asked,
        column: str,
        wanted: list[tuple[object, ...]],
        page: int,
    ) -> Iterator[SlimEvent]:
        """Yield what is in partitions, which are given newest first by the day or hour that they share."""
        if column:
            name = f"{name}_{column}"
            bound = [(when, [(*one, *value) for one in each for value in wanted]) for when, each in bound]
        for several in in_turns(bound, lambda asked: self._reader.slim_streams(name, asked, page)):
            yield from merge(*several, key=lambda slim: slim.order, reverse=True)

    def _see_that_it_is_not_too_much(self, query: Query, hours: list[int]) -> None:
        if not hours:
            return
        lines = self._reader.read("figures_of", (query.tenant, "", min(hours), max(hours)))
        events = sum(figure.recorded for figure in from_texts(text for (text,) in lines).values())
        if events > MOST_SEARCHED:
            raise UnsupportedQueryError(
                f"Cassandra: this would be searched for among {events} events, of at most {MOST_SEARCHED}. "
                "Add a campaign, recipient, transmission, message or queue id, a type other than injection, "
                "delivery, open and initial_open, or a span of at most a day."
            )


def in_turns(
    bound: Asked, read: Callable[[list[tuple[object, ...]]], list[Iterator[T]]]
) -> Iterator[list[Iterator[T]]]:
    """Yield what is in the partitions of each day or hour; those of several are read at once, ever more."""
    start, count = 0, 1
    while start < len(bound):
        part = bound[start : start + count]
        streams = iter(read([one for _, each in part for one in each]))
        for _, each in part:
            yield [next(streams) for _ in each]
        start, count = start + count, min(MOST_AT_ONCE, 2 * count)


def from_before(query: Query) -> int:
    """Return where to begin so that what repeats the first events is known."""
    return (query.from_ms or 0) - REPEAT_MS
