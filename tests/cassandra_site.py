"""A real Cassandra for tests: one node of its own below .test/, started when first needed. Not a test."""

import json
import os
import random
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from engagement.settings.schema import CassandraClientStanza
from engagement.stores.cassandra.connection import Connection
from engagement.stores.cassandra.queries import Lifetimes
from engagement.stores.cassandra.schema import migrate
from engagement.stores.cassandra.store import CassandraStore

ROOT = Path(__file__).parents[1]
SERVER = ROOT / "tests" / "cassandra_node" / "cassandra-server"
TABLES = (
    *("event_by_message", "injection_by_message", "event_by_hour", "message_by_recipient"),
    *("hour_by_campaign", "figure_by_hour", "stale_hour", "arrival", "shipper"),
    *("tag_set", "turn", "event_by_day", "lookup", "waiting", "past_label"),
    *("tally", "part", "figure", "figure_day", "seen", "life", "stale_day"),
)


def free_port() -> int:
    """A port that is free together with those a node takes beside it (cassandra_node/README.md)."""
    while True:
        port = random.randrange(20_000, 30_000)
        try:
            for each in (port, port - 2042, port - 2042 + 199):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", each))
        except OSError:
            continue
        return port


class Node:
    """One node. arguments: more of what `cassandra-server start` takes."""

    def __init__(self, name: str, *arguments: str) -> None:
        self.port = free_port()
        self.directory = ROOT / ".test" / f"cassandra-{name}-{os.getpid()}"
        self._arguments = arguments
        self.variables: dict[str, str] = {}

    def start(self) -> None:
        # Each acknowledged write is on the disk, as a cluster of three gives it: tests kill nodes.
        out = self.say(
            "start",
            "--port",
            str(self.port),
            "--sync",
            "batch",
            "--set",
            "auto_snapshot=false",
            *self._arguments,
        )
        self.variables = dict(
            line.split("=", 1) for line in out.splitlines() if line.startswith("CASSANDRA_")
        )

    def say(self, *arguments: str, env: dict[str, str] | None = None) -> str:
        verb, *rest = arguments
        done = subprocess.run(
            [sys.executable, SERVER, verb, "--dir", str(self.directory), *rest],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=800,
            env=env,
        )
        assert done.returncode == 0, f"cassandra-server {arguments}: {done.stderr}"
        return done.stdout

    def kill(self) -> None:
        self.say("kill", "1")

    def restart(self) -> None:
        self.say("restart", "1")

    def pause(self) -> None:
        self.say("pause", "1")

    def resume(self) -> None:
        self.say("resume", "1")

    def stop(self) -> None:
        self.say("stop", "--delete")

    def client(self, keyspace: str, **options: object) -> CassandraClientStanza:
        """A stanza that leads here. One copy of each row, as there is one node."""
        uri = (f"name=cassandra_db;host=127.0.0.1;port={self.port}",)
        given: dict[str, Any] = {
            "uri": uri,
            "keyspace": keyspace,
            "replication": {"datacenter1": "1"},
            "shards": 3,
            **options,
        }
        return CassandraClientStanza(**given)

    def stanza(self, keyspace: str, **options: object) -> str:
        """The same as text."""
        client = self.client(keyspace, **options)
        inner = [
            f"uri = ({json.dumps(client.uri[0])})",
            f"keyspace = {keyspace}",
            f"shards = {client.shards}",
        ]
        inner += ['replication = [ datacenter1 = "1" ]']
        inner += [f"{name} = {json.dumps(value)}" for name, value in options.items()]
        return "cassandra_client { " + "  ".join(inner) + " }\n"

    def migrated(self, keyspace: str, life: Lifetimes = Lifetimes()) -> CassandraClientStanza:  # noqa: B008 - frozen
        """A stanza whose keyspace has its tables."""
        client = self.client(keyspace)
        connection = Connection(client, {})
        try:
            migrate(connection, life, lambda _: None)
        finally:
            connection.close()
        return client


def empty(store: CassandraStore) -> None:
    """Take all rows away."""
    keyspace = store.connection.stanza.keyspace
    with ThreadPoolExecutor(4) as several:
        list(several.map(store.connection.say, [f"TRUNCATE {keyspace}.{table}" for table in TABLES]))
