"""Writes SQLite files as earlier programs did. Not a test; imported by those beside it."""

import sqlite3
from pathlib import Path

from engagement.events.rows import EventRow, RowSource
from engagement.stores.aggregate import HOUR_MS, Aggregate, to_text
from engagement.stores.customer_tags import set_id
from engagement.stores.json_text import as_text
from engagement.stores.sqlite.migrate import migrations

_ADD = """
INSERT INTO event (event_id, type, at_ms, tenant, message_id, transmission_id, recipient, campaign, link,
    client, expired, reason, rules, rcpt_hash, tags, body, hits)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ADD_3 = _ADD.replace(", hits)", ")").replace(", ?)", ")")


def values(row: EventRow) -> tuple[object, ...]:
    """A row as schema 4 kept it."""
    source = row.source
    if isinstance(source, RowSource):
        body, label = source.record, source.label
        rcpt_hash = source.rcpt_hash or None
        reason, rules = (label.reason, label.rules) if label else (None, None)
    else:
        body, reason, rules, rcpt_hash = as_text(source).encode(), None, row.rules or None, None
    return (
        bytes.fromhex(row.event_id.replace("-", "")), row.type, row.at_ms, row.tenant,
        bytes.fromhex(row.message_id), int(row.transmission_id).to_bytes(8, "big"), row.recipient,
        row.campaign, bytes.fromhex(row.link), row.client, row.expired, reason, rules, rcpt_hash,
        set_id((row.tenant, row.customer), row.tags) if row.tags else None, body, row.hits,
    )  # fmt: skip


def old_file(path: Path, rows: list[EventRow], number: int = 4, *, rolled: bool = False) -> None:
    """A file of schema 1 to 4 with these rows, in this order. rolled: its figures were made."""
    connection = sqlite3.connect(path, isolation_level=None)
    for script in migrations()[:number]:
        connection.executescript(script.script)
    for row in rows:
        if number < 3:
            narrow = (*values(row)[:10], int(row.expired), as_text(row.fields))
            connection.execute(f"INSERT INTO event VALUES (NULL{', ?' * 12})", narrow)
        else:
            connection.execute(*(_ADD, values(row)) if number > 3 else (_ADD_3, values(row)[:-1]))
        if row.message is not None:
            shared = bytes.fromhex(row.message_id), row.at_ms, as_text(row.message)
            connection.execute("INSERT OR REPLACE INTO message VALUES (?, ?, ?)", shared)
        if row.tags:
            name = set_id((row.tenant, row.customer), row.tags)
            used = row.tenant, row.customer, name, as_text(sorted(row.tags)), row.at_ms // 86_400_000
            connection.execute("INSERT OR IGNORE INTO tag_set VALUES (?, ?, ?, ?, ?)", used)
    hours = {(row.tenant, row.at_ms // HOUR_MS) for row in rows}
    if rolled:
        _figures(connection, rows)
    elif number > 1:
        connection.executemany("INSERT OR IGNORE INTO stale_hour VALUES (?, ?)", hours)
    connection.execute(f"PRAGMA user_version = {number}")
    connection.close()


def _figures(connection: sqlite3.Connection, rows: list[EventRow]) -> None:
    """The figures of hours, of rows without repeats."""
    made: dict[tuple[str, str, int], Aggregate] = {}
    for row in rows:
        for campaign in {"", row.campaign}:
            aggregate = made.setdefault((row.tenant, campaign, row.at_ms // HOUR_MS), Aggregate())
            whose = row.message_id or row.event_id
            aggregate.add(row.type, whose, row.client, expired=row.expired, repeat=False)
    for key, aggregate in made.items():
        connection.execute("INSERT INTO figure VALUES (?, ?, ?, ?)", (*key, to_text(aggregate.figures())))
