"""The SQL statements, and the conversion of rows and queries into their values. No connections."""

import json
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

from engagement.events.classify import MACHINES, Classification, ReaderClass
from engagement.events.fields import LINK_UNSUBSCRIBE, Fields, join
from engagement.events.rows import REPEAT_MS, EventRow, RowSource, kept_fields
from engagement.stores.json_text import as_text
from engagement.stores.port import Query

_FAR_MS: Final = 1 << 62  # later than any event, and SQLite can hold it

ADD_EVENT = """
INSERT INTO event (event_id, type, at_ms, tenant, message_id, transmission_id, recipient, campaign, link,
    client, expired, reason, rules, rcpt_hash, tags, body, hits, certain, domain, sending_domain, ordinal,
    bounce_class)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (event_id) DO UPDATE SET type = excluded.type, at_ms = excluded.at_ms, tenant = excluded.tenant,
    message_id = excluded.message_id, transmission_id = excluded.transmission_id,
    recipient = excluded.recipient, campaign = excluded.campaign, link = excluded.link,
    client = excluded.client, expired = excluded.expired, reason = excluded.reason, rules = excluded.rules,
    rcpt_hash = excluded.rcpt_hash, tags = excluded.tags, body = excluded.body, hits = excluded.hits,
    certain = excluded.certain, domain = excluded.domain, sending_domain = excluded.sending_domain,
    ordinal = excluded.ordinal, bounce_class = excluded.bounce_class
WHERE (body, client, reason, rules, rcpt_hash)
    IS NOT (excluded.body, excluded.client, excluded.reason, excluded.rules, excluded.rcpt_hash)
"""
ADD_MESSAGE = """
INSERT INTO message (message_id, at_ms, fields) VALUES (?, ?, ?)
ON CONFLICT (message_id) DO UPDATE SET at_ms = excluded.at_ms, fields = excluded.fields
WHERE fields <> excluded.fields
"""
# The same rule as events.rows.repeats: a row is a repeat if any row before it lies within REPEAT_MS. What
# repeats what is a matter of one message, as a link names its message.
_REPEAT = f"""CASE WHEN event.link = x'' THEN 0 ELSE EXISTS (
    SELECT 1 FROM event AS before INDEXED BY event_by_message
    WHERE before.message_id = event.message_id
        AND before.at_ms > event.at_ms - {REPEAT_MS} AND before.at_ms <= event.at_ms
        AND before.link = event.link AND before.type = event.type AND before.client = event.client
        AND before.tenant = event.tenant
        AND (before.at_ms, before.event_id) < (event.at_ms, event.event_id)
) END"""  # noqa: S608 - a number of ours
SHOWN = f"""
SELECT event.event_id, event.type, event.client, event.reason, event.rules, event.rcpt_hash, event.body,
    message.fields, {_REPEAT}, event.certain, event.place
FROM event LEFT JOIN message ON message.message_id = event.message_id
"""  # noqa: S608 - fixed text
SWEEP_EVENTS = "DELETE FROM event WHERE place IN (SELECT place FROM event WHERE at_ms < ? LIMIT ?)"
SWEEP_MESSAGES = """
DELETE FROM message WHERE message_id IN (
    SELECT message_id FROM message AS old
    WHERE at_ms < ? AND NOT EXISTS (SELECT 1 FROM event WHERE event.message_id = old.message_id)
    LIMIT ?)
"""

MARK_STALE = "INSERT INTO stale_hour (tenant, hour) VALUES (?, ?) ON CONFLICT DO NOTHING"
STALE = "SELECT tenant, hour FROM stale_hour"
NO_LONGER_STALE = "DELETE FROM stale_hour WHERE tenant = ? AND hour = ?"
OF_MINUTE = """
SELECT at_ms, type, CASE WHEN message_id = x'' THEN event_id ELSE message_id END,
    client, link, campaign, expired, hits
FROM event WHERE at_ms >= ? AND at_ms < ? AND tenant = ? ORDER BY at_ms, event_id
"""
FORGET_FIGURES = "DELETE FROM figure WHERE tenant = ? AND hour = ?"
ADD_FIGURE = """
INSERT INTO figure (tenant, campaign, hour, figures) VALUES (?, ?, ?, ?)
ON CONFLICT (tenant, campaign, hour) DO UPDATE SET figures = excluded.figures
"""
ADD_TAG_SET = """
INSERT INTO tag_set (tenant, customer, set_id, tags, used) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (tenant, customer, set_id) DO UPDATE SET used = max(used, excluded.used)
"""
TAG_SETS = "SELECT set_id, tags, used FROM tag_set WHERE tenant = ? AND customer = ?"
TAGGED = """
SELECT set_id FROM tag_set
WHERE tag_set.tenant = event.tenant AND EXISTS (SELECT 1 FROM json_each(tag_set.tags) WHERE value IN
"""
# By the message: a name, or the From field, is known from its injection alone.
NAMED = """event.message_id <> x'' AND event.message_id IN (SELECT message_id FROM lookup WHERE name IN"""
SENT_FROM = """event.message_id <> x'' AND event.message_id IN (
    SELECT message_id FROM event AS injection WHERE type = 'injection' AND sending_domain IN"""
ADD_NAME = "INSERT INTO lookup (name, event_id, message_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
SWEEP_TAG_SETS = "DELETE FROM tag_set WHERE used < ?"
SWEEP_FIGURES = "DELETE FROM figure WHERE hour < ?"
FIGURES = "SELECT figures FROM figure WHERE tenant = ? AND campaign = ? AND hour >= ? AND hour <= ?"
ERASE_EVENTS = "DELETE FROM event WHERE message_id = ? AND message_id <> x''"
ERASE_LONE_EVENTS = "DELETE FROM event WHERE recipient = ? AND recipient <> '' AND tenant = ?"
ERASE_MESSAGE = "DELETE FROM message WHERE message_id = ?"
MESSAGES_OF = """
SELECT DISTINCT message_id FROM event WHERE recipient = ? AND recipient <> '' AND tenant = ?
"""


