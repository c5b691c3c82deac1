"""The conversion of rows into the values of statements (`statements`). No connections, no clock."""

import hmac
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from uuid import UUID
from zlib import crc32

from engagement.events.classify import rules_number
from engagement.events.fields import INJECTION, TYPES
from engagement.events.ids import is_event_id
from engagement.events.model import MessageName
from engagement.events.rows import EventRow
from engagement.links.model import Kind
from engagement.stores.aggregate import HOUR_MS
from engagement.stores.cassandra.rows.statements import MARKED_AT
from engagement.stores.cassandra.rows.stored import body_of, class_text
from engagement.stores.customer_tags import DAY_MS, TagSet
from engagement.stores.json_text import as_text

PERIOD_MS: Final = 30 * 24 * HOUR_MS
ARRIVALS_IN_PART: Final = 10_000
EVENTS_IN_ARRIVAL: Final = 500
PLACE: Final = "here"  # the one partition of tables of a few rows
# Types that make up a mailing; there is no index by them alone, as any hour is full of them.
COMMON: Final = frozenset({TYPES[Kind.OPEN], TYPES[Kind.INITIAL_OPEN], INJECTION, "delivery"})
# A label's timestamp is so many microseconds after its event's at most: a thousand for each version of rules.
LABELS_US: Final = 999_999
# Cassandra 4 and 5 refuse, by default, rows that would expire after January 2038.
_LAST_END: Final = 2**31 - 2
_LONGEST_TTL: Final = 20 * 365 * 86400
_ARRIVAL: Final = struct.Struct(">16sQ16s")


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


def written_at(at_ms: int, rules: str, turn: int = 0) -> int:
    """Return the timestamp of an event's row in microseconds.

    A classification by later rules wins, and among those by the same ones the later: turn is the number of
    labels that the hit had before. So one that is written again never undoes another.
    """
    return at_ms * 1000 + rules_number(rules) * 1000 + min(turn, 999)


def arrivals_written_at(number: int) -> int:
    """Return the timestamp of a shipper's number of arrivals: the more, the later, whatever its clock."""
    return MARKED_AT + number


def message_key(row: EventRow) -> bytes:
    """Return the key of a row's message: 16 bytes, of its event id if it has no message id."""
    return bytes.fromhex(row.message_id) or UUID(row.event_id).bytes


def shard_of(message: bytes, shards: int) -> int:
    """Return the shard of a message's events."""
    return crc32(message) % shards


def pseudonym(secret: bytes, *parts: str) -> bytes:
    """Return the key by which a recipient (tenant, address in lower case) or a name is found, 16 bytes."""
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hmac.new(secret, text, sha256).digest()[:16]


def signed(number: int) -> int:
    """Return an unsigned number of 64 bits as CQL's bigint holds it. Raises OverflowError."""
    return int.from_bytes(number.to_bytes(8, "big"), "big", signed=True)


def whole_values(row: EventRow, key: bytes) -> tuple[str, tuple[object, ...]]:
    """Return the table of a whole row and its values, without TTL and timestamp.

    Raises ValueError, TypeError or RecursionError for a row that cannot be stored.
    """
    head = (key, row.at_ms, UUID(row.event_id), row.tenant)
    if row.message is not None:
        return "injection_by_message", (*head, body_of(row.source), as_text(row.message))
    return "event_by_message", (*head, bytes.fromhex(row.link), body_of(row.source))


def slim_values(row: EventRow, key: bytes, tags: bytes | None) -> tuple[object, ...]:
    """Return a row's values in the order of `stored.SLIM`; None for one that is not written.

    tags: id of its set. Raises ValueError or OverflowError for a row that cannot be stored.
    """
    return (
        *(row.at_ms, UUID(row.event_id), key, row.type),
        class_text(row.client, certain=row.certain),
        *(bytes.fromhex(row.link), row.campaign, signed(int(row.transmission_id)), row.expired, tags),
        row.hits if row.hits > 1 else None,
        *(row.domain or None, row.sending_domain or None),
        row.ordinal if row.ordinal >= 0 else None,
        row.bounce_class or None,
    )


def days_of(kind: str, campaign: str, domain: str) -> Iterator[tuple[str, str]]:
    """Yield (what, value) of the rows in `event_by_day` that an event has. domain: its recipient's."""
    if domain:
        yield "domain", domain
    if campaign:
        yield "campaign", campaign
    if kind not in COMMON:
        yield "type", kind
        if campaign:
            yield "both", f"{kind}\0{campaign}"


def lookups_of(row: EventRow) -> Iterator[tuple[str, str, bool]]:
    """Yield (what, name) by which a row's message is found, and whether as long as its injection lives."""
    for name in row.names:
        yield name.what, name.text, True
    if row.transmission_id != "0":
        yield "transmission", row.transmission_id, False
    if is_event_id(row.event_id) and UUID(row.event_id).int >> 80 != row.at_ms:
        yield "event", row.event_id, False


def name_key(secret: bytes, tenant: str, what: str, text: str) -> bytes:
    """Return the key of a name in `lookup`. A queue id has no host here: the injection tells it."""
    return pseudonym(secret, tenant, what, text)


def waiting_key(secret: bytes, name: MessageName) -> bytes:
    """Return the key of a name in `waiting`."""
    return pseudonym(secret, name.what, name.node_name, name.text)


def stored_tag_set(found: tuple[Any, ...]) -> TagSet:
    """Return the set of a line of `tag_sets`."""
    name, tags, used = found
    return TagSet(name, tuple(json.loads(tags)), used)


def day_of(at_ms: int) -> int:
    """Return the day since 1970."""
    return at_ms // DAY_MS


def pack_arrival(rows: list[tuple[bytes, int, bytes]]) -> bytes:
    """Return (message, at_ms, event id) of some events as one value."""
    return b"".join(_ARRIVAL.pack(*row) for row in rows)


def unpack_arrival(packed: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Return what `pack_arrival` packed."""
    return _ARRIVAL.iter_unpack(packed)
