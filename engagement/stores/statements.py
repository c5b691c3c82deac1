"""What is said to SQLite: the statements, and how rows and queries become their values. No connections."""

import json
from uuid import UUID

from engagement.events.classify import MACHINES, Client
from engagement.events.fields import Fields, join
from engagement.events.rows import REPEAT_MS, Row
from engagement.stores.port import Query

ADD_EVENT = """
INSERT INTO event (event_id, type, at_ms, tenant, message_id, transmission_id, recipient, campaign, link,
    client, expired, fields)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (event_id) DO UPDATE SET type = excluded.type, at_ms = excluded.at_ms, tenant = excluded.tenant,
    message_id = excluded.message_id, transmission_id = excluded.transmission_id,
    recipient = excluded.recipient, campaign = excluded.campaign, link = excluded.link,
    client = excluded.client, expired = excluded.expired, fields = excluded.fields
WHERE fields <> excluded.fields
"""
ADD_MESSAGE = """
INSERT INTO message (message_id, at_ms, fields) VALUES (?, ?, ?)
ON CONFLICT (message_id) DO UPDATE SET at_ms = excluded.at_ms, fields = excluded.fields
WHERE fields <> excluded.fields
"""
# The same rule as events.rows.repeats: a row is a repeat if any row before it lies within REPEAT_MS.
_REPEAT = f"""CASE WHEN event.link = x'' THEN 0 ELSE EXISTS (
    SELECT 1 FROM event AS before
    WHERE before.link = event.link AND before.type = event.type AND before.client = event.client
        AND before.tenant = event.tenant
        AND before.at_ms > event.at_ms - {REPEAT_MS}
        AND (before.at_ms, before.event_id) < (event.at_ms, event.event_id)
) END"""  # noqa: S608 - a number of ours
SHOWN = f"""
SELECT event.fields, message.fields, {_REPEAT}, event.place
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
STALE = "SELECT tenant, hour FROM stale_hour ORDER BY hour DESC"
NO_LONGER_STALE = "DELETE FROM stale_hour WHERE tenant = ? AND hour = ?"
OF_HOUR = """
SELECT at_ms, type, message_id, client, link, campaign, expired FROM event
WHERE tenant = ? AND at_ms >= ? AND at_ms < ? ORDER BY at_ms, event_id
"""
FORGET_FIGURES = "DELETE FROM figure WHERE tenant = ? AND hour = ?"
ADD_FIGURE = "INSERT INTO figure (tenant, campaign, hour, figures) VALUES (?, ?, ?, ?)"
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
        WITH judged AS MATERIALIZED (  -- else the search for repeats is done once for each figure
            SELECT type, message_id, client,
                client <> '{Client.PROBE.value}' AND NOT expired AND NOT {_REPEAT} AS counted
            FROM event WHERE {" AND ".join(where)}
        ), figures AS (
            SELECT type, counted, counted AND client NOT IN ({machines}) AS person, message_id FROM judged
        )
        SELECT type, count(*), sum(counted), sum(person),
            count(DISTINCT CASE WHEN counted THEN message_id END),
            count(DISTINCT CASE WHEN person THEN message_id END)
        FROM figures GROUP BY type ORDER BY type
    """  # noqa: S608 - conditions of ours, values bound


def event_values(row: Row) -> tuple[object, ...]:
    """Return a row as `ADD_EVENT` wants it. Raises ValueError, TypeError, RecursionError, OverflowError."""
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
        int(row.expired),
        as_text(row.fields),
    )


as_text = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False
).encode


def shown(fields: str, message: str | None, repeat: int) -> Fields:
    """Return the event of one line of `SHOWN`."""
    joined = join(json.loads(fields), json.loads(message) if message else {})
    return joined | {"x_repeat": True} if repeat else joined


def conditions(query: Query) -> tuple[list[str], list[object]]:
    """Return a query as conditions on `event`, never none, and the values they bind."""
    where = ["event.tenant = ?"]
    bound: list[object] = [query.tenant]
    if not query.expired:
        where.append("NOT event.expired")
    if query.from_ms is not None:
        where.append("event.at_ms >= ?")
        bound.append(query.from_ms)
    if query.to_ms is not None:
        where.append("event.at_ms < ?")
        bound.append(query.to_ms)
    named: tuple[tuple[str, tuple[object, ...]], ...] = (
        ("type", query.types),
        ("recipient", tuple(recipient.lower() for recipient in query.recipients)),
        ("campaign", query.campaigns),
        ("message_id", tuple(_bytes(text) for text in query.messages)),
        ("transmission_id", tuple(_eight_bytes(text) for text in query.transmissions)),
        ("event_id", tuple(_uuid(text) for text in query.ids)),
    )
    for column, wanted in named:
        if wanted:
            where.append(f"event.{column} IN ({', '.join('?' * len(wanted))})")
            bound += wanted
    if query.recipients:
        where.append("event.recipient <> ''")  # lets the partial index be used
    if query.campaigns:
        where.append("event.campaign <> ''")
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
