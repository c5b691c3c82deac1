"""How cost grows: with links, with size, with recipients, and with what the store holds already."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from bench.machine import processor_seconds
from bench.peers.ways import Way
from bench.rewriting import CONFIG, NOW, message
from bench.store_events import hits
from engagement.events.record import encode
from engagement.links.keys import Ring
from engagement.settings import load_text
from engagement.shipper.loop import Shipper
from engagement.spool.write import SpoolWriter
from engagement.stores.sqlite.store import SqliteStore
from smtpapi.model.envelope import Client, Envelope
from smtpapi.pipeline.transaction import Site, consider
from smtpapi.rewrite import raw_message

LINKS = (1, 10, 100, 500, 1000, 2000)
SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
RECIPIENTS = (1, 10, 100, 300, 1000)
_BATCH = 20_000  # events, whose way into the store is timed
_LONGEST = 3.0  # seconds: a way that would take more for one mail, by its last, is not asked for it

Curve = list[tuple[int, float]]
"""Points: how many, and milliseconds of processor time (of events: how many a second)."""


def _document(links: int, size: int) -> bytes:
    rows = [
        f'<p><a href="https://www.example.com/{number}?a=1&amp;b={number}">More</a></p>\n'.encode()
        for number in range(links)
    ]
    filler = b'<p style="margin: 0">Some words about the story, with an entity &amp; more of the same.</p>\n'
    count = max(0, size - sum(map(len, rows))) // len(filler)
    return b"<!DOCTYPE html>\n<html><body>\n" + b"".join(rows) + filler * count + b"</body></html>\n"


def by_links(ways: Sequence[Way]) -> dict[str, Curve]:
    """Return a curve for each way: mails with ever more links."""
    return _curves(ways, [(count, message(_document(count, 0))) for count in LINKS])


def by_size(ways: Sequence[Way]) -> dict[str, Curve]:
    """Return a curve for each way: mails of ever more bytes, with ten links."""
    return _curves(ways, [(size, message(_document(10, size))) for size in SIZES])


def _curves(ways: Sequence[Way], mails: Sequence[tuple[int, bytes]]) -> dict[str, Curve]:
    found: dict[str, Curve] = {}
    for way in ways:
        if way.mail is None:
            continue
        curve = found[way.name] = []
        for count, raw in mails:
            if curve and curve[-1][1] * count / curve[-1][0] > _LONGEST * 1000:
                break
            curve.append((count, _milliseconds(way.mail, raw)))
    return found


def _milliseconds(work: Callable[[bytes], object], raw: bytes) -> float:
    """Processor time of one call, the least of three rounds."""
    return min(_round(work, raw) for _ in range(3))


def _round(work: Callable[[bytes], object], raw: bytes) -> float:
    done, before = 0, processor_seconds(os.getpid())
    while not done or processor_seconds(os.getpid()) - before < 0.2:
        work(raw)
        done += 1
    return (processor_seconds(os.getpid()) - before) / done * 1000


def by_recipients() -> dict[str, Curve]:
    """Return two curves: the first pass over a mail to so many, and all of its copies, one after another."""
    hop = 'rewriting { several_recipients = split split_listener = "127.0.0.1:2526" }\n'
    ring = Ring(()).rotated(bytes(range(32)), NOW)
    site, raw = Site.build(load_text(hop + CONFIG), ring), message(_document(20, 40_000))
    first: Curve = []
    copies: Curve = []

    def passed(recipients: tuple[str, ...]) -> Callable[[bytes], object]:
        envelope = Envelope(Client("127.0.0.1"), "news@example.com", recipients)

        def work(given: bytes) -> object:
            split = raw_message.split(given)
            return consider(site, envelope, split.message, now=float(NOW), tick=time.monotonic)

        return work

    one = _milliseconds(passed(("0@example.test",)), raw)
    for count in RECIPIENTS:
        first.append((count, _milliseconds(passed(tuple(f"{n}@example.test" for n in range(count))), raw)))
        copies.append((count, one * count))
    return {"first pass, all at once": first, "copies with links of their own": copies}


def by_events(most: int, there_is: Path | None = None) -> dict[str, Curve]:
    """Return events a second from the spool into a SQLite store that holds so many already.

    there_is: a store that was filled before, for one point more; it gets the events that are timed.
    """
    curve: Curve = []
    with tempfile.TemporaryDirectory(prefix="bench-growth-") as name:
        folder = Path(name)
        store, there = SqliteStore(folder / "events.db", writing=True), 0
        for size in _decades(most):
            while there < size:
                there += _ship(folder, store, there, min(_BATCH * 5, size - there))[0]
            count, seconds = _ship(folder, store, there, _BATCH)
            there += count
            curve.append((size, count / seconds))
        store.close()
        if there_is is not None:
            with closing(sqlite3.connect(there_is)) as connection:
                (held,) = connection.execute("SELECT count(*) FROM event").fetchone()
            store = SqliteStore(there_is, writing=True)
            _ship(folder, store, held, _BATCH)  # its pages are in memory then, as those of the others are
            count, seconds = _ship(folder, store, held + _BATCH, _BATCH)
            store.close()
            curve.append((held, count / seconds))
    return {"events a second": curve}


def _decades(most: int) -> Iterator[int]:
    size = 10_000
    while size <= most:
        yield size
        size *= 10


def _ship(folder: Path, store: SqliteStore, first: int, count: int) -> tuple[int, float]:
    writer = SpoolWriter(folder / "spool", max_size=1 << 40)
    for event in hits(count, first=first):
        writer.append(encode(event))
    writer.close()
    began = time.monotonic()
    Shipper(folder / "spool", store).drain()
    return count, time.monotonic() - began
