"""Rows of the tables as values: whole events with their records and labels, and slim ones. Pure.

A whole event's `body` is a byte 1, its class, a byte 0, then as msgpack the label's reason, rules, rcpt_hash,
the id of a second row, the spool's record. The class stands first, so that of two bodies written with one
timestamp, of which Cassandra keeps the greater, the same one wins that wins in the slim rows.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from engagement.events.classify import Classification, ReaderClass
from engagement.events.fields import INJECTION, LINK_UNSUBSCRIBE, TYPES, Fields, join
from engagement.events.model import Event, Hit, Injection
from engagement.events.record import BadRecord, decode
from engagement.events.rows import RowSource
from engagement.stores.aggregate import RepeatFinder
from engagement.stores.json_text import as_text
from engagement.stores.port import LabelledHit

PROBABLE: Final = "?"  # behind a class that its rule does not call certain

# What slim rows hold, in the order of `SlimEvent` and of the values that `queries.slim_values` returns.
SLIM: Final = (
    *("at_ms", "event_id", "message", "type", "client", "link", "campaign", "transmission", "expired"),
    *("tags", "hits", "domain", "sending_domain", "ordinal", "bounce_class"),
)
# What is read of them newest first: what tells repeats and sums apart is for reads forward.
FOUND: Final = tuple(name for name in SLIM if name not in ("link", "hits"))
# The same of searches for nothing else but types, classes and sending domains: half of the bytes.
BRIEF: Final = ("at_ms", "event_id", "message", "type", "client", "expired", "sending_domain")
TYPE_IN_FOUND: Final = FOUND.index("type")
assert BRIEF.index("type") == TYPE_IN_FOUND
_RECORD: Final = 1
_JSON: Final = 2


def class_text(client: str, *, certain: bool) -> str:
    """Return a class and its certainty as the one text that rows hold."""
    return client if certain or not client else client + PROBABLE


def label_text(label: Classification) -> bytes:
    """Return a label as a value of `past_label`."""
    return msgspec.msgpack.encode((label.client.value, label.reason, label.rules, label.certain))


def label_of(text: bytes) -> Classification:
    """Return the label that `label_text` wrote."""
    client, reason, rules, certain = msgspec.msgpack.decode(text)
    return Classification(ReaderClass(client), reason, rules, certain)


def body_of(source: RowSource | Fields) -> bytes:
    """Return the body of a row made from this.

    Raises ValueError, TypeError or RecursionError for one that cannot be stored.
    """
    if not isinstance(source, RowSource):
        return bytes((_JSON,)) + as_text(source).encode()
    label = source.label
    client = class_text(label.client.value, certain=label.certain) if label else ""
    reason, rules = (label.reason, label.rules) if label else ("", "")
    rest = msgspec.msgpack.encode((reason, rules, source.rcpt_hash, source.second, source.record))
    return bytes((_RECORD,)) + client.encode() + b"\0" + rest


def source_of(body: bytes) -> RowSource | Fields:
    """Return what `body_of` was given.

    Raises BadRecord for a record that no version of this program has written.
    """
    if body[0] == _JSON:
        return dict(json.loads(body[1:]))
    if body[0] != _RECORD:
        raise BadRecord(f"a body of sort {body[0]}, which this program does not know: use the newer program")
    client, _, rest = body[1:].partition(b"\0")
    reason, rules, rcpt_hash, second, record = msgspec.msgpack.decode(rest)
    label = None
    if client:
        name = client.decode()
        known = ReaderClass(name.removesuffix(PROBABLE))
        label = Classification(known, reason, rules, certain=not name.endswith(PROBABLE))
    return RowSource(decode(record), label, rcpt_hash, second, record)


@dataclass(frozen=True)
class StoredEvent:
    """A whole row as it was stored. injected: what events take from an injection, None for other rows."""

    message: bytes
    at_ms: int
    event_id: UUID
    tenant: str
    link: bytes
    source: RowSource | Fields
    injected: Fields | None

    @cached_property
    def fields(self) -> Fields:
        """Return the event's own fields."""
        return self.source.fields() if isinstance(self.source, RowSource) else self.source

    @property
    def type(self) -> str:
        """Return the event's type."""
        if isinstance(self.source, RowSource):
            event = self.source.event
            if isinstance(event, Hit):
                return LINK_UNSUBSCRIBE if self.source.second else TYPES[event.kind]
            return INJECTION if isinstance(event, Injection) else event.type
        return str(self.fields["type"])

    @property
    def event(self) -> Event | None:
        """Return the event as it was recorded; None for a row of earlier programs, which kept its fields."""
        return self.source.event if isinstance(self.source, RowSource) else None

    @property
    def labelled(self) -> LabelledHit | None:
        """Return the hit and its label, None for other rows and for a hit's second row."""
        source = self.source
        if isinstance(source, RowSource) and isinstance(source.event, Hit) and source.label:
            return None if source.second else LabelledHit(source.event, source.label)
        return None

    @property
    def client(self) -> str:
        """Return the class of the client, "" for an injection."""
        if isinstance(self.source, RowSource):
            return self.source.label.client.value if self.source.label else ""
        return str(self.fields.get("x_client_class", ""))

    @property
    def expired(self) -> bool:
        """Tell whether the link had expired."""
        if isinstance(self.event, Hit):
            return self.event.expired
        return "x_expired" in self.fields

    @property
    def hits(self) -> int:
        """Return the number of requests that it stands for."""
        if isinstance(self.event, Hit):
            return self.event.hits
        return int(self.fields.get("x_hits", 1))

    @property
    def order(self) -> tuple[int, int]:
        """Return the key that events are sorted by."""
        return self.at_ms, self.event_id.int


