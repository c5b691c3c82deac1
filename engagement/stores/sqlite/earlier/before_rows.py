"""Reads and removes rows of the tables that schema 4 had (`before` moves them)."""

import json
import sqlite3
from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from engagement.events.classify import MACHINES, Classification, ReaderClass
from engagement.events.field_values import domain_of, valid
from engagement.events.fields import INJECTION, LINK_UNSUBSCRIBE, Fields, join
from engagement.events.model import Hit, Injection, names_of
from engagement.events.record import BadRecord, decode
from engagement.events.rows import REPEAT_MS, EventRow, RowSource, stored_fields
from engagement.links.model import CLICKS, RAW_URL, BadToken
from engagement.links.token import unpack
from engagement.stores.aggregate import HOUR_MS as HOUR_MS
from engagement.stores.port import Count, LabelledHit, Query, clamped, cursor_position
from engagement.stores.sqlite.codes import TYPE_CODES
from engagement.stores.sqlite.terms import Terms

_FAR_MS: Final = 1 << 62  # later than any event, and SQLite can hold it
_REPEAT: Final = f"""CASE WHEN event.link = x'' THEN 0 ELSE EXISTS (
    SELECT 1 FROM event_before AS before INDEXED BY event_by_message
    WHERE before.message_id = event.message_id
        AND before.at_ms > event.at_ms - {REPEAT_MS} AND before.at_ms <= event.at_ms
        AND before.link = event.link AND before.type = event.type AND before.client = event.client
        AND before.tenant = event.tenant
        AND (before.at_ms, before.event_id) < (event.at_ms, event.event_id)
) END"""  # noqa: S608 - a number of ours
_FROM: Final = (
    "FROM event_before AS event LEFT JOIN message_before AS message ON message.message_id = event.message_id"
)
_SHOWN: Final = f"""
SELECT event.event_id, event.type, event.client, event.reason, event.rules, event.rcpt_hash, event.body,
    message.fields, {_REPEAT}, event.place {_FROM}
"""
_COLUMNS: Final = f"""event.event_id, event.type, event.client, event.reason, event.rules, event.rcpt_hash,
    event.body, message.fields, event.place, event.at_ms, event.tenant, event.message_id,
    event.transmission_id, event.recipient, event.campaign, event.link, event.expired, event.hits, event.tags
{_FROM}"""
_TAGGED: Final = """
SELECT set_id FROM tag_set
WHERE tag_set.tenant = event.tenant AND EXISTS (SELECT 1 FROM json_each(tag_set.tags) WHERE value IN
"""
_SENT_FROM: Final = """
SELECT message_id FROM message_before
WHERE lower(substr(fields ->> '$.friendly_from', instr(fields ->> '$.friendly_from', '@') + 1))
"""
_SWEEP: Final = """
DELETE FROM event_before WHERE place IN (
    SELECT place FROM event_before INDEXED BY event_by_time WHERE at_ms < ? LIMIT ?)
"""
_TAKE: Final = "SELECT tenant, campaign, hour, figures FROM figure"
_ADD_HOUR: Final = "INSERT INTO hourly VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_NOT_THERE: Final = "0"  # filters by what such rows do not have


def find(connection: sqlite3.Connection, query: Query) -> list[Fields]:
    """Return a page of events, as `EventStore.find` does."""
    where, values = conditions(query)
    if query.cursor:
        at_ms, event_id = cursor_position(query.cursor)
        where.append("(event.at_ms, event.event_id) < (?, ?)")
        values += [at_ms, UUID(event_id).bytes]
    order = "event.at_ms DESC, event.event_id DESC"
    statement = f"{_SHOWN} WHERE {' AND '.join(where)} ORDER BY {order} LIMIT ?"
    return [_shown(line) for line in connection.execute(statement, [*values, clamped(query)])]


def arrived(connection: sqlite3.Connection, mark: int, limit: int) -> list[tuple[int, Fields]]:
    """Return what came after a mark, with its places."""
    lines = connection.execute(f"{_SHOWN} WHERE event.place > ? ORDER BY event.place LIMIT ?", (mark, limit))
    return [(line[-1], _shown(line)) for line in lines]


