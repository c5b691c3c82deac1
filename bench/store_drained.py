"""What `bench.store` drains, and the store that it goes into: events of one of four streams.

`mail` is what a site has, all of it in the order of its coming, and `hits` the hits alone of it, while
injections and outcomes are in the store (`store_stream`). `random` is hits as this bench had them until
November 2026: three at once of a message that has no injection and a random id, of a thousand campaigns, one
a millisecond. `month` is a month of mail of as many events as are drained (`store_mail`).
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from bench.store_events import hits
from bench.store_mail import Mail
from bench.store_stream import Stream
from engagement.events.model import Event, Hit, Injection, MessageEvent
from engagement.events.rows import EventRow, rows
from engagement.shipper.step import TOGETHER
from engagement.stores.sqlite.store import SqliteStore

STREAMS = ("random", "month", "mail", "hits")


class Drained(NamedTuple):
    """events: to be drained. made: their rows. before: rows of others, which the store has by then."""

    events: list[Event]
    made: list[EventRow]
    before: list[EventRow]


def drained(stream: str, count: int, month: int, held: int) -> Drained:
    """Return so many events of a stream. month: its events in a month. held: rows that are there before."""
    if stream == "random":
        found: list[Event] = list(hits(count, first=held))
        return Drained(found, [row for event in found for row in rows(event)], [])
    pairs: Iterator[tuple[Event, Injection | None]]
    if stream == "month":
        pairs = ((named(event, injection), injection) for event, injection in Mail(count).events())
    else:
        mail = Stream(month)
        mail.skip(held)
        pairs = mail.events()
    chosen = Drained([], [], [])
    for event, injection in pairs:
        made = rows(event, injection=injection)
        if stream == "hits" and not isinstance(event, Hit):
            chosen.before.extend(made)
            continue
        chosen.events.append(event)
        chosen.made.extend(made)
        if len(chosen.events) == count:
            break
    return chosen


def named(event: Event, injection: Injection | None) -> Event:
    """The event as the spool would hold it if it named its message."""
    if isinstance(event, MessageEvent) and injection is not None:
        return event._replace(message_id=injection.message_id)
    return event


def held(into: Path) -> int:
    """Return how many rows a store has."""
    with closing(sqlite3.connect(into)) as connection:
        return int(connection.execute("SELECT count(*) FROM event").fetchone()[0])


def fill(path: Path, stream: str, count: int) -> None:
    """Fill a store with a month of a stream, so many rows, and tell how fast. One begun before goes on."""
    store, began, spent = SqliteStore(path, writing=True), time.process_time(), 0.0
    first = done = held(path)
    made = islice(_all(stream, count, first), max(0, count - first))
    while part := list(islice(made, TOGETHER)):
        start = time.process_time()
        with store.together():
            store.add(part)
        spent += time.process_time() - start
        done += len(part)
        if done % (10 * TOGETHER) < len(part):
            print(
                f"{done:10,} rows, {(done - first) / spent:8,.0f} for a second of the processor", flush=True
            )
    store.roll_up()
    store.close()
    size = path.stat().st_size / done
    print(f"{done:,} rows, {size:.0f} bytes each, {time.process_time() - began:.0f} s", flush=True)


def _all(stream: str, month: int, first: int) -> Iterator[EventRow]:
    """Yield the rows of a stream behind so many."""
    if stream == "random":
        for hit in hits(month - first, first=first):
            yield from rows(hit)
        return
    mail = Stream(month)
    mail.skip(first)
    for event, injection in mail.events():
        yield from rows(event, injection=injection)