def stored_event(found: tuple[Any, ...]) -> StoredEvent:
    """Return the row of a line of `events`."""
    message, at_ms, event_id, tenant, link, fields, body = found
    source = source_of(body) if body else json.loads(fields)
    return StoredEvent(message, at_ms, event_id, tenant or "", link or b"", source, None)


def stored_injection(found: tuple[Any, ...]) -> StoredEvent:
    """Return the row of a line of `injections`."""
    message, at_ms, event_id, tenant, fields, body, borrowed = found
    source = source_of(body) if body else json.loads(fields)
    return StoredEvent(message, at_ms, event_id, tenant or "", b"", source, json.loads(borrowed))


def injection_of(row: StoredEvent) -> Injection | None:
    """Return the injection that a row was made from, None if only its fields are known."""
    event = row.event
    return event if isinstance(event, Injection) else None


class SlimEvent(Struct, frozen=True, gc=False):
    """A slim row. client: with `PROBABLE` behind it. ordinal: -1 for none."""

    at_ms: int
    event_id: UUID
    message: bytes
    type: str
    client_text: str
    link: bytes
    campaign: str
    transmission: int
    expired: bool
    tags: bytes
    hits: int
    domain: str
    sending_domain: str
    ordinal: int
    bounce_class: int

    @property
    def client(self) -> str:
        """Return the class."""
        return self.client_text.removesuffix(PROBABLE)

    @property
    def certain(self) -> bool:
        """Tell whether the class is certain."""
        return not self.client_text.endswith(PROBABLE)

    @property
    def order(self) -> tuple[int, int]:
        """Return the key that events are sorted by."""
        return self.at_ms, self.event_id.int


def slim_event(line: tuple[Any, ...]) -> SlimEvent:
    """Return the row of a line of `SLIM`."""
    at_ms, event_id, message, kind, client, link, campaign, transmission, expired, tags, hits = line[:11]
    domain, sending_domain, ordinal, bounce_class = line[11:]
    return SlimEvent(
        *(at_ms, event_id, message, kind, client or "", link or b"", campaign or "", transmission or 0),
        *(bool(expired), tags or b"", hits or 1, domain or "", sending_domain or ""),
        *(-1 if ordinal is None else ordinal, bounce_class or 0),
    )


def found_event(line: tuple[Any, ...]) -> SlimEvent:
    """Return the row of a line of `FOUND`, without its link."""
    at_ms, event_id, message, kind, client, campaign, transmission, expired, tags = line[:9]
    domain, sending_domain, ordinal, bounce_class = line[9:]
    return SlimEvent(
        *(at_ms, event_id, message, kind, client or "", b"", campaign or "", transmission or 0),
        *(bool(expired), tags or b"", 1, domain or "", sending_domain or ""),
        *(-1 if ordinal is None else ordinal, bounce_class or 0),
    )


def brief_event(line: tuple[Any, ...]) -> SlimEvent:
    """Return the row of a line of `BRIEF`; what is not in it is none."""
    at_ms, event_id, message, kind, client, expired, sending_domain = line
    return SlimEvent(
        *(at_ms, event_id, message, kind, client or "", b"", "", 0, bool(expired), b"", 1, ""),
        *(sending_domain or "", -1, 0),
    )


def repeated(rows: Iterable[StoredEvent]) -> set[UUID]:
    """Return the ids of rows that are repeats. rows: of one message, in time order."""
    repeats: dict[str, RepeatFinder] = {}
    return {
        row.event_id
        for row in rows
        if repeats.setdefault(row.tenant, RepeatFinder()).is_repeat(row.type, row.link, row.client, row.at_ms)
    }


def borrowed_from(rows: Iterable[StoredEvent]) -> Fields:
    """Return what events take from the injection of their message. rows: the message's, in time order."""
    injected = [row.injected for row in rows if row.injected is not None]
    return injected[-1] if injected else {}


def shown(
    rows: Iterable[StoredEvent],
    whole: Mapping[bytes, list[StoredEvent]],
    borrowed: Mapping[bytes, Fields] | None = None,
) -> list[Fields]:
    """Return the events of rows as the port shows them. whole: all rows of their messages that matter.

    borrowed: what messages' events take from the injection, if it is not among those rows.
    """
    repeats = {key: repeated(found) for key, found in whole.items() if len(found) > 1}
    if borrowed is None:
        borrowed = {key: borrowed_from(found) for key, found in whole.items()}
    events = []
    for row in rows:
        fields = join(row.fields, borrowed.get(row.message, {}) if "message_id" in row.fields else {})
        if row.event_id in repeats.get(row.message, ()):
            fields["x_repeat"] = True
        events.append(fields)
    return events