def counts_of(where: list[str]) -> str:
    """Return the statement for the figures of events that meet the conditions."""
    machines = ", ".join(f"'{client.value}'" for client in sorted(MACHINES))
    return f"""
        WITH hit AS MATERIALIZED (  -- else the search for repeats is done once for each figure
            SELECT type, client, hits,
                CASE WHEN message_id = x'' THEN event_id ELSE message_id END AS message,
                client <> '{ReaderClass.PROBE.value}' AND NOT expired AND NOT {_REPEAT} AS counted
            FROM event WHERE {" AND ".join(where)}
        ), figures AS (
            SELECT type, hits, counted, counted AND client NOT IN ({machines}) AS person, message FROM hit
        )
        SELECT type, sum(hits), sum(counted), sum(person),
            count(DISTINCT CASE WHEN counted THEN message END),
            count(DISTINCT CASE WHEN person THEN message END)
        FROM figures GROUP BY type ORDER BY type
    """  # noqa: S608 - conditions of ours, values bound


def event_values(row: EventRow, tags: bytes | None = None) -> tuple[object, ...]:
    """Return a row as the values of `ADD_EVENT`. tags: id of its set.

    Raises ValueError, TypeError, RecursionError or OverflowError for a row that cannot be stored.
    """
    source = row.source
    if isinstance(source, RowSource):
        body, label, rcpt_hash = source.record, source.label, source.rcpt_hash or None
        reason, rules = (label.reason, label.rules) if label else (None, None)
    else:
        body, reason, rules, rcpt_hash = as_text(source).encode(), None, row.rules or None, None
    return (
        bytes.fromhex(row.event_id.replace("-", "")),
        row.type,
        row.at_ms,
        row.tenant,
        bytes.fromhex(row.message_id),
        int(row.transmission_id).to_bytes(8, "big"),
        row.recipient,
        row.campaign,
        bytes.fromhex(row.link),
        row.client,
        row.expired,
        reason,
        rules,
        rcpt_hash,
        tags,
        body,
        row.hits,
        row.certain,
        row.domain,
        row.sending_domain,
        row.ordinal,
        row.bounce_class,
    )


def shown(line: tuple[Any, ...]) -> Fields:
    """Return the event of one line of `SHOWN`."""
    event_id, kind, client, reason, rules, rcpt_hash, body, message, repeat, certain, _place = line
    if body[:1] == b"{":
        fields: Fields = json.loads(body)
    else:
        label = Classification(ReaderClass(client), reason, rules, bool(certain)) if client else None
        second = str(UUID(bytes=event_id)) if kind == LINK_UNSUBSCRIBE else ""
        fields = kept_fields(body, label, rcpt_hash or "", second)
    joined = join(fields, json.loads(message) if message else {})
    return joined | {"x_repeat": True} if repeat else joined


def conditions(query: Query) -> tuple[list[str], list[object]]:
    """Return a query as conditions on `event`, never none, and the values they bind."""
    where = ["event.tenant = ?"]
    bound: list[object] = [query.tenant]
    if not query.expired:
        where.append("NOT event.expired")
    for sign, at_ms in ((">=", query.from_ms), ("<", query.to_ms)):
        if at_ms is not None:
            where.append(f"event.at_ms {sign} ?")
            bound.append(min(max(at_ms, -_FAR_MS), _FAR_MS))
    named: tuple[tuple[str, tuple[object, ...]], ...] = (
        ("type", query.types),
        ("recipient", tuple(recipient.lower() for recipient in query.recipients)),
        ("campaign", query.campaigns),
        ("message_id", tuple(_bytes(text) for text in query.messages)),
        ("transmission_id", tuple(_eight_bytes(text) for text in query.transmissions)),
        ("event_id", tuple(_uuid(text) for text in query.ids)),
        ("client", query.classes),
        ("domain", tuple(domain.lower() for domain in query.domains)),
        ("ordinal", query.ordinals),
        ("bounce_class", query.bounce_classes),
    )
    for column, wanted in named:
        if wanted:
            where.append(f"event.{column} IN ({', '.join('?' * len(wanted))})")
            bound += wanted
    for name, texts in (("queue_id", query.queue_ids), ("message_id_header", query.message_id_headers)):
        if texts:
            where.append(f"{NAMED} ({', '.join('?' * len(texts))}))")
            bound += [name_key(name, text) for text in texts]
    if query.sending_domains:
        where.append(f"{SENT_FROM} ({', '.join('?' * len(query.sending_domains))}))")
        bound += [domain.lower() for domain in query.sending_domains]
    if query.recipients:
        where.append("event.recipient <> ''")  # lets the partial index be used
    if query.campaigns:
        where.append("event.campaign <> ''")
    if query.tags:
        marks = ", ".join("?" * len(query.tags))
        where.append(f"event.tags IN ({TAGGED} ({marks})))")
        bound += query.tags
    return where, bound


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b"\0not one of ours"


def _eight_bytes(text: str) -> bytes:
    try:
        return int(text).to_bytes(8, "big")
    except (ValueError, OverflowError):
        return b""


def _uuid(text: str) -> bytes:
    try:
        return UUID(text).bytes
    except ValueError:
        return b""


def name_key(what: str, text: str) -> bytes:
    """Return eight bytes that stand for a name of a message, whatever host gave it."""
    return blake2b(f"{what}\0{text}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
