"""The CQL statements, and the conversion of rows into their values. No connections, no clock.

Every write is an upsert under a key that was made with the event, within one partition, with the event's time
as timestamp and the rest of its life as TTL. So writing again, late or out of order gives the same rows, and
never brings back what was erased since. Rows that belong to no event's time have a single writer, or a number
in the place of a timestamp (`turns`): no statement uses the clock of its host, except for rows that are
written only once.
"""

import hmac
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from uuid import UUID
from zlib import crc32

from engagement.events.fields import Fields, join
from engagement.events.rows import EventRow
from engagement.stores.aggregate import HOUR_MS
from engagement.stores.customer_tags import TagSet, set_id
from engagement.stores.json_text import as_text
from engagement.stores.port import Query

PERIOD_MS: Final = 30 * 24 * HOUR_MS
ARRIVALS_IN_PART: Final = 10_000
EVENTS_IN_ARRIVAL: Final = 500
PLACE: Final = "here"  # the one partition of tables of a few rows
# Cassandra 4 and 5 refuse, by default, rows that would expire after January 2038.
_LAST_END: Final = 2**31 - 2
_LONGEST_TTL: Final = 20 * 365 * 86400
_ARRIVAL: Final = struct.Struct(">16sQ16s")
# A mark is never set again once it was removed, so two timestamps are enough. They are far ahead of any
# clock, as earlier versions used theirs.
_MARKED_AT: Final = 1 << 61

WRITES: Final = {
    name: " ".join(text.split())
    for name, text in {
        "event_by_message": """
            INSERT INTO {keyspace}.event_by_message (message, at_ms, event_id, tenant, link, fields)
            VALUES (?, ?, ?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?""",
        "injection_by_message": """
            INSERT INTO {keyspace}.injection_by_message (message, at_ms, event_id, tenant, fields, lent)
            VALUES (?, ?, ?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?""",
        "event_by_hour": """
            INSERT INTO {keyspace}.event_by_hour (tenant, hour, shard, at_ms, event_id, message, type, client,
                link, campaign, transmission, expired, tags, hits)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?""",
        "message_by_recipient": """
            INSERT INTO {keyspace}.message_by_recipient (tenant, recipient, period, message)
            VALUES (?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?""",
        "hour_by_campaign": """
            INSERT INTO {keyspace}.hour_by_campaign (tenant, campaign, hour, shards)
            VALUES (?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?""",
        "tag_set": """
            INSERT INTO {keyspace}.tag_set (place, tenant, customer, set_id, tags, used)
            VALUES (?, ?, ?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?""",
        "stale_hour": f"""
            INSERT INTO {{keyspace}}.stale_hour (place, tenant, hour, shipper) VALUES (?, ?, ?, ?)
            USING TIMESTAMP {_MARKED_AT}""",  # noqa: S608 - a constant
        "no_longer_stale": f"""
            DELETE FROM {{keyspace}}.stale_hour USING TIMESTAMP {_MARKED_AT + 1}
            WHERE place = ? AND tenant = ? AND hour = ? AND shipper = ?""",  # noqa: S608 - a constant
        "take_turn": """
            UPDATE {keyspace}.turn USING TTL ? SET taken = ?, shipper = ? WHERE tenant = ? AND hour = ?
            IF taken = ? AND shipper = ?""",
        "figures": """
            INSERT INTO {keyspace}.figure_by_hour (tenant, campaign, hour, figures)
            VALUES (?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?""",
        "arrival": """
            INSERT INTO {keyspace}.arrival (shipper, part, number, events) VALUES (?, ?, ?, ?) USING TTL ?""",
        "shipper": """
            INSERT INTO {keyspace}.shipper (place, shipper, told) VALUES (?, ?, ?)
            USING TTL ? AND TIMESTAMP ?""",
        "erase_message": "DELETE FROM {keyspace}.event_by_message USING TIMESTAMP ? WHERE message = ?",
        "erase_injection": "DELETE FROM {keyspace}.injection_by_message USING TIMESTAMP ? WHERE message = ?",
        "erase_in_hour": """
            DELETE FROM {keyspace}.event_by_hour USING TIMESTAMP ?
            WHERE tenant = ? AND hour = ? AND shard = ? AND at_ms = ? AND event_id = ?""",
        "erase_recipient": """
            DELETE FROM {keyspace}.message_by_recipient USING TIMESTAMP ?
            WHERE tenant = ? AND recipient = ? AND period = ?""",
    }.items()
}
READS: Final = {
    name: " ".join(text.split())
    for name, text in {
        "events": """
            SELECT message, at_ms, event_id, tenant, link, fields FROM {keyspace}.event_by_message
            WHERE message = ? AND at_ms >= ? AND at_ms <= ?""",
        "injections": """
            SELECT message, at_ms, event_id, tenant, fields, lent FROM {keyspace}.injection_by_message
            WHERE message = ?""",
        "hour": """
            SELECT at_ms, event_id, message, type, client, link, campaign, transmission, expired, tags,
                hits
            FROM {keyspace}.event_by_hour
            WHERE tenant = ? AND hour = ? AND shard = ? AND at_ms >= ? AND at_ms < ?""",
        "hour_before": """
            SELECT at_ms, event_id, message, type, client, link, campaign, transmission, expired, tags,
                hits
            FROM {keyspace}.event_by_hour
            WHERE tenant = ? AND hour = ? AND shard = ? AND at_ms >= ? AND (at_ms, event_id) < (?, ?)""",
        "one": """
            SELECT message FROM {keyspace}.event_by_hour
            WHERE tenant = ? AND hour = ? AND shard = ? AND at_ms = ? AND event_id = ?""",
        "messages": """
            SELECT message FROM {keyspace}.message_by_recipient
            WHERE tenant = ? AND recipient = ? AND period = ?""",
        "hours": """
            SELECT hour, shards FROM {keyspace}.hour_by_campaign
            WHERE tenant = ? AND campaign = ? AND hour >= ? AND hour <= ?""",
        "first_hour": """
            SELECT hour FROM {keyspace}.hour_by_campaign WHERE tenant = ? AND campaign = ''
            ORDER BY hour ASC, shards ASC LIMIT 1""",
        "last_hour": """
            SELECT hour FROM {keyspace}.hour_by_campaign WHERE tenant = ? AND campaign = '' LIMIT 1""",
        "figures_of": """
            SELECT figures FROM {keyspace}.figure_by_hour
            WHERE tenant = ? AND campaign = ? AND hour >= ? AND hour <= ?""",
        "tag_sets": """
            SELECT set_id, tags, used FROM {keyspace}.tag_set
            WHERE place = ? AND tenant = ? AND customer = ?""",
        "all_tag_sets": """
            SELECT set_id, tags, used FROM {keyspace}.tag_set WHERE place = ? AND tenant = ?""",
        "stale": "SELECT tenant, hour, shipper FROM {keyspace}.stale_hour WHERE place = ?",
        "shippers": "SELECT shipper, told FROM {keyspace}.shipper WHERE place = ?",
        "arrivals": """
            SELECT number, events FROM {keyspace}.arrival
            WHERE shipper = ? AND part = ? AND number >= ? LIMIT ?""",
        "secret": "SELECT value FROM {keyspace}.secret WHERE name = 'recipients'",
    }.items()
}


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long rows live, in seconds; 0 for ever. message: of injections, beyond the life of events."""

    events: int = 0
    message: int = 0


def ttl(ends_ms: int, life: int, now: float) -> int | None:
    """Return the TTL of a row in seconds, 0 for none, None if its life is over.

    ends_ms: Unix milliseconds at which its life of `life` seconds begins. now: Unix seconds.
    """
    if not life:
        return 0
    end = ends_ms // 1000 + life
    left = end - int(now)
    if left <= 0:
        return None
    return 0 if end > _LAST_END or left > _LONGEST_TTL else left


def written_at(row: EventRow) -> int:
    """Return the timestamp of a row in microseconds. A classification by later rules wins."""
    version = row.rules
    rules = int(version) if version.isascii() and version.isdigit() and len(version) < 4 else 0
    return row.at_ms * 1000 + rules


def arrivals_written_at(number: int) -> int:
    """Return the timestamp of a shipper's number of arrivals: the more, the later, whatever its clock."""
    return _MARKED_AT + number


