"""The list as the filter reads it: a sorted table of hashes, as one run of bytes that is mapped into memory.

Not its file (`snapshot_file`), nor what keeps it up to date (`follow`). The form, all numbers little-endian:

    8   magic "SMTPSUPP"
    4   version, 1: a program that finds a greater one does not read on
    4   bytes of this head, 64
    8   count of entries
    8   when it was made, Unix milliseconds
    16  BLAKE2b of everything else in the file, cut to 16 bytes
    16  zeros
    8   for each entry, sorted: the first half of its hash
    8   for each entry, in the same order: the second half
    1   for each entry, in the same order: its source

The hash of an entry is the BLAKE2b, cut to 16 bytes, of its key (`model.key_of`) in UTF-8: 128 bits, of which
no two entries ever have the same. So the file names nobody, though whoever has an address can ask for it.
Finding one takes a binary search in C over whole numbers. Invariant: what has another length or checksum than
its head says is no snapshot.
"""

import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, Union

from engagement.suppression.model import MailKind, Source, key_of

MAGIC: Final = b"SMTPSUPP"
VERSION: Final = 1
_HEAD: Final = struct.Struct("<8sIIQQ16s16x")
_SUM_AT: Final = 32
_HALVES: Final = struct.Struct("<QQ")
# The numbers of the file are for good: a source that comes later gets the next one.
_SOURCES: Final = (
    Source.SPAM_COMPLAINT,
    Source.LIST_UNSUBSCRIBE,
    Source.BOUNCE_RULE,
    Source.UNSUBSCRIBE_LINK,
    Source.MANUALLY_ADDED,
    Source.COMPLIANCE,
)
_NUMBERS: Final = {source: number for number, source in enumerate(_SOURCES)}

Hash = tuple[int, int]
_Column = Union["array[int]", "memoryview[int]"]


class SnapshotError(ValueError):
    """These bytes are no snapshot that this program reads. The text says why."""


def hash_of(key: str) -> Hash:
    """Return both halves of the hash of an entry's key."""
    first, second = _HALVES.unpack(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest())
    return first, second


class Table:
    """The hashes and sources of all entries, sorted. It never changes: `changed` makes another one."""

    __slots__ = ("_firsts", "_seconds", "_sources")

    def __init__(self, firsts: _Column, seconds: _Column, sources: _Column) -> None:
        self._firsts = firsts
        self._seconds = seconds
        self._sources = sources

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._firsts)

    def __contains__(self, hashed: Hash) -> bool:
        """Return whether there is an entry with this hash (`hash_of`)."""
        place = self._place(*hashed)
        return place < len(self._firsts) and (self._firsts[place], self._seconds[place]) == hashed

    def source(self, tenant: str, recipient: str, list_id: str, kind: MailKind) -> Source | None:
        """Return where the entry comes from, None where there is none. recipient: normalised."""
        first, second = hash_of(key_of(tenant, recipient, list_id, kind))
        place = self._place(first, second)
        if place == len(self._firsts) or self._firsts[place] != first or self._seconds[place] != second:
            return None
        number = self._sources[place]
        return _SOURCES[number] if number < len(_SOURCES) else Source.MANUALLY_ADDED

    @property
    def columns(self) -> tuple[_Column, _Column, _Column]:
        """The first halves, the second halves and the sources, each in the table's order."""
        return self._firsts, self._seconds, self._sources

    def _place(self, first: int, second: int) -> int:
        place = bisect_left(self._firsts, first)
        while place < len(self._firsts) and self._firsts[place] == first and self._seconds[place] < second:
            place += 1
        return place

    def changed(self, changes: Mapping[Hash, Source | None]) -> "Table":
        """Return the table with entries added, and those removed that are None; itself if nothing changes.

        What stays is copied in runs between the changes, so that a few of them cost a copy of the memory.
        """
        new = _NewTable(self)
        for (first, second), source in sorted(changes.items(), key=lambda each: each[0]):
            place = self._place(first, second)
            there = (
                place < len(self._firsts) and self._firsts[place] == first and self._seconds[place] == second
            )
            number = None if source is None else _NUMBERS[source]
            if (self._sources[place] if there else None) == number:
                continue
            new.take_until(place)
            if number is not None:
                new.add(first, second, number)
            if there:
                new.leave_out(place)
        return new.made()

    def encoded(self, made_ms: int) -> bytes:
        """Return the snapshot. made_ms: Unix milliseconds."""
        body = b"".join(
            (_little(array("Q", self._firsts)), _little(array("Q", self._seconds)), bytes(self._sources))
        )
        head = _HEAD.pack(MAGIC, VERSION, _HEAD.size, len(self), made_ms, bytes(16))
        checksum = _checksum(head, body)
        return head[:_SUM_AT] + checksum + head[_SUM_AT + 16 :] + body


class _NewTable:
    """A table under way: runs of an old one, with entries between them."""

    def __init__(self, old: Table) -> None:
        self._old = old
        self._firsts: array[int] = array("Q")
        self._seconds: array[int] = array("Q")
        self._sources: array[int] = array("B")
        self._taken = 0
        self._same = True

    def take_until(self, place: int) -> None:
        """Take over what the old table has before a place."""
        firsts, seconds, sources = self._old.columns
        run = slice(self._taken, place)
        self._firsts.extend(array("Q", firsts[run]))
        self._seconds.extend(array("Q", seconds[run]))
        self._sources.extend(array("B", sources[run]))
        self._taken = place
        self._same = False

    def add(self, first: int, second: int, source: int) -> None:
        self._firsts.append(first)
        self._seconds.append(second)
        self._sources.append(source)

    def leave_out(self, place: int) -> None:
        self._taken = place + 1

    def made(self) -> Table:
        """Return the new table; the old one if nothing was changed."""
        if self._same:
            return self._old
        self.take_until(len(self._old))
        return Table(self._firsts, self._seconds, self._sources)


EMPTY: Final = Table(array("Q"), array("Q"), array("B"))


def decoded(data: "bytes | memoryview[int]") -> Table:
    """Return the table in a snapshot, without a copy of it. Raises SnapshotError."""
    view = memoryview(data)
    if len(view) < _HEAD.size or bytes(view[:8]) != MAGIC:
        raise SnapshotError("this is no snapshot of the suppression list")
    magic, version, size, count, made_ms, checksum = _HEAD.unpack_from(view)
    if version != VERSION:
        raise SnapshotError(
            f"its form has number {version}, this program knows {VERSION}: use the newer program"
        )
    if size != _HEAD.size or len(view) != _HEAD.size + 17 * count:
        raise SnapshotError("it is damaged: it has another length than it says")
    body = view[_HEAD.size :]
    if _checksum(_HEAD.pack(magic, version, size, count, made_ms, bytes(16)), body) != checksum:
        raise SnapshotError("it is damaged: its checksum does not hold")
    firsts, seconds = body[: 8 * count], body[8 * count : 16 * count]
    if sys.byteorder == "big":
        return Table(_from_little(firsts), _from_little(seconds), body[16 * count :])
    return Table(firsts.cast("Q"), seconds.cast("Q"), body[16 * count :])


def _checksum(head: bytes, body: "bytes | memoryview[int]") -> bytes:
    total = blake2b(head, digest_size=16)
    total.update(body)
    return total.digest()


def _little(numbers: "array[int]") -> bytes:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def _from_little(octets: "memoryview[int]") -> "array[int]":
    numbers = array("Q", octets.tobytes())
    numbers.byteswap()
    return numbers
