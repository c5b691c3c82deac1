"""A store in memory for tests, gone with the process. It passes the same suite as the real engines."""

import json
import math
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext

from engagement.events.classify import rules_number
from engagement.events.fields import Fields, join
from engagement.events.ids import derived
from engagement.events.model import Injection, MessageEvent, MessageName
from engagement.events.rows import EventRow, relabelled, repeats
from engagement.figures.query import FigureQuery, FigureRow, Grouping
from engagement.stores.aggregate import (
    HOUR_MS,
    Figures,
    as_counts,
    hours_of,
    is_by_hours,
    together,
)
from engagement.stores.customer_tags import DAY_MS, Customer, TagBook, TagSet, tags_of
from engagement.stores.memory_figures import MemoryFigures
from engagement.stores.memory_messages import MemoryMessages
from engagement.stores.memory_query import aggregated, labelled, matching
from engagement.stores.port import (
    HITS_OF_A_MESSAGE,
    SWEEP_LIMIT,
    Arrivals,
    Count,
    Enough,
    LabelledHit,
    Named,
    PastLabel,
    Query,
    RowRefusedError,
    clamped,
    cursor_position,
    is_place,
)


class MemoryStore:
    """An `EventStore` of dictionaries."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[str, EventRow] = {}
        self._order: dict[str, int] = {}
        self._messages: dict[str, tuple[int, Fields]] = {}
        self._next = 1
        self._sets: dict[Customer, dict[bytes, TagSet]] = {}
        self._past: dict[str, list[PastLabel]] = {}
        self._known = MemoryMessages()
        self._counted = MemoryFigures()
        self._tags = TagBook(lambda customer: list(self._sets.get(customer, {}).values()))

    def add(self, events: Iterable[EventRow]) -> int:
        """See the port."""
        rows = list(events)
        try:
            json.dumps([row.fields for row in rows], allow_nan=False)
        except (ValueError, TypeError, RecursionError) as error:
            raise RowRefusedError(str(error)) from error
        with self._lock:
            self._put([row for row in rows if not self._is_older(row)])
            for row in rows:
                if row.event_id not in self._order:
                    self._order[row.event_id] = self._next
                    self._next += 1
                if row.tags:
                    self._note((row.tenant, row.customer), row)
                if row.message is not None:
                    self._messages[row.message_id] = (row.at_ms, row.message)
                self._known.note(row)
        return len(rows)

    def _put(self, rows: list[EventRow]) -> None:
        self._rows.update((row.event_id, row) for row in rows)
        self._counted.put(rows)

    def _is_older(self, row: EventRow) -> bool:
        """Return whether a row was classified by older rules than the one that is there."""
        there = self._rows.get(row.event_id)
        return there is not None and rules_number(row.rules) < rules_number(there.rules)

    def _note(self, customer: Customer, row: EventRow) -> None:
        for _, each in self._tags.news([(customer, row.tags, row.at_ms // DAY_MS)], 0.0):
            self._sets.setdefault(customer, {})[each.set_id] = each

    def together(self) -> AbstractContextManager[bool]:
        """See the port."""
        return nullcontext(False)

    def find(self, query: Query) -> Iterator[Fields]:
        """See the port."""
        with self._lock:
            page = sorted(self._matching(query), key=lambda row: (row.at_ms, row.event_id), reverse=True)
            if query.cursor:
                position = cursor_position(query.cursor)
                page = [row for row in page if (row.at_ms, row.event_id) < position]
            repeated = repeats(self._rows.values())
            return iter([self._shown(row, repeated) for row in page[: clamped(query)]])

    def number(self, query: Query, most: int) -> int:
        """See the port."""
        position = cursor_position(query.cursor) if query.cursor else None
        with self._lock:
            rows = self._matching(query)
            return min(most, sum(position is None or (row.at_ms, row.event_id) < position for row in rows))

    def names(self, what: Named, tenant: str, most: int) -> tuple[str, ...] | None:
        """See the port. Sending domains are not told: hits have them from their injection."""
        if what == "sending_domain":
            return None
        with self._lock:
            found = {str(getattr(row, what)) for row in self._rows.values() if row.tenant == tenant} - {""}
        return tuple(sorted(found)) if len(found) <= most else None

    def counts(self, query: Query) -> Mapping[str, Count]:
        """See the port."""
        with self._lock:
            return as_counts(self._figures(query), expired=query.expired)

    def totals(self, query: Query) -> Mapping[str, Count]:
        """See the port. There is no roll-up here: the figures are computed at each call, hour by hour."""
        if not is_by_hours(query):
            return self.counts(query)
        first, last = hours_of(query)
        parts = []
        with self._lock:
            hours = {row.at_ms // HOUR_MS for row in self._rows.values()}
            for hour in (hour for hour in hours if hour >= first and (last is None or hour <= last)):
                for campaign in dict.fromkeys(query.campaigns or ("",)):
                    span = Query(
                        from_ms=hour * HOUR_MS,
                        to_ms=(hour + 1) * HOUR_MS,
                        campaigns=(campaign,) if campaign else (),
                        tenant=query.tenant,
                        expired=True,
                    )
                    parts.append(self._figures(span))
        return as_counts(together(parts), expired=query.expired, types=query.types)

    def roll_up(self, seconds: float = math.inf) -> int:
        """See the port."""
        return 0

    def tags(self, customer: str, tenant: str = "") -> tuple[str, ...]:
        """See the port."""
        with self._lock:
            return tags_of(self._sets.get((tenant, customer), {}).values())

    def erase(self, recipient: str, tenant: str = "") -> int:
        """See the port."""
        with self._lock:
            of = Query(recipients=(recipient,), tenant=tenant, expired=True)
            messages = {row.message_id for row in self._matching(of)} - {""}
            gone = {row.event_id for row in self._matching(of)} | {
                name for name, row in self._rows.items() if row.message_id in messages
            }
            self._forget(gone)
            for message in messages:
                self._messages.pop(message, None)
        return len(gone)

    def _figures(self, query: Query) -> Figures:
        return aggregated(self._matching(query), repeats(self._rows.values()))

    def hits(self, from_ms: int, to_ms: int, after: str = "", limit: int = 1000) -> tuple[LabelledHit, ...]:
        """See the port."""
        position = cursor_position(after) if after else (-1, "")
        with self._lock:
            found = [
                each
                for each in labelled(self._rows.values())
                if from_ms <= each.hit.at_ms < to_ms and (each.hit.at_ms, each.hit.id) > position
            ]
        return tuple(sorted(found, key=lambda each: (each.hit.at_ms, each.hit.id))[:limit])

    def hits_of(self, messages: Iterable[bytes]) -> Mapping[bytes, tuple[LabelledHit, ...]]:
        """See the port."""
        requested = {message.hex() for message in messages}
        found: dict[bytes, list[LabelledHit]] = {}
        with self._lock:
            rows = (row for row in self._rows.values() if row.message_id in requested)
            for row in sorted(rows, key=lambda row: (row.at_ms, row.event_id)):
                found.setdefault(bytes.fromhex(row.message_id), []).extend(labelled([row]))
        return {message: tuple(hits[-HITS_OF_A_MESSAGE:]) for message, hits in found.items() if hits}

    def deliveries(self, messages: Iterable[bytes]) -> Mapping[bytes, int]:
        """See the port."""
        requested = {message.hex() for message in messages}
        first: dict[bytes, int] = {}
        with self._lock:
            for row in self._rows.values():
                if row.type == "delivery" and row.message_id in requested:
                    message = bytes.fromhex(row.message_id)
                    first[message] = min(row.at_ms, first.get(message, row.at_ms))
        return first

    def relabel(self, labels: Iterable[LabelledHit], at_ms: int) -> int:
        """See the port."""
        changed = 0
        with self._lock:
            for hit, label in labels:
                if hit.id not in self._rows:
                    continue
                (before,) = labelled([self._rows[hit.id]])
                newer = rules_number(before.label.rules) > rules_number(label.rules)
                if newer or before.label == label:
                    continue
                names = [name for name in (hit.id, derived(hit.id, 1)) if name in self._rows]
                self._put([relabelled(self._rows[name], label) for name in names])
                self._past.setdefault(hit.id, []).append(PastLabel(before.label, at_ms))
                changed += 1
        return changed

    def past_labels(self, event_id: str) -> tuple[PastLabel, ...]:
        """See the port."""
        with self._lock:
            return tuple(self._past.get(event_id, ()))

    def _forget(self, names: Iterable[str]) -> None:
        """Drop rows and what goes with them; their figures stay."""
        rows = [self._rows.pop(name) for name in names]
        self._counted.forget(rows)
        for row in rows:
            del self._order[row.event_id]
            self._past.pop(row.event_id, None)
            self._known.forget(row)

    def injections(
        self, names: Iterable[MessageName], _enough: Enough | None = None, _since_ms: int = 0
    ) -> Mapping[MessageName, tuple[Injection, ...]]:
        """See the port."""
        with self._lock:
            return self._known.injections(names)

    def newest_injection(self) -> int | None:
        """See the port."""
        with self._lock:
            return max((row.at_ms for row in self._rows.values() if row.type == "injection"), default=0)

    def put_waiting(self, events: Iterable[MessageEvent]) -> None:
        """See the port."""
        with self._lock:
            self._known.put_waiting(events)

    def waiting(self, names: Iterable[MessageName]) -> tuple[MessageEvent, ...]:
        """See the port."""
        with self._lock:
            return self._known.waiting(names)

    def drop_waiting(self, events: Iterable[MessageEvent]) -> None:
        """See the port."""
        with self._lock:
            self._known.drop_waiting(events)

    def sweep_waiting(self, before_ms: int) -> int:
        """See the port."""
        with self._lock:
            return self._known.sweep_waiting(before_ms)

    def figures(self, query: FigureQuery) -> tuple[FigureRow, ...]:
        """See the port."""
        with self._lock:
            return self._counted.answer(query)

    def grouped(
        self, group: Grouping, query: FigureQuery, values: tuple[str, ...] = ()
    ) -> tuple[FigureRow, ...] | None:
        """See the port. It cannot."""
        return None

    def recount(self, day: int) -> int:
        """See the port."""
        with self._lock:
            return self._counted.recount(day)

    def is_whole(self, day: int) -> bool:
        """See the port."""
        with self._lock:
            return self._counted.is_whole(day)

    def arrivals(self, mark: str, limit: int = 1000, *, expired: bool = False) -> Arrivals:
        """See the port."""
        with self._lock:
            if not is_place(mark):
                return Arrivals((), str(self._next - 1))
            after = [name for name, place in self._order.items() if place > int(mark)][:limit]
            repeated = repeats(self._rows.values())
            selected = (row for row in map(self._rows.__getitem__, after) if expired or not row.expired)
            events = tuple(self._shown(row, repeated) for row in selected)
            return Arrivals(events, str(self._order[after[-1]]) if after else mark)

    def sweep(self, before_ms: int, limit: int = SWEEP_LIMIT) -> int:
        """See the port."""
        with self._lock:
            old = [name for name, row in self._rows.items() if row.at_ms < before_ms][:limit]
            self._forget(old)
            if len(old) < limit:
                for sets in self._sets.values():
                    for unused in [each for each in sets.values() if each.used < before_ms // DAY_MS]:
                        del sets[unused.set_id]
            used = {row.message_id for row in self._rows.values()}
            lone = [name for name, (at, _) in self._messages.items() if at < before_ms and name not in used]
            for name in lone[: limit - len(old)]:
                del self._messages[name]
        return len(old) + len(lone[: limit - len(old)])

    def close(self) -> None:
        """See the port."""

    def _matching(self, query: Query) -> Iterator[EventRow]:
        return matching(self._rows.values(), query, self._listed, self._sending_domain)

    def _listed(self, row: EventRow) -> set[str]:
        """Return the tags by which a row is found: those of a set that was not swept."""
        customer = (row.tenant, row.customer)
        return (
            set(row.tags) if self._tags.set_id(customer, row.tags) in self._sets.get(customer, {}) else set()
        )

    def _sending_domain(self, row: EventRow) -> str:
        _, message = self._messages.get(row.message_id, (0, {}))
        return row.sending_domain or str(message.get("sending_domain", ""))

    def _shown(self, row: EventRow, repeated: frozenset[str]) -> Fields:
        message = self._messages.get(row.message_id)
        fields = join(row.fields, message[1] if message else {})
        return fields | {"x_repeat": True} if row.event_id in repeated else fields
