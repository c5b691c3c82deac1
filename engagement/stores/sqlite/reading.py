"""Reads events from the file: a query in its numbers, the best way to read it, rows as users see them."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from engagement.events.classify import Classification, ReaderClass
from engagement.events.fields import Fields, join
from engagement.events.rows import stored_fields
from engagement.stores.port import Count, Named, Query, UnsupportedQueryError, clamped, cursor_position
from engagement.stores.sqlite import plan
from engagement.stores.sqlite.codes import (
    CLASSES,
    SECOND,
    TYPES,
    Lookup,
    hashed,
    recipient_hash,
    signed,
)
from engagement.stores.sqlite.plan import Lead, ResolvedQuery
from engagement.stores.sqlite.terms import Terms

_PROBED: Final = 2_000  # entries of an index that are counted to choose one: a third of a millisecond
_SCANNED: Final = 200_000  # rows that a question without an index may go through, some 40 ms
_LOOKUP: Final = """
WITH RECURSIVE runs (run) AS (
    SELECT (SELECT min(run) FROM lookup)
    UNION ALL SELECT (SELECT min(lookup.run) FROM lookup WHERE lookup.run > runs.run) FROM runs
    WHERE runs.run IS NOT NULL
)
SELECT DISTINCT lookup.ref FROM runs CROSS JOIN lookup
    ON lookup.run = runs.run AND lookup.what = ? AND lookup.hash = ?
