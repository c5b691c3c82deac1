"""How fast events go into a store, and whether questions stay flat as it grows.

`--engine cassandra --port P`: the same with a Cassandra that runs there (see `store_cassandra`).

With SQLite `add` is set against a bare executemany of the same rows into the same schema, each 1,000 rows a
transaction with the same durability, and `drain` is the whole way: spool, decode, classify, add, commit. The
three take turns, and the middle of `--rounds` is told, by the clock and by the processor: on a busy machine
only the latter means much. The target: at least half of it, or 20,000 events/s. "drain / bare" are the rates'
ratio, of one run. `--events N` sets how many: 10000, 1000000, 10000000. `--stream` says of which events
(`store_drained`): `mail` is what a site has; `random`, which is taken if nothing is said, are hits whose ids
lie worse than any that the product makes, and that never had an injection. `--into FILE` does it in copies of
a store of that stream, filled with `--month` events if it is not there (a million); `--fill` does that alone,
and goes on with one that was begun. "bytes an event" are then the whole store's. `--questions` fills a file
with a month of mail of so many events (`--file` keeps it, and takes one that is there), and tells for each
filter, with `--pairs` for each pair of filters, how long its latest 100 events take (`store_questions`).
`--growth` fills one store with N/100 events and another with N, asks both the same questions in turns and
tells the ratio; target: at most 1.5. Its events fall into one hour, a busy one, whose figures are made once
as a whole, and again after another thousand events.
"""

import argparse
import gc
import json
import os
import random
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.store_drained import STREAMS, drained, fill, held
from bench.store_events import batches, compared, hits
from engagement.events.model import Event
from engagement.events.record import encode
from engagement.events.rows import EventRow, rows
from engagement.shipper.loop import Shipper
from engagement.spool.write import SpoolWriter
from engagement.stores.sqlite.connection import CACHE_KIB, LOG_PAGES
from engagement.stores.sqlite.migrate import migrate
from engagement.stores.sqlite.store import SqliteStore
from engagement.stores.sqlite.terms import Terms
from engagement.stores.sqlite.writing import store as write
from engagement.stores.sqlite.written import ADD_EVENT, Portion

MILLION = 1_000_000
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
        store.roll_up()

    elapsed = took(work)
    store.close()
    return elapsed


def portions(made: list[EventRow], place: int) -> list[Portion]:
    """The values of the rows, made in a file of their own. place: of the first."""
    found = list[Portion]()
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, ":memory:")
    terms = Terms()
    for batch in batches(made):
        portion = Portion(connection, terms, [each + 1 for each in range(len(batch))])
        portion.put(batch, place)
        put(connection, portion)
        place += len(batch)
        found.append(portion)
    return found


def put(connection: sqlite3.Connection, portion: Portion) -> None:
    connection.executemany(ADD_EVENT, portion.events)
    write(connection, portion)


def time_bare(path: Path, made: list[EventRow]) -> Took:
    """A bare executemany of the same rows of all tables, without figures."""
    SqliteStore(path, writing=True).close()
    connection = sqlite3.connect(path, isolation_level=None)
    ready = portions(made, connection.execute("SELECT value FROM state WHERE name = 'next'").fetchone()[0])
    for pragma in ("synchronous = FULL", f"wal_autocheckpoint = {LOG_PAGES}", f"cache_size = -{CACHE_KIB}"):
        connection.execute(f"PRAGMA {pragma}")

    def work() -> None:
        for portion in ready:
            connection.execute("BEGIN")
            put(connection, portion)
            connection.execute("COMMIT")

    elapsed = took(work)
    connection.close()
    return elapsed


def time_drain(path: Path, events: list[Event]) -> Took:
    spool = path.parent / "spool"
    writer = SpoolWriter(spool, max_size=1 << 40)
    for event in events:
        writer.append(encode(event))
    writer.close()
    store = SqliteStore(path, writing=True)

    def work() -> None:
        Shipper(spool, store).drain()

    elapsed = took(work)
    store.close()
    return elapsed


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
    figures = {
        "bytes an event": weight,
        "figures, whole, CPU s": rolled[0],
        "figures, again, CPU s": rolled[1],
    }
    return SqliteStore(path), sample[:300], figures


