"""The list as it is searched: a copy in a temporary SQLite file, which follows the registry.

For the web program, whose calls ask by domain, source or time, and how many there are; the registry answers
by key alone. Not the filter's copy (`snapshot`). Invariants: each answer has what the registry had when it
was asked; the copy is gone with the process.
"""

import json
import sqlite3
import threading
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from engagement.registry.port import Change, Registry, RegistryError
from engagement.suppression.book import Search
from engagement.suppression.model import KIND, BadEntryError, Entry, Source, data_of, entry_of, prefix_of

_SCHEMA: Final = """
CREATE TABLE entry (
    key TEXT PRIMARY KEY, tenant TEXT NOT NULL, domain TEXT NOT NULL, type TEXT NOT NULL,
    source TEXT NOT NULL, list_id TEXT NOT NULL, updated_ms INTEGER NOT NULL, description INTEGER NOT NULL,
    body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX by_description ON entry (tenant, description, key);
CREATE TABLE description (number INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE INDEX by_domain ON entry (tenant, domain, key);
CREATE INDEX by_time ON entry (tenant, updated_ms, key);
CREATE TABLE tally (
    tenant TEXT NOT NULL, type TEXT NOT NULL, source TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (tenant, type, source)
) WITHOUT ROWID;
CREATE TRIGGER one_more AFTER INSERT ON entry BEGIN
    INSERT INTO tally VALUES (new.tenant, new.type, new.source, 1)
    ON CONFLICT (tenant, type, source) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER one_less AFTER DELETE ON entry BEGIN
    UPDATE tally SET count = count - 1
    WHERE tenant = old.tenant AND type = old.type AND source = old.source;
END;
"""
# Parts of three characters of descriptions, so that not every text is read for one that few have in them.
_TRIGRAMS: Final = "CREATE VIRTUAL TABLE words USING fts5(text, content='', tokenize='trigram')"
_SHORTEST: Final = 3  # characters: FTS5's trigrams find nothing shorter
# Entries that are sorted. Where more fit, the list is gone through in its order, and a page is soon full.
_FEW: Final = 20_000
_REMEMBERED: Final = 1000  # descriptions whose numbers are not looked up again; most entries share a few
_COUNTED: Final = 20_000  # entries with a description; going through 300,000 takes most of a second
_TIMEOUT: Final = 5.0  # seconds: a client waits for 30, and other calls want this thread
_END: Final = "\U0010ffff"


class _Ways(NamedTuple):
    """How descriptions are found: from what, by which test; those numbers; and for one entry at a time."""

    source: str
    test: str
    each_test: str

    @property
    def within(self) -> str:
        return f"description IN (SELECT description.number FROM {self.source} WHERE {self.test})"  # noqa: S608 - ours

    @property
    def each(self) -> str:
        its = f"description.number = entry.description AND {self.each_test}"
        return f"EXISTS (SELECT 1 FROM description WHERE {its})"  # noqa: S608 - ours


_WHOLE: Final = _Ways("description", "description.text = ?", "description.text = ?")
_TEXT: Final = _Ways("description", "instr(description.text, ?)", "instr(description.text, ?)")
_BY_TRIGRAMS: Final = _Ways(
    "words CROSS JOIN description ON description.number = words.rowid",
    "words MATCH ? AND instr(description.text, ?)",
    "instr(description.text, ?)",
)


class Order(StrEnum):
    """In what order entries come: by recipient, or by the time of their last change."""

    RECIPIENT = ""
    OLDEST = "asc"
    NEWEST = "desc"


class Listed(NamedTuple):
    """A page. cursor: to go on from, "" where there is no more.

    total: entries that fit, on all pages; of those with a description at most `_COUNTED` are counted.
    """

    entries: tuple[Entry, ...]
    total: int
    cursor: str


class CursorError(ValueError):
    """What was given as a cursor is none."""


