"""The registry in a file of its own, which several programs of one host read and write.

Not for a folder on a network (WAL needs shared memory).
"""

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeVar

from engagement.registry.port import (
    LARGEST,
    LONGEST_KEY,
    MOST,
    Change,
    Changes,
    ConflictError,
    Data,
    Document,
    RegistryError,
)

T = TypeVar("T")

_BUSY_SECONDS: Final = 10.0  # writes are short; only a stopped process holds the lock that long
VERSION: Final = 1
# A deleted document keeps its row without data, so that those who follow the changes learn of it. place: from
# 1, a new one with each change.
_SCHEMA: Final = (
    """CREATE TABLE document (
        kind TEXT NOT NULL, key TEXT NOT NULL, data TEXT, version INTEGER NOT NULL,
        changed_ms INTEGER NOT NULL, place INTEGER NOT NULL,
        PRIMARY KEY (kind, key)
    ) WITHOUT ROWID""",
    "CREATE INDEX by_place ON document (kind, place)",
    "CREATE TABLE last (kind TEXT PRIMARY KEY, place INTEGER NOT NULL) WITHOUT ROWID",
)
_BEHIND: Final = "\U0010ffff" * 2  # no key goes on like this: it is no character
_FIELDS: Final = "kind, key, data, version, changed_ms"


def checked(key: str, data: Data) -> str:
    """Return the data as JSON text. Raises ValueError for what is too large or no JSON."""
    if not key or len(key) > LONGEST_KEY:
        raise ValueError(f"a key has 1 to {LONGEST_KEY} characters")
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if len(text.encode("utf-8", "surrogatepass")) > LARGEST:
        raise ValueError(f"a document has at most {LARGEST} bytes")
    text.encode("utf-8")  # a lone surrogate has no UTF-8: UnicodeEncodeError is a ValueError
    key.encode("utf-8")
    return text


