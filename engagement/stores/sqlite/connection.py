"""The connection to an SQLite file: opened, kept right, and made anew where it must be.

In WAL mode readers do not wait for the writer. synchronous = FULL: when a transaction is committed, its rows
survive a power cut. Not for a folder on a network (WAL needs shared memory).
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from engagement.stores.port import RowRefusedError, StoreError
from engagement.stores.sqlite.migrate import check, migrate

T = TypeVar("T")
N = TypeVar("N")

BUSY_SECONDS = 5.0  # readers never hold a lock that long; another writer is a mistake to report
LOG_PAGES = 16_000  # 64 MB: what a batch changes is copied into the file once for several of them
_LOG_BYTES = 4096 * LOG_PAGES  # what the write-ahead log keeps after a checkpoint
_LONG_LOG = 32_000_000  # a longer one is carried over and cut, unless a backlog is written at this time
_BACKLOG_SECONDS = 10.0  # since its last transaction
CACHE_KIB = 98_304  # a transaction of 20,000 events in a file of a million changes 15,000 pages or more


class SqliteFile:
    """One file and this process's connection to it, safe to share between threads.

    writing: create and migrate it, or raise StoreError; otherwise it may not exist yet.
    """

    def __init__(self, path: Path, *, writing: bool = False) -> None:
        self._path = path
        self._writing = writing
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._process = os.getpid()
        self._closed = False
        self._file: tuple[int, int] | None = None  # device and inode of the connection's file
        self._backlog_ends = float("-inf")
        self._frozen = False  # opened as a file that nobody writes: closed after each use
        if writing:
            self._do(lambda connection: None, None)

    def close(self) -> None:
        """Close files and connections."""
        with self._lock:
            self._closed = True
            self._drop()

    def _forget(self) -> None:
        """Forget what was remembered of the file: another one may be there."""

    def _ask(self, statement: str, values: list[object]) -> list[tuple[Any, ...]]:
        return self._do(lambda connection: connection.execute(statement, values).fetchall(), [])

    def _do(self, work: Callable[[sqlite3.Connection], T], nothing: N) -> T | N:
        """Run `work`; return `nothing` while the writer has not made the file yet.

        Raises RowRefusedError, StoreError.
        """
        with self._lock:
            try:
                connection = self._connected()
                if connection is None:
                    return nothing
                done = work(connection)
                if self._writing:
                    self._same_file()  # else it may be in a file that has no name any more
                    if not connection.in_transaction:
                        self._shorten_log(connection)
                return done
            except (
                sqlite3.IntegrityError,
                sqlite3.DataError,
                sqlite3.InterfaceError,
                OverflowError,
            ) as error:
                raise RowRefusedError(str(error)) from error
            except (sqlite3.Error, OSError) as error:
                self._drop()  # after a failed disk or a replaced file only a new connection is right
                raise StoreError(
                    f"{self._path}: {error}. Is there room, and may this user use it?"
                ) from error
            finally:
                if self._frozen:
                    self._drop()

    @contextmanager
    def _joined(self) -> Iterator[None]:
        """Make one transaction of all that is written within; what fails takes all of it back."""
        with self._lock:
            self._do(lambda connection: connection.execute("BEGIN IMMEDIATE"), None)
            try:
                yield
                self._do(self._commit, None)
            except BaseException:
                if self._connection is not None and self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                self._forget()
                raise

    def _note_backlog(self) -> None:
        """Let the log be long for a while: each cut of it costs its pages anew."""
        self._backlog_ends = time.monotonic() + _BACKLOG_SECONDS

    def _commit(self, connection: sqlite3.Connection) -> None:
        if not connection.in_transaction:  # the connection was lost meanwhile, and this is another one
            raise StoreError(f"{self._path}: what was being written was taken back, and will be tried again")
        connection.execute("COMMIT")

    def _connected(self) -> sqlite3.Connection | None:
        if self._closed:
            raise StoreError(f"{self._path}: the store was closed")
        if self._process != os.getpid():  # after a fork the parent's connection is not ours to use or close
            self._connection = None
            self._process = os.getpid()
        if self._connection is not None:
            self._same_file()
        if self._connection is None:
            self._connection = self._open_writing() if self._writing else self._open_reading()
            self._file = _identity(self._path) if self._connection is not None else None
        return self._connection

    def _same_file(self) -> None:
        """Check that the path still leads to the connection's file; if not, a reader opens the new one.

        Raises StoreError for the writer: SQLite would write on to a file that nobody can open any more.
        """
        if self._frozen or self._file == _identity(self._path):
            return
        self._drop()
        if self._writing:
            raise StoreError(
                f"{self._path}: the file was removed or replaced while it was in use. What was being written "
                "stays in the spool and goes into the file that is there now, or into a new one; what only "
                "the old one held is gone unless you put it back"
            )

    def _shorten_log(self, connection: sqlite3.Connection) -> None:
        """Checkpoint a write-ahead log that grew while somebody read, and truncate it.

        SQLite's own limit (journal_size_limit) acts when the log restarts, which each reader delays.
        """
        try:
            size = os.stat(f"{self._path}-wal").st_size
            if size <= _LONG_LOG or (size <= 2 * _LOG_BYTES and time.monotonic() < self._backlog_ends):
                return
        except OSError:
            return
        connection.execute("PRAGMA busy_timeout = 0")  # do not wait for readers: next time then
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError:
            return
        finally:
            connection.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")

    def _open_writing(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o770, parents=True, exist_ok=True)
        # Nobody outside the group may read recipients. SQLite gives its other files this mode, too.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
        connection = sqlite3.connect(
            self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            (before,) = connection.execute("PRAGMA secure_delete").fetchone()
            connection.execute("PRAGMA secure_delete = ON")  # what a migration has copied is overwritten
            migrate(connection, str(self._path))
            connection.execute(f"PRAGMA secure_delete = {('OFF', 'ON', 'FAST')[before]}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_reading(self) -> sqlite3.Connection | None:
        if not self._path.exists():
            return None
        connection = self._read_only("mode=ro")
        try:
            try:
                ready = check(connection, str(self._path))
            except sqlite3.OperationalError:
                # Of a file nobody writes now a user who may not write to its folder cannot make the shared
                # memory; without a write-ahead log there is nothing in it to miss.
                if Path(f"{self._path}-wal").exists():
                    raise
                connection.close()
                connection = self._read_only("mode=ro&immutable=1")
                self._frozen = True
                ready = check(connection, str(self._path))
        except BaseException:
            connection.close()
            raise
        if not ready:
            connection.close()
            return None
        return connection

    def _read_only(self, options: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self._path.absolute().as_uri()}?{options}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )

    def _drop(self) -> None:
        if self._connection is not None and self._process == os.getpid():
            self._connection.close()
        self._connection = None
        self._file = None
        self._frozen = False
        self._forget()


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of the file at a path, None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def in_transaction(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Run `work` in one transaction, or within the one there is; return its result.

    Raises what `work` raises, and sqlite3.Error where a transaction cannot be begun or committed. One that
    was begun here is rolled back then; one of the caller's is left as it is.
    """
    begun = connection.in_transaction
    if not begun:
        connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        if not begun:
            connection.execute("COMMIT")
    except BaseException:
        if not begun and connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result
