"""Rows of the file as the facts that figures are made of."""

import sqlite3
from collections.abc import Iterable
from typing import Any, Final

from engagement.events.model import Injection, MessageEvent
from engagement.events.rows import EventRow, RowSource
from engagement.figures.facts import Fact, fact_of
from engagement.stores.sqlite.codes import CLASSES, TYPES
from engagement.stores.sqlite.terms import Terms

# The columns of `event` that a fact is made of, in order, and then the place.
COLUMNS: Final = (
    "event.at_ms, event.type, event.event_id, event.campaign, event.domain, event.link, event.class, "
    "event.certain, event.reason, event.expired, event.hits, event.ordinal, event.name, event.size, "
    "event.bounce, event.tries, event.wait, event.place"
)
_INJECTION: Final = TYPES.index("injection")


def fact(connection: sqlite3.Connection, terms: Terms, line: tuple[Any, ...]) -> Fact:
    """Return what figures know of a row. line: `COLUMNS`."""
    at_ms, kind, event_id, campaign, domain, link, client, certain, reason, expired, hits = line[:11]
    ordinal, name, size, bounce, tries, wait = line[11:17]
    tracked = tries if kind == _INJECTION else 0
    return Fact(
        at_ms,
        TYPES[kind],
        event_id,
        terms.text(connection, campaign),
        terms.text(connection, domain),
        link,
        CLASSES[client],
        bool(certain),
        terms.text(connection, reason),
        bool(expired),
        hits,
        ordinal,
        terms.text(connection, name),
        bool(tracked & 1),
        bool(tracked & 2),
        size,
        bounce,
        -1 if kind == _INJECTION else tries,
        wait,
    )


def facts(connection: sqlite3.Connection, terms: Terms, lines: Iterable[tuple[Any, ...]]) -> list[Fact]:
    """Return the facts of several rows."""
    return [fact(connection, terms, line) for line in lines]


def tries_and_wait(row: EventRow) -> tuple[int, int]:
    """Return the columns `tries` and `wait` of a row."""
    source = row.source
    if isinstance(source, RowSource):
        event = source.event
        if isinstance(event, MessageEvent):
            return event.num_retries, event.queue_time
        if isinstance(event, Injection):
            return int(event.opens) + 2 * int(event.clicks), -1
        return -1, -1
    known = fact_of(row)
    return (
        int(known.opens) + 2 * int(known.clicks) if row.type == "injection" else known.retries
    ), known.queue_ms
