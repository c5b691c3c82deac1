"""A month of mail (`store_mail`) in a store that is asked by calls and pages: a file, or a Cassandra."""

import argparse
import itertools
import multiprocessing
import random
import time
from itertools import islice
from pathlib import Path

from bench.store_mail import DAYS, START, Mail
from bench.store_questions import fill
from engagement.events.fields import Fields
from engagement.events.rows import rows
from engagement.settings import load_file
from engagement.stores import migrate_store, open_store
from engagement.stores.cassandra import connection
from engagement.stores.port import EventStore, Query, StoreError
from engagement.stores.sqlite.store import SqliteStore

_DAY = 86_400_000
_PORTION = 20_000  # events of one `add` to Cassandra,
_WRITERS = 3  # and who does so at once
_CASSANDRA = """\
store {{
  engine = cassandra
  retention = 94608000  # three years: the month is not to be over
}}
cassandra_client {{
  uri = ("name=bench;host=127.0.0.1;port={port}")
  keyspace = month_{events}
  replication = [ datacenter1 = "1" ]
  shards = 1
  request_timeout = 30000
}}
"""


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which store it is."""
    parser.add_argument("--file", type=Path, help="of SQLite; made if it is not there")
    parser.add_argument("--cassandra", type=int, metavar="PORT", help="of a Cassandra on 127.0.0.1, instead")
    parser.add_argument("--events", type=int, default=1_000_000)


def stanzas(arguments: argparse.Namespace) -> str:
    """Return what the configuration says of the store."""
    if arguments.cassandra:
        return _CASSANDRA.format(port=arguments.cassandra, events=arguments.events)
    if not arguments.file:
        raise SystemExit("--file or --cassandra: say which store it is")
    return f'store {{ path = "{arguments.file}" }}\n'


def filled(arguments: argparse.Namespace, config: Path) -> EventStore:
    """Return the store, filled if it is empty, with the sums of days that are over.

    config: a configuration file with `stanzas`.
    """
    if arguments.cassandra:
        return _cassandra(config, arguments.events)
    if not arguments.file.exists():
        fill(arguments.file, arguments.events)
    writing = SqliteStore(arguments.file, writing=True)
    writing.roll_up()
    writing.roll_up(600.0)  # as the shipper does when it has nothing else to do
    writing.close()
    return SqliteStore(arguments.file)


def _cassandra(config: Path, count: int) -> EventStore:
    settings = load_file(config)
    migrate_store(settings, lambda _: None)
    store = open_store(settings, writing=True)
    if not list(store.find(Query(limit=1))):
        context = multiprocessing.get_context("spawn")
        running = [context.Process(target=_written, args=(config, count, each)) for each in range(_WRITERS)]
        for process in running:
            process.start()
        for process in running:
            process.join()
        while store.roll_up():
            pass
    return store


def _written(config: Path, count: int, writer: int) -> None:
    """Write every so manieth portion, as one of several shippers would."""
    connection.BATCH, connection.SMALL_BATCH = 150, 24  # type: ignore[misc] # larger than the store's own, to be quicker
    store, began = open_store(load_file(config), writing=True), time.monotonic()
    events = Mail(count).events()
    for number in itertools.count():
        part = list(islice(events, _PORTION))
        if not part:
            break
        if number % _WRITERS != writer:
            continue
        made = [row for event, injection in part for row in rows(event, injection=injection)]
        while True:
            try:
                store.add(made)
                break
            except StoreError:  # a busy machine: again, as the shipper would
                time.sleep(1)
        print(f"{(number + 1) * _PORTION:10,} events, {time.monotonic() - began:.0f} s", flush=True)
    store.close()


def samples(store: EventStore, count: int, days: int = DAYS) -> list[Fields]:
    """Return events from all over the month, or its first days, the same ones each time."""
    chance = random.Random(1)
    return [
        event
        for _ in range(count)
        for event in store.find(Query(to_ms=START + chance.randrange(_DAY, days * _DAY), limit=1))
    ]
