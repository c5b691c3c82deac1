"""Hits and their labels in the file: read to be classified anew, changed, and the ones before."""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, Final

from engagement.events.classify import Classification, ReaderClass, rules_number
from engagement.events.ids import derived
from engagement.events.model import Hit, Injection, MessageEvent, MessageName, names_of
from engagement.events.record import BadRecord, decode
from engagement.figures.facts import Fact
from engagement.stores.port import HITS_OF_A_MESSAGE, Enough, LabelledHit, PastLabel
from engagement.stores.sqlite.codes import (
    CLASS_CODES,
    CLASSES,
    HITS,
    NAMES,
    TYPE_CODES,
    Lookup,
    event_key,
    hashed,
)
from engagement.stores.sqlite.counting.facts import COLUMNS, fact
from engagement.stores.sqlite.counting.figures import Differences, ever_of, of_message
from engagement.stores.sqlite.counting.grouped import forget
from engagement.stores.sqlite.reading import tenants
from engagement.stores.sqlite.terms import Terms
from engagement.stores.sqlite.writing import Change, replace, state

# Tenant, message, and of an event without one its time and id.
_Whose = tuple[int, bytes, tuple[int, bytes] | None]

_HIT_TYPES: Final = ", ".join(map(str, HITS))
_LABEL: Final = "body.record, event.class, event.reason, event.rules, event.certain"
_HITS: Final = f"""
SELECT {_LABEL} FROM event INDEXED BY sqlite_autoindex_event_1 CROSS JOIN body ON body.place = event.place
WHERE event.tenant = ? AND event.at_ms >= ? AND event.at_ms < ? AND (event.at_ms, event.event_id) > (?, ?)
    AND +event.type IN ({_HIT_TYPES})
ORDER BY event.at_ms, event.event_id LIMIT ?
"""  # noqa: S608 - names of ours
_HITS_OF: Final = f"""
SELECT {_LABEL} FROM event INDEXED BY by_message CROSS JOIN body ON body.place = event.place
WHERE event.message = ? AND event.type IN ({_HIT_TYPES})
ORDER BY event.at_ms DESC, event.event_id DESC LIMIT {HITS_OF_A_MESSAGE}
"""  # noqa: S608 - names of ours
_DELIVERED: Final = f"""
SELECT min(at_ms) FROM event INDEXED BY by_message WHERE message = ? AND type = {TYPE_CODES["delivery"]}
"""  # noqa: S608 - a number of ours
_PRESENT: Final = f"""
SELECT {COLUMNS}, event.tenant, event.message, event.rules FROM event
WHERE event.tenant = ? AND event.at_ms = ? AND event.event_id = ?
"""  # noqa: S608 - fixed text
_RELABEL: Final = """
UPDATE event SET class = ?, certain = ?, reason = ?, rules = ? WHERE tenant = ? AND at_ms = ? AND event_id = ?
"""
_KEEP: Final = """
INSERT INTO verdict (event_id, number, until_ms, class, certain, reason, rules)
VALUES (?1, (SELECT count(*) FROM verdict WHERE event_id = ?1), ?2, ?3, ?4, ?5, ?6)
"""
_PAST: Final = """
SELECT class, certain, reason, rules, until_ms FROM verdict WHERE event_id = ? ORDER BY number
"""
_INJECTIONS: Final = f"""
SELECT body.record FROM event INDEXED BY by_message CROSS JOIN body ON body.place = event.place
WHERE event.message = ? AND event.type = {TYPE_CODES["injection"]}
"""  # noqa: S608 - a number of ours
_BY_EVENT: Final = """
SELECT body.record FROM event CROSS JOIN body ON body.place = event.place
WHERE event.tenant = 0 AND event.at_ms = ? AND event.event_id = ?
"""