class SuppressionIndex:
    """The copy. registry: opens what it follows. Safe to share between threads.

    All entries are read once, in a thread, which begins with the first question: for 10^6 of them that takes
    about a minute. Until then an answer waits for at most `timeout` seconds, and ends in RegistryError.
    """

    def __init__(self, registry: Callable[[], Registry], timeout: float = _TIMEOUT) -> None:
        self._registry = registry
        self._timeout = timeout
        self._complete = threading.Event()
        self._reading = threading.Lock()  # held by the thread that reads all entries
        self._failure: Exception | None = None
        self._lock = threading.Lock()
        self._mark = ""
        self._numbers: dict[str, int] = {}  # of some descriptions: most lists have but a few
        # Not in memory: SQLite keeps what fits into its cache, and the rest in a file without a name.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(_SCHEMA)
        try:
            self._database.execute(_TRIGRAMS)
            self._has_trigrams = True
        except sqlite3.OperationalError:  # an SQLite built without FTS5, or before 3.34
            self._has_trigrams = False

    def find(
        self, search: Search, order: Order = Order.RECIPIENT, cursor: str = "", limit: int = 1000
    ) -> Listed:
        """Return the entries after a cursor that fit, at most so many. Raises CursorError, RegistryError."""
        where, values = _conditions(search, order)
        after, bound = _after(order, cursor)
        direction = "DESC" if order is Order.NEWEST else "ASC"
        by = "key" if order is Order.RECIPIENT else f"updated_ms {direction}, key"
        self._wait()
        with self._lock:
            self._follow()
            index, described = "", 0
            if search.description:
                ways, text = self._described(search)
                described = self._having(search, ways, text)
                if described <= _FEW:
                    index = "INDEXED BY by_description"
                    where, values = f"tenant = ? AND {where}", [search.tenant, *values]
                where = f"{where} AND {ways.within if index else ways.each}"
                values = [*values, *(text if index else text[-1:])]
            rows = self._database.execute(
                f"SELECT key, updated_ms, body FROM entry {index} WHERE {where}{after} "  # noqa: S608 - ours
                f"ORDER BY {by} {direction} LIMIT ?",
                (*values, *bound, limit + 1),
            ).fetchall()
            total = self._total(search, where, values, index, described)
        entries = tuple(entry_of(json.loads(body)) for _, _, body in rows[:limit])
        return Listed(entries, total, _cursor(order, rows[limit - 1]) if len(rows) > limit else "")

    def summary(self, tenant: str = "") -> Mapping[Source, int]:
        """Return how many entries of each source there are. Raises RegistryError."""
        statement = "SELECT source, SUM(count) FROM tally WHERE tenant = ? GROUP BY source"
        self._wait()
        with self._lock:
            self._follow()
            found = dict(self._database.execute(statement, (tenant,)))
        return {source: int(found.get(source.value, 0)) for source in Source}

    def close(self) -> None:
        """Remove the copy."""
        with self._lock:
            self._database.close()

    def _described(self, search: Search) -> tuple[_Ways, list[str]]:
        """Return the ways to find the descriptions that are asked for, and the values of the first."""
        text = search.description.lower()
        if search.strict:
            return _WHOLE, [text]
        if not self._has_trigrams or len(text) < _SHORTEST or "\0" in text:
            return _TEXT, [text]
        return _BY_TRIGRAMS, ['"' + text.replace('"', '""') + '"', text]

    def _having(self, search: Search, ways: _Ways, text: list[str]) -> int:
        """Return how many entries have a description, at most one more than are counted."""
        statement = (
            f"SELECT COUNT(*) FROM (SELECT 1 FROM {ways.source} CROSS JOIN entry INDEXED BY by_description "  # noqa: S608 - ours
            f"ON entry.tenant = ? AND entry.description = description.number WHERE {ways.test} LIMIT ?)"
        )
        most = max(_FEW, _COUNTED) + 1
        return int(self._database.execute(statement, (search.tenant, *text, most)).fetchone()[0])

    def _total(self, search: Search, where: str, values: list[Any], index: str, described: int) -> int:
        """Return how many entries fit: from what is counted where type and source alone decide.

        With a description at most `_COUNTED`.
        """
        if described and search == Search(
            search.tenant, description=search.description, strict=search.strict
        ):
            return min(described, _COUNTED)
        without_text = Search(search.tenant, search.types, search.sources)
        if search != without_text:
            most = _COUNTED if search.description else -1
            (count,) = self._database.execute(
                f"SELECT COUNT(*) FROM (SELECT 1 FROM entry {index} WHERE {where} LIMIT ?)",  # noqa: S608 - ours
                (*values, most),
            ).fetchone()
            return int(count)
        rows = self._database.execute(
            "SELECT type, source, count FROM tally WHERE tenant = ?", (search.tenant,)
        )
        return sum(
            count
            for kind, source, count in rows
            if (not search.types or kind in search.types) and (not search.sources or source in search.sources)
        )

    def _wait(self) -> None:
        """Wait until all entries were read once. Raises RegistryError where that takes too long."""
        if self._complete.is_set():
            return
        if self._reading.acquire(blocking=False):
            self._failure = None
            threading.Thread(target=self._read_all, name="suppression index", daemon=True).start()
        if self._complete.wait(self._timeout):
            return
        if isinstance(self._failure, RegistryError):
            raise self._failure
        raise RegistryError("the suppression list is still being read; try again in a few seconds")

    def _read_all(self) -> None:
        try:
            with self._lock:
                self._follow()
            self._complete.set()
        except Exception as error:  # noqa: BLE001 - reported to who asks next
            self._failure = error
        finally:
            self._reading.release()

    def _follow(self) -> None:
        """Take over what changed. Raises RegistryError."""
        registry = self._registry()
        while True:
            found = registry.changes(KIND, self._mark)
            if found.changes:
                self._database.execute("BEGIN")
                for change in found.changes:
                    self._take(change)
                self._database.execute("COMMIT")
            self._mark = found.mark
            if not found.more:
                return

    def _take(self, change: Change) -> None:
        self._database.execute("DELETE FROM entry WHERE key = ?", (change.key,))
        if change.document is None:
            return
        try:
            entry = entry_of(change.document.data)
        except BadEntryError:
            return  # the shipper says so
        self._database.execute(
            "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                change.key,
                entry.tenant,
                entry.recipient.rpartition("@")[2],
                entry.type.value,
                entry.source.value,
                entry.list_id.lower(),
                entry.updated_ms,
                self._number(entry.description.lower()),
                json.dumps(data_of(entry)),
            ),
        )

    def _number(self, text: str) -> int:
        """Return the number of a description; a new one gets the next."""
        if (known := self._numbers.get(text)) is not None:
            return known
        found = self._database.execute("SELECT number FROM description WHERE text = ?", (text,)).fetchone()
        if found is None:
            found = self._database.execute(
                "INSERT INTO description (text) VALUES (?) RETURNING number", (text,)
            ).fetchone()
            if self._has_trigrams:
                self._database.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (found[0], text))
        if len(self._numbers) < _REMEMBERED:
            self._numbers[text] = int(found[0])
        return int(found[0])


