"""A real Cassandra under load, hurt in many ways: the backlog drains by itself, into the same rows."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from cassandra_site import Node
from cassandra_wire import Wire
from contract.cassandra_faults import Site, check, under_load, until
from contract.store_samples import SampleRows
from engagement.events.record import encode
from engagement.settings.schema import CassandraClientStanza
from engagement.shipper.loop import Shipper
from engagement.spool.read import SpoolReader
from engagement.spool.write import SpoolWriter
from engagement.stores.cassandra.connection import CONCURRENT, Connection
from engagement.stores.cassandra.queries import Lifetimes
from engagement.stores.cassandra.schema import migrate
from engagement.stores.cassandra.store import CassandraStore
from engagement.stores.port import Query, RowRefusedError, StoreError

SHORT: dict[str, Any] = {"connect_timeout": 1500, "request_timeout": 1500}


@pytest.fixture
def client(cassandra_node: Node, request: pytest.FixtureRequest) -> Iterator[CassandraClientStanza]:
    """A keyspace for one test, and a client with short timeouts."""
    name = f"fault_{abs(hash(request.node.name)) % 10**8}"
    yield replace(cassandra_node.migrated(name), **SHORT)
    connection = Connection(cassandra_node.client(name), {})
    connection.say(f"DROP KEYSPACE IF EXISTS {name}")
    connection.close()


def test_a_node_that_hangs_costs_nothing_but_time(
    tmp_path: Path, cassandra_node: Node, client: CassandraClientStanza
) -> None:
    with under_load(tmp_path, client) as site:
        until(lambda: site.shipper.status.carried > 50, 30, "some events shipped")
        cassandra_node.pause()
        try:
            until(lambda: site.shipper.status.failing, 20, "an error")
            until(lambda: SpoolReader(site.spool).backlog().records > 100, 20, "a backlog")
            assert "Cassandra" in site.shipper.status.last_error
            assert site.store.connection.concurrent < CONCURRENT
        finally:
            cassandra_node.resume()
        site.end_of_load()
        site.drained()
        check(site, client)
        assert site.store.connection.made == 1  # the same Cluster came back


def test_a_node_killed_and_started_again_under_load(
    tmp_path: Path, cassandra_node: Node, client: CassandraClientStanza
) -> None:
    with under_load(tmp_path, client) as site:
        until(lambda: site.shipper.status.carried > 50, 30, "some events shipped")
        cassandra_node.kill()
        try:
            until(lambda: site.shipper.status.failing, 20, "an error")
        finally:
            cassandra_node.restart()
        site.end_of_load()
        site.drained()
        check(site, client)
        assert not site.shipper.status.failing


def test_after_long_silence_a_new_cluster_is_made(
    tmp_path: Path, cassandra_node: Node, client: CassandraClientStanza
) -> None:
    wire = Wire(cassandra_node.port)
    try:
        through = replace(client, uri=(f"name=x;host=127.0.0.1;port={wire.port}",))
        with under_load(tmp_path, through, renew_after=2.0) as site:
            until(lambda: site.shipper.status.carried > 50, 30, "some events shipped")
            wire.deaf = True
            until(lambda: site.store.connection.made > 1, 40, "a new Cluster")
            wire.deaf = False
            wire.cut()
            site.end_of_load()
            site.drained()
            check(site, client)
    finally:
        wire.close()


def written_unknown_to(site: Site, wire: Wire, client: CassandraClientStanza) -> bool:
    """Throw away the node's answers until a step fails; tell whether it failed behind its write.

    One that is caught while it reads has written nothing: then the wire is as before.
    """
    wire.deaf = True
    until(lambda: site.shipper.status.failing, 20, "an error")
    direct = CassandraStore(client)
    stored = len(list(direct.find(Query(limit=10_000))))
    direct.close()
    if stored > site.shipper.status.carried:
        return True
    wire.deaf = False
    wire.cut()
    until(lambda: not site.shipper.status.failing, 20, "shipping again")
    return False


def test_answers_lost_after_the_write_was_done(
    tmp_path: Path, cassandra_node: Node, client: CassandraClientStanza
) -> None:
    wire = Wire(cassandra_node.port)
    try:
        through = replace(client, uri=(f"name=x;host=127.0.0.1;port={wire.port}",))
        with under_load(tmp_path, through) as site:
            until(lambda: site.shipper.status.carried > 50, 30, "some events shipped")
            until(
                lambda: written_unknown_to(site, wire, client), 120, "written, and the shipper does not know"
            )
            wire.deaf = False
            wire.cut()
            site.end_of_load()
            site.drained()
            check(site, client)
    finally:
        wire.close()


def test_a_slow_node_is_waited_for(
    tmp_path: Path, cassandra_node: Node, client: CassandraClientStanza
) -> None:
    wire = Wire(cassandra_node.port)
    try:
        through = replace(client, uri=(f"name=x;host=127.0.0.1;port={wire.port}",))
        with under_load(tmp_path, through) as site:
            until(lambda: site.shipper.status.carried > 50, 30, "some events shipped")
            wire.slow = 0.1
            time.sleep(3)
            wire.slow = 0.0
            site.end_of_load()
            site.drained()
            check(site, client)
    finally:
        wire.close()


def test_tables_that_are_missing_are_waited_for(tmp_path: Path, cassandra_node: Node) -> None:
    client = replace(cassandra_node.client("late"), **SHORT)
    with under_load(tmp_path, client) as site:
        until(lambda: site.shipper.status.failing, 20, "an error")
        assert "Run `smtpapi store migrate`" in site.shipper.status.last_error
        connection = Connection(client, {})
        migrate(connection, Lifetimes(), lambda _: None)
        until(lambda: site.shipper.status.carried > 50, 30, "some events shipped")
        for table in ("event_by_hour", "hour_by_campaign"):  # and taken away while at work
            connection.say(f"DROP TABLE late.{table}")
        until(lambda: site.shipper.status.failing, 30, "an error")
        connection.say("DROP KEYSPACE late")
        migrate(connection, Lifetimes(), lambda _: None)
        connection.close()
        until(lambda: not site.shipper.status.failing, 60, "shipping again")
        assert site.shipper.status.set_aside == 0
        site.end_of_load()
        site.drained()


def test_what_cassandra_refuses_is_refused_alone(client: CassandraClientStanza, sample: SampleRows) -> None:
    """A partition's key has 64 KiB at most."""
    store = CassandraStore(client)
    (row,) = sample.hit()
    with pytest.raises(RowRefusedError):
        store.add([structs.replace(row, campaign="c" * 70_000)])
    assert store.add([row]) == 1
    store.close()