def counts(connection: sqlite3.Connection, query: Query) -> dict[str, Count]:
    """Return figures by type, as `EventStore.counts` does."""
    where, values = conditions(query)
    machines = ", ".join(f"'{client.value}'" for client in sorted(MACHINES))
    statement = f"""
        WITH hit AS MATERIALIZED (
            SELECT type, client, hits,
                CASE WHEN message_id = x'' THEN event_id ELSE message_id END AS message,
                client <> '{ReaderClass.PROBE.value}' AND NOT expired AND NOT {_REPEAT} AS counted
            FROM event_before AS event WHERE {" AND ".join(where)}
        ), figures AS (
            SELECT type, hits, counted, counted AND client NOT IN ({machines}) AS person, message FROM hit
        )
        SELECT type, sum(hits), sum(counted), sum(person),
            count(DISTINCT CASE WHEN counted THEN message END),
            count(DISTINCT CASE WHEN person THEN message END)
        FROM figures GROUP BY type ORDER BY type
    """  # noqa: S608 - conditions of ours, values bound
    return {name: Count(*numbers) for name, *numbers in connection.execute(statement, values)}


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
        ("message_id", tuple(_hex(text) for text in query.messages)),
        ("transmission_id", tuple(_eight_bytes(text) for text in query.transmissions)),
        ("event_id", tuple(_hex(text.replace("-", "")) for text in query.ids)),
        ("client", query.classes),
    )
    for column, values in named:
        if values:
            where.append(f"event.{column} IN ({_marks(values)})")
            bound += values
    if query.recipients:
        where.append("event.recipient <> ''")  # lets the partial index be used
    if query.campaigns:
        where.append("event.campaign <> ''")
    if query.tags:
        where.append(f"event.tags IN ({_TAGGED} ({_marks(query.tags)})))")
        bound += query.tags
    if query.domains:
        domain = "substr(event.recipient, instr(event.recipient, '@') + 1)"
        where.append(f"event.recipient <> '' AND {domain} IN ({_marks(query.domains)})")
        bound += [domain.lower() for domain in query.domains]
    if query.sending_domains:
        where.append(f"event.message_id IN ({_SENT_FROM} IN ({_marks(query.sending_domains)}))")
        bound += [domain.lower() for domain in query.sending_domains]
    if query.ordinals or query.bounce_classes or query.message_id_headers or query.queue_ids:
        where.append(_NOT_THERE)
    return where, bound


def hits(
    connection: sqlite3.Connection, span: tuple[int, int], after: tuple[int, bytes], limit: int
) -> list[LabelledHit]:
    """Return hits of a time, oldest first."""
    statement = f"""SELECT {_COLUMNS} WHERE event.at_ms >= ? AND event.at_ms < ?
        AND (event.at_ms, event.event_id) > (?, ?) AND event.type NOT IN ('{INJECTION}', '{LINK_UNSUBSCRIBE}')
        ORDER BY event.at_ms, event.event_id LIMIT ?"""
    return _labelled(connection.execute(statement, (*span, *after, limit)))


def hits_of(connection: sqlite3.Connection, message: bytes) -> list[LabelledHit]:
    """Return the hits of a message, oldest first."""
    statement = f"""SELECT {_COLUMNS} WHERE event.message_id = ? AND event.type <> '{LINK_UNSUBSCRIBE}'
        ORDER BY event.at_ms, event.event_id"""
    return _labelled(connection.execute(statement, (message,)))


def rows(
    connection: sqlite3.Connection, messages: Iterable[bytes], places: Iterable[int]
) -> list[tuple[int, EventRow, int]]:
    """Return the rows of messages, and of single places, in the order of coming: place, row, tag set."""
    found: list[tuple[Any, ...]] = []
    for message in messages:
        found += connection.execute(f"SELECT {_COLUMNS} WHERE event.message_id = ?", (message,))
    for place in places:
        found += connection.execute(f"SELECT {_COLUMNS} WHERE event.place = ?", (place,))
    found.sort(key=lambda line: int(line[8]))
    return [(line[8], _row(line), int.from_bytes(line[18] or b"", "big", signed=True)) for line in found]


