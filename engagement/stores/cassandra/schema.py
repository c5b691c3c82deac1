"""Brings a keyspace to the newest schema, and reports its state.

Numbered scripts, each applied once; all their statements are "if not exists", so one that was interrupted is
applied again. A lock, taken by a lightweight transaction, keeps two migrations from running at once.
"""

import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from typing import Final
from uuid import NAMESPACE_DNS, uuid5

from engagement.settings.schema import CassandraClientStanza
from engagement.stores.cassandra.connection import Connection, RefusedError
from engagement.stores.cassandra.queries import ARRIVALS_IN_PART, Lifetimes
from engagement.stores.cassandra.reader import INDEXED, INDEXED_DOMAINS, SECRET
from engagement.stores.port import StoreError

LOCK_SECONDS: Final = 600  # after a migration that died the next one may begin
WINDOWS: Final = 30  # TWCS: some tens of windows in a table's life
_LOCK: Final = 0  # the number that is no script's

# With a fixed id, two nodes that get the statement at once create one table and not two.
_MIGRATION: Final = """
    CREATE TABLE IF NOT EXISTS {keyspace}.migration (number int PRIMARY KEY, name text, holder text)
    WITH ID = {id}
"""

_NUMBERS: Final = "SELECT number FROM {keyspace}.migration"
_APPLIED: Final = "INSERT INTO {keyspace}.migration (number, name) VALUES (%s, %s)"
_TAKE_LOCK: Final = """
    INSERT INTO {keyspace}.migration (number, name, holder) VALUES (%s, 'lock', %s)
    IF NOT EXISTS USING TTL {seconds}
"""
_UNLOCK: Final = "DELETE FROM {keyspace}.migration WHERE number = %s IF holder = %s"
_KEEP: Final = "INSERT INTO {keyspace}.secret (name, value) VALUES (%s, %s) IF NOT EXISTS"


@cache
def scripts() -> tuple[tuple[int, str, str], ...]:
    """Return (number, name, text) of schema_scripts/, in order."""
    folder = files("engagement.stores.cassandra") / "schema_scripts"
    found = sorted((entry.name, entry.read_text("utf-8")) for entry in folder.iterdir())
    numbered = tuple((int(name[:4]), name, text) for name, text in found if name.endswith(".cql"))
    assert [number for number, _, _ in numbered] == list(range(1, len(numbered) + 1)), "a number is missing"
    return numbered


def statements(text: str, keyspace: str, life: Lifetimes) -> Iterator[str]:
    """Yield the statements of a script."""
    filled = text.format(
        keyspace=keyspace,
        window_hours=_window(life.events),
        long_window_hours=_window(life.message),
        arrivals_in_part=ARRIVALS_IN_PART,
    )
    bare = re.sub(r"--[^\n]*", "", filled)
    yield from (statement.strip() for statement in bare.split(";") if statement.strip())


