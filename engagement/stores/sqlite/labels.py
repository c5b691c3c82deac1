"""Hits and their labels in the store's file: read to be classified anew, changed, and the ones before."""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, Final

from engagement.events.classify import Classification, ReaderClass
from engagement.events.fields import LINK_UNSUBSCRIBE, TYPES
from engagement.events.ids import derived
from engagement.events.model import Hit, Injection, MessageName, names_of
from engagement.events.record import BadRecord, decode
from engagement.stores.aggregate import minutes_to_count
from engagement.stores.minute_rollup import MINUTES
from engagement.stores.port import LabelledHit, PastLabel, cursor_position
from engagement.stores.sqlite.connection import in_transaction
from engagement.stores.sqlite.queries import MARK_STALE, name_key
from engagement.stores.sqlite.waiting import WaitingEvents, event_key

_MOST: Final = 1_000  # hits of one message
_HIT_TYPES: Final = ", ".join(f"'{name}'" for name in TYPES.values())
_HIT: Final = f"""
SELECT event.body, event.client, event.reason, event.rules, event.certain, event.message_id FROM event
WHERE event.type IN ({_HIT_TYPES})
"""  # noqa: S608 - names of ours
_HITS: Final = f"""{_HIT} AND event.at_ms >= ? AND event.at_ms < ?
AND (event.at_ms, event.event_id) > (?, ?) ORDER BY event.at_ms, event.event_id LIMIT ?"""
_HITS_OF: Final = f"""{_HIT} AND event.message_id = ?
ORDER BY event.at_ms DESC, event.event_id DESC LIMIT {_MOST}"""
_DELIVERED: Final = "SELECT min(at_ms) FROM event WHERE message_id = ? AND type = 'delivery'"
_LABEL: Final = "SELECT at_ms, tenant, client, reason, rules, certain FROM event WHERE event_id = ?"
_RELABEL: Final = "UPDATE event SET client = ?, reason = ?, rules = ?, certain = ? WHERE event_id = ?"
_RELABEL_SECOND: Final = f"{_RELABEL} AND type = '{LINK_UNSUBSCRIBE}'"
_KEEP: Final = """
INSERT INTO verdict (event_id, until_ms, client, reason, rules, certain) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
"""
_PAST: Final = """
SELECT client, reason, rules, certain, until_ms FROM verdict WHERE event_id = ? ORDER BY until_ms
"""
_INJECTIONS: Final = """
SELECT event.body FROM lookup JOIN event ON event.event_id = lookup.event_id WHERE lookup.name = ?
ORDER BY event.at_ms DESC, event.event_id DESC
"""


class LabelledEvents(WaitingEvents):
    """The hits of a file with their labels, and the injections by their names."""

    def injections(self, names: Iterable[MessageName]) -> Mapping[MessageName, tuple[Injection, ...]]:
        """See the port."""
        found: dict[MessageName, tuple[Injection, ...]] = {}
        for name in dict.fromkeys(names):
            events = [_decoded(body) for (body,) in self._ask(_INJECTIONS, [name_key(name.what, name.text)])]
            named = tuple(
                event for event in events if isinstance(event, Injection) and name in names_of(event)
            )
            if named:
                found[name] = named
        return found

    def hits(self, from_ms: int, to_ms: int, after: str = "", limit: int = 1000) -> tuple[LabelledHit, ...]:
        """See the port."""
        at_ms, event_id = cursor_position(after) if after else (-1, "")
        values = [from_ms, to_ms, at_ms, event_key(event_id) if event_id else b"", limit]
        return _labelled(self._ask(_HITS, values))

    def hits_of(self, messages: Iterable[bytes]) -> Mapping[bytes, tuple[LabelledHit, ...]]:
        """See the port."""
        found = {message: _labelled(self._ask(_HITS_OF, [message])[::-1]) for message in set(messages)}
        return {message: hits for message, hits in found.items() if hits}

    def deliveries(self, messages: Iterable[bytes]) -> Mapping[bytes, int]:
        """See the port."""
        found = {message: self._ask(_DELIVERED, [message]) for message in set(messages)}
        return {message: lines[0][0] for message, lines in found.items() if lines and lines[0][0] is not None}

    def relabel(self, labels: Iterable[LabelledHit], at_ms: int) -> int:
        """See the port."""
        wanted = list(labels)

        def all_of_them(connection: sqlite3.Connection) -> tuple[int, set[tuple[str, int]]]:
            done, changed = 0, set[tuple[str, int]]()
            for hit, label in wanted:
                touched = _relabel(connection, hit, label, at_ms)
                done += bool(touched)
                changed |= touched
            connection.executemany(MARK_STALE, {(tenant, minute // MINUTES) for tenant, minute in changed})
            return done, changed

        done, changed = self._do(
            lambda connection: in_transaction(connection, all_of_them), (0, set[tuple[str, int]]())
        )
        for tenant, minute in changed:
            self._changed(tenant, minute)
        return done

    def _changed(self, tenant: str, minute: int) -> None:
        """Note that a minute has other events than before."""

    def past_labels(self, event_id: str) -> tuple[PastLabel, ...]:
        """See the port."""
        return tuple(
            PastLabel(Classification(ReaderClass(client), reason, rules, bool(certain)), until_ms)
            for client, reason, rules, certain, until_ms in self._ask(_PAST, [event_key(event_id)])
        )


def _relabel(
    connection: sqlite3.Connection, hit: Hit, label: Classification, at_ms: int
) -> set[tuple[str, int]]:
    """Change a hit's label; return the minutes (of a tenant) whose figures change, none if it stays."""
    key = event_key(hit.id)
    found = connection.execute(_LABEL, (key,)).fetchone()
    if found is None:
        return set()
    happened, tenant, *before = found
    after = [label.client.value, label.reason, label.rules, int(label.certain)]
    if before == after or age(before[2]) > age(label.rules):
        return set()
    connection.execute(_KEEP, (key, at_ms, *before))
    connection.execute(_RELABEL, (*after, key))
    connection.execute(
        _RELABEL + f" AND type = '{LINK_UNSUBSCRIBE}'", (*after, event_key(derived(hit.id, 1)))
    )
    return {(tenant, minute) for minute in minutes_to_count(happened)}


def age(rules: str | None) -> int:
    """Return a number that grows with the version of rules, 0 for a text that is no number."""
    return int(rules) if rules and rules.isascii() and rules.isdigit() and len(rules) < 10 else 0


def _decoded(body: bytes) -> object:
    try:
        return decode(body)
    except BadRecord:  # a row of an early schema, whose fields alone are kept
        return None


def _labelled(lines: list[tuple[Any, ...]]) -> tuple[LabelledHit, ...]:
    found = []
    for body, client, reason, rules, certain, _message in lines:
        event = _decoded(body)
        if isinstance(event, Hit):
            label = Classification(ReaderClass(client), reason or "", rules or "", bool(certain))
            found.append(LabelledHit(event, label))
    return tuple(found)
