"""How fast events go into a store, and whether questions stay flat as it grows.

`--engine cassandra --port P`: the same with a Cassandra that runs there (see `store_cassandra`).

With SQLite `add` is set against a bare executemany of the same rows into the same schema, each 1,000 rows a
transaction with the same durability, and `drain` is the whole way: spool, decode, classify, add, commit. The
three take turns, and the middle of `--rounds` is told, by the clock and by the processor: on a busy
machine only the latter means much. The target: at least half of it, or 20,000 events/s.
`--events N` sets how many. `--growth` fills one store with N/100 events and another with N, asks both the
same questions in turns and tells the ratio; target: at most 1.5. Its events fall into one hour, a busy one,
whose figures are made once as a whole, and again after another thousand events.
"""

import argparse
import gc
import json
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from engagement.events.ids import EventIds
from engagement.events.model import Hit
from engagement.events.record import encode
from engagement.events.rows import EventRow, rows
from engagement.links.model import CLICKS, Identity, Kind, Link
from engagement.links.payload import pack_identity, pack_link, payload
from engagement.shipper.loop import Shipper
from engagement.spool.write import SpoolWriter
from engagement.stores.aggregate import HOUR_MS
from engagement.stores.port import EventStore, Query
from engagement.stores.sqlite.queries import ADD_EVENT, event_values
from engagement.stores.sqlite.store import _CACHE_KIB, _LOG_PAGES, SqliteStore

START = 1_793_001_722_000
BATCH = 1000


def hits(count: int, *, first: int = 0) -> Iterator[Hit]:
    """Hits of a sender whose messages draw two or three each, one a millisecond."""
    chance, ids = random.Random(first), EventIds(b"8 chance")
    message = 0
    for number in range(first, first + count):
        if number % 3 == 0 or number == first:
            message = chance.getrandbits(127)
            person = f"reader{message % (1 << 30)}@example{message % 50}.net"
            identity = Identity(
                message.to_bytes(16, "big"), message % (1 << 63), person, START // 1000, START // 1000 + 999,
                "", f"campaign-{message % 1000}", ("letter", "nl"), '{"shop":"north"}', "12",
            )  # fmt: skip
            whose = pack_identity(identity)
        kind = (Kind.OPEN, Kind.CLICK, Kind.CLICK)[number % 3]
        target = b"https://shop.example.org/offers/%d" % (number % 40)
        link = pack_link(Link(target, "top banner")) if kind in CLICKS else b""
        at_ms = START + number
        yield Hit(
            ids.next(at_ms), kind, at_ms, payload(whose, link, filler=False), "", "203.0.113.9",
            "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0", "nb-NO", "GET", "t.example.org",
            False, False,
        )  # fmt: skip


def batches(made: list[EventRow]) -> Iterator[list[EventRow]]:
    for start in range(0, len(made), BATCH):
        yield made[start : start + BATCH]


Took = tuple[float, float]  # seconds of the clock, of the processor


def took(work: Callable[[], object]) -> Took:
    began, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - used


def time_add(path: Path, made: list[EventRow]) -> Took:
    store = SqliteStore(path, writing=True)

    def work() -> None:
        for batch in batches(made):
            store.add(batch)

    elapsed = took(work)
    store.close()
    return elapsed


def time_bare(path: Path, made: list[EventRow]) -> Took:
    SqliteStore(path, writing=True).close()
    values = [[event_values(row) for row in batch] for batch in batches(made)]
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("synchronous = FULL", f"wal_autocheckpoint = {_LOG_PAGES}", f"cache_size = -{_CACHE_KIB}"):
        connection.execute(f"PRAGMA {pragma}")
    statement = ADD_EVENT.partition("ON CONFLICT")[0]

    def work() -> None:
        for batch in values:
            connection.execute("BEGIN")
            connection.executemany(statement, batch)
            connection.execute("COMMIT")

    elapsed = took(work)
    connection.close()
    return elapsed


def time_drain(folder: Path, events: list[Hit]) -> Took:
    writer = SpoolWriter(folder / "spool", max_size=1 << 40)
    for event in events:
        writer.append(encode(event))
    writer.close()
    store = SqliteStore(folder / "drained.db", writing=True)

    def work() -> None:
        shipper = Shipper(folder / "spool", store)
        while shipper.step():
            pass

    elapsed = took(work)
    store.close()
    return elapsed


QUESTIONS: dict[str, Callable[[EventRow], Query]] = {
    "by message": lambda row: Query(messages=(row.message_id,)),
    "by recipient": lambda row: Query(recipients=(row.recipient,)),
    "one second": lambda row: Query(from_ms=row.at_ms - 1000, to_ms=row.at_ms, limit=100),
    "latest 100": lambda _row: Query(limit=100),
    "latest of an hour": lambda row: Query(
        from_ms=row.at_ms // HOUR_MS * HOUR_MS, to_ms=(row.at_ms // HOUR_MS + 1) * HOUR_MS, limit=100
    ),
}