def message_key(row: EventRow) -> bytes:
    """Return the key of a row's message: 16 bytes, of its event id if it has no message id."""
    return bytes.fromhex(row.message_id) or UUID(row.event_id).bytes


def shard_of(message: bytes, shards: int) -> int:
    """Return the shard of a message's events."""
    return crc32(message) % shards


def pseudonym(secret: bytes, tenant: str, recipient: str) -> bytes:
    """Return the key by which a recipient is found, 16 bytes. recipient: in lower case."""
    return hmac.new(secret, f"{tenant}\0{recipient}".encode(), sha256).digest()[:16]


def signed(number: int) -> int:
    """Return an unsigned number of 64 bits as CQL's bigint holds it. Raises OverflowError."""
    return int.from_bytes(number.to_bytes(8, "big"), "big", signed=True)


def whole_values(row: EventRow, key: bytes) -> tuple[str, tuple[object, ...]]:
    """Return the table of a whole row and its values, without TTL and timestamp.

    Raises ValueError, TypeError or RecursionError for a row that cannot be stored.
    """
    head = (key, row.at_ms, UUID(row.event_id), row.tenant)
    if row.message is not None:
        return "injection_by_message", (*head, as_text(row.fields), as_text(row.message))
    return "event_by_message", (*head, bytes.fromhex(row.link), as_text(row.fields))


def hour_values(row: EventRow, key: bytes, shards: int, tags: bytes | None) -> tuple[object, ...]:
    """Return a row's values in `event_by_hour`, without TTL and timestamp. tags: id of its set.

    Raises ValueError or OverflowError for a row that cannot be stored.
    """
    return (
        row.tenant,
        row.at_ms // HOUR_MS,
        shard_of(key, shards),
        row.at_ms,
        UUID(row.event_id),
        key,
        row.type,
        str(row.client),
        bytes.fromhex(row.link),
        row.campaign,
        signed(int(row.transmission_id)),
        row.expired,
        tags,
        row.hits if row.hits > 1 else None,
    )


