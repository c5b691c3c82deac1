"""How fast events go into a store, and whether questions stay flat as it grows.

`--engine cassandra --port P`: the same with a Cassandra that runs there (see `store_cassandra`).

With SQLite `add` is set against a bare executemany of the same rows into the same schema, each 1,000 rows a
transaction with the same durability, in the same run. The target: at least half of it, or 20,000 events/s.
`--events N` sets how many; `--growth` asks the same questions at N/100 and at N, target: at most 1.5 times.
`drain` is the whole way: spool, decode, classify, add, commit.
"""

import argparse
import gc
import json
import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from engagement.events.ids import EventIds
from engagement.events.record import encode
from engagement.events.rows import Row, rows
from engagement.events.types import Hit
from engagement.links.keys import Ring
from engagement.links.token import copy_sealer, open_token
from engagement.links.types import CLICKS, Identity, Kind, Link
from engagement.shipper.loop import Shipper
from engagement.spool.write import Writer
from engagement.stores.port import EventStore, Query
from engagement.stores.sqlite import _CACHE_KIB, _LOG_PAGES, SqliteStore
from engagement.stores.statements import ADD_EVENT, event_values

START = 1_793_001_722_000
BATCH = 1000


def hits(count: int, *, first: int = 0) -> Iterator[Hit]:
    """Hits of a sender whose messages draw two or three each, one a millisecond."""
    chance, ids, ring = random.Random(first), EventIds(b"8 chance"), Ring(()).rotated(b"k" * 32, 1)
    message = 0
    for number in range(first, first + count):
        if number % 3 == 0 or number == first:
            message = chance.getrandbits(127)
            person = f"reader{message % (1 << 30)}@example{message % 50}.net"
            identity = Identity(
                message.to_bytes(16, "big"), message % (1 << 63), person, START // 1000, START // 1000 + 999,
                "", f"campaign-{message % 1000}", ("letter", "nl"), '{"shop":"north"}', "12",
            )  # fmt: skip
            sealer = copy_sealer(ring.signing, identity)
        kind = (Kind.OPEN, Kind.CLICK, Kind.CLICK)[number % 3]
        target = b"https://shop.example.org/offers/%d" % (number % 40)
        link = Link(target, "top banner") if kind in CLICKS else None
        at_ms = START + number
        yield Hit(
            ids.next(at_ms), kind, at_ms, open_token(sealer.seal(kind, link), ring).packed, "", "203.0.113.9",
            "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0", "nb-NO", "GET", "t.example.org",
            False, False,
        )  # fmt: skip


def batches(made: list[Row]) -> Iterator[list[Row]]:
    for start in range(0, len(made), BATCH):
        yield made[start : start + BATCH]


def time_add(path: Path, made: list[Row]) -> float:
    store = SqliteStore(path, writing=True)
    began = time.perf_counter()
    for batch in batches(made):
        store.add(batch)
    elapsed = time.perf_counter() - began
    store.close()
    return elapsed


def time_bare(path: Path, made: list[Row]) -> float:
    SqliteStore(path, writing=True).close()
    values = [[event_values(row) for row in batch] for batch in batches(made)]
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("synchronous = FULL", f"wal_autocheckpoint = {_LOG_PAGES}", f"cache_size = -{_CACHE_KIB}"):
        connection.execute(f"PRAGMA {pragma}")
    statement = ADD_EVENT.partition("ON CONFLICT")[0]
    began = time.perf_counter()
    for batch in values:
        connection.execute("BEGIN")
        connection.executemany(statement, batch)
        connection.execute("COMMIT")
    elapsed = time.perf_counter() - began
    connection.close()
    return elapsed


def time_drain(folder: Path, events: list[Hit]) -> float:
    writer = Writer(folder / "spool", max_size=1 << 40)
    for event in events:
        writer.append(encode(event))
    writer.close()
    store = SqliteStore(folder / "drained.db", writing=True)
    began = time.perf_counter()
    shipper = Shipper(folder / "spool", store)
    while shipper.step():
        pass
    elapsed = time.perf_counter() - began
    store.close()
    return elapsed


def questions(store: EventStore, sample: list[Row]) -> dict[str, float]:
    """Median milliseconds of one question, asked of different messages, people and seconds."""
    asked = {
        "message": lambda row: Query(messages=(row.message_id,)),
        "recipient": lambda row: Query(recipients=(row.recipient,)),
        "second": lambda row: Query(from_ms=row.at_ms - 1000, to_ms=row.at_ms, limit=100),
        "latest 100": lambda _row: Query(limit=100),
    }
    result = {}
    for name, query in asked.items():
        times = []
        for row in sample:
            began = time.perf_counter()
            list(store.find(query(row)))
            times.append(time.perf_counter() - began)
        result[name] = sorted(times)[len(times) // 2] * 1000
    began = time.perf_counter()
    store.totals(Query())
    result["totals"] = (time.perf_counter() - began) * 1000
    return result


def growth(folder: Path, count: int) -> dict[str, dict[str, float]]:
    told = {}
    path = folder / "growth.db"
    store = SqliteStore(path, writing=True)
    stored = 0
    for size in (count // 100, count):
        sample: list[Row] = []
        while stored < size:
            part = min(50_000, size - stored)
            made = [row for event in hits(part, first=stored) for row in rows(event)]
            stored += part
            for batch in batches(made):
                store.add(batch)
            sample += made[:: max(1, len(made) // 60)]
        random.Random(1).shuffle(sample)
        began = time.perf_counter()
        store.roll_up()
        rolled = time.perf_counter() - began
        reader = SqliteStore(path)
        told[f"{size}"] = questions(reader, sample[:300]) | {"roll-up, s": rolled}
        reader.close()
        told[f"{size}"] |= {"bytes an event": path.stat().st_size / size}
    store.close()
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=30_000)
    parser.add_argument("--directory", type=Path, help="where the files go; a temporary folder if not given")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--engine", choices=("sqlite", "cassandra"), default="sqlite")
    parser.add_argument("--port", type=int, default=9042, help="of a Cassandra on 127.0.0.1")
    parser.add_argument("--data", type=Path, help="the node's data folder, to weigh it")
    arguments = parser.parse_args()
    count = arguments.events
    with tempfile.TemporaryDirectory(dir=arguments.directory) as name:
        folder = Path(name)
        told: dict[str, object]
        if arguments.engine == "cassandra":
            from bench import store_cassandra

            if arguments.growth:
                told = dict(store_cassandra.growth(arguments.port, count, arguments.data, hits, questions))
            else:
                events = list(hits(count))
                made = [row for event in events for row in rows(event)]
                gc.freeze()
                told = store_cassandra.speed(arguments.port, folder, events, lambda: batches(made))
        elif arguments.growth:
            told = dict(growth(folder, count))
        else:
            events = list(hits(count))
            made = [row for event in events for row in rows(event)]
            gc.freeze()  # else each collection walks through what only this script keeps
            bare, add, drain = (
                time_bare(folder / "bare.db", made),
                time_add(folder / "add.db", made),
                time_drain(folder, events),
            )
            told = {
                "bare executemany": count / bare,
                "add": count / add,
                "add / bare": bare / add,
                "drain": count / drain,
                "drain / bare": bare / drain,
                "bytes an event": (folder / "add.db").stat().st_size / count,
            }
    if arguments.json:
        print(json.dumps(told))
        return
    for label, value in told.items():
        if isinstance(value, dict):
            print(f"at {int(label):,} events")
            for question, figure in value.items():
                print(f"  {question:16} {figure:12.3f}")
        else:
            print(f"{label:18} {value:12,.2f}")


if __name__ == "__main__":
    main()
