"""Figures in Cassandra, where the clocks of hosts are apart: of those that ship, and of the nodes."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cassandra_site import ROOT, Node, empty
from contract.cassandra_faults import until
from contract.store_samples import AT, RING, SampleRows
from engagement.events.ids import EventIds
from engagement.events.model import Hit
from engagement.events.record import encode
from engagement.links.model import Identity, Kind, Link
from engagement.links.token import copy_sealer, open_token
from engagement.settings.schema import CassandraClientStanza
from engagement.spool.write import SpoolWriter
from engagement.stores.cassandra.connection import Connection
from engagement.stores.cassandra.queries import PLACE, Lifetimes
from engagement.stores.cassandra.schema import migrate
from engagement.stores.cassandra.store import CassandraStore
from engagement.stores.port import Count, Query

DAY = 86_400
YEAR = 365 * DAY
FAKED = Path("/usr/lib") / f"{os.uname().machine}-linux-gnu" / "faketime" / "libfaketimeMT.so.1"


def shipper(client: CassandraClientStanza, ahead: float) -> CassandraStore:
    """A store whose host's clock is wrong by so many seconds, for the program and for the driver."""
    store = CassandraStore(client, life=Lifetimes(YEAR, YEAR), now=lambda: time.time() + ahead)
    store.totals(Query())
    cluster: Any = store.connection._cluster
    assert cluster is not None
    cluster.timestamp_generator = lambda: int((time.time() + ahead) * 1e6)
    return store


@pytest.fixture(scope="module")
def tables(cassandra_node: Node) -> CassandraStore:
    """A store in the keyspace of this module's tests."""
    store = CassandraStore(cassandra_node.migrated("clocks", Lifetimes(YEAR, YEAR)))
    store.connection.say("ALTER KEYSPACE clocks WITH durable_writes = false")
    return store


@pytest.fixture
def client(tables: CassandraStore) -> CassandraClientStanza:
    """What leads to its tables, empty."""
    empty(tables)
    stanza = tables.connection.stanza
    assert isinstance(stanza, CassandraClientStanza)
    return stanza


@pytest.mark.parametrize(
    ("ahead", "spread"), [(90, 1000), (20 * 60, 1000), (DAY, 7 * 60_000), (-DAY, 7 * 60_000)]
)
def test_h26_two_shippers_with_clocks_apart_make_the_same_figures(
    client: CassandraClientStanza, sample: SampleRows, ahead: int, spread: int
) -> None:
    """All 12 clicks of each, whoever is ahead, and whoever makes the figures last."""
    one, other = shipper(client, ahead), shipper(client, 0)
    try:
        seen = []
        for number in range(12):
            for store in (one, other):
                store.add(sample.hit(at=number * spread, message=2 * number + (store is one)))
                store.roll_up()
                seen.append(store.totals(Query())["click"].counted)
        assert seen == list(range(1, 25))
        assert one.totals(Query()) == other.totals(Query()) == other.counts(Query())
    finally:
        one.close()
        other.close()


@pytest.mark.parametrize("table", ["part", "figure"])
def test_figures_made_from_an_older_reading_do_not_win(
    client: CassandraClientStanza, sample: SampleRows, table: str
) -> None:
    """One shipper reads, another adds and makes the figures, then the first writes what it has read."""
    one, other = shipper(client, DAY), shipper(client, 0)
    written = one._recount._write
    begun: list[int] = []

    def late(writes: list[tuple[str, list[tuple[object, ...]]]]) -> None:
        if not begun and any(name == table for name, _ in writes):
            begun.append(1)
            other.add(sample.hit(at=1000, message=2))
            other.roll_up()
        written(writes)

    try:
        one.add(sample.hit(message=1))
        one._recount._write = late
        one.roll_up()
        assert other.totals(Query())["click"] == Count(2, 2, 2, 2, 2)
    finally:
        one.close()
        other.close()


def test_what_was_left_to_do_is_done_whatever_the_clocks_say(
    client: CassandraClientStanza, sample: SampleRows
) -> None:
    """A shipper a day ahead makes an hour's figures; one that is behind adds to it and dies before it can."""
    ahead, behind = shipper(client, DAY), shipper(client, 0)
    now = int(time.time() * 1000) - AT
    try:
        behind.add(sample.hit(at=now, message=1))
        ahead.roll_up()
        assert ahead._reader.read("stale_days", (PLACE,))  # it is for the other to take it away
        behind.roll_up()
        behind.add(sample.hit(at=now + 1, message=2))
    finally:
        ahead.close()
        behind.close()
    later = shipper(client, -DAY)
    try:
        later.roll_up()
        assert later.totals(Query())["click"].counted == 2
    finally:
        later.close()


