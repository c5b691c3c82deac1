"""Labels of stored hits: read, given anew, and kept as history."""

from collections.abc import Iterable, Iterator, Mapping
from heapq import merge
from itertools import islice
from typing import Final, NamedTuple
from uuid import UUID

from engagement.events.classify import Classification, rules_number
from engagement.events.ids import derived
from engagement.events.model import Hit
from engagement.events.rows import RowSource
from engagement.links.token import unpack
from engagement.stores.aggregate import HOUR_MS
from engagement.stores.cassandra import queries
from engagement.stores.cassandra.figures.day_facts import label_of as fact_label
from engagement.stores.cassandra.figures.day_facts import virtual_shard
from engagement.stores.cassandra.finder import Finder
from engagement.stores.cassandra.reader import Reader, together
from engagement.stores.cassandra.rows.pace import Together, in_turns
from engagement.stores.cassandra.rows.stored import (
    StoredEvent,
    body_of,
    class_text,
    label_of,
    label_text,
    stored_event,
)
from engagement.stores.cassandra.writing import Writes
from engagement.stores.customer_tags import DAY_MS
from engagement.stores.port import (
    HITS_OF_A_MESSAGE,
    LabelledHit,
    PastLabel,
    Query,
    cursor_position,
)

# A message's rows that are no hits, or second rows of some, are read with its newest hits.
_ROWS_OF_A_MESSAGE: Final = 2 * HITS_OF_A_MESSAGE + 100
_PAGE: Final = 500


class Relabelling(NamedTuple):
    """A hit's rows that get another label. rows: the hit's, and the second one if there is one."""

    rows: tuple[StoredEvent, ...]
    before: Classification
    after: Classification