def compared(stores: list[tuple[EventStore, list[EventRow]]]) -> dict[str, list[float]]:
    """Median milliseconds of each question, by store. Asked in turns, each store about rows of its own."""
    told = {}
    for name, query in QUESTIONS.items():
        times: list[list[float]] = [[] for _ in stores]
        for turn in zip(*(sample for _, sample in stores), strict=False):
            for (store, _), row, taken in zip(stores, turn, times, strict=True):
                began = time.perf_counter()
                found = list(store.find(query(row)))
                taken.append((time.perf_counter() - began) * 1000)
                assert found or name == "one second"
        told[name] = [statistics.median(taken) for taken in times]
    times = [[] for _ in stores]
    for _ in range(20):
        for (store, _), taken in zip(stores, times, strict=True):
            began = time.perf_counter()
            store.totals(Query())
            taken.append((time.perf_counter() - began) * 1000)
    told["page's figures"] = [statistics.median(taken) for taken in times]
    return told


def filled(path: Path, count: int) -> tuple[SqliteStore, list[EventRow], dict[str, float]]:
    """A store of so many events, a sample of its rows, and what making its figures took."""
    store, sample = SqliteStore(path, writing=True), list[EventRow]()
    for start in range(0, count, 50_000):
        made = [row for event in hits(min(50_000, count - start), first=start) for row in rows(event)]
        for batch in batches(made):
            store.add(batch)
        sample += made[:: max(1, len(made) * 300 // count)]
    store.close()
    weight = path.stat().st_size / count
    store, rolled = SqliteStore(path, writing=True), []
    for extra in (0, 1000):
        store.add([row for event in hits(extra, first=count) for row in rows(event)])
        began = time.process_time()
        store.roll_up()
        rolled.append(time.process_time() - began)
    random.Random(1).shuffle(sample)
    store.close()
    told = {"bytes an event": weight, "figures, whole, CPU s": rolled[0], "figures, again, CPU s": rolled[1]}
    return SqliteStore(path), sample[:300], told


def growth(folder: Path, count: int) -> dict[str, list[float]]:
    made = [filled(folder / f"{size}.db", size) for size in (count // 100, count)]
    told = compared([(store, sample) for store, sample, _ in made])
    for store, _, _ in made:
        store.close()
    return told | {name: [each[name] for _, _, each in made] for name in made[0][2]}


def speed(folder: Path, count: int, rounds: int) -> dict[str, float]:
    events = list(hits(count))
    made = [row for event in events for row in rows(event)]
    gc.freeze()  # else each collection walks through what only this script keeps
    told: dict[str, list[float]] = {}
    for number in range(rounds):
        place = folder / str(number)
        place.mkdir()
        bare, add = time_bare(place / "bare.db", made), time_add(place / "add.db", made)
        drain = time_drain(place, events)
        for name, value in (
            ("bare executemany", count / bare[0]),
            ("add", count / add[0]),
            ("drain", count / drain[0]),
            ("add / bare", bare[0] / add[0]),
            ("drain / bare", bare[0] / drain[0]),
            ("drain, CPU", count / drain[1]),
            ("add / bare, CPU", bare[1] / add[1]),
            ("drain / bare, CPU", bare[1] / drain[1]),
            ("bytes an event", (place / "add.db").stat().st_size / count),
        ):
            told.setdefault(name, []).append(value)
    return {name: statistics.median(values) for name, values in told.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=30_000)
    parser.add_argument("--directory", type=Path, help="where the files go; a temporary folder if not given")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--engine", choices=("sqlite", "cassandra"), default="sqlite")
    parser.add_argument("--port", type=int, default=9042, help="of a Cassandra on 127.0.0.1")
    parser.add_argument("--data", type=Path, help="the node's data folder, to weigh it")
    parser.add_argument("--writers", type=int, default=2, help="processes that fill a Cassandra for --growth")
    arguments = parser.parse_args()
    count = arguments.events
    with tempfile.TemporaryDirectory(dir=arguments.directory) as name:
        folder = Path(name)
        told: dict[str, float] | dict[str, list[float]]
        if arguments.engine == "cassandra":
            from bench import store_cassandra

            if arguments.growth:
                told = store_cassandra.growth(arguments.port, count, arguments.data, arguments.writers)
            else:
                events = list(hits(count))
                gc.freeze()
                told = store_cassandra.speed(arguments.port, folder, events, arguments.rounds)
        else:
            told = growth(folder, count) if arguments.growth else speed(folder, count, arguments.rounds)
    if arguments.json:
        print(json.dumps(told))
        return
    if arguments.growth:
        print(f"{'events':22} {count // 100:12,} {count:12,}   ratio")
    for label, value in told.items():
        if isinstance(value, list):
            print(f"{label:22} {value[0]:12.3f} {value[1]:12.3f} {value[1] / max(value[0], 1e-9):7.2f}")
        else:
            print(f"{label:22} {value:12,.2f}")


if __name__ == "__main__":
    main()