"""
_TAG_SETS: Final = """
SELECT set_id FROM tag_set WHERE tenant = ? AND EXISTS (SELECT 1 FROM json_each(tag_set.tags) WHERE value IN
"""
_TENANTS: Final = """
WITH RECURSIVE tenants (tenant) AS (
    SELECT (SELECT min(tenant) FROM event)
    UNION ALL SELECT (SELECT min(event.tenant) FROM event WHERE event.tenant > tenants.tenant) FROM tenants
    WHERE tenants.tenant IS NOT NULL
)
SELECT tenant FROM tenants WHERE tenant IS NOT NULL
"""

# Jumps from one name to the next in the index, however many events each has.
_NAMES: Final = """
WITH RECURSIVE names (name) AS (
    SELECT (SELECT min({column}) FROM event INDEXED BY by_{column} WHERE tenant = ? AND {column} <> 0)
    UNION ALL SELECT (
        SELECT min({column}) FROM event INDEXED BY by_{column}
        WHERE tenant = ? AND {column} > names.name AND {column} <> 0
    ) FROM names WHERE names.name IS NOT NULL
)
SELECT name FROM names WHERE name IS NOT NULL LIMIT ?
"""


def refs(connection: sqlite3.Connection, what: Lookup, numbers: Iterable[int]) -> set[bytes]:
    """Return what `lookup` leads to: messages (16 bytes) and events without one (24)."""
    return {
        ref for number in numbers if number for (ref,) in connection.execute(_LOOKUP, (int(what), number))
    }


def tenants(connection: sqlite3.Connection) -> list[int]:
    """Return the tenants that have events."""
    return [tenant for (tenant,) in connection.execute(_TENANTS)]


def resolve(connection: sqlite3.Connection, terms: Terms, query: Query) -> ResolvedQuery:
    """Return a query in the numbers of the file. Raises ValueError for a cursor of somebody else."""

    def numbers(texts: Iterable[str]) -> tuple[int, ...]:
        found = (terms.number(connection, text) for text in dict.fromkeys(texts))
        return tuple(number for number in found if number > 0)

    messages, events, within = _named(connection, query)
    before = None
    if query.cursor:
        at_ms, event_id = cursor_position(query.cursor)
        before = at_ms, UUID(event_id).bytes
    return ResolvedQuery(
        tenant=terms.number(connection, query.tenant),
        from_ms=query.from_ms,
        to_ms=query.to_ms,
        expired=query.expired,
        types=plan.types_of(query),
        classes=plan.classes_of(query),
        campaigns=numbers(query.campaigns) if query.campaigns else None,
        domains=numbers(map(str.lower, query.domains)) if query.domains else None,
        senders=numbers(domain.lower() for domain in query.sending_domains)
        if query.sending_domains
        else None,
        tags=_tag_sets(connection, query) if query.tags else None,
        ordinals=query.ordinals or None,
        bounces=tuple(each for each in query.bounce_classes if each) if query.bounce_classes else None,
        recipients=plan.recipients_of(query),
        messages=messages,
        events=events,
        within=within,
        before=before,
    )


def _tag_sets(connection: sqlite3.Connection, query: Query) -> tuple[int, ...]:
    marks = ", ".join("?" * len(query.tags))
    lines = connection.execute(f"{_TAG_SETS} ({marks}))", (query.tenant, *query.tags))
    return tuple(int.from_bytes(set_id, "big", signed=True) for (set_id,) in lines)


def _named(
    connection: sqlite3.Connection, query: Query
) -> tuple[tuple[bytes, ...] | None, tuple[tuple[int, bytes], ...] | None, tuple[bytes, ...] | None]:
    """Return the messages and events that names and ids come down to, None for no such condition."""
    sets: list[set[bytes]] = []
    if query.messages:
        sets.append({name for name in map(_bytes, query.messages) if name})
    for what, numbers in (
        (Lookup.RECIPIENT, [recipient_hash(query.tenant, each.lower()) for each in query.recipients]),
        (Lookup.TRANSMISSION, [_number(text) for text in query.transmissions]),
        (Lookup.QUEUE_ID, [hashed(text) for text in query.queue_ids]),
        (Lookup.MESSAGE_ID_HEADER, [hashed(text) for text in query.message_id_headers]),
    ):
        if numbers:
            sets.append(refs(connection, what, numbers))
    found = set.intersection(*sets) if sets else None
    messages = None if found is None else tuple(sorted(ref for ref in found if len(ref) == 16))
    events = () if found is None else tuple(_event(ref) for ref in sorted(found) if len(ref) == 24)
    if not query.ids:
        return messages, None if found is None else events, None
    ids = {key for text in query.ids for key in _event_keys(connection, text)}
    if found is not None:
        return (
            None,
            tuple(sorted(ids & set(events))) if not messages else tuple(sorted(ids)),
            messages or None,
        )
    return None, tuple(sorted(ids)), None


def _event_keys(connection: sqlite3.Connection, text: str) -> set[tuple[int, bytes]]:
    """Return where an event may be: where its id says, or where `lookup` does."""
    try:
        event_id = UUID(text).bytes
    except ValueError:
        return set()
    found = {_event(ref) for ref in refs(connection, Lookup.EVENT_ID, [hashed(text)])}
    return found | {(int.from_bytes(event_id[:6], "big"), event_id)}


def _event(ref: bytes) -> tuple[int, bytes]:
    return int.from_bytes(ref[:8], "big"), ref[8:]


def lead(connection: sqlite3.Connection, query: ResolvedQuery) -> Lead:
    """Return the way to read what matches that goes through the fewest entries.

    Raises UnsupportedQueryError for a question that no index answers, in a store where that takes long.
    """
    ways = plan.leads(query)
    if not ways[0].index and (query.ordinals is not None or query.senders is not None):
        statement, values = plan.size(query, ways[0], _SCANNED + 1)
        if connection.execute(statement, values).fetchone()[0] > _SCANNED:
            raise UnsupportedQueryError(
                "links are not found by their ordinal alone in so many events: add a campaign or a span"
            )
    if len(ways) == 1:
        return ways[0]
    best, fewest = ways[0], _PROBED + 1
    for way in ways:
        statement, values = plan.size(query, way, fewest)
        entries = connection.execute(statement, values).fetchone()[0]
        if entries < fewest:
            best, fewest = way, entries
        if not fewest:
            break
    return best


def find(connection: sqlite3.Connection, terms: Terms, query: Query) -> list[Fields]:
    """Return a page of events (see the port)."""
    resolved, limit = resolve(connection, terms, query), clamped(query)
    if resolved.is_empty or not limit:
        return []
    statement, values = plan.page(resolved, lead(connection, resolved), limit)
    lines = connection.execute(statement, values).fetchall()[:limit]
    return [shown(connection, terms, line) for line in lines]


def number(connection: sqlite3.Connection, terms: Terms, query: Query, most: int) -> int:
    """Return how many events match, at most `most` (see the port)."""
    resolved = resolve(connection, terms, query)
    if resolved.is_empty or most <= 0:
        return 0
    statement, values = plan.number(resolved, lead(connection, resolved), most)
    return int(connection.execute(statement, values).fetchone()[0])


def names(
    connection: sqlite3.Connection, terms: Terms, what: Named, tenant: str, most: int
) -> tuple[str, ...] | None:
    """Return the names that events have (see the port)."""
    column = {"campaign": "campaign", "domain": "domain", "sending_domain": "sender"}[what]
    of = terms.number(connection, tenant)
    found = connection.execute(_NAMES.format(column=column), (of, of, most + 1)).fetchall()
    return tuple(terms.text(connection, number) for (number,) in found) if len(found) <= most else None


def counts(connection: sqlite3.Connection, terms: Terms, query: Query) -> dict[str, Count]:
    """Return figures by event type (see the port)."""
    resolved = resolve(connection, terms, query)
    if resolved.is_empty:
        return {}
    resolved = replace(resolved, before=None)
    statement, values = plan.counts(resolved, lead(connection, resolved))
    return {TYPES[kind]: Count(*numbers) for kind, *numbers in connection.execute(statement, values)}


def shown(connection: sqlite3.Connection, terms: Terms, line: tuple[Any, ...]) -> Fields:
    """Return the event of one line of `plan`'s statements.

    Raises BadRecord or BadToken for a record that no version of this program has written.
    """
    event_id, kind, client, certain, reason, rules, rcpt_hash, record, message_fields, repeat = line[:10]
    if record[:1] == b"{":
        fields: Fields = json.loads(record)
    else:
        label = None
        if client:
            texts = terms.text(connection, reason), terms.text(connection, rules)
            label = Classification(ReaderClass(CLASSES[client]), *texts, bool(certain))
        second = str(UUID(bytes=event_id)) if kind == SECOND else ""
        fields = stored_fields(record, label, rcpt_hash or "", second)
    joined = join(fields, json.loads(message_fields) if message_fields else {})
    return joined | {"x_repeat": True} if repeat else joined


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _number(text: str) -> int:
    try:
        return signed(int(text))
    except (ValueError, OverflowError):
        return 0