def growth(folder: Path, count: int) -> dict[str, list[float]]:
    made = [filled(folder / f"{size}.db", size) for size in (count // 100, count)]
    figures = compared([(store, sample) for store, sample, _ in made])
    for store, _, _ in made:
        store.close()
    return figures | {name: [each[name] for _, _, each in made] for name in made[0][2]}


def speed(
    folder: Path, count: int, rounds: int, stream: str, *, into: Path | None = None, month: int = MILLION
) -> dict[str, float]:
    if into and not into.exists():
        fill(into, stream, month)
    events, made, before = drained(stream, count, month, held(into) if into else 0)
    gc.freeze()  # else each collection walks through what only this script keeps

    def copied() -> Path:
        """A folder with a copy of the store in it, to be removed again: a large one has room once only."""
        place = Path(tempfile.mkdtemp(dir=folder))
        path = place / "events.db"
        if into:
            shutil.copy(into, path)
        with closing(SqliteStore(path, writing=True)) as store:
            for batch in batches(before):
                store.add(batch)
            store.roll_up()
        os.sync()  # what the copy left to be written is not to be waited for meanwhile
        return place

    measured: tuple[Callable[[Path], Took], ...] = (
        lambda path: time_bare(path, made),
        lambda path: time_add(path, made),
        lambda path: time_drain(path, events),
    )
    figures: dict[str, list[float]] = {}
    for _ in range(rounds):
        times, weight = list[Took](), 0.0
        for work in measured:
            place = copied()
            times.append(work(place / "events.db"))
            weight = (place / "events.db").stat().st_size / count
            shutil.rmtree(place)
        bare, add, drain = times
        for name, value in (
            ("bare executemany", count / bare[0]),
            ("add", count / add[0]),
            ("drain", count / drain[0]),
            ("add / bare", bare[0] / add[0]),
            ("drain / bare", bare[0] / drain[0]),
            ("bare executemany, CPU", count / bare[1]),
            ("add, CPU", count / add[1]),
            ("drain, CPU", count / drain[1]),
            ("add / bare, CPU", bare[1] / add[1]),
            ("drain / bare, CPU", bare[1] / drain[1]),
            ("bytes an event", weight),
        ):
            figures.setdefault(name, []).append(value)
    return {name: statistics.median(values) for name, values in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=30_000)
    parser.add_argument("--directory", type=Path, help="where the files go; a temporary folder if not given")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--questions", action="store_true", help="milliseconds of each filter")
    parser.add_argument("--pairs", action="store_true", help="with --questions, of each pair as well")
    parser.add_argument("--file", type=Path, help="with --questions: the store's file")
    parser.add_argument("--stream", choices=STREAMS, default="random", help="which events (`store_drained`)")
    parser.add_argument("--into", type=Path, help="write into copies of this store, filled if not there")
    parser.add_argument("--month", type=int, default=MILLION, help="events of a month in the store of --into")
    parser.add_argument("--fill", action="store_true", help="do no more than filling the store of --into")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--engine", choices=("sqlite", "cassandra"), default="sqlite")
    parser.add_argument("--port", type=int, default=9042, help="of a Cassandra on 127.0.0.1")
    parser.add_argument("--data", type=Path, help="the node's data folder, to weigh it")
    parser.add_argument("--writers", type=int, default=2, help="processes that fill a Cassandra for --growth")
    arguments = parser.parse_args()
    count = arguments.events
    if arguments.questions:
        from bench import store_questions

        with tempfile.TemporaryDirectory(dir=arguments.directory) as name:
            path = arguments.file or Path(name) / "mail.db"
            store_questions.report(path, count, 15, pairs=arguments.pairs, as_json=arguments.json)
        return
    if arguments.fill:
        fill(arguments.into, arguments.stream, arguments.month)
        return
    with tempfile.TemporaryDirectory(dir=arguments.directory) as name:
        folder = Path(name)
        figures: dict[str, float] | dict[str, list[float]]
        if arguments.engine == "cassandra":
            from bench import store_cassandra

            if arguments.growth:
                figures = store_cassandra.growth(arguments.port, count, arguments.data, arguments.writers)
            else:
                events = list(hits(count))
                gc.freeze()
                figures = store_cassandra.speed(arguments.port, folder, events, arguments.rounds)
        else:
            figures = (
                growth(folder, count)
                if arguments.growth
                else speed(
                    folder,
                    count,
                    arguments.rounds,
                    arguments.stream,
                    into=arguments.into,
                    month=arguments.month,
                )
            )
    if arguments.json:
        print(json.dumps(figures))
        return
    if arguments.growth:
        print(f"{'events':22} {count // 100:12,} {count:12,}   ratio")
    for label, value in figures.items():
        if isinstance(value, list):
            print(f"{label:22} {value[0]:12.3f} {value[1]:12.3f} {value[1] / max(value[0], 1e-9):7.2f}")
        else:
            print(f"{label:22} {value:12,.2f}")


if __name__ == "__main__":
    main()