class Labels:
    """Reads labels, and says what to write for others. life: of events, seconds."""

    def __init__(self, reader: Reader, finder: Finder, life: int) -> None:
        self._reader = reader
        self._finder = finder
        self._life = life

    def hits(self, from_ms: int, to_ms: int, after: str, limit: int) -> tuple[LabelledHit, ...]:
        """See the port."""
        at_ms, event_id = cursor_position(after) if after else (from_ms, str(UUID(int=0)))
        position = (from_ms, UUID(int=0)) if at_ms < from_ms else (at_ms, UUID(event_id))
        found: list[LabelledHit] = []
        places = self._oldest_first(position, to_ms)
        while len(found) < limit:
            part = list(islice(places, limit - len(found)))
            if not part:
                break
            rows = self._events_in_time(part)
            found += [hit for row in rows if (hit := row.labelled) is not None]
        return tuple(found)

    def hits_of(self, messages: Iterable[bytes]) -> Mapping[bytes, tuple[LabelledHit, ...]]:
        """See the port."""
        rows = self._rows_of(messages)
        long = [key for key, found in rows.items() if len(found) >= _ROWS_OF_A_MESSAGE]
        lines = self._reader.read_each("newest_events", [(key, _ROWS_OF_A_MESSAGE) for key in long])
        for key, newest in zip(long, lines, strict=True):
            rows[key] = [stored_event(line) for line in reversed(newest)]
        found = {}
        for key, several in rows.items():
            labelled = [row.labelled for row in several]
            if hits := tuple(hit for hit in labelled if hit is not None):
                found[key] = hits[-HITS_OF_A_MESSAGE:]
        return found

    def deliveries(self, messages: Iterable[bytes]) -> Mapping[bytes, int]:
        """See the port."""
        rows = self._rows_of(messages)
        long = [key for key, found in rows.items() if len(found) >= _ROWS_OF_A_MESSAGE]
        rows |= self._finder.whole(long)
        oldest = self._finder.oldest()
        return {
            key: row.at_ms
            for key, several in rows.items()
            for row in reversed(several)
            if row.type == "delivery" and row.at_ms >= oldest
        }

    def _rows_of(self, messages: Iterable[bytes]) -> dict[bytes, list[StoredEvent]]:
        """Return the oldest `_ROWS_OF_A_MESSAGE` rows of messages, injections not among them."""
        keys = list(dict.fromkeys(messages))
        bound = [(part, _ROWS_OF_A_MESSAGE) for part in together(keys)]
        found: dict[bytes, list[StoredEvent]] = {key: [] for key in keys}
        for lines in self._reader.read_each("events_of", bound):
            for line in lines:
                found[line[0]].append(stored_event(line))
        return found

    def past_labels(self, event_id: str) -> tuple[PastLabel, ...]:
        """See the port."""
        messages = self._finder.messages_of_ids(Query(ids=(event_id,)))
        if not messages:
            return ()
        lines = self._reader.read("past_labels", (messages[0], UUID(event_id)))
        return tuple(PastLabel(label_of(label), until_ms) for _, until_ms, label in lines)

    def to_change(self, labels: Iterable[LabelledHit]) -> list[Relabelling]:
        """Return the hits that are there, and have another label of rules that are not newer."""
        given = list({hit.id: (hit, label) for hit, label in labels}.values())
        places = [(_message(hit), hit.at_ms, UUID(hit.id)) for hit, _ in given]
        seconds = [(key, at_ms, UUID(derived(str(name), 1))) for key, at_ms, name in places]
        found = []
        for (_, label), first, second in zip(given, self._events(places), self._events(seconds), strict=True):
            stored = first.labelled if first is not None else None
            if first is None or stored is None or stored.label == label:
                continue
            if rules_number(stored.label.rules) <= rules_number(label.rules):
                rows = (first,) if second is None else (first, second)
                found.append(Relabelling(rows, stored.label, label))
        return found

    def writes(self, changes: list[Relabelling], at_ms: int, now: float) -> Writes:
        """Return the writes for other labels, and for the history. now: Unix seconds."""
        bound = [(change.rows[0].message, change.rows[0].event_id) for change in changes]
        writes: Writes = []
        for change, past in zip(changes, self._reader.read_each("past_labels", bound), strict=True):
            first = change.rows[0]
            turn = 1 + max((turn for turn, _, _ in past), default=0)
            stamp = queries.written_at(first.at_ms, change.after.rules, turn)
            left = queries.ttl(first.at_ms, self._life, now)
            if left is None:
                continue
            before = (first.message, first.event_id, turn, at_ms, label_text(change.before))
            writes.append(("past_label", [(*before, left, stamp)]))
            for row in change.rows:
                writes += self._row(row, change.after, left, stamp, now)
        return writes

    def _row(self, row: StoredEvent, label: Classification, left: int, stamp: int, now: float) -> Writes:
        assert isinstance(row.source, RowSource)
        source = RowSource(
            row.source.event, label, row.source.rcpt_hash, row.source.second, row.source.stored
        )
        client = class_text(label.client.value, certain=label.certain)
        name = (row.at_ms, row.event_id)
        writes: Writes = [("label", [(left, stamp, body_of(source), row.message, *name)])]
        day = (row.tenant, row.at_ms // DAY_MS, virtual_shard(row.message))
        tallied = fact_label(label.client.value, label.reason, certain=label.certain)
        until = queries.ttl((day[1] + 1) * DAY_MS, self._life, now) or 0
        writes.append(("label_in_tally", [(until, stamp, tallied, *day, row.message, *name)]))
        for place in self.places_in_hours(row):
            writes.append(("label_in_hour", [(left, stamp, client, *place, *name)]))
            writes += [
                ("label_in_day", [(left, stamp, client, *in_day, *name)])
                for in_day in places_in_days(row, place[2])
            ]
        return writes

    def places_in_hours(self, row: StoredEvent) -> list[tuple[str, int, int]]:
        """Return the partitions of `event_by_hour` that have a row."""
        hour = row.at_ms // HOUR_MS
        several = self._finder.times.shards_of(row.tenant, hour)
        places = [(row.tenant, hour, queries.shard_of(row.message, shards)) for shards in several]
        if len(places) < 2:
            return places
        lines = self._reader.read_each("one", [(*place, row.at_ms, row.event_id) for place in places])
        return [place for place, there in zip(places, lines, strict=True) if there]

    def _events(self, places: list[tuple[bytes, int, UUID]]) -> list[StoredEvent | None]:
        lines = self._reader.read_each("event", places)
        return [stored_event(found[0]) if found else None for found in lines]

    def _events_in_time(self, places: list[tuple[bytes, int, UUID]]) -> list[StoredEvent]:
        """Return the rows at places that exist; places: all hits of a time, so that no others are read."""
        parts = together(list(dict.fromkeys(message for message, _, _ in places)))
        bound = [(part, places[0][1], places[-1][1]) for part in parts]
        found = self._reader.read_each("events", bound)
        lines = {line[:3]: line for several in found for line in several}
        return [stored_event(lines[place]) for place in places if place in lines]

    def _oldest_first(self, position: tuple[int, UUID], to_ms: int) -> Iterator[tuple[bytes, int, UUID]]:
        hours = self._finder.times.hours(Query(), max(0, position[0]), max(0, to_ms - 1))
        bound: list[Together] = [
            (hour, [("", hour, shard, to_ms, *position) for shard in range(max(several))])
            for hour, several in reversed(hours)
        ]
        last: UUID | None = None
        streams = in_turns(bound, lambda given: self._reader.streams("hour_forward", given, _PAGE))
        for several_streams in streams:
            for at_ms, event_id, message, client in merge(
                *several_streams, key=lambda line: (line[0], line[1].int)
            ):
                if client and event_id != last:
                    yield message, at_ms, event_id
                last = event_id


def places_in_days(row: StoredEvent, shard: int, borrowed: str = "") -> list[tuple[str, str, str, int, int]]:
    """Return the partitions of `event_by_day` that have a row. borrowed: its campaign, if it has none."""
    campaign = str(row.fields.get("campaign_id", borrowed))
    domain = str(row.fields.get("recipient_domain", ""))
    return [
        (row.tenant, what, value, queries.day_of(row.at_ms), shard)
        for what, value in queries.days_of(row.type, campaign, domain)
    ]


def _message(hit: Hit) -> bytes:
    return unpack(hit.kind, hit.packed)[0].message_id or UUID(hit.id).bytes