class SqliteRegistry:
    """The registry in the file `path`, made where it is missing. now: returns Unix seconds."""

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._owner: tuple[int, int, int] | None = None  # process, device and inode of the connection's file
        self._use(lambda connection: None)

    def get(self, kind: str, key: str) -> Document | None:
        """Return a document, None where there is none. Raises RegistryError."""
        statement = f"SELECT {_FIELDS} FROM document WHERE kind = ? AND key = ? AND data IS NOT NULL"  # noqa: S608 - ours
        rows = self._use(lambda connection: connection.execute(statement, (kind, key)).fetchall())
        return _document(rows[0]) if rows else None

    def put(self, kind: str, key: str, data: Data, *, expected: int | None = None) -> Document:
        """Store a document; see the port. Raises ConflictError, RegistryError, ValueError."""
        text = checked(key, data)

        def work(connection: sqlite3.Connection) -> Document:
            version, _ = _seen(connection, kind, key, expected)
            return self._write(connection, kind, key, text, version + 1)

        return self._change(work)

    def put_many(self, kind: str, documents: Iterable[tuple[str, Data]]) -> int:
        """Store many documents; see the port. Raises RegistryError, ValueError."""
        texts = [(key, checked(key, data)) for key, data in documents]

        def work(connection: sqlite3.Connection) -> int:
            for key, text in texts:
                self._write(connection, kind, key, text, _seen(connection, kind, key, None)[0] + 1)
            return len(texts)

        return self._change(work)

    def delete(self, kind: str, key: str, *, expected: int | None = None) -> bool:
        """Remove a document; return whether there was one. Raises ConflictError, RegistryError."""

        def work(connection: sqlite3.Connection) -> bool:
            version, there = _seen(connection, kind, key, expected)
            if not there:
                return False
            self._write(connection, kind, key, None, version + 1)
            return True

        return self._change(work)

    def find(self, kind: str, prefix: str = "", after: str = "", limit: int = MOST) -> tuple[Document, ...]:
        """Return documents by key; see the port. Raises RegistryError."""
        statement = (
            f"SELECT {_FIELDS} FROM document WHERE kind = ? AND key >= ? AND key > ? AND key < ? "  # noqa: S608 - ours
            "AND data IS NOT NULL ORDER BY key LIMIT ?"
        )
        values = (kind, prefix, after, prefix + _BEHIND, max(0, min(limit, MOST)))
        rows = self._use(lambda connection: connection.execute(statement, values).fetchall())
        return tuple(_document(row) for row in rows)

    def changes(self, kind: str, mark: str = "", limit: int = MOST) -> Changes:
        """Return what changed after the mark; see the port. Raises RegistryError."""
        place = int(mark) if mark.isascii() and mark.isdigit() and len(mark) < 19 else 0
        most = max(1, min(limit, MOST))
        statement = (
            f"SELECT {_FIELDS}, place FROM document WHERE kind = ? AND place > ? ORDER BY place LIMIT ?"  # noqa: S608 - ours
        )
        rows = self._use(lambda connection: connection.execute(statement, (kind, place, most + 1)).fetchall())
        given = rows[:most]
        found = tuple(Change(row[1], _document(row[:5]) if row[2] is not None else None) for row in given)
        return Changes(found, str(given[-1][5] if given else place), len(rows) > most)

    def scrub(self) -> None:
        """Overwrite what is no more in force; see the port. Raises RegistryError."""
        self._use(lambda connection: connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._drop()

    def _write(
        self, connection: sqlite3.Connection, kind: str, key: str, text: str | None, version: int
    ) -> Document:
        now_ms = int(self._now() * 1000)
        connection.execute(
            "INSERT INTO last VALUES (?, 1) ON CONFLICT (kind) DO UPDATE SET place = place + 1", (kind,)
        )
        connection.execute(
            "INSERT OR REPLACE INTO document VALUES "
            "(?, ?, ?, ?, ?, (SELECT place FROM last WHERE last.kind = ?))",
            (kind, key, text, version, now_ms, kind),
        )
        return Document(kind, key, json.loads(text or "{}"), version, now_ms)

    def _change(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def in_transaction(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN IMMEDIATE")
            try:
                done = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return done

        return self._use(in_transaction)

    def _use(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            try:
                return work(self._opened())
            except (sqlite3.Error, OSError) as error:
                self._drop()
                raise RegistryError(
                    f"{self._path}: {error}. Is there room, and may this user write to the folder?"
                ) from error

    def _opened(self) -> sqlite3.Connection:
        if self._owner is not None and self._owner[0] != os.getpid():
            self._connection = self._owner = None  # after a fork it is the parent's to close
        if self._connection is not None and self._owner != self._identity():
            self._drop()  # removed or replaced: SQLite would go on with a file that has no name
        if self._connection is None:
            self._connection = self._made()
            self._owner = self._identity()
        return self._connection

    def _made(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o770, parents=True, exist_ok=True)
        # Every program of the group writes to it; nobody outside may read addresses and keys.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660))
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._refuse_newer(connection)  # before anything of it is changed
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")  # addresses that are gone are overwritten
            connection.execute("BEGIN IMMEDIATE")
            if self._refuse_newer(connection) == 0:
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return connection

    def _refuse_newer(self, connection: sqlite3.Connection) -> int:
        """Return the number of the file's schema. Raises RegistryError for that of a later program."""
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise RegistryError(
                f"{self._path}: its schema has number {version}, this program knows {VERSION}. "
                "Use the newer program."
            )
        return int(version)

    def _identity(self) -> tuple[int, int, int] | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return os.getpid(), found.st_dev, found.st_ino

    def _drop(self) -> None:
        if self._connection is not None and self._owner is not None and self._owner[0] == os.getpid():
            self._connection.close()
        self._connection = self._owner = None


def _seen(connection: sqlite3.Connection, kind: str, key: str, expected: int | None) -> tuple[int, bool]:
    """Return the last version of a document, 0 for none, and whether it is there. Raises ConflictError.

    The number of one that was deleted goes on, so that no version comes twice.
    """
    row = connection.execute(
        "SELECT version, data IS NOT NULL FROM document WHERE kind = ? AND key = ?", (kind, key)
    ).fetchone()
    version, there = (row[0], bool(row[1])) if row else (0, False)
    if expected is not None and expected != (version if there else 0):
        raise ConflictError(f"{kind} {key}: it was changed meanwhile; read it again")
    return int(version), there


def _document(row: tuple[str, str, str, int, int]) -> Document:
    kind, key, text, version, changed_ms = row
    return Document(kind, key, json.loads(text), version, changed_ms)
