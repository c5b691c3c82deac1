"""Runs the reading statements, and reads what the whole keyspace shares. Its refusals are explained."""

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any, Final

from engagement.stores.cassandra import queries
from engagement.stores.cassandra.connection import Connection, RefusedError
from engagement.stores.cassandra.rows.senders import Senders, latest_texts
from engagement.stores.cassandra.rows.stored import (
    TYPE_IN_FOUND,
    SlimEvent,
    brief_event,
    found_event,
    slim_event,
)
from engagement.stores.customer_tags import Customer, TagSet
from engagement.stores.port import Query, StoreError

SECRET: Final = "recipients"  # noqa: S105 - a name, not the secret; in the table `secret`: what pseudonyms are made with
# There, too: the first hour, since 1970, that `event_by_day` has all events of, and by domain.
INDEXED: Final = "indexed"
_ERASED: Final = "erased"
INDEXED_DOMAINS: Final = "indexed_domains"
# Messages that one statement names; the node asked asks the others for them.
_TOGETHER: Final = 25
_SHORT_TOGETHER: Final = 50  # where a row is no more than what events take from an injection
_PAGE_OF_INJECTIONS: Final = 1000


class Reader:
    """Reads by the names of `statements.READS`. All methods raise StoreError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._secrets: dict[str, bytes] = {}

    def forget(self) -> None:
        """Forget what was read, as a new process would."""
        self._secrets.clear()

    def secret(self) -> bytes:
        """Return the key of pseudonyms. Raises StoreError where there is none yet."""
        found = self._stored(SECRET)
        if not found:
            raise StoreError("Cassandra: the secret of pseudonyms is missing. Run `smtpapi store migrate`.")
        return found

    def erasures(self) -> bytes:
        """Return what changes with each erasure, whoever makes it; b"" before the first."""
        found = self.read("secret", (_ERASED,))
        return bytes(found[0][0]) if found else b""

    def indexed_from(self) -> int:
        """Return the first hour since 1970 whose events are all in `event_by_day`."""
        return int.from_bytes(self._stored(INDEXED), "big")

    def domains_from(self) -> int:
        """Return the first hour since 1970 whose events are all in `event_by_day` by domain."""
        return int.from_bytes(self._stored(INDEXED_DOMAINS), "big")

    def _stored(self, name: str) -> bytes:
        if name not in self._secrets:
            found = self.read("secret", (name,))
            if not found:
                return b""
            self._secrets[name] = bytes(found[0][0])
        return self._secrets[name]

    def read(self, name: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        """Return the lines of a result. Raises StoreError."""
        try:
            return self._connection.read(name, values)
        except RefusedError as error:
            raise self._refused(error) from error

    def read_each(self, name: str, several: Sequence[tuple[object, ...]]) -> list[list[tuple[Any, ...]]]:
        """Return the lines of several results. Raises StoreError."""
        try:
            return self._connection.read_each(name, several)
        except RefusedError as error:
            raise self._refused(error) from error

    def read_several(self, several: Sequence[tuple[str, tuple[object, ...]]]) -> list[list[tuple[Any, ...]]]:
        """Return the lines of the results of several statements, queried at once. Raises StoreError."""
        try:
            return self._connection.read_several(several)
        except RefusedError as error:
            raise self._refused(error) from error

    def streams(
        self, name: str, bound: Sequence[tuple[object, ...]], page: int
    ) -> list[Iterator[tuple[Any, ...]]]:
        """Return the lines of several results, fetched by pages. Raises StoreError."""
        try:
            return self._connection.stream_each(name, bound, page)
        except RefusedError as error:
            raise self._refused(error) from error

    def stream_several(
        self, several: Sequence[tuple[str, tuple[object, ...], int]]
    ) -> list[Iterator[tuple[Any, ...]]]:
        """Return the lines of the results of several statements, each with its page. Raises StoreError."""
        try:
            return self._connection.stream_several(several)
        except RefusedError as error:
            raise self._refused(error) from error

    def slim_streams(
        self, name: str, bound: Sequence[tuple[object, ...]], page: int
    ) -> list[Iterator[SlimEvent]]:
        """Return the slim rows of several results, fetched by pages."""
        return [map(slim_event, stream) for stream in self.streams(name, bound, page)]

    def found_streams(
        self,
        name: str,
        bound: Sequence[tuple[object, ...]],
        page: int,
        types: Container[str] = (),
        senders: Senders | None = None,
    ) -> list[Iterator[SlimEvent]]:
        """Return the slim rows of several results that are read newest first, fetched by pages.

        types: of events; others are left out, before rows are made of them. All if empty. senders: messages
        that it has not read yet are read in the same round.
        """
        messages = together(senders.unread, short=True) if senders else []
        streams = self.stream_several(
            [(name, values, page) for values in bound]
            + [("lent", (part,), _PAGE_OF_INJECTIONS) for part in messages]
        )
        streams, injections = streams[: len(bound)], streams[len(bound) :]
        if senders:
            for part, lines in zip(messages, injections, strict=True):
                senders.add(latest_texts(part, lines))
        if types:
            streams = [filter(lambda line: line[TYPE_IN_FOUND] in types, stream) for stream in streams]
        row = brief_event if name.endswith("_brief") else found_event
        return [map(row, stream) for stream in streams]

    def tag_sets(self, customer: Customer) -> list[TagSet]:
        """Return the sets of a customer's tags that are listed."""
        return [queries.stored_tag_set(line) for line in self.read("tag_sets", (queries.PLACE, *customer))]

    def matching_sets(self, query: Query) -> frozenset[bytes]:
        """Return the ids of tag sets with a tag that the query names."""
        if not query.tags:
            return frozenset()
        return sets_with(query.tags, self.read("all_tag_sets", (queries.PLACE, query.tenant)))

    def _refused(self, error: RefusedError) -> StoreError:
        self._connection.recheck()
        return StoreError(f"Cassandra: {error}. `smtpapi store check` tells whether the tables are there.")


def sets_with(tags: Iterable[str], lines: Iterable[tuple[Any, ...]]) -> frozenset[bytes]:
    """Return the ids of the tag sets that have one of these tags. lines: of `all_tag_sets`."""
    named = frozenset(tags)
    sets = map(queries.stored_tag_set, lines)
    return frozenset(each.set_id for each in sets if not named.isdisjoint(each.tags))


def together(keys: list[bytes], *, short: bool = False) -> list[list[bytes]]:
    """Return keys in parts that one statement names. short: whether their rows are."""
    size = _SHORT_TOGETHER if short else _TOGETHER
    return [keys[start : start + size] for start in range(0, len(keys), size)]
