"""What figures know of an event, as a row of `tally`. Pure."""

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID
from zlib import crc32

import msgspec

from engagement.events.rows import REPEAT_MS, EventRow
from engagement.figures.facts import Fact, fact_of
from engagement.stores.cassandra.rows.stored import PROBABLE, class_text
from engagement.stores.customer_tags import DAY_MS

SHARDS: Final = 256  # virtual ones; fixed for ever
ERASED: Final = b"erased: "  # begins the key of a message that is erased, behind which nobody finds it
_KEY_BYTES: Final = 65_000  # Cassandra's keys have 64 KiB, and the ordinal stands before a link's name
_BYTES: Final = 4  # of a character in UTF-8, at most
_LATE_MS: Final = DAY_MS - REPEAT_MS

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode

Facts = dict[bytes, list[Fact]]  # by message


def virtual_shard(message: bytes) -> int:
    """Return the virtual shard of a message's events."""
    return crc32(message) % SHARDS


def days_to_count(at_ms: int) -> tuple[int, ...]:
    """Return the days since 1970 whose figures an event at this time may change.

    At the end of a day it may make a hit of the next one a repeat.
    """
    day, within = divmod(at_ms, DAY_MS)
    return (day, day + 1) if within > _LATE_MS else (day,)


def label_of(client: str, reason: str, *, certain: bool) -> str | None:
    """Return the column `label`, None for an event that has none."""
    return f"{class_text(client, certain=certain)}\0{reason}" if client else None


def fact_values(row: EventRow, message: bytes) -> tuple[object, ...]:
    """Return a row's values in `tally`, without TTL and timestamp.

    Raises ValueError for one whose figures could not be stored.
    """
    fact = fact_of(row)
    for name in ("campaign", "domain", "link_name", "reason"):
        if (
            len(getattr(fact, name)) * _BYTES >= _KEY_BYTES
            and len(getattr(fact, name).encode()) >= _KEY_BYTES
        ):
            raise ValueError(f"{name} is too long for a key")
    packed = _encode(
        (
            *(fact.type, fact.campaign, fact.domain, bytes.fromhex(row.link), fact.expired, fact.hits),
            *(fact.ordinal, fact.link_name, fact.opens, fact.clicks, fact.size, fact.bounce_class),
            *(fact.retries, fact.queue_ms),
        )
    )
    label = label_of(row.client, fact.reason, certain=row.certain)
    place = (row.tenant, row.at_ms // DAY_MS, virtual_shard(message))
    return (*place, message, row.at_ms, UUID(row.event_id), label, packed)


def facts_by_message(lines: Iterable[tuple[Any, ...]]) -> Facts:
    """Return the facts of lines of `tally`: message, at_ms, event_id, label, fact."""
    found: Facts = {}
    for message, at_ms, event_id, label, packed in lines:
        if packed is None:  # a label without its event: given to one that was erased meanwhile
            continue
        kind, campaign, domain, link, expired, hits, *others = _decode(packed)
        ordinal, link_name, opens, clicks, size, bounce_class, retries, queue_ms = others
        client, _, reason = (label or "").partition("\0")
        found.setdefault(bytes(message), []).append(
            Fact(
                *(at_ms, kind, event_id.bytes, campaign, domain, link),
                *(client.removesuffix(PROBABLE), not client.endswith(PROBABLE), reason),
                *(expired, hits, ordinal, link_name, opens, clicks, size, bounce_class, retries, queue_ms),
            )
        )
    return found


def may_repeat(facts: Iterable[Fact], day: int) -> bool:
    """Tell whether a message has hits so early in a day that they may repeat some of the day before."""
    return any(fact.link and fact.at_ms - day * DAY_MS < REPEAT_MS for fact in facts)