def test_a_mark_that_was_taken_away_can_be_set_again(
    client: CassandraClientStanza, sample: SampleRows
) -> None:
    store = shipper(client, 0)
    try:
        for message in (1, 2):
            store.add(sample.hit(at=message, message=message))
            assert len(store._reader.read("stale_days", (PLACE,))) == 1
            store.roll_up()
            assert store._reader.read("stale_days", (PLACE,)) == []  # the hour is long over
        store.add(sample.hit(at=3, message=3))
    finally:
        store.close()
    later = shipper(client, 0)
    try:
        later.roll_up()
        assert later.totals(Query())["click"].counted == 3
    finally:
        later.close()


# --- three nodes and two programs, each with a clock of its own ---


def faked_java(folder: Path, seconds: int) -> dict[str, str]:
    """What gives a node a clock of its own: a `java` under libfaketime.

    FORCE_MONOTONIC_FIX moves waits by the monotonic clock too, which is not faked here: each would end at
    once, and a node that waits would take a whole core (measured: 3.8 s of 4 s, without it 0.08 s).
    """
    java = shutil.which("java")
    path = folder / f"java{seconds}"
    path.write_text(
        f"#!/bin/sh\nexec env LD_PRELOAD={FAKED} FAKETIME={seconds:+d}s FAKETIME_DONT_FAKE_MONOTONIC=1 "
        f'FAKETIME_FORCE_MONOTONIC_FIX=0 {java} "$@"\n'
    )
    path.chmod(0o755)
    return {**os.environ, "CASSANDRA_JAVA": str(path)}


def faked_ship(config: Path, seconds: int) -> list[str]:
    """`smtpapi ship`, with a clock of its own; under libfaketime Python cannot wait and sleep."""
    code = (
        f"import time; real = time.time; time.time = lambda: real() + {seconds}; "
        "from smtpapi.commands import main; main()"
    )
    return [sys.executable, "-c", code, "ship", "--config", str(config)]


def config(folder: Path, node: Node) -> Path:
    folder.mkdir()
    path = folder / "smtpapi.conf"
    stanza = node.stanza("apart").replace('datacenter1 = "1"', 'datacenter1 = "3"')
    path.write_text(
        f'smtpapi {{ }}\nspool {{ directory = "{folder}/spool" }}\nstore {{ engine = cassandra }}\n{stanza}'
    )
    return path


def clicks(folder: Path, first: int, count: int) -> None:
    """Spool clicks of messages of their own, a few milliseconds apart, as a tracker of that host would."""
    writer, ids = SpoolWriter(folder / "spool"), EventIds(os.urandom(8))
    for number in range(first, first + count):
        at = int(time.time() * 1000)
        identity = Identity(number.to_bytes(16, "big"), 7, "i@example.net", at // 1000, at // 1000 + 60)
        packed = open_token(
            copy_sealer(RING.signing, identity).seal(Kind.CLICK, Link(b"https://example.org/")), RING
        ).packed
        writer.append(
            encode(Hit(ids.next(at), Kind.CLICK, at, packed, "", "203.0.113.9", "Firefox", "", "GET", "h",
                       spoiled=False, expired=False))
        )  # fmt: skip
        time.sleep(0.01)
    writer.close()


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("apart", [(20 * 60, 0), (DAY, 0), (-DAY // 2, DAY // 2)])
def test_h26_two_shippers_and_three_nodes_with_faked_clocks(tmp_path: Path, apart: tuple[int, int]) -> None:
    """The programs themselves; the nodes under libfaketime. Shippers are a day apart at most."""
    assert FAKED.exists(), "Debian package faketime"
    node = Node("clocks", "--nodes", "3", "--heap", "320m")
    total = 0
    with ExitStack() as stack:
        stack.callback(node.stop)
        node.start()
        for number, seconds in ((2, apart[0]), (3, -apart[0])):
            node.say("restart", str(number), env=faked_java(tmp_path, seconds))
        client = node.client("apart", replication={"datacenter1": "3"})
        connection = Connection(client, {})
        migrate(connection, Lifetimes(90 * DAY, YEAR), lambda _: None)
        connection.close()
        folders = [tmp_path / name for name in ("one", "two")]
        for folder, seconds in zip(folders, apart, strict=True):
            arguments = faked_ship(config(folder, node), seconds)
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
            log = stack.enter_context((folder / "log").open("wb"))
            process = subprocess.Popen(arguments, env=environment, cwd=ROOT, stderr=log)
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
        store = CassandraStore(client, life=Lifetimes(90 * DAY, YEAR))
        stack.callback(store.close)
        for _ in range(4):
            for folder in folders:
                clicks(folder, total, 6)
                total += 6
                time.sleep(1.5)
        shown = counted(store)
        until(lambda: shown() == total, 40, f"{total} clicks in the totals")
        time.sleep(5)  # nothing that is written later undoes it
        assert shown() == total == store.counts(Query())["click"].counted


def counted(store: CassandraStore) -> Callable[[], int]:
    return lambda: store.totals(Query()).get("click", Count()).counted
