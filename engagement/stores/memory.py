"""A store in memory for tests, gone with the process. It passes the same suite as the real engines."""

import json
import math
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from engagement.events.classify import Classification
from engagement.events.fields import Fields, join
from engagement.events.ids import derived
from engagement.events.model import Hit, Injection, MessageEvent, MessageName, names_of
from engagement.events.rows import EventRow, RowSource, repeats
from engagement.figures.facts import fact_of
from engagement.figures.ledger import Ledger
from engagement.figures.query import FigureQuery, FigureRow, answer
from engagement.stores.aggregate import (
    HOUR_MS,
    Aggregate,
    Figures,
    as_counts,
    hours_of,
    is_by_hours,
    together,
)
from engagement.stores.customer_tags import DAY_MS, Customer, TagBook, TagSet, tags_of
from engagement.stores.port import (
    SWEEP_LIMIT,
    Arrivals,
    Count,
    LabelledHit,
    PastLabel,
    Query,
    RowRefusedError,
    clamped,
    cursor_position,
    is_place,
)

_MOST_HITS = 1000  # of one message


class MemoryStore:
    """An `EventStore` of dictionaries."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[str, EventRow] = {}
        self._order: dict[str, int] = {}
        self._messages: dict[str, tuple[int, Fields]] = {}
        self._next = 1
        self._sets: dict[Customer, dict[bytes, TagSet]] = {}
        self._of_message: dict[str, set[str]] = {}
        self._ledgers: dict[str, Ledger] = {}
        self._waiting: dict[str, MessageEvent] = {}
        self._past: dict[str, list[PastLabel]] = {}
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
        return len(rows)

    def _put(self, rows: Iterable[EventRow]) -> None:
        """Keep rows, and their figures."""
        by_message: dict[tuple[str, str], list[EventRow]] = {}
        for row in rows:
            self._rows[row.event_id] = row
            name = row.message_id or row.event_id
            self._of_message.setdefault(name, set()).add(row.event_id)
            by_message.setdefault((row.tenant, name), []).append(row)
        for (tenant, name), of_message in by_message.items():
            self._ledgers.setdefault(tenant, Ledger()).put(name, map(fact_of, of_message))

    def _drop(self, names: Iterable[str]) -> None:
        """Remove rows, and leave their figures."""
        by_message: dict[tuple[str, str], list[str]] = {}
        for name in names:
            row = self._rows.pop(name)
            del self._order[name]
            self._past.pop(name, None)
            message = row.message_id or name
            self._of_message[message].discard(name)
            by_message.setdefault((row.tenant, message), []).append(name)
        for (tenant, message), gone in by_message.items():
            self._ledgers[tenant].forget(message, gone)
            if not self._of_message[message]:
                del self._of_message[message]

    def _is_older(self, row: EventRow) -> bool:
        """Tell whether a row was classified by older rules than the one that is there."""
        there = self._rows.get(row.event_id)
        return there is not None and _is_newer(there.rules, row.rules)

    def _note(self, customer: Customer, row: EventRow) -> None:
        for _, each in self._tags.news([(customer, row.tags, row.at_ms // DAY_MS)], 0.0):
            self._sets.setdefault(customer, {})[each.set_id] = each

    def find(self, query: Query) -> Iterator[Fields]:
        """See the port."""
        with self._lock:
            page = sorted(self._matching(query), key=lambda row: (row.at_ms, row.event_id), reverse=True)
            if query.cursor:
                position = cursor_position(query.cursor)
                page = [row for row in page if (row.at_ms, row.event_id) < position]
            repeated = repeats(self._rows.values())
            return iter([self._shown(row, repeated) for row in page[: clamped(query)]])

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
            self._drop(gone)
            for message in messages:
                self._messages.pop(message, None)
        return len(gone)

    def _figures(self, query: Query) -> Figures:
        repeated = repeats(self._rows.values())
        aggregate = Aggregate()
        for row in self._matching(query):
            repeat = row.event_id in repeated
            aggregate.add(
                *(row.type, row.message_id or row.event_id, row.client),
                expired=row.expired,
                repeat=repeat,
                hits=row.hits,
            )
        return aggregate.figures()

    def arrivals(self, mark: str, limit: int = 1000, *, expired: bool = False) -> Arrivals:
        """See the port."""
        with self._lock:
            if not is_place(mark):
                return Arrivals((), str(self._next - 1))
            after = [name for name, place in self._order.items() if place > int(mark)][:limit]
            repeated = repeats(self._rows.values())
            wanted = (row for row in map(self._rows.__getitem__, after) if expired or not row.expired)
            events = tuple(self._shown(row, repeated) for row in wanted)
            return Arrivals(events, str(self._order[after[-1]]) if after else mark)

    def sweep(self, before_ms: int, limit: int = SWEEP_LIMIT) -> int:
        """See the port."""
        with self._lock:
            old = [name for name, row in self._rows.items() if row.at_ms < before_ms][:limit]
            self._drop(old)
            if len(old) < limit:
                for sets in self._sets.values():
                    for unused in [each for each in sets.values() if each.used < before_ms // DAY_MS]:
                        del sets[unused.set_id]
            used = {row.message_id for row in self._rows.values()}
            lone = [name for name, (at, _) in self._messages.items() if at < before_ms and name not in used]
            for name in lone[: limit - len(old)]:
                del self._messages[name]
        return len(old) + len(lone[: limit - len(old)])

    def injections(self, names: Iterable[MessageName]) -> Mapping[MessageName, tuple[Injection, ...]]:
        """See the port."""
        wanted = set(names)
        found: dict[MessageName, list[Injection]] = {}
        with self._lock:
            for row in sorted(self._rows.values(), key=lambda row: -row.at_ms):
                event = row.source.event if isinstance(row.source, RowSource) else None
                if isinstance(event, Injection):
                    for name in wanted.intersection(row.names):
                        found.setdefault(name, []).append(event)
        return {name: tuple(events) for name, events in found.items()}

    def put_waiting(self, events: Iterable[MessageEvent]) -> None:
        """See the port."""
        with self._lock:
            self._waiting.update((event.id, event) for event in events)

    def waiting(self, names: Iterable[MessageName]) -> tuple[MessageEvent, ...]:
        """See the port."""
        wanted = set(names)
        with self._lock:
            return tuple(event for event in self._waiting.values() if not wanted.isdisjoint(names_of(event)))

    def drop_waiting(self, events: Iterable[MessageEvent]) -> None:
        """See the port."""
        with self._lock:
            for event in events:
                self._waiting.pop(event.id, None)

    def sweep_waiting(self, before_ms: int) -> int:
        """See the port."""
        with self._lock:
            old = [name for name, event in self._waiting.items() if event.at_ms < before_ms]
            for name in old:
                del self._waiting[name]
        return len(old)

    def hits(self, from_ms: int, to_ms: int, after: str = "", limit: int = 1000) -> tuple[LabelledHit, ...]:
        """See the port."""
        position = cursor_position(after) if after else (0, "")
        with self._lock:
            rows = (row for row in self._rows.values() if from_ms <= row.at_ms < to_ms)
            found = [hit for row in rows if (hit := _labelled(row)) is not None]
        found.sort(key=_hit_place)
        return tuple(hit for hit in found if _hit_place(hit) > position)[:limit]

    def hits_of(self, messages: Iterable[bytes]) -> Mapping[bytes, tuple[LabelledHit, ...]]:
        """See the port."""
        found = {}
        with self._lock:
            for message in messages:
                rows = (self._rows[name] for name in self._of_message.get(message.hex(), ()))
                hits = sorted((hit for row in rows if (hit := _labelled(row)) is not None), key=_hit_place)
                if hits:
                    found[message] = tuple(hits[-_MOST_HITS:])
        return found

    def deliveries(self, messages: Iterable[bytes]) -> Mapping[bytes, int]:
        """See the port."""
        found = {}
        with self._lock:
            for message in messages:
                rows = (self._rows[name] for name in self._of_message.get(message.hex(), ()))
                times = [row.at_ms for row in rows if row.type == "delivery"]
                if times:
                    found[message] = min(times)
        return found

    def relabel(self, labels: Iterable[LabelledHit], at_ms: int) -> int:
        """See the port."""
        changed = 0
        with self._lock:
            for hit, label in labels:
                row = self._rows.get(hit.id)
                before = _labelled(row) if row is not None else None
                if before is None or before.label == label or _is_newer(before.label.rules, label.rules):
                    continue
                names = [name for name in (hit.id, derived(hit.id, 1)) if name in self._rows]
                self._put([_with_label(self._rows[name], label) for name in names])
                self._past.setdefault(hit.id, []).append(PastLabel(before.label, at_ms))
                changed += 1
        return changed

    def past_labels(self, event_id: str) -> tuple[PastLabel, ...]:
        """See the port."""
        with self._lock:
            return tuple(self._past.get(event_id, ()))

    def figures(self, query: FigureQuery) -> tuple[FigureRow, ...]:
        """See the port."""
        with self._lock:
            return answer(query, self._ledgers.get(query.tenant, Ledger()).sums.items())

    def recount(self, day: int) -> int:
        """See the port."""
        with self._lock:
            return sum(ledger.recount(day) for ledger in self._ledgers.values())

    def close(self) -> None:
        """See the port."""

    def _matching(self, query: Query) -> Iterator[EventRow]:
        recipients = {recipient.lower() for recipient in query.recipients}
        names = (query.queue_ids, query.message_id_headers)
        messages = self._named(*names) if any(names) else frozenset[str]()
        for row in self._rows.values():
            customer = (row.tenant, row.customer)
            name = self._tags.set_id(customer, row.tags)
            listed = set(row.tags) if name in self._sets.get(customer, {}) else set()
            if (
                row.tenant == query.tenant
                and (query.expired or not row.expired)
                and (query.from_ms is None or row.at_ms >= query.from_ms)
                and (query.to_ms is None or row.at_ms < query.to_ms)
                and (not query.types or row.type in query.types)
                and (not recipients or row.recipient in recipients)
                and (not query.campaigns or row.campaign in query.campaigns)
                and (not query.messages or row.message_id in query.messages)
                and (not query.transmissions or row.transmission_id in query.transmissions)
                and (not query.ids or row.event_id in query.ids)
                and (not query.tags or not listed.isdisjoint(query.tags))
                and (not query.classes or row.client in query.classes)
                and (not query.domains or row.domain in query.domains)
                and (not query.sending_domains or self._sending_domain(row) in query.sending_domains)
                and (not query.ordinals or row.ordinal in query.ordinals)
                and (not query.bounce_classes or row.bounce_class in query.bounce_classes)
                and (not any(names) or row.message_id in messages)
            ):
                yield row

    def _named(self, queue_ids: tuple[str, ...], headers: tuple[str, ...]) -> frozenset[str]:
        """Return the messages with one of these queue ids and one of these Message-IDs."""
        found = []
        for row in self._rows.values():
            texts = {(name.what, name.text) for name in row.names}
            if all(
                not wanted or any((what, text) in texts for text in wanted)
                for what, wanted in (("queue_id", queue_ids), ("message_id_header", headers))
            ):
                found.append(row.message_id)
        return frozenset(found)

    def _sending_domain(self, row: EventRow) -> str:
        message = self._messages.get(row.message_id)
        return row.sending_domain or (str(message[1].get("sending_domain", "")) if message else "")

    def _shown(self, row: EventRow, repeated: frozenset[str]) -> Fields:
        message = self._messages.get(row.message_id)
        fields = join(row.fields, message[1] if message else {})
        return fields | {"x_repeat": True} if row.event_id in repeated else fields


def _labelled(row: EventRow) -> LabelledHit | None:
    """Return the hit that a row tells of, None for a second row and other events."""
    source = row.source
    if not isinstance(source, RowSource) or source.second or source.label is None:
        return None
    return LabelledHit(source.event, source.label) if isinstance(source.event, Hit) else None


def _hit_place(hit: LabelledHit) -> tuple[int, str]:
    return hit.hit.at_ms, hit.hit.id


def _with_label(row: EventRow, label: Classification) -> EventRow:
    if not isinstance(row.source, RowSource):
        return row
    source = replace(row.source, label=label)
    return replace(row, client=label.client.value, certain=label.certain, source=source)


def _is_newer(rules: str, others: str) -> bool:
    """Tell whether a version of rules is newer than another; versions that are no numbers are equal."""
    return rules.isdecimal() and others.isdecimal() and int(rules) > int(others)
