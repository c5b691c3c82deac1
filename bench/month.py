"""A month of mail (`store_mail`) in a store that is asked by calls and pages: a file, or a Cassandra."""

import argparse
import random
import time
from itertools import islice
from pathlib import Path

from bench.store_mail import DAYS, START, Mail
from bench.store_questions import fill
from engagement.events.fields import Fields
from engagement.settings import load_file
from engagement.stores import migrate_store, open_store
from engagement.stores.port import EventStore, Query, StoreError
from engagement.stores.sqlite.store import SqliteStore

_DAY = 86_400_000
_PORTION = 3_000  # events of one `add`
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


def stanzas(asked: argparse.Namespace) -> str:
    """Return what the configuration says of the store."""
    if asked.cassandra:
        return _CASSANDRA.format(port=asked.cassandra, events=asked.events)
    if not asked.file:
        raise SystemExit("--file or --cassandra: say which store it is")
    return f'store {{ path = "{asked.file}" }}\n'


def filled(asked: argparse.Namespace, config: Path) -> EventStore:
    """Return the store, filled if it is empty, with the sums of days that are over.

    config: a configuration file with `stanzas`.
    """
    if asked.cassandra:
        return _cassandra(config, asked.events)
    if not asked.file.exists():
        fill(asked.file, asked.events)
    writing = SqliteStore(asked.file, writing=True)
    writing.roll_up()
    writing.roll_up(600.0)  # as the shipper does when it has nothing else to do
    writing.close()
    return SqliteStore(asked.file)


def _cassandra(config: Path, count: int) -> EventStore:
    settings = load_file(config)
    migrate_store(settings, lambda _: None)
    store = open_store(settings, writing=True)
    if not list(store.find(Query(limit=1))):
        rows, done, began = Mail(count).rows(), 0, time.monotonic()
        while part := list(islice(rows, _PORTION)):
            while True:
                try:
                    store.add(part)
                    break
                except StoreError:  # a busy machine: again, as the shipper would
                    time.sleep(1)
            done += len(part)
            print(f"{done:10,} rows, {time.monotonic() - began:.0f} s", flush=True)
        while store.roll_up():
            pass
    return store


def samples(store: EventStore, count: int) -> list[Fields]:
    """Return events from all over the month, the same ones each time."""
    chance = random.Random(1)
    return [
        event
        for _ in range(count)
        for event in store.find(Query(to_ms=START + chance.randrange(_DAY, DAYS * _DAY), limit=1))
    ]
