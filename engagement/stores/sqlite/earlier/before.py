"""Events that an older program left in tables of another form, and how they move, newest first.

Invariant: a message lies whole either there or here. It moves in one transaction with its figures by
`fig`; those by hours (`hourly`) were taken over as they were. So figures and counts of both are added up,
lists are merged, and whatever is killed when, each event is in one place. What is written to moves first.
"""

import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from heapq import merge
from typing import Final

from engagement.events.fields import Fields
from engagement.events.rows import EventRow
from engagement.figures.facts import fact_of
from engagement.stores.port import (
    HITS_OF_A_MESSAGE,
    MAX_LIMIT,
    Count,
    LabelledHit,
    Query,
    clamped,
    cursor_of,
)
from engagement.stores.sqlite import removing
from engagement.stores.sqlite.counting import counted
from engagement.stores.sqlite.counting.figures import Differences
from engagement.stores.sqlite.earlier import before_rows
from engagement.stores.sqlite.terms import Terms
from engagement.stores.sqlite.writing import set_state, state, store
from engagement.stores.sqlite.written import ADD_EVENT, Portion

PORTION: Final = 2_000  # events, and the others of their messages
_NEWEST: Final = "SELECT place, message_id FROM event_before ORDER BY at_ms DESC, event_id DESC LIMIT ?"
_OF_HOUR: Final = """
SELECT event.place, event.message_id FROM event_before AS event INDEXED BY event_by_time
WHERE event.at_ms >= ? AND event.at_ms < ? LIMIT ?
"""
_STALE: Final = "SELECT tenant, hour FROM stale_hour ORDER BY hour DESC LIMIT 1"
_WHOSE: Final = """
SELECT place, message_id FROM event_before INDEXED BY event_by_recipient
WHERE recipient = ? AND recipient <> ''
"""
_HAS: Final = "SELECT place, message_id FROM event_before INDEXED BY event_by_message WHERE message_id = ?"
_HAS_EVENT: Final = "SELECT place, message_id FROM event_before WHERE event_id = ?"
_FIELDS_ALONE: Final = "SELECT message_id, at_ms, fields FROM message_before LIMIT ?"
_KEEP_FIELDS: Final = """
INSERT INTO message (message, at_ms, recipient, transmission, run, sender, injection, lent, ever)
VALUES (?, ?, 0, 0, -1, 0, 0, ?, '') ON CONFLICT DO UPDATE SET lent = excluded.lent WHERE lent = ''
"""
_TABLES: Final = ("event_before", "message_before", "figure", "stale_hour")


def prepare(connection: sqlite3.Connection) -> None:
    """Take over the figures of an older schema, and note whether there is anything to move."""
    terms = Terms()
    (any_event,) = connection.execute("SELECT EXISTS (SELECT 1 FROM event_before)").fetchone()
    (any_fields,) = connection.execute("SELECT EXISTS (SELECT 1 FROM message_before)").fetchone()
    before_rows.take_figures(connection, terms)
    connection.execute("DROP TABLE figure")
    connection.execute("INSERT INTO state VALUES ('moving', ?)", (int(any_event or any_fields),))
    if not (any_event or any_fields):
        _drop_tables(connection)


def is_moving(connection: sqlite3.Connection) -> bool:
    """Tell whether there are events of an older schema."""
    return state(connection, "moving") != 0


def move(connection: sqlite3.Connection, terms: Terms) -> bool:
    """Move a portion, in a transaction of the caller's; return whether there was one."""
    if not is_moving(connection):
        return False
    stale = connection.execute(_STALE).fetchone()
    if stale is not None:
        _settle(connection, terms, *stale)
    elif not _move(connection, terms, connection.execute(_NEWEST, (PORTION,)).fetchall()):
        _finish(connection)
    return True


def _settle(connection: sqlite3.Connection, terms: Terms, tenant: str, hour: int) -> None:
    """Move events of an hour whose figures were not made yet; when all have moved, make them."""
    span = hour * before_rows.HOUR_MS, (hour + 1) * before_rows.HOUR_MS
    if _move(connection, terms, connection.execute(_OF_HOUR, (*span, PORTION)).fetchall()):
        return
    counted.recount_hour(connection, terms, terms.numbers(connection)[tenant], hour)
    connection.execute("DELETE FROM stale_hour WHERE tenant = ? AND hour = ?", (tenant, hour))


def _finish(connection: sqlite3.Connection) -> None:
    lines = connection.execute(_FIELDS_ALONE, (PORTION,)).fetchall()
    connection.executemany(_KEEP_FIELDS, lines)
    connection.executemany("DELETE FROM message_before WHERE message_id = ?", [line[:1] for line in lines])
    if not lines:
        _drop_tables(connection)
        set_state(connection, "moving", 0)


def _drop_tables(connection: sqlite3.Connection) -> None:
    for table in _TABLES:
        connection.execute(f"DROP TABLE IF EXISTS {table}")


