"""The keyspace: made, upgraded, looked at (engagement.stores.cassandra.schema)."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner

from cassandra_site import Node
from contract.store_samples import AT, SampleRows
from engagement.links.model import Kind
from engagement.stores.cassandra import schema
from engagement.stores.cassandra.connection import Connection
from engagement.stores.cassandra.queries import Lifetimes, message_key, shard_of
from engagement.stores.cassandra.schema import migrate, report_state, scripts, version
from engagement.stores.cassandra.store import CassandraStore
from engagement.stores.port import Query, StoreError
from smtpapi.commands import main


@pytest.fixture
def keyspace(cassandra_node: Node, request: pytest.FixtureRequest) -> Iterator[str]:
    """A keyspace's name, and nothing of it there."""
    name = f"schema_{abs(hash(request.node.name)) % 10**8}"
    yield name
    connection = Connection(cassandra_node.client(name), {})
    connection.say(f"DROP KEYSPACE IF EXISTS {name}")
    connection.close()


def config(folder: Path, node: Node, keyspace: str, **options: object) -> Path:
    path = folder / "smtpapi.conf"
    path.write_text(
        f'smtpapi {{ }}\nspool {{ directory = "{folder}/spool" }}\nstore {{ engine = cassandra }}\n'
        + node.stanza(keyspace, **options)
    )
    return path


def test_migrate_makes_the_tables_and_is_idempotent(
    tmp_path: Path, cassandra_node: Node, keyspace: str
) -> None:
    path = config(tmp_path, cassandra_node, keyspace)
    first = CliRunner().invoke(main, ["store", "check", "--config", str(path)])
    assert (first.exit_code, "run `smtpapi store migrate`" in first.output) == (1, True)
    for times in range(2):
        done = CliRunner().invoke(main, ["store", "migrate", "--config", str(path)])
        assert done.exit_code == 0, done.output
        assert ("applied 0001-events.cql" in done.output) == (times == 0)
    last = CliRunner().invoke(main, ["store", "check", "--config", str(path)])
    assert last.exit_code == 0, last.output
    assert "1 in datacenter1" in last.output
    assert "fewer than 3" in last.output


def test_two_may_migrate_at_once(cassandra_node: Node, keyspace: str) -> None:
    failed: list[BaseException] = []
    reports: list[str] = []

    def run() -> None:
        connection = Connection(cassandra_node.client(keyspace), {})
        try:
            migrate(connection, Lifetimes(), reports.append)
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(line for line in reports if line.startswith("applied")) == [
        f"applied {name}" for _, name, _ in scripts()
    ]


def test_a_migration_that_was_cut_short_is_done_again(cassandra_node: Node, keyspace: str) -> None:
    cassandra_node.migrated(keyspace)
    connection = Connection(cassandra_node.client(keyspace), {})
    connection.say(f"DELETE FROM {keyspace}.migration WHERE number = 2")
    connection.say(f"DELETE FROM {keyspace}.migration WHERE number = 3")
    connection.say(f"DROP TABLE {keyspace}.arrival")
    migrate(connection, Lifetimes(), lambda _: None)
    assert version(connection) == scripts()[-1][0]
    connection.say(f"SELECT * FROM {keyspace}.arrival")
    connection.close()


def test_the_schema_of_a_later_program_is_left_alone(cassandra_node: Node, keyspace: str) -> None:
    store = CassandraStore(cassandra_node.migrated(keyspace))
    store.connection.say(f"INSERT INTO {keyspace}.migration (number, name) VALUES (99, 'x')")
    store.close()
    store = CassandraStore(cassandra_node.client(keyspace))
    with pytest.raises(StoreError, match="Use the newer"):
        list(store.find(Query()))
    with pytest.raises(StoreError, match="Use the newer"):
        migrate(store.connection, Lifetimes(), lambda _: None)
    store.close()