def _conditions(search: Search, order: Order) -> tuple[str, list[Any]]:
    """Return the condition of a search, with its values: what `Search.fits` says, and the tenant.

    The tenant is given by the column that leads to the index with the order, or else by the primary key, so
    that nothing has to be sorted.
    """
    parts: list[str] = ["tenant = ?"]
    values: list[Any] = [search.tenant]
    if order is Order.RECIPIENT and not search.domain:
        prefix = prefix_of(search.tenant)
        parts, values = ["key >= ? AND key < ?"], [prefix, prefix + _END]
    for column, several in (("type", search.types), ("source", search.sources)):
        if several:
            parts.append(f"{column} IN ({', '.join('?' * len(several))})")
            values += sorted(several)
    if search.domain:
        parts.append("domain = ?")
        values.append(search.domain.lower())
    if search.list_id is not None:
        parts.append("list_id = ?")
        values.append(search.list_id.lower())
    bounds: list[Any] = []
    if search.from_ms is not None:
        parts.append("updated_ms >= ?")
        bounds.append(search.from_ms)
    if search.to_ms is not None:
        parts.append("updated_ms < ?")
        bounds.append(search.to_ms)
    return " AND ".join(parts), [*values, *bounds]


def _after(order: Order, cursor: str) -> tuple[str, list[Any]]:
    if not cursor:
        return "", []
    if order is Order.RECIPIENT:
        return " AND key > ?", [cursor]
    at, sign, key = cursor.partition("/")
    if not sign or not at.removeprefix("-").isdecimal():
        raise CursorError("the cursor is not one of this list")
    return f" AND (updated_ms, key) {'<' if order is Order.NEWEST else '>'} (?, ?)", [int(at), key]


def _cursor(order: Order, row: tuple[str, int, str]) -> str:
    return row[0] if order is Order.RECIPIENT else f"{row[1]}/{row[0]}"