def _move(connection: sqlite3.Connection, terms: Terms, found: Iterable[tuple[int, bytes]]) -> int:
    """Move the messages that these rows belong to; return how many events moved."""
    messages, lone = dict[bytes, None](), list[int]()
    for place, message in found:
        if message:
            messages[message] = None
        else:
            lone.append(place)
    rows = before_rows.rows(connection, messages, lone)
    if not rows:
        return 0
    portion = Portion(connection, terms, [tags for _, _, tags in rows])
    for place, row, _ in rows:
        portion.put([row], place)
    connection.executemany(ADD_EVENT, portion.events)
    store(connection, portion)
    groups: dict[tuple[str, str], list[EventRow]] = {}
    for _, row, _ in rows:
        groups.setdefault((row.tenant, row.message_id or row.event_id), []).append(row)
    made = Differences()
    for (tenant, _), each in groups.items():
        known = [fact_of(row) for row in each]
        made.change(terms.numbers(connection)[tenant], [], known, {}, hours=False)
    made.apply(connection, terms)
    before_rows.forget(connection, [place for place, _, _ in rows], messages)
    return len(rows)


def fetch(connection: sqlite3.Connection, terms: Terms, rows: Iterable[EventRow]) -> None:
    """Move what is there of the messages that these rows belong to."""
    if is_moving(connection):
        found: list[tuple[int, bytes]] = []
        for message in {row.message_id for row in rows if row.message_id}:
            found += connection.execute(_HAS, (bytes.fromhex(message),))
        for row in rows:
            if not row.message_id:
                found += connection.execute(_HAS_EVENT, (bytes.fromhex(row.event_id.replace("-", "")),))
        _move(connection, terms, found)


def fetch_messages(connection: sqlite3.Connection, terms: Terms, event_ids: Iterable[bytes]) -> None:
    """Move the messages of these events."""
    if is_moving(connection):
        found = [line for each in event_ids for line in connection.execute(_HAS_EVENT, (each,))]
        _move(connection, terms, found)


def fetch_recipient(connection: sqlite3.Connection, terms: Terms, recipient: str) -> None:
    """Move the messages of a recipient."""
    if is_moving(connection):
        _move(connection, terms, connection.execute(_WHOSE, (recipient,)).fetchall())


def merged(connection: sqlite3.Connection, query: Query, found: list[Fields]) -> list[Fields]:
    """Return a page of both."""
    if not is_moving(connection):
        return found
    older = before_rows.find(connection, query)
    return list(merge(found, older, key=_position, reverse=True))[: clamped(query)]


def number(connection: sqlite3.Connection, query: Query, found: int, most: int) -> int:
    """Return the number of events of both, at most `most`: no message is in both."""
    while is_moving(connection) and found < most:
        page = before_rows.find(connection, replace(query, limit=MAX_LIMIT))
        found += len(page)
        if len(page) < MAX_LIMIT:
            break
        query = replace(query, cursor=cursor_of(page[-1]))
    return min(found, most)


def _position(fields: Fields) -> tuple[str, str]:
    return fields["timestamp"], fields["event_id"]


def together(connection: sqlite3.Connection, query: Query, found: Mapping[str, Count]) -> Mapping[str, Count]:
    """Return the figures of both: no message is in both."""
    if not is_moving(connection):
        return found
    older = before_rows.counts(connection, query)
    return {
        name: Count(
            *(one + other for one, other in zip(_numbers(found, name), _numbers(older, name), strict=True))
        )
        for name in sorted(found.keys() | older.keys())
    }


def _numbers(counts: Mapping[str, Count], name: str) -> tuple[int, ...]:
    count = counts.get(name, Count())
    return count.recorded, count.counted, count.people, count.messages, count.people_messages


def arrived(
    connection: sqlite3.Connection, found: list[tuple[int, Fields]], mark: int, limit: int
) -> list[tuple[int, Fields]]:
    """Return what came after a mark, of both."""
    if not is_moving(connection):
        return found
    return sorted([*found, *before_rows.arrived(connection, mark, limit)], key=lambda each: each[0])[:limit]


def hits(
    connection: sqlite3.Connection,
    found: list[LabelledHit],
    span: tuple[int, int],
    after: tuple[int, bytes],
    limit: int,
) -> list[LabelledHit]:
    """Return hits of a time, of both."""
    if not is_moving(connection):
        return found
    both = [*found, *before_rows.hits(connection, span, after, limit)]
    return sorted(both, key=lambda each: (each.hit.at_ms, each.hit.id))[:limit]


def hits_of(connection: sqlite3.Connection, message: bytes) -> list[LabelledHit]:
    """Return the hits of a message that has not moved."""
    return before_rows.hits_of(connection, message)[-HITS_OF_A_MESSAGE:] if is_moving(connection) else []


def swept(connection: sqlite3.Connection, terms: Terms, before_ms: int, limit: int) -> int:
    """Remove what is older, of both."""
    gone = before_rows.sweep(connection, before_ms, limit) if is_moving(connection) else 0
    if gone < limit:
        gone += removing.sweep(connection, terms, before_ms, limit - gone, int(time.time() * 1000))
    return gone