def test_rows_end_by_themselves_and_what_is_lent_lives_longer(
    cassandra_node: Node, sample: SampleRows, keyspace: str
) -> None:
    client = cassandra_node.migrated(keyspace)
    at = [time.time()]
    store = CassandraStore(client, life=Lifetimes(3600, 7200), now=lambda: at[0])
    shift = int(at[0] * 1000) - 1_793_001_722_000
    injection, old = sample.injection(at=shift - 3_590_000), sample.hit(at=shift - 3_598_500)
    late, new = sample.hit(at=shift - 3_700_000), sample.hit(Kind.OPEN, at=shift)
    store.add([*injection, *old, *late, *new])
    assert [event["event_id"] for event in store.find(Query())] == [
        row.event_id for row in (*new, *injection, *old)
    ]
    time.sleep(3)
    assert old[0].event_id not in [event["event_id"] for event in store.find(Query())]
    at[0] += 3000  # the injection's own time is over, and its link's is not
    (event,) = [event for event in store.find(Query(messages=(f"{1:032x}",))) if event["type"] == "open"]
    assert event["subject"] == "Autumn"
    left = store.connection.say(f"SELECT ttl(lent) FROM {keyspace}.injection_by_message")
    assert 3500 < left[0][0] < 3615
    store.close()