def stored_tag_set(found: tuple[Any, ...]) -> TagSet:
    """Return the set of a line of `tag_sets`."""
    name, tags, used = found
    return TagSet(name, tuple(json.loads(tags)), used)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A whole row as it was stored. injected: what events take from an injection, None for other rows."""

    message: bytes
    at_ms: int
    event_id: UUID
    tenant: str
    link: bytes
    fields: Fields
    injected: Fields | None

    @property
    def type(self) -> str:
        """Return the event's type."""
        return str(self.fields["type"])

    @property
    def client(self) -> str:
        """Return the class of the client, "" for an injection."""
        return str(self.fields.get("x_client_class", ""))

    @property
    def expired(self) -> bool:
        """Tell whether the link had expired."""
        return "x_expired" in self.fields

    @property
    def hits(self) -> int:
        """Return the number of requests that it stands for."""
        return int(self.fields.get("x_hits", 1))

    @property
    def order(self) -> tuple[int, int]:
        """Return the key that events are sorted by."""
        return self.at_ms, self.event_id.int

    def shown(self, injected: Fields, *, repeat: bool) -> Fields:
        """Return the event as the port shows it."""
        joined = join(self.fields, injected)
        return joined | {"x_repeat": True} if repeat else joined


def stored_event(found: tuple[Any, ...]) -> StoredEvent:
    """Return the row of a line of `events`."""
    message, at_ms, event_id, tenant, link, fields = found
    return StoredEvent(message, at_ms, event_id, tenant or "", link or b"", json.loads(fields), None)


def stored_injection(found: tuple[Any, ...]) -> StoredEvent:
    """Return the row of a line of `injections`."""
    message, at_ms, event_id, tenant, fields, injected = found
    return StoredEvent(message, at_ms, event_id, tenant or "", b"", json.loads(fields), json.loads(injected))


@dataclass(frozen=True, slots=True)
class HourlyEvent:
    """A line of the result of `hour`."""

    at_ms: int
    event_id: UUID
    message: bytes
    type: str
    client: str
    link: bytes
    campaign: str
    transmission: int
    expired: bool
    tags: bytes
    hits: int

    @property
    def order(self) -> tuple[int, int]:
        """Return the key that events are sorted by."""
        return self.at_ms, self.event_id.int


class Filter:
    """The conditions of a query that the statement itself has not met.

    oldest: Unix milliseconds; events before are not wanted. sets: ids of tag sets with a wanted tag.
    """

    def __init__(self, query: Query, oldest: int = 0, sets: frozenset[bytes] = frozenset()) -> None:
        self._query = query
        self._sets = sets
        self._from = max(oldest, query.from_ms or 0)
        self._to = query.to_ms if query.to_ms is not None else 1 << 62
        self._recipients = frozenset(recipient.lower() for recipient in query.recipients)
        self._messages = frozenset(query.messages)
        self._transmissions = frozenset(_unsigned(text) for text in query.transmissions)
        self._signed = frozenset(signed(number) for number in self._transmissions if number is not None)

    def wants_slim(self, row: HourlyEvent) -> bool:
        """Tell whether a line of an hour is wanted; recipients, messages and ids are not checked."""
        query = self._query
        return (
            self._from <= row.at_ms < self._to
            and (query.expired or not row.expired)
            and (not query.types or row.type in query.types)
            and (not query.campaigns or row.campaign in query.campaigns)
            and (not query.transmissions or row.transmission in self._signed)
            and (not query.tags or row.tags in self._sets)
        )

    def wants(self, row: StoredEvent) -> bool:
        """Tell whether a whole row is wanted."""
        query, fields = self._query, row.fields
        return (
            row.tenant == query.tenant
            and self._from <= row.at_ms < self._to
            and (query.expired or not row.expired)
            and (not query.types or row.type in query.types)
            and (not self._recipients or fields.get("rcpt_to") in self._recipients)
            and (not query.campaigns or fields.get("campaign_id") in query.campaigns)
            and (not self._messages or fields.get("message_id") in self._messages)
            and (not query.transmissions or int(fields["transmission_id"]) in self._transmissions)
            and (not query.ids or str(row.event_id) in query.ids)
            and (not query.tags or self._tags(row) in self._sets)
        )

    def _tags(self, row: StoredEvent) -> bytes:
        customer = (row.tenant, row.fields.get("customer_id", ""))
        return set_id(customer, row.fields.get("rcpt_tags", ()))


def _unsigned(text: str) -> int | None:
    try:
        number = int(text)
    except ValueError:
        return None
    return number if 0 <= number < 1 << 64 else None


def pack_arrival(rows: list[tuple[bytes, int, bytes]]) -> bytes:
    """Return (message, at_ms, event id) of some events as one value."""
    return b"".join(_ARRIVAL.pack(*row) for row in rows)


def unpack_arrival(packed: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Return what `pack_arrival` packed."""
    return _ARRIVAL.iter_unpack(packed)
