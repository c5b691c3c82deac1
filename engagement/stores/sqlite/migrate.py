"""Brings an SQLite file to the newest schema: numbered scripts, each applied once and as a whole."""

import logging
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from engagement.stores.port import StoreError
from engagement.stores.sqlite.earlier.before import prepare

ROOM: Final = 3  # times the file: its copy, and the log of both
_REWRITES: Final = 5  # the last script that rewrites the whole file
_TABLES_RENAMED: Final = 5  # after this script what was there is taken over

_log = logging.getLogger("engagement.stores")


@dataclass(frozen=True, slots=True)
class Migration:
    """One script. number: from 1, without gaps; it becomes the file's user_version."""

    number: int
    name: str
    script: str


@cache
def migrations() -> tuple[Migration, ...]:
    """Return the scripts of schema/ in order."""
    folder = files("engagement.stores.sqlite") / "schema"
    found = sorted((entry.name, entry.read_text("utf-8")) for entry in folder.iterdir())
    scripts = tuple(Migration(int(name[:4]), name, script) for name, script in found if name.endswith(".sql"))
    assert [script.number for script in scripts] == list(range(1, len(scripts) + 1)), "a number is missing"
    return scripts


def version(connection: sqlite3.Connection) -> int:
    """Return the number of the last script applied, 0 for a new file."""
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    return int(number)


def check(connection: sqlite3.Connection, path: str) -> bool:
    """Tell whether the file has this program's schema, False if its writer has yet to make it.

    Raises StoreError for the file of a later program, and of an earlier one, whose events cannot be read.
    """
    number, newest = _numbers(connection, path)
    if 0 < number < newest:
        raise StoreError(
            f"{path}: its schema has number {number}, this program needs {newest}. The shipper brings it up "
            "when it starts, which takes minutes with millions of events: see its log, and try again."
        )
    return number == newest


def _numbers(connection: sqlite3.Connection, path: str) -> tuple[int, int]:
    """Return the number of the file's schema and of this program's. Raises StoreError for a later one."""
    number, newest = version(connection), migrations()[-1].number
    if number > newest:
        raise StoreError(
            f"{path}: its schema has number {number}, this program knows {newest}. Use the newer program."
        )
    return number, newest


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Apply the scripts that are missing. Two processes may do this at once: the second finds nothing to do.

    The connection must be in autocommit mode. Raises StoreError for a later schema or too little room;
    sqlite3.Error, OSError.
    """
    number, newest = _numbers(connection, path)
    if number == newest:
        return
    if number:
        _log.info("%s: bringing up its schema from number %d to %d", path, number, newest)
    if 0 < number < _REWRITES:
        _log.info("%s: that writes all of the file anew", path)
        _make_sure_of_room(path)
    _apply(connection)
    if number:
        _log.info("%s: its schema has number %d", path, newest)


def _make_sure_of_room(path: str) -> None:
    """Check that a migration would not fill the disk. Raises StoreError."""
    needed, free = ROOM * Path(path).stat().st_size, shutil.disk_usage(Path(path).absolute().parent).free
    if free < needed:
        raise StoreError(
            f"{path}: to bring up its schema takes {needed} bytes free beside it, there are {free}. "
            "Nothing was changed: make room, and start again."
        )


def _apply(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        done = version(connection)
        for script in migrations():
            if script.number > done:
                for statement in _statements(script.script):
                    connection.execute(statement)
                if script.number == _TABLES_RENAMED:
                    prepare(connection)
                connection.execute(f"PRAGMA user_version = {script.number}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    """Yield the statements one by one: `executescript` would end the transaction they belong in."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
