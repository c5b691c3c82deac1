"""The part of `bench.store` for Cassandra: python -m bench.store --engine cassandra --port P [--data DIR].

Beside `add` stands the bare driver: the same rows, each an insert of its own into the same tables, prepared,
64 at once, in the same run. `--data`: the node's data folder, to weigh it.
"""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from cassandra.concurrent import execute_concurrent_with_args

from engagement.events.record import encode
from engagement.events.rows import Row, rows
from engagement.events.types import Hit
from engagement.settings.schema import CassandraClient
from engagement.shipper.loop import Shipper
from engagement.spool.write import Writer
from engagement.stores import cql
from engagement.stores.cassandra import CassandraStore
from engagement.stores.cassandra_schema import migrate
from engagement.stores.cluster import CONCURRENT, Connection
from engagement.stores.port import StoreError

NOW = 1_793_001_722.0  # when the events of `bench.store` begin
LIFE = cql.Life(90 * 86400, 455 * 86400)


def fresh(port: int, keyspace: str, shards: int = 4) -> CassandraStore:
    """An empty keyspace on the node at that port."""
    client = replace(
        CassandraClient(),
        uri=(f"name=bench;host=127.0.0.1;port={port}",),
        keyspace=keyspace,
        replication={"datacenter1": "1"},
        shards=shards,
    )
    connection = Connection(client, {})
    connection.say(f"DROP KEYSPACE IF EXISTS {keyspace}")
    migrate(connection, LIFE, lambda _: None)
    connection.close()
    store = CassandraStore(client, life=LIFE, now=lambda: NOW)
    store.roll_up()  # connected, before any clock runs
    return store


def time_bare(store: CassandraStore, made: list[Row]) -> tuple[float, int]:
    writes, _, _ = store._writes(made)  # noqa: SLF001 - to write the same
    by_table: dict[str, list[tuple[object, ...]]] = defaultdict(list)
    for name, lines in writes:
        by_table[name] += lines
    session = store.connection._connected()  # noqa: SLF001 - the driver alone
    prepared = {
        name: session.prepare(cql.WRITES[name].format(keyspace=store.connection.stanza.keyspace))
        for name in by_table
    }
    began = time.perf_counter()
    for name, lines in by_table.items():
        execute_concurrent_with_args(
            session, prepared[name], lines, concurrency=CONCURRENT, raise_on_first_error=True
        )
    return time.perf_counter() - began, sum(map(len, by_table.values()))


def time_add(store: CassandraStore, batches: Iterator[list[Row]]) -> float:
    began = time.perf_counter()
    for batch in batches:
        store.add(batch)
    return time.perf_counter() - began


def time_drain(store: CassandraStore, folder: Path, events: list[Hit]) -> float:
    writer = Writer(folder / "spool", max_size=1 << 40)
    for event in events:
        writer.append(encode(event))
    writer.close()
    shipper = Shipper(folder / "spool", store)
    began = time.perf_counter()
    while shipper.step():
        pass
    return time.perf_counter() - began


def speed(
    port: int, folder: Path, events: list[Hit], batches: Callable[[], Iterator[list[Row]]]
) -> dict[str, object]:
    made = [row for event in events for row in rows(event)]
    told: dict[str, list[float]] = defaultdict(list)
    rows_each = 0.0
    for turn in range(3):  # in turns: the machine is not equally quiet all the time
        bare, total = time_bare(fresh(port, "bench_bare"), made)
        add = time_add(fresh(port, "bench_add"), batches())
        (folder / str(turn)).mkdir()
        drain = time_drain(fresh(port, "bench_drain"), folder / str(turn), events)
        rows_each = total / len(events)
        for name, seconds in (("bare driver", bare), ("add", add), ("drain", drain)):
            told[f"{name}, rows/s"].append(total / seconds)
        told["add / bare"].append(bare / add)
        told["drain / bare"].append(bare / drain)
    middle = {name: sorted(values)[1] for name, values in told.items()}
    return {"rows an event": rows_each, **middle, "drain, events/s": middle["drain, rows/s"] / rows_each}


def growth(
    port: int,
    count: int,
    data: Path | None,
    hits: Callable[..., Iterator[Hit]],
    questions: Callable[[CassandraStore, list[Row]], dict[str, float]],
) -> dict[str, dict[str, float]]:
    store = fresh(port, "bench_growth", shards=16)
    told = {}
    stored = 0
    sample: list[Row] = []
    for size in (count // 100, count):
        while stored < size:
            part = min(2_000, size - stored)
            made = [row for event in hits(part, first=stored) for row in rows(event)]
            stored += part
            while True:
                try:
                    store.add(made)
                    break
                except StoreError:
                    time.sleep(1)  # as the shipper would
            sample += made[:: max(1, part // 10)]
        began = time.perf_counter()
        store.roll_up()
        rolled = time.perf_counter() - began
        random.Random(1).shuffle(sample)
        told[f"{size}"] = questions(store, sample[:100]) | {"roll-up, s": rolled}
        if data:
            told[f"{size}"]["bytes an event"] = _weight(data, "bench_growth") / size
    store.close()
    return told


def _weight(data: Path, keyspace: str) -> int:
    """Bytes of what was flushed (`cassandra-server nodetool 1 flush`); the commit log is not in it."""
    input("flush the node now, then press Enter: ")
    return sum(path.stat().st_size for path in (data / keyspace).rglob("*.db"))
