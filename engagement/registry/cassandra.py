"""The registry in the cluster that has the events, shared by all hosts.

A change is written down before it is made (`registry_change`), and a reader looks again at what was written
down in the last `_OVERLAP_MS`: so one that a killed program has made is seen as well, and so are those of
hosts whose clocks are up to that far apart.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterable
from functools import partial
from hashlib import blake2b
from typing import Any, Final, NamedTuple, TypeVar

from engagement.registry.port import MOST, Change, Changes, ConflictError, Data, Document, RegistryError
from engagement.registry.sqlite import checked
from engagement.settings.schema import CassandraClientStanza
from engagement.stores.cassandra.connection import Connection, RefusedError
from engagement.stores.cassandra.schema import check_version
from engagement.stores.port import StoreError

T = TypeVar("T")

SHARDS: Final = 16  # of each kind, so that one node does not serve it alone
_DAY_MS: Final = 86_400_000
_EPOCH: Final = 0x01B21DD213814000  # 1970 in the ticks of 100 ns that such UUIDs count (RFC 9562 5.1)
_OVERLAP_MS: Final = 120_000  # see above; clocks set by NTP differ by less, and a change takes seconds
_REMEMBERED_MS: Final = 29 * _DAY_MS  # a day less than the table's time to live
_TRIES: Final = 20  # of a change without `expected` that others change at the same time

_STATEMENTS: Final = {
    "get": "SELECT key, data, version, changed_ms FROM {keyspace}.registry_document "
    "WHERE kind = ? AND shard = ? AND key = ?",
    "find": "SELECT key, data, version, changed_ms FROM {keyspace}.registry_document "
    "WHERE kind = ? AND shard = ? AND key >= ? AND key < ?",
    "first": "INSERT INTO {keyspace}.registry_document (kind, shard, key, data, version, changed_ms) "
    "VALUES (?, ?, ?, ?, ?, ?) IF NOT EXISTS",
    "next": "UPDATE {keyspace}.registry_document SET data = ?, version = ?, changed_ms = ? "
    "WHERE kind = ? AND shard = ? AND key = ? IF version = ?",
    "changing": "INSERT INTO {keyspace}.registry_change (kind, day, at, key) VALUES (?, ?, ?, ?)",
    "changed": "SELECT at, key FROM {keyspace}.registry_change "
    "WHERE kind = ? AND day = ? AND at > ? AND at <= ? LIMIT ?",
}


class _Row(NamedTuple):
    """A document as stored. data: None where it was deleted. version: 0 where it never was."""

    data: str | None = None
    version: int = 0
    changed_ms: int = 0


class CassandraRegistry:
    """The registry in the keyspace of a `cassandra_client`. now: returns Unix seconds."""

    def __init__(self, stanza: CassandraClientStanza, now: Callable[[], float] = time.time) -> None:
        self._connection = Connection(stanza, _STATEMENTS, ready=check_version)
        self._now = now

    def get(self, kind: str, key: str) -> Document | None:
        """Return a document, None where there is none. Raises RegistryError."""
        row = self._rows(kind, [key])[0]
        return _document(kind, key, row) if row.data is not None else None

    def put(self, kind: str, key: str, data: Data, *, expected: int | None = None) -> Document:
        """Store a document; see the port. Raises ConflictError, RegistryError, ValueError."""
        return self._change(kind, key, checked(key, data), expected)

    def put_many(self, kind: str, documents: Iterable[tuple[str, Data]]) -> int:
        """Store many documents; see the port. Raises RegistryError, ValueError."""
        texts = dict((key, checked(key, data)) for key, data in documents)
        waiting = list(texts)
        for _ in range(_TRIES):
            if not waiting:
                return len(texts)
            now_ms = self._write_down(kind, waiting)
            before = self._rows(kind, waiting)
            done = self._written(
                kind,
                [
                    (key, _Row(texts[key], row.version + 1, now_ms), row.version)
                    for key, row in zip(waiting, before, strict=True)
                ],
            )
            waiting = [key for key, made in zip(waiting, done, strict=True) if not made]
        raise RegistryError(f"{kind}: others change the same documents all the time; try again")

    def delete(self, kind: str, key: str, *, expected: int | None = None) -> bool:
        """Remove a document; return whether there was one. Raises ConflictError, RegistryError."""
        if expected is None and self.get(kind, key) is None:
            return False
        return self._change(kind, key, None, expected).version > 0

    def find(self, kind: str, prefix: str = "", after: str = "", limit: int = MOST) -> tuple[Document, ...]:
        """Return documents by key; see the port. Raises RegistryError."""
        most = max(0, min(limit, MOST))
        begin = max(prefix, after + "\0" if after else "", key=_order)
        stop = prefix + "\U0010ffff" * 2
        lines = self._guarded(
            lambda: self._connection.stream_each(
                "find", [(kind, shard, begin, stop) for shard in range(SHARDS)], most + 1
            )
        )
        found: list[Document] = []
        for line in lines:
            taken = 0
            for key, data, version, changed_ms in line:
                if data is None:
                    continue
                found.append(_document(kind, key, _Row(data, version, changed_ms)))
                taken += 1
                if taken == most:
                    break
        return tuple(sorted(found, key=lambda each: _order(each.key))[:most])

    def changes(self, kind: str, mark: str = "", limit: int = MOST) -> Changes:
        """Return what changed after the mark; see the port. Raises RegistryError."""
        now_ms = int(self._now() * 1000)
        place = _place_of(mark)
        if place is None or now_ms - max(place.from_ms, place.until_ms) > _REMEMBERED_MS:
            place = _Place(-1, now_ms, "")
        if place.from_ms < 0:
            return self._from_the_beginning(kind, place, limit)
        if not place.after:
            place = place._replace(until_ms=now_ms + _OVERLAP_MS)
        most = max(1, min(limit, MOST))
        rows = self._log(kind, place, most + 1)
        keys = list(dict.fromkeys(key for _, key in rows[:most]))
        found = tuple(
            Change(key, _document(kind, key, row) if row.data is not None else None)
            for key, row in zip(keys, self._rows(kind, keys), strict=True)
            if row.version
        )
        if len(rows) > most:
            return Changes(found, str(place._replace(after=str(rows[most - 1][0]))), more=True)
        return Changes(found, str(_Place(now_ms - _OVERLAP_MS, now_ms, "")), more=False)

    def scrub(self) -> None:
        """Do nothing: compaction drops what was overwritten (see the port)."""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _from_the_beginning(self, kind: str, place: "_Place", limit: int) -> Changes:
        found = self.find(kind, after=place.after, limit=limit)
        changes = tuple(Change(each.key, each) for each in found)
        if len(found) == max(1, min(limit, MOST)):
            return Changes(changes, str(place._replace(after=found[-1].key)), more=True)
        return Changes(changes, str(_Place(place.until_ms - _OVERLAP_MS, place.until_ms, "")), more=False)

    def _log(self, kind: str, place: "_Place", most: int) -> list[tuple[uuid.UUID, str]]:
        """Return what was written down in a time, by time, at most so much."""
        rows: list[tuple[uuid.UUID, str]] = []
        after = uuid.UUID(place.after) if place.after else _moment(place.from_ms - 1)
        until = _moment(place.until_ms + 1)
        first = place.from_ms // _DAY_MS if not place.after else _day_of(after)
        for day in range(first, place.until_ms // _DAY_MS + 1):
            if len(rows) < most:
                arguments = (kind, day, after, until, most - len(rows))
                rows += self._guarded(partial(self._connection.read, "changed", arguments))
        return rows

    def _change(self, kind: str, key: str, text: str | None, expected: int | None) -> Document:
        for _ in range(_TRIES):
            now_ms = self._write_down(kind, [key])
            before = self._rows(kind, [key])[0]
            if expected is not None and expected != (before.version if before.data is not None else 0):
                break
            after = _Row(text, before.version + 1, now_ms)
            if self._written(kind, [(key, after, before.version)])[0]:
                return _document(kind, key, after)
        raise ConflictError(f"{kind} {key}: it was changed meanwhile; read it again")

    def _write_down(self, kind: str, keys: list[str]) -> int:
        """Write down that documents are about to change; return Unix milliseconds."""
        now_ms = int(self._now() * 1000)
        rows = [("changing", (kind, now_ms // _DAY_MS, _moment(now_ms), key)) for key in keys]
        self._guarded(lambda: self._connection.write(rows))
        return now_ms

    def _rows(self, kind: str, keys: list[str]) -> list[_Row]:
        arguments = [(kind, shard_of(key), key) for key in keys]
        answers = self._guarded(lambda: self._connection.read_each("get", arguments))
        return [_Row(*answer[0][1:]) if answer else _Row() for answer in answers]

    def _written(self, kind: str, rows: list[tuple[str, _Row, int]]) -> list[bool]:
        """Write documents where the version before is still that; return of each whether it was."""
        done: list[bool] = [False] * len(rows)
        first = [number for number, (_, _, before) in enumerate(rows) if before == 0]
        later = [number for number, (_, _, before) in enumerate(rows) if before > 0]
        for name, numbers in (("first", first), ("next", later)):
            several: list[tuple[Any, ...]] = []
            for number in numbers:
                key, row, before = rows[number]
                place = (kind, shard_of(key), key)
                several.append((*place, *row) if name == "first" else (*row, *place, before))
            answers = self._guarded(partial(self._connection.read_each, name, several))
            for number, answer in zip(numbers, answers, strict=True):
                done[number] = bool(answer[0][0])
        return done

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (StoreError, RefusedError) as error:
            raise RegistryError(str(error)) from error


class _Place(NamedTuple):
    """Where a reader of changes is.

    from_ms: what was written down since; -1 while all documents are read. until_ms: Unix milliseconds when
    it began. after: the entry, or key, that was read last; "" for none.
    """

    from_ms: int
    until_ms: int
    after: str

    def __str__(self) -> str:
        return f"{self.from_ms}/{self.until_ms}/{self.after}"


def _place_of(mark: str) -> _Place | None:
    begun, _, rest = mark.partition("/")
    until, _, after = rest.partition("/")
    try:
        place = _Place(int(begun), int(until), after)
        if place.from_ms >= 0 and after:
            uuid.UUID(after)
    except ValueError:
        return None
    return place


def shard_of(key: str) -> int:
    """Return the shard of a document."""
    return blake2b(key.encode(), digest_size=1).digest()[0] % SHARDS


def _order(key: str) -> bytes:
    return key.encode()


def _moment(at_ms: int) -> uuid.UUID:
    """Return a time-based UUID of a moment, which no other change has (RFC 9562 5.1)."""
    ticks = at_ms * 10_000 + _EPOCH
    fields = (ticks & 0xFFFFFFFF, ticks >> 32 & 0xFFFF, ticks >> 48 & 0x0FFF | 0x1000)
    return uuid.UUID(fields=(*fields, *uuid.uuid4().fields[3:]))


def _day_of(moment: uuid.UUID) -> int:
    return int((moment.time - _EPOCH) // 10_000) // _DAY_MS


def _document(kind: str, key: str, row: _Row) -> Document:
    return Document(kind, key, json.loads(row.data or "{}"), row.version, row.changed_ms)
