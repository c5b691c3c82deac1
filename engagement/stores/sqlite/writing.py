"""Adds rows to the file, each under its id, and changes those that are there."""

import sqlite3
from typing import Any, Final, NamedTuple

from engagement.events.classify import rules_number
from engagement.events.rows import EventRow
from engagement.stores.json_text import as_text
from engagement.stores.sqlite.terms import Terms
from engagement.stores.sqlite.written import (
    ADD_BODY,
    ADD_EVENT,
    ADD_LOOKUP,
    KEEP_MESSAGE,
    KEEP_NEWEST,
    REPLACE_BODY,
    REPLACE_EVENT,
    Arrived,
    Portion,
)

_SENT_FROM: Final = "UPDATE event INDEXED BY by_message SET sender = ? WHERE message = ? AND sender <> ?"
_SET_FIELDS: Final = "UPDATE message SET lent = ? WHERE message = ?"
_STATE: Final = "SELECT value FROM state WHERE name = ?"
_SET: Final = "UPDATE state SET value = ? WHERE name = ?"
_PRESENT: Final = """
SELECT event.place, event.message, event.rules, body.hash, body.record, event.class, event.certain,
    event.reason, event.hits
FROM event JOIN body ON body.place = event.place
WHERE event.tenant = ? AND event.at_ms = ? AND event.event_id = ?
"""


class Change(NamedTuple):
    """A row that is there, in its new form.

    place: its own. event, body: values. message_fields: of an injection, as JSON.
    """

    place: int
    message: bytes
    event: tuple[Any, ...]
    body: tuple[object, ...]
    message_fields: str


def state(connection: sqlite3.Connection, name: str) -> int:
    """Return a number of the table `state`."""
    return int(connection.execute(_STATE, (name,)).fetchone()[0])


def set_state(connection: sqlite3.Connection, name: str, value: int) -> None:
    """Set a number of the table `state`."""
    connection.execute(_SET, (value, name))


class SomeAreThereError(Exception):
    """Some of the rows are in the file, or twice among themselves; the transaction is to be taken back."""


def add(
    connection: sqlite3.Connection, terms: Terms, rows: list[EventRow], tags: list[int], *, new: bool
) -> tuple[list[Arrived], list[Change]]:
    """Add rows in a transaction of the caller's; return the new ones, and changes that are yet to be made.

    tags: the number of each row's tag set. Rows that are there and were told alike are left alone, and so are
    those that later rules have classified. new: none is expected to be there; raises SomeAreThereError if one
    is. They nearly always are new, and a savepoint to go back to made inserting them half as fast. Raises as
    `Portion` does for a row that cannot be stored.
    """
    if not rows:
        return [], []
    portion, first = Portion(connection, terms, tags), state(connection, "next")
    portion.put(rows, first)
    changes: list[Change] = []
    if not new:
        rows, tags, changes = _only_new(connection, rows, tags, portion)
        portion = Portion(connection, terms, tags)
        portion.put(rows, first)
    if connection.executemany(ADD_EVENT, portion.events).rowcount != len(rows):
        raise SomeAreThereError
    store(connection, portion)
    set_state(connection, "next", first + len(rows))
    return portion.arrived, changes


def store(connection: sqlite3.Connection, portion: Portion) -> None:
    """Write what a portion has beside its events."""
    connection.executemany(ADD_BODY, portion.bodies)
    connection.executemany(ADD_LOOKUP, sorted(portion.lookups))  # hashes: neighbours in the tree together
    connection.executemany(
        KEEP_MESSAGE,
        [known.values(message) for message, known in portion.messages.items() if known.is_to_be_written],
    )
    connection.executemany(KEEP_NEWEST, portion.newest.items())
    if portion.senders:
        connection.executemany(_SENT_FROM, portion.senders)


def replace(connection: sqlite3.Connection, changes: list[Change]) -> None:
    """Make changes."""
    connection.executemany(REPLACE_EVENT, [change.event for change in changes])
    connection.executemany(REPLACE_BODY, [change.body for change in changes])
    connection.executemany(
        _SET_FIELDS, [(change.message_fields, change.message) for change in changes if change.message_fields]
    )


def _only_new(
    connection: sqlite3.Connection, rows: list[EventRow], tags: list[int], portion: Portion
) -> tuple[list[EventRow], list[int], list[Change]]:
    """Return the rows that are not in the file, with their tags, and changes of those that are."""
    new: dict[tuple[str, int], tuple[EventRow, int]] = {}  # an injection's id may come at two times
    changes: dict[tuple[str, int], Change] = {}
    for row, tag, event, body in zip(rows, tags, portion.events, portion.bodies, strict=True):
        key = row.event_id, row.at_ms
        found = connection.execute(_PRESENT, event[:3]).fetchone()
        if found is None:
            before = new.get(key)
            if before is None or rules_number(before[0].rules) <= rules_number(row.rules):
                new[key] = row, tag
            continue
        place, message, rules, *stored_values, hits = found
        stored = connection.execute("SELECT text FROM term WHERE id = ?", (rules,)).fetchone()
        if rules_number(stored[0] if stored else "") > rules_number(row.rules):
            continue
        if (*stored_values, rules) != (body[4], body[5], event[5], event[6], event[18], event[19]):
            counts = event[8] or 1 if hits else 0  # whether an injection is its message's first
            mine = (*event[:3], place, *event[4:8], counts, *event[9:])
            message_fields = as_text(row.message) if row.message is not None else ""
            changes[key] = Change(place, message, mine, (place, *body[1:]), message_fields)
    return [row for row, _ in new.values()], [tag for _, tag in new.values()], list(changes.values())