def forget(connection: sqlite3.Connection, places: Iterable[int], messages: Iterable[bytes]) -> None:
    """Remove rows that have moved, and what their messages lent."""
    connection.executemany("DELETE FROM event_before WHERE place = ?", [(place,) for place in places])
    connection.executemany("DELETE FROM message_before WHERE message_id = ?", [(each,) for each in messages])


def sweep(connection: sqlite3.Connection, before_ms: int, limit: int) -> int:
    """Remove what is older; return how many."""
    statement = (
        "DELETE FROM event_before WHERE place IN (SELECT place FROM event_before WHERE at_ms < ? LIMIT ?)"
    )
    return connection.execute(statement, (before_ms, limit)).rowcount


def take_figures(connection: sqlite3.Connection, terms: Terms) -> None:
    """Copy the figures of hours into the table `hourly`."""
    for tenant, campaign, hour, text in connection.execute(
        "SELECT tenant, campaign, hour, figures FROM figure"
    ).fetchall():
        numbers = terms.numbers(connection)
        connection.executemany(
            _ADD_HOUR,
            [
                (numbers[tenant], numbers[campaign], hour, TYPE_CODES[kind], *figures)
                for kind, figures in json.loads(text).items()
                if kind in TYPE_CODES
            ],
        )


def _row(line: tuple[Any, ...]) -> EventRow:
    event_id, kind, client, reason, rules, rcpt_hash, body = line[:7]
    message_fields, _place, at_ms, tenant, message = line[7:12]
    transmission, recipient, campaign, link, expired, hits, _tags = line[12:]
    name, event = str(UUID(bytes=event_id)), _decoded(body)
    known = json.loads(message_fields) if message_fields else {}
    link_name, label = "", None
    if event is None:
        source: RowSource | Fields = json.loads(body)
        link_name = json.loads(body).get("target_link_name", "")
    else:
        label = Classification(ReaderClass(client), reason or "", rules or "") if client else None
        source = RowSource(event, label, rcpt_hash or "", name if kind == LINK_UNSUBSCRIBE else "", body)
    if isinstance(event, Hit) and event.kind in CLICKS:
        link_name = _link_name(event)
    injected = event if isinstance(event, Injection) else None
    return EventRow(
        name,
        kind,
        at_ms,
        tenant,
        message.hex(),
        str(int.from_bytes(transmission, "big")),
        recipient,
        campaign,
        link.hex(),
        client,
        bool(expired),
        "",
        (),
        source,
        known if kind == INJECTION and known else None,
        hits,
        domain=domain_of(recipient),
        sending_domain=domain_of(valid(known.get("friendly_from", ""))),
        names=names_of(injected) if injected else (),
        link_name=link_name,
        size=injected.size if injected else 0,
    )


def _link_name(hit: Hit) -> str:
    try:
        link = unpack(hit.kind, hit.packed)[1]
    except BadToken:
        return ""
    return valid(link.name or RAW_URL) if link is not None else ""


def _decoded(body: bytes) -> Any:
    try:
        return decode(body)
    except BadRecord:  # of a schema that kept the fields
        return None


def _labelled(lines: Iterable[tuple[Any, ...]]) -> list[LabelledHit]:
    found = []
    for line in lines:
        event = _decoded(line[6])
        if isinstance(event, Hit):
            label = Classification(ReaderClass(line[2]), line[3] or "", line[4] or "")
            found.append(LabelledHit(event, label))
    return found


def _shown(line: tuple[Any, ...]) -> Fields:
    event_id, kind, client, reason, rules, rcpt_hash, body, message, repeat, _place = line
    if body[:1] == b"{":
        fields: Fields = json.loads(body)
    else:
        label = Classification(ReaderClass(client), reason, rules) if client else None
        second = str(UUID(bytes=event_id)) if kind == LINK_UNSUBSCRIBE else ""
        fields = stored_fields(body, label, rcpt_hash or "", second)
    joined = join(fields, json.loads(message) if message else {})
    return joined | {"x_repeat": True} if repeat else joined


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b"\0not one of ours"


def _eight_bytes(text: str) -> bytes:
    try:
        return int(text).to_bytes(8, "big")
    except (ValueError, OverflowError):
        return b""


def _marks(values: Any) -> str:
    return ", ".join("?" * len(values))