def test_the_driver_is_loaded_by_none_but_the_store() -> None:
    code = (
        "import sys, engagement.stores, engagement.stores.sqlite.store, engagement.shipper.loop\n"
        "import smtpapi.mta.session\n"
        "import tracker_web.links.application, tracker_web.server.flask_app, smtpapi.commands.services.ship\n"
        "sys.exit('cassandra' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, timeout=60).returncode == 0


@pytest.mark.parametrize("table", ["migration", "event_by_hour", "everything"])
def test_h30_check_of_a_half_dropped_keyspace_says_what_is_missing(
    tmp_path: Path, cassandra_node: Node, keyspace: str, table: str
) -> None:
    path = config(tmp_path, cassandra_node, keyspace)
    connection = Connection(cassandra_node.client(keyspace), {})
    migrate(connection, Lifetimes(), lambda _: None)
    there = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = %s"
    names = {name for (name,) in connection.say(there, (keyspace,))}
    for name in names if table == "everything" else {table}:
        connection.say(f"DROP TABLE {keyspace}.{name}")
    connection.close()
    checked = CliRunner().invoke(main, ["store", "check", "--config", str(path)])
    assert isinstance(checked.exception, SystemExit), checked.exception
    assert checked.exit_code == 1, checked.output
    assert "smtpapi store migrate" in checked.output
    assert table != "event_by_hour" or "event_by_hour not there" in checked.output
    mended = CliRunner().invoke(main, ["store", "migrate", "--config", str(path)])
    assert mended.exit_code == 0, (mended.output, mended.exception)
    assert CliRunner().invoke(main, ["store", "check", "--config", str(path)]).exit_code == 0


def test_h30_check_of_a_keyspace_that_goes_meanwhile_says_so(cassandra_node: Node, keyspace: str) -> None:
    class Vanishing(Connection):
        """Somebody drops the keyspace after its tables were looked at."""

        def say(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
            if "system_schema.keyspaces" in statement:
                super().say(f"DROP KEYSPACE {keyspace}")
            return super().say(statement, values)

    connection = Vanishing(cassandra_node.client(keyspace), {})
    migrate(connection, Lifetimes(), lambda _: None)
    lines, good = report_state(connection)
    connection.close()
    assert not good
    assert any("is gone: run `smtpapi store migrate`" in line for line in lines)


def test_what_earlier_programs_wrote_is_found_after_an_upgrade(
    cassandra_node: Node, sample: SampleRows, keyspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows as fields, and in none of the tables that came with script 7."""
    connection = Connection(cassandra_node.client(keyspace), {})
    with monkeypatch.context() as before:
        before.setattr(schema, "scripts", lambda: scripts()[:6])
        migrate(connection, Lifetimes(), lambda _: None)
    connection.say(f"DELETE FROM {keyspace}.secret WHERE name = 'indexed'")  # not known then
    (old,) = sample.hit(Kind.LIST_UNSUBSCRIBE, recipient="ole@example.net", message=2, tags=("nl",))
    message, name, hour = message_key(old), UUID(old.event_id), old.at_ms // 3_600_000
    fields = json.dumps(old.fields)
    for cql, values in (
        ("event_by_message (message, at_ms, event_id, tenant, link, fields) VALUES (%s, %s, %s, '', %s, %s)",
         (message, old.at_ms, name, bytes.fromhex(old.link), fields)),
        ("event_by_hour (tenant, hour, shard, at_ms, event_id, message, type, client, link, campaign, "
         "transmission, expired) VALUES ('', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, false)",
         (hour, shard_of(message, 3), old.at_ms, name, message, old.type, old.client, bytes.fromhex(old.link),
          old.campaign, 7)),
        ("hour_by_campaign (tenant, campaign, hour, shards) VALUES ('', '', %s, 3)", (hour,)),
        ("hour_by_campaign (tenant, campaign, hour, shards) VALUES ('', %s, %s, 3)", (old.campaign, hour)),
    ):  # fmt: skip
        connection.say(f"INSERT INTO {keyspace}.{cql}", values)
    migrate(connection, Lifetimes(), lambda _: None)
    connection.close()
    store = CassandraStore(cassandra_node.client(keyspace))
    new = sample.hit(Kind.LIST_UNSUBSCRIBE, at=1)
    store.add(new)
    expected = [new[0].event_id, old.event_id]
    queries = (
        Query(),
        Query(campaigns=("autumn",)),
        Query(types=("list_unsubscribe",)),
        Query(transmissions=("7",)),
        Query(classes=(old.client,)),
        Query(messages=(new[0].message_id, old.message_id)),
    )
    found = {query: [event["event_id"] for event in store.find(query)] for query in queries}
    assert found == dict.fromkeys(queries, expected)
    assert [store.counts(query)["list_unsubscribe"].recorded for query in queries] == [2] * len(queries)
    assert [each.hit.id for each in store.hits(0, 1 << 45)] == expected[:1]  # fields cannot be judged again
    store.close()


def test_events_of_a_domain_are_found_from_before_there_was_an_index_by_domain(
    cassandra_node: Node, sample: SampleRows, keyspace: str
) -> None:
    """In the hours, or by type, as before; and in the days by domain from the hour after the upgrade."""
    connection = Connection(cassandra_node.client(keyspace), {})
    migrate(connection, Lifetimes(), lambda _: None)
    store = CassandraStore(cassandra_node.client(keyspace))
    hour = 3_600_000
    made = [
        row
        for at in range(0, 6 * hour, hour)
        for kind in (Kind.OPEN, Kind.CLICK)
        for row in sample.hit(kind, at=at, recipient="ole@example.net")
    ]
    store.add(made)
    upgraded = (AT // hour + 3).to_bytes(8, "big")
    connection.say(f"UPDATE {keyspace}.secret SET value = %s WHERE name = 'indexed_domains'", (upgraded,))
    for day in {row.at_ms // (24 * hour) for row in made}:
        for shard in range(3):
            connection.say(
                f"DELETE FROM {keyspace}.event_by_day WHERE tenant = '' AND what = 'domain' "
                "AND value = 'example.net' AND day = %s AND shard = %s AND at_ms < %s",
                (day, shard, (AT // hour + 3) * hour),
            )
    connection.close()
    store.close()
    store = CassandraStore(cassandra_node.client(keyspace))
    for query, kinds in (
        (Query(domains=("example.net",)), ("open", "click")),
        (Query(domains=("example.net",), types=("click",)), ("click",)),
        (Query(domains=("example.net",), from_ms=AT + hour, to_ms=AT + 4 * hour), ("open", "click")),
    ):
        low, high = query.from_ms or 0, query.to_ms or 1 << 45
        expected = [row for row in made if row.type in kinds and low <= row.at_ms < high]
        expected.sort(key=lambda row: (row.at_ms, row.event_id), reverse=True)
        assert [event["event_id"] for event in store.find(query)] == [row.event_id for row in expected]
        assert store.number(query, 100) == len(expected)
    store.close()