_SINGLE: Final = 4  # runs that are looked into one by one: some 500,000 events
_RUN_BEFORE: Final = "SELECT max(run) FROM lookup WHERE run < ?"
_IN_RUN: Final = "SELECT ref FROM lookup WHERE run = ? AND what = ? AND hash = ?"
_IN_OLDER_RUNS: Final = """
WITH RECURSIVE runs (run) AS (
    SELECT (SELECT max(run) FROM lookup WHERE run < ?)
    UNION ALL SELECT (SELECT max(lookup.run) FROM lookup WHERE lookup.run < runs.run) FROM runs
    WHERE runs.run IS NOT NULL
)
SELECT lookup.ref FROM runs CROSS JOIN lookup
    ON lookup.run = runs.run AND lookup.what = ? AND lookup.hash = ?
WHERE NOT EXISTS (SELECT 1 FROM state WHERE name = 'injected ' || runs.run AND value < ?)
"""


def decoded(record: bytes) -> Hit | Injection | MessageEvent | None:
    """Return the event of a record, None for a row of an early schema, whose fields alone are kept."""
    try:
        return decode(record)
    except BadRecord:
        return None


def hits(
    connection: sqlite3.Connection, terms: Terms, span: tuple[int, int], after: tuple[int, bytes], limit: int
) -> list[LabelledHit]:
    """Return hits of a time, oldest first, of all tenants."""
    found: list[tuple[Any, ...]] = []
    for tenant in tenants(connection):
        found += connection.execute(_HITS, (tenant, *span, *after, limit))
    return sorted(_labelled(connection, terms, found), key=lambda each: (each.hit.at_ms, each.hit.id))[:limit]


def hits_of(connection: sqlite3.Connection, terms: Terms, message: bytes) -> list[LabelledHit]:
    """Return the hits of a message, oldest first."""
    return _labelled(connection, terms, connection.execute(_HITS_OF, (message,)).fetchall()[::-1])


def delivered(connection: sqlite3.Connection, message: bytes) -> int | None:
    """Return when a message was delivered first."""
    (at_ms,) = connection.execute(_DELIVERED, (message,)).fetchone()
    return None if at_ms is None else int(at_ms)


class Runs:
    """The runs of `lookup`, newest first: what is asked for mostly came not long ago.

    since_ms: older ones need not be looked into that hold injections of before alone.
    """

    def __init__(self, connection: sqlite3.Connection, since_ms: int) -> None:
        self._connection = connection
        self._since_ms = since_ms
        self._newest: list[int] = []
        before = 1 << 62
        while len(self._newest) < _SINGLE:
            (before,) = connection.execute(_RUN_BEFORE, (before,)).fetchone()
            if before is None:
                break
            self._newest.append(before)

    def refs(self, what: Lookup, number: int) -> Iterator[set[bytes]]:
        """Yield what `lookup` leads to, as `refs`: of the newest runs one by one, then of all others."""
        for run in self._newest:
            yield {ref for (ref,) in self._connection.execute(_IN_RUN, (run, int(what), number))}
        if len(self._newest) == _SINGLE:
            values = self._newest[-1], int(what), number, self._since_ms
            older = self._connection.execute(_IN_OLDER_RUNS, values)
            yield {ref for (ref,) in older}


def injections(
    connection: sqlite3.Connection, name: MessageName, runs: Runs, enough: Enough | None = None
) -> list[Injection]:
    """Return the injections of messages with a name, newest first. enough: see the port."""
    found: dict[str, Injection] = {}
    ordered: list[Injection] = []
    for refs_found in runs.refs(NAMES[name.what], hashed(name.text)) if name.what in NAMES else ():
        for ref in refs_found:
            if len(ref) == 16:
                lines = connection.execute(_INJECTIONS, (ref,)).fetchall()
            else:
                lines = connection.execute(_BY_EVENT, (int.from_bytes(ref[:8], "big"), ref[8:])).fetchall()
            for (record,) in lines:
                event = decoded(record)
                if isinstance(event, Injection) and name in names_of(event):
                    found[event.id] = event
        ordered = sorted(found.values(), key=lambda one: (one.at_ms, one.id), reverse=True)
        if ordered and enough and enough(name, ordered):
            break
    return ordered