def test_segments_shipped_three_times_give_the_same_rows(
    tmp_path: Path, client: CassandraClientStanza
) -> None:
    with under_load(tmp_path, client) as site:
        time.sleep(2)
        site.end_of_load()
        site.drained()
    store = CassandraStore(client)
    writer = SpoolWriter(site.spool, segment_size=4096)
    for event in site.events:
        writer.append(encode(event))
    writer.close()
    originals = [(path.name, path.read_bytes()) for path in sorted(site.spool.glob("*.ready"))]
    for order in (originals, originals[::-1], originals):
        for number, (name, data) in enumerate(order):
            stem, _, _ = name.rpartition("-")
            (site.spool / f"{stem}-{number:06}.ready").write_bytes(data)
        (site.spool / "cursor.json").unlink(missing_ok=True)
        assert Shipper(site.spool, store).drain(60)
    store.close()
    assert len(originals) > 1
    check(site, client)


@pytest.mark.timeout(900)
def test_login_and_names_are_checked(tmp_path: Path) -> None:
    """Over TLS: the password is read anew, and a node nobody vouches for is not talked to."""
    node = Node("login", "--auth", "--tls")
    node.start()
    try:
        password = tmp_path / "password"
        password.write_text("wrong\n")
        options = {
            "user": node.variables["CASSANDRA_USERNAME"],
            "password_file": str(password),
            "tls": True,
            **SHORT,
        }
        client = node.client("login", ca_file=node.variables["CASSANDRA_CAFILE"], **options)
        stranger = Connection(node.client("login", **options), {})
        with pytest.raises(StoreError, match=r"(?i)certificate"):
            stranger.nodes_up()
        with under_load(tmp_path, client) as site:
            until(lambda: site.shipper.status.failing, 30, "an error")
            assert "login of user" in site.shipper.status.last_error
            password.write_text(f"{node.variables['CASSANDRA_PASSWORD']}\nnot this line\n")
            connection = Connection(client, {})
            migrate(connection, Lifetimes(), lambda _: None)
            connection.close()
            until(lambda: site.shipper.status.carried > 50, 60, "some events shipped")
            site.end_of_load()
            site.drained()
            check(site, client)
    finally:
        node.stop()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_one_of_three_nodes_killed_under_load(tmp_path: Path) -> None:
    node = Node("three", "--nodes", "3")
    node.start()
    try:
        client = replace(
            node.client("three"), replication={"datacenter1": "3"}, request_timeout=5000, connect_timeout=3000
        )
        connection = Connection(client, {})
        migrate(connection, Lifetimes(), lambda _: None)
        connection.close()
        with under_load(tmp_path, client) as site:
            until(lambda: site.shipper.status.carried > 50, 60, "some events shipped")
            node.say("kill", "3")
            carried = site.shipper.status.carried
            until(lambda: site.shipper.status.carried > carried + 200, 60, "shipping without it")
            node.say("restart", "3")
            node.say("kill", "1")
            carried = site.shipper.status.carried
            until(lambda: site.shipper.status.carried > carried + 200, 120, "shipping without another")
            node.say("restart", "1")
            site.end_of_load()
            site.drained(120)
            check(site, client)
    finally:
        node.stop()