def _window(life: int) -> int:
    """Return the hours of a compaction window; 24 where rows never expire. life: seconds."""
    return max(1, life // WINDOWS // 3600) if life else 24


def replication(stanza: CassandraClientStanza, local_dc: str) -> str:
    """Return a keyspace's replication as CQL."""
    copies = dict(stanza.replication) or {local_dc: "3"}
    inner = "".join(f", '{name}': {number}" for name, number in copies.items())
    return f"{{'class': 'NetworkTopologyStrategy'{inner}}}"


def version(connection: Connection) -> int | None:
    """Return the number of the last script applied, None if there is no schema at all. Raises StoreError."""
    keyspace = connection.stanza.keyspace
    try:
        found = connection.say(_NUMBERS.format(keyspace=keyspace))
    except RefusedError:
        return None
    return max((number for (number,) in found), default=0)


@cache
def tables() -> frozenset[str]:
    """Return the names of all tables that the scripts make."""
    return frozenset(
        re.findall(r"CREATE TABLE IF NOT EXISTS {keyspace}\.(\w+)", " ".join(t for *_, t in scripts()))
    )


def missing(connection: Connection) -> list[str]:
    """Return the names of tables that do not exist. Raises StoreError, RefusedError."""
    found = connection.say(
        "SELECT table_name FROM system_schema.tables WHERE keyspace_name = %s", (connection.stanza.keyspace,)
    )
    return sorted(tables() - {name for (name,) in found})


def check_version(connection: Connection) -> None:
    """Check that the schema is this program's, and complete. Raises StoreError."""
    found, newest, keyspace = version(connection), scripts()[-1][0], connection.stanza.keyspace
    if found is None or found < newest:
        what = "has no tables" if not found else f"has schema {found}, this program needs {newest}"
        raise StoreError(f"Cassandra: keyspace {keyspace} {what}. Run `smtpapi store migrate`.")
    if found > newest:
        raise StoreError(
            f"Cassandra: keyspace {keyspace} has schema {found}, this program knows {newest}. "
            "Use the newer program."
        )
    if gone := missing(connection):
        raise StoreError(
            f"Cassandra: keyspace {keyspace} lacks {', '.join(gone)}. Run `smtpapi store migrate`."
        )


def migrate(
    connection: Connection, life: Lifetimes, report: Callable[[str], None], *, wait: float = 120.0
) -> None:
    """Create or upgrade the schema. Does nothing if it is the newest. Raises StoreError, RefusedError.

    report: called with the text of each step. wait: seconds for another migration to end.
    """
    keyspace = connection.stanza.keyspace
    newest = scripts()[-1][0]
    found = version(connection)
    if found is not None and found > newest:
        check_version(connection)
    if found != newest or missing(connection):
        _begin(connection)
        holder = f"{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(4)}"
        _lock(connection, holder, report, wait)
        try:
            done = 0 if missing(connection) else version(connection) or 0
            for number, name, text in scripts():
                if number > done:
                    for statement in statements(text, keyspace, life):
                        connection.say(statement)
                    _agree(connection)
                    connection.say(
                        _APPLIED.format(keyspace=keyspace),
                        (number, name),
                    )
                    report(f"applied {name}")
        finally:
            connection.say(
                _UNLOCK.format(keyspace=keyspace),
                (_LOCK, holder),
            )
    connection.say(_KEEP.format(keyspace=keyspace), (SECRET, secrets.token_bytes(32)))
    # What an earlier program wrote is in no index by day; one may still be at work within this hour.
    first = int(time.time() // 3600) + 1 if found else 0
    for mark in (INDEXED, INDEXED_DOMAINS):
        connection.say(_KEEP.format(keyspace=keyspace), (mark, first.to_bytes(8, "big")))


def _begin(connection: Connection) -> None:
    stanza = connection.stanza
    local = stanza.local_dc or connection.nodes_up()[0][1]
    connection.say(
        f"CREATE KEYSPACE IF NOT EXISTS {stanza.keyspace} WITH replication = {replication(stanza, local)}"
    )
    _agree(connection)
    connection.say(_MIGRATION.format(keyspace=stanza.keyspace, id=uuid5(NAMESPACE_DNS, stanza.keyspace)))
    _agree(connection)


def _agree(connection: Connection) -> None:
    if not connection.agreed():
        raise StoreError(
            "Cassandra: the nodes do not agree on the schema. Is one of them down? Then migrate again."
        )


def _lock(connection: Connection, holder: str, report: Callable[[str], None], wait: float) -> None:
    keyspace = connection.stanza.keyspace
    deadline, reported = time.monotonic() + wait, False
    while True:
        answer = connection.say(
            _TAKE_LOCK.format(keyspace=keyspace, seconds=LOCK_SECONDS),
            (_LOCK, holder),
        )
        if answer[0][0]:
            return
        if time.monotonic() > deadline:
            raise StoreError(
                f"Cassandra: another migration of {keyspace} is at work, or died less than "
                f"{LOCK_SECONDS} s ago. Try again then."
            )
        if not reported:
            report("another migration is at work; waiting")
            reported = True
        time.sleep(0.25)


def report_state(connection: Connection) -> tuple[list[str], bool]:
    """Return the state of cluster and keyspace as text, and whether all is well. Raises StoreError."""
    stanza, lines, good = connection.stanza, [], True
    reached = connection.nodes_up()
    for address, centre, up in reached:
        lines.append(f"node        {address} in {centre}: {'up' if up else 'DOWN'}")
        good &= up
    newest, found = scripts()[-1][0], version(connection)
    if found is None:
        lines.append(f"schema      keyspace {stanza.keyspace} has no tables: run `smtpapi store migrate`")
        return lines, False
    state = "as needed" if found == newest else f"this program needs {newest}"
    lines.append(f"schema      {found}, {state}")
    good &= found == newest
    if gone := missing(connection):
        lines.append(f"            {', '.join(gone)} not there: run `smtpapi store migrate`")
        good = False
    keyspaces = connection.say(
        "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = %s", (stanza.keyspace,)
    )
    if not keyspaces:  # dropped since its tables were read
        lines.append(f"copies      keyspace {stanza.keyspace} is gone: run `smtpapi store migrate`")
        return lines, False
    ((copies,),) = keyspaces
    centres = {name: int(number) for name, number in copies.items() if name != "class"}
    lines.append(f"copies      {', '.join(f'{number} in {name}' for name, number in centres.items())}")
    for name, number in centres.items():
        there = sum(centre == name for _, centre, _ in reached)
        if number > there:
            lines.append(f"            MORE copies than nodes: {name} has {there}; writes at quorum may fail")
            good = False
        elif number < 3:
            lines.append(f"            fewer than 3 in {name}: a lost node may take events with it")
    lines.append(
        f"consistency {stanza.consistency}, {stanza.shards} shards; "
        f"{'all nodes agree on the schema' if connection.agreed() else 'the nodes DISAGREE on the schema'}"
    )
    return lines, good
