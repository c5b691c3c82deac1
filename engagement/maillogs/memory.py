"""What a follower remembers between two lines: of each message in a queue, and where it is in its log.

One file of SQLite, so that the cursor and all that was learned up to it change in one transaction, whatever
is killed when. Nobody's address is in it. What is known of a message goes when it leaves the queue, or after
`LONGEST_SECONDS`; beyond `MOST` messages the oldest go.
"""

import json
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgpack

LONGEST_SECONDS: Final = 8 * 86_400  # queues give up after five days
MOST: Final = 500_000  # messages under way; a guess, far above a queue that still delivers
_CACHED: Final = 50_000  # messages that are found without a question to the file
_RECENT: Final = 20_000  # queue ids that are known to be gone
_SWEEP_SECONDS: Final = 600  # from one removal of what is too old to the next
VERSION: Final = 1  # of the file; 0 stands in those of programs that wrote none, with the same tables
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS queued (
    queue_id TEXT PRIMARY KEY, at INTEGER NOT NULL, known BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS queued_by_age ON queued (at);
CREATE TABLE IF NOT EXISTS place (source TEXT PRIMARY KEY, cursor TEXT NOT NULL);
"""


class MemoryFileError(Exception):
    """The file cannot be used. The text says which and what to do."""


@dataclass(slots=True)
class Failed:
    """Failed tries to deliver to one recipient. count: how many. The rest is what the last one said."""

    count: int
    reason: str
    error_code: str
    enhanced_code: str
    bounce_class: int


@dataclass(slots=True)
class Queued:
    """What is known of one message in the queue.

    header: its Message-ID. source: its queue id at the MTA that handed it in. recipients: how many, 0 for not
    known. whole: it was seen from its first line. failed: by recipient's mark. earlier: by recipient's mark,
    the queue ids it came by with the mark there.
    """

    header: str = ""
    source: str = ""
    recipients: int = 0
    whole: bool = False
    failed: dict[int, Failed] = field(default_factory=dict)
    earlier: dict[int, list[tuple[str, int]]] = field(default_factory=dict)

    def packed(self) -> bytes:
        """Return it as bytes for the file."""
        failed = [
            (mark, each.count, each.reason, each.error_code, each.enhanced_code, each.bounce_class)
            for mark, each in self.failed.items()
        ]
        values = (self.header, self.source, self.recipients, self.whole, failed, list(self.earlier.items()))
        return bytes(msgpack.packb(values, unicode_errors="surrogatepass"))

    @classmethod
    def unpacked(cls, data: bytes) -> "Queued":
        """Return what `packed` wrote; an empty one for other bytes."""
        try:
            values = msgpack.unpackb(data, unicode_errors="surrogatepass")
            header, source, recipients, whole, failed, earlier = values
            return cls(
                header,
                source,
                recipients,
                whole,
                {mark: Failed(*rest) for mark, *rest in failed},
                {mark: [(queue_id, there) for queue_id, there in path] for mark, path in earlier},
            )
        except (ValueError, TypeError):
            return cls()


class QueueMemory:
    """The file, and what of it is in use. Used by one thread.

    Raises MemoryFileError where the file cannot be opened or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
            (found,) = self._file.execute("PRAGMA user_version").fetchone()
            if found > VERSION:
                self._file.close()
                raise MemoryFileError(
                    f"{path}: its form has number {found}, this program knows {VERSION}. "
                    "Use the newer program."
                )
            self._file.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" + _TABLES)
            if found < VERSION:
                self._file.execute(f"PRAGMA user_version = {VERSION}")
        except (sqlite3.Error, OSError) as error:
            raise self._trouble(error) from error
        self._forget()
        self._gone: dict[str, None] = {}
        self._swept = float("-inf")

    def cursor(self, source: str) -> dict[str, object]:
        """Return where a source was left, {} if it never was. Raises MemoryFileError."""
        try:
            row = self._file.execute("SELECT cursor FROM place WHERE source = ?", (source,)).fetchone()
        except sqlite3.Error as error:
            raise self._trouble(error) from error
        try:
            found = json.loads(row[0]) if row else {}
        except ValueError:
            found = {}
        return found if isinstance(found, dict) else {}

    def of(self, queue_id: str) -> Queued:
        """Return what is known of a message, to be read only. Raises MemoryFileError."""
        known = self._known.get(queue_id)
        if known is None and queue_id in self._dropped:
            return Queued()
        if known is None:
            try:
                row = self._file.execute(
                    "SELECT known FROM queued WHERE queue_id = ?", (queue_id,)
                ).fetchone()
            except sqlite3.Error as error:
                raise self._trouble(error) from error
            known = Queued.unpacked(row[0]) if row else Queued()
            if row:
                self._known[queue_id] = known
                self._stored.add(queue_id)
        return known

    def changed(self, queue_id: str) -> Queued:
        """Return the same to be changed; `commit` writes it. Raises MemoryFileError."""
        known = self.of(queue_id)
        self._known[queue_id] = known
        self._changed[queue_id] = None
        return known

    def drop(self, queue_id: str) -> None:
        """Forget a message that left the queue."""
        self.of(queue_id)  # whether it is in the file
        self._known.pop(queue_id, None)
        self._changed.pop(queue_id, None)
        if queue_id in self._stored:
            self._dropped.add(queue_id)
        self._gone[queue_id] = None
        while len(self._gone) > _RECENT:
            del self._gone[next(iter(self._gone))]

    def is_gone(self, queue_id: str) -> bool:
        """Return whether a message left the queue a short while ago."""
        return queue_id in self._gone

    def comes(self, queue_id: str) -> Queued:
        """Begin anew with a message that comes into the queue; its id may have been another's."""
        self.drop(queue_id)
        self._gone.pop(queue_id, None)
        self._dropped.discard(queue_id)
        self._known[queue_id] = Queued(whole=True)
        self._changed[queue_id] = None
        return self._known[queue_id]

    def commit(self, source: str, cursor: dict[str, object], now: float) -> None:
        """Make all changes and the cursor durable, in one transaction. now: Unix seconds.

        Raises MemoryFileError; nothing is changed then.
        """
        changed = [(queue_id, int(now), self._known[queue_id].packed()) for queue_id in self._changed]
        try:
            self._file.execute("BEGIN IMMEDIATE")
            self._file.executemany(
                "DELETE FROM queued WHERE queue_id = ?", [(each,) for each in self._dropped]
            )
            self._file.executemany("INSERT OR REPLACE INTO queued VALUES (?, ?, ?)", changed)
            if now - self._swept > _SWEEP_SECONDS:
                self._file.execute("DELETE FROM queued WHERE at < ?", (int(now) - LONGEST_SECONDS,))
                self._file.execute(
                    "DELETE FROM queued WHERE queue_id IN "
                    "(SELECT queue_id FROM queued ORDER BY at DESC LIMIT -1 OFFSET ?)",
                    (MOST,),
                )
                self._swept = now
            self._file.execute("INSERT OR REPLACE INTO place VALUES (?, ?)", (source, json.dumps(cursor)))
            self._file.execute("COMMIT")
        except sqlite3.Error as error:
            if self._file.in_transaction:
                self._file.execute("ROLLBACK")
            raise self._trouble(error) from error
        self._stored.update(self._changed)
        self._stored -= self._dropped
        self._changed.clear()
        self._dropped.clear()
        if len(self._known) > _CACHED:
            self._forget()

    def undo(self) -> None:
        """Forget what was learned since the last commit."""
        self._forget()
        self._gone.clear()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _forget(self) -> None:
        self._known: dict[str, Queued] = {}
        self._changed: dict[str, None] = {}
        self._dropped: set[str] = set()
        self._stored: set[str] = set()

    def _trouble(self, error: Exception) -> MemoryFileError:
        return MemoryFileError(
            f"{self._path}: {error}. Make it writable for this user, or move it away: then the log is read "
            "from its beginning, and what it told already changes nothing."
        )