def past_labels(connection: sqlite3.Connection, terms: Terms, event_id: str) -> tuple[PastLabel, ...]:
    """Return the labels that a hit had before, oldest first. Raises ValueError for a text that is no id."""
    return tuple(
        PastLabel(_label(connection, terms, client, reason, rules, certain), until_ms)
        for client, certain, reason, rules, until_ms in connection.execute(_PAST, (event_key(event_id),))
    )


def relabel(connection: sqlite3.Connection, terms: Terms, labels: Iterable[LabelledHit], at_ms: int) -> int:
    """Change labels and the figures with them, in a transaction of the caller's; return how many changed.

    Raises ValueError for a hit whose id is none.
    """
    groups: dict[_Whose, list[tuple[int | bytes, ...]]] = {}
    changed: set[tuple[int, int]] = set()
    made, done = Differences(), 0
    for hit, label in labels:
        key = terms.number(connection, hit.tenant), hit.at_ms, event_key(hit.id)
        line = connection.execute(_PRESENT, key).fetchone()
        if line is None:
            continue
        before = _label(connection, terms, line[6], line[8], line[20], line[7])
        if before == label or rules_number(before.rules) > rules_number(label.rules):
            continue
        numbers = terms.numbers(connection)
        new = CLASS_CODES[label.client.value], int(label.certain), numbers[label.reason], numbers[label.rules]
        connection.execute(_KEEP, (key[2], at_ms, line[6], line[7], line[8], line[20]))
        whose = line[18], line[19], (key[1:] if not line[19] else None)
        groups.setdefault(whose, []).extend(
            (*new, *key[:2], event_id) for event_id in (key[2], event_key(derived(hit.id, 1)))
        )
        changed.add(key[:2])
        done += 1
    rolled = state(connection, "rolled")
    for whose, values in groups.items():
        old = _contributing(connection, terms, whose, rolled)
        connection.executemany(_RELABEL, values)
        made.change(
            whose[0], old, _contributing(connection, terms, whose, rolled), ever_of(connection, whose[1])
        )
    made.apply(connection, terms)
    forget(connection, changed)
    return done


def change(connection: sqlite3.Connection, terms: Terms, changes: list[Change]) -> None:
    """Make changes of rows and of the figures with them, in a transaction of the caller's."""
    made, rolled = Differences(), state(connection, "rolled")
    whose: dict[_Whose, list[Fact]] = {
        (each.event[0], each.message, None if each.message else each.event[1:3]): [] for each in changes
    }
    for one in whose:
        whose[one] = _contributing(connection, terms, one, rolled)
    replace(connection, changes)
    for one, old in whose.items():
        made.change(one[0], old, _contributing(connection, terms, one, rolled), ever_of(connection, one[1]))
    made.apply(connection, terms)
    forget(connection, (each.event[:2] for each in changes))


def _contributing(connection: sqlite3.Connection, terms: Terms, whose: _Whose, rolled: int) -> list[Fact]:
    """Return the facts of a message, or of an event without one, that are in the figures."""
    tenant, message, key = whose
    if key is None:
        return of_message(connection, terms, tenant, message, rolled)
    line = connection.execute(_PRESENT, (tenant, *key)).fetchone()
    return [fact(connection, terms, line)] if line and line[17] <= rolled else []


def _label(
    connection: sqlite3.Connection, terms: Terms, client: int, reason: int, rules: int, certain: int
) -> Classification:
    texts = terms.text(connection, reason), terms.text(connection, rules)
    return Classification(ReaderClass(CLASSES[client]), *texts, bool(certain))


def _labelled(
    connection: sqlite3.Connection, terms: Terms, lines: Iterable[tuple[Any, ...]]
) -> list[LabelledHit]:
    found = []
    for record, client, reason, rules, certain in lines:
        event = decoded(record)
        if isinstance(event, Hit):
            found.append(LabelledHit(event, _label(connection, terms, client, reason, rules, certain)))
    return found
