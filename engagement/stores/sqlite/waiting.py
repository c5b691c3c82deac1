"""Events whose message is not known yet, in the store's file.

They are found by the names of their message, each as eight bytes of its hash; what is found is compared with
the whole name.
"""

import json
import sqlite3
from collections.abc import Iterable
from typing import Final

from engagement.events.model import MessageEvent, MessageName, names_of
from engagement.events.record import BadRecord, decode, encode
from engagement.stores.sqlite.codes import TYPE_CODES, event_key, hashed
from engagement.stores.sqlite.connection import SqliteFile, in_transaction
from engagement.stores.sqlite.earlier import before
from engagement.stores.sqlite.reading import tenants

_PUT: Final = "INSERT INTO waiting (event_id, at_ms, record) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_PUT_NAME: Final = "INSERT INTO waiting_name (name, event_id) VALUES (?, ?) ON CONFLICT DO NOTHING"
_FIRST: Final = "SELECT event_id, record FROM waiting LIMIT ?"
_FEW: Final = 200  # waiting events that are all read, if so many are asked for, as that is quicker
NAMED: Final = """
SELECT waiting.record FROM json_each(?) AS asked
CROSS JOIN waiting_name ON waiting_name.name = asked.value
CROSS JOIN waiting ON waiting.event_id = waiting_name.event_id
"""
_DROP: Final = "DELETE FROM waiting WHERE event_id = ?"
_DROP_NAME: Final = "DELETE FROM waiting_name WHERE name = ? AND event_id = ?"
_NEWEST: Final = f"""
SELECT max(at_ms) FROM event INDEXED BY by_kind
WHERE tenant = ? AND type = {TYPE_CODES["injection"]} AND class = 0
"""  # noqa: S608 - a number of ours
_OLD: Final = "SELECT record FROM waiting WHERE at_ms < ?"


class WaitingEvents(SqliteFile):
    """The events of a file that wait for their message."""

    def newest_injection(self) -> int | None:
        """See the port. None while a file of before moves over: there may be newer ones in it."""

        def newest(connection: sqlite3.Connection) -> int | None:
            if before.is_moving(connection):
                return None
            found = [connection.execute(_NEWEST, (number,)).fetchone()[0] for number in tenants(connection)]
            return max((at_ms for at_ms in found if at_ms is not None), default=0)

        return self._do(newest, 0)

    def put_waiting(self, events: Iterable[MessageEvent]) -> None:
        """See the port."""
        made = [(event_key(event.id), event.at_ms, encode(event)) for event in events]
        names = _names(decode(record) for _, _, record in made)

        def put(connection: sqlite3.Connection) -> None:
            connection.executemany(_PUT, made)
            connection.executemany(_PUT_NAME, names)

        if made:
            self._do(lambda connection: in_transaction(connection, put), None)

    def waiting(self, names: Iterable[MessageName]) -> tuple[MessageEvent, ...]:
        """See the port. Nearly always few wait or none: then no name is asked for."""
        requested = set(names)

        def named(connection: sqlite3.Connection) -> list[tuple[bytes]]:
            most = min(_FEW, len(requested))
            first = connection.execute(_FIRST, (most,)).fetchall()
            if len(first) < most:
                return [(record,) for _, record in first]
            hashes = json.dumps(sorted({hashed(*name) for name in requested}))
            return connection.execute(NAMED, (hashes,)).fetchall()

        found: dict[str, MessageEvent] = {}
        for (record,) in self._do(named, []) if requested else ():
            event = _decoded(record)
            if event is not None and not requested.isdisjoint(names_of(event)):
                found[event.id] = event
        return tuple(found.values())

    def drop_waiting(self, events: Iterable[MessageEvent]) -> None:
        """See the port."""
        gone = list(events)
        if gone:
            self._do(lambda connection: in_transaction(connection, lambda inside: _drop(inside, gone)), None)

    def sweep_waiting(self, before_ms: int) -> int:
        """See the port."""

        def sweep(connection: sqlite3.Connection) -> int:
            old = [_decoded(record) for (record,) in connection.execute(_OLD, (before_ms,))]
            return _drop(connection, [event for event in old if event is not None])

        return self._do(lambda connection: in_transaction(connection, sweep), 0)


def _decoded(record: bytes) -> MessageEvent | None:
    """Return a waiting event, None for what only a newer program can read, or none."""
    try:
        event = decode(record)
    except BadRecord:
        return None
    return event if isinstance(event, MessageEvent) else None


def _drop(connection: sqlite3.Connection, events: list[MessageEvent]) -> int:
    most = min(_FEW, len(events))
    first = {event_id for event_id, _ in connection.execute(_FIRST, (most,))}
    if len(first) < most:
        events = [event for event in events if event_key(event.id) in first]
    connection.executemany(_DROP_NAME, _names(events))
    return max(0, connection.executemany(_DROP, [(event_key(event.id),) for event in events]).rowcount)


def _names(events: Iterable[object]) -> list[tuple[int, bytes]]:
    """Return the rows of `waiting_name` for these events."""
    return [
        (hashed(*name), event_key(event.id))
        for event in events
        if isinstance(event, MessageEvent)
        for name in names_of(event)
    ]
