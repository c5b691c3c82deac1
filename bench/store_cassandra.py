"""The part of `bench.store` for Cassandra: python -m bench.store --engine cassandra --port P [--data DIR].

Beside `add` stands the bare driver: the same rows, each an insert of its own into the same tables, prepared,
64 at once, in the same run. `--growth` fills two keyspaces by the store's own `add` in `--writers` processes,
flushes them (with `--data`), and asks both in turns. `--data`: the node's data folder, to weigh it.
"""

import multiprocessing
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cassandra.concurrent import execute_concurrent_with_args

from bench.store_events import batches, compared, hits
from engagement.events.model import Hit
from engagement.events.record import encode
from engagement.events.rows import EventRow, rows
from engagement.settings.schema import CassandraClientStanza
from engagement.shipper.loop import Shipper
from engagement.spool.write import SpoolWriter
from engagement.stores.cassandra import queries
from engagement.stores.cassandra.connection import CONCURRENT, Connection
from engagement.stores.cassandra.rows.statements import WRITES
from engagement.stores.cassandra.schema import migrate
from engagement.stores.cassandra.store import CassandraStore
from engagement.stores.port import StoreError

NOW = 1_793_001_722.0  # when the events of `bench.store` begin
LIFE = queries.Lifetimes(90 * 86400, 455 * 86400)
PART = 3_000  # events of one `add` while filling


def client_of(port: int, keyspace: str, shards: int = 4) -> CassandraClientStanza:
    return replace(
        CassandraClientStanza(),
        uri=(f"name=bench;host=127.0.0.1;port={port}",),
        keyspace=keyspace,
        replication={"datacenter1": "1"},
        shards=shards,
        request_timeout=30_000,
    )


def fresh(port: int, keyspace: str, shards: int = 4) -> CassandraStore:
    """An empty keyspace on the node at that port."""
    client = client_of(port, keyspace, shards)
    connection = Connection(client, {})
    connection.say(f"DROP KEYSPACE IF EXISTS {keyspace}")
    migrate(connection, LIFE, lambda _: None)
    connection.close()
    store = opened(client)
    store.roll_up()  # connected, before any clock runs
    return store


def opened(client: CassandraClientStanza) -> CassandraStore:
    return CassandraStore(client, life=LIFE, now=lambda: NOW)


def time_bare(store: CassandraStore, made: list[EventRow]) -> tuple[float, int]:
    writes = store._writing.portion(made, NOW).rows.writes()  # noqa: SLF001 - to write the same
    by_table: dict[str, list[tuple[object, ...]]] = defaultdict(list)
    for name, lines in writes:
        by_table[name] += lines
    session = store.connection._connected()  # noqa: SLF001 - the driver alone
    prepared = {
        name: session.prepare(WRITES[name].format(keyspace=store.connection.stanza.keyspace))
        for name in by_table
    }
    began = time.perf_counter()
    for name, lines in by_table.items():
        execute_concurrent_with_args(
            session, prepared[name], lines, concurrency=CONCURRENT, raise_on_first_error=True
        )
    return time.perf_counter() - began, sum(map(len, by_table.values()))


def time_add(store: CassandraStore, batches: Iterator[list[EventRow]]) -> float:
    began = time.perf_counter()
    for batch in batches:
        store.add(batch)
    return time.perf_counter() - began


def time_drain(store: CassandraStore, folder: Path, events: list[Hit]) -> float:
    writer = SpoolWriter(folder / "spool", max_size=1 << 40)
    for event in events:
        writer.append(encode(event))
    writer.close()
    shipper = Shipper(folder / "spool", store)
    began = time.perf_counter()
    while shipper.step():
        pass
    return time.perf_counter() - began


def speed(port: int, folder: Path, events: list[Hit], rounds: int) -> dict[str, float]:
    made = [row for event in events for row in rows(event)]
    figures: dict[str, list[float]] = defaultdict(list)
    rows_each = 0.0
    for turn in range(rounds):  # in turns: the machine is not equally quiet all the time
        bare, total = time_bare(fresh(port, "bench_bare"), made)
        add = time_add(fresh(port, "bench_add"), batches(made))
        (folder / str(turn)).mkdir()
        drain = time_drain(fresh(port, "bench_drain"), folder / str(turn), events)
        rows_each = total / len(events)
        for name, seconds in (("bare driver", bare), ("add", add), ("drain", drain)):
            figures[f"{name}, rows/s"].append(total / seconds)
        figures["add / bare"].append(bare / add)
        figures["drain / bare"].append(bare / drain)
    middle = {name: statistics.median(values) for name, values in figures.items()}
    return {"rows an event": rows_each, **middle, "drain, events/s": middle["drain, rows/s"] / rows_each}


def sample(count: int) -> list[EventRow]:
    """Some rows of what `fill` writes."""
    starts = random.Random(2).sample(range(0, count, PART), min(12, -(-count // PART)))
    made = [
        row
        for start in starts
        for row in [r for hit in hits(min(PART, count - start), first=start) for r in rows(hit)][
            :: PART // 10
        ]
    ]
    random.Random(1).shuffle(made)
    return made


def fill(client: CassandraClientStanza, count: int, writer: int, writers: int) -> None:
    """Write every so manieth part of the events, as one of several shippers would."""
    store = opened(client)
    for start in range(writer * PART, count, writers * PART):
        made = [row for hit in hits(min(PART, count - start), first=start) for row in rows(hit)]
        while True:
            try:
                store.add(made)
                break
            except StoreError:
                time.sleep(1)  # as the shipper would
    store.close()


def filled(port: int, keyspace: str, count: int, writers: int) -> CassandraClientStanza:
    """A keyspace with so many events; what is there already from an earlier run is used again."""
    client = client_of(port, keyspace, shards=16)
    connection = Connection(client, {})
    try:
        known = connection.say(f"SELECT told FROM {keyspace}.shipper")
    except Exception:  # noqa: BLE001 - there is none yet
        known = []
    connection.close()
    if not known:
        fresh(port, keyspace, shards=16).close()
        context = multiprocessing.get_context("spawn")
        running = [
            context.Process(target=fill, args=(client, count, each, writers)) for each in range(writers)
        ]
        for process in running:
            process.start()
        for process in running:
            process.join()
    return client


def growth(port: int, count: int, data: Path | None, writers: int) -> dict[str, list[float]]:
    sizes = (count // 100, count)
    stores = []
    for size in sizes:
        began = time.perf_counter()
        client = filled(port, f"bench_{size}", size, writers)
        print(f"{size} events, {time.perf_counter() - began:.0f} s")
        stores.append(opened(client))
    if data:
        input("flush and compact the node now, then press Enter: ")
    figures = compared([(store, sample(size)) for store, size in zip(stores, sizes, strict=True)])
    rolled = []
    for store in stores:
        began = time.process_time()
        store.roll_up()
        rolled.append(time.process_time() - began)
        store.close()
    figures["figures, whole, CPU s"] = rolled
    if data:
        figures["bytes an event"] = [weight(data, f"bench_{size}") / size for size in sizes]
    return figures


def weight(data: Path, keyspace: str) -> int:
    """Bytes of what was flushed; the commit log is not in it."""
    return sum(path.stat().st_size for path in (data / keyspace).rglob("*.db"))
