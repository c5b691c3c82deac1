"""Rows of the port as the values of the file's tables. No connections but for the dictionary."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from engagement.events.field_values import valid
from engagement.events.fields import Fields
from engagement.events.rows import EventRow, RowSource
from engagement.stores.customer_tags import DAY_MS, Customer, TagBook
from engagement.stores.json_text import as_text
from engagement.stores.sqlite.codes import (
    CLASS_CODES,
    NAMES,
    RUN_BITS,
    TYPE_CODES,
    Lookup,
    event_ref,
    hashed,
    recipient_hash,
    signed,
)
from engagement.stores.sqlite.counting.facts import tries_and_wait
from engagement.stores.sqlite.terms import Terms

_COLUMNS: Final = (
    "tenant, at_ms, event_id, place, type, class, certain, expired, hits, message, recipient, link, ordinal, "
    "campaign, domain, sender, tags, bounce, reason, rules, name, size, tries, wait"
)
ADD_EVENT: Final = f"""
INSERT INTO event ({_COLUMNS}) VALUES ({", ".join("?" * 24)}) ON CONFLICT DO NOTHING
"""  # noqa: S608 - fixed text
REPLACE_EVENT: Final = ADD_EVENT.replace("INSERT", "REPLACE", 1).replace(" ON CONFLICT DO NOTHING", "")
ADD_BODY: Final = """
INSERT INTO body (place, tenant, at_ms, event_id, hash, record) VALUES (?, ?, ?, ?, ?, ?)
"""
REPLACE_BODY: Final = ADD_BODY.replace("INSERT", "REPLACE", 1)
KEEP_MESSAGE: Final = """
INSERT INTO message (message, at_ms, recipient, transmission, run, sender, injection, lent, ever)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, '')
ON CONFLICT (message) DO UPDATE SET at_ms = excluded.at_ms, recipient = excluded.recipient,
    transmission = excluded.transmission, run = excluded.run, sender = excluded.sender,
    injection = excluded.injection, lent = CASE WHEN excluded.lent = '' THEN lent ELSE excluded.lent END
"""
_MESSAGES: Final = (
    "SELECT message, at_ms, recipient, transmission, run, sender, injection FROM message WHERE message IN "
)
_WITH_EVENTS: Final = "SELECT DISTINCT message FROM event INDEXED BY by_message WHERE message IN "
_quick_text: Final = msgspec.json.Encoder().encode  # in a sixth of `as_text`'s time
_AT_ONCE: Final = 256  # messages of one look-up: SQLite before 3.32 binds 999 values at most
ADD_LOOKUP: Final = "INSERT INTO lookup (run, what, hash, ref) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
ADD_TAG_SET: Final = """
INSERT INTO tag_set (tenant, customer, set_id, tags, used) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (tenant, customer, set_id) DO UPDATE SET used = max(used, excluded.used)
"""
_INJECTION: Final = TYPE_CODES["injection"]
_INJECTED: Final = f"""
SELECT 1 FROM event INDEXED BY by_message
WHERE message = ? AND type = {_INJECTION} AND event_id = ? AND at_ms <> ?
"""  # noqa: S608 - a number of ours
# When the newest injection of a run of `lookup` came: what is about newer mail need not be looked for in it.
KEEP_NEWEST: Final = """
INSERT INTO state (name, value) VALUES ('injected ' || ?, ?)
ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)
"""
TAG_SETS: Final = "SELECT set_id, tags, used FROM tag_set WHERE tenant = ? AND customer = ?"


@dataclass(slots=True)
class Known:
    """What the file knows of a message. new: nothing. has_row: there is a row of `message`, else nothing but
    events. changed: what belongs into a row is another. run: the first one whose `lookup` has the message.
    """

    at_ms: int
    recipient: int = 0
    transmission: int = 0
    run: int = -1
    sender: int = 0
    injection: int = 0
    message_fields: str = ""
    new: bool = False
    has_row: bool = False
    changed: bool = False

    @property
    def is_to_be_written(self) -> bool:
        """Whether its row is. A message without an injection has none: that would be a page for nothing."""
        return self.changed and (self.has_row or self.injection != 0)

    def values(self, message: bytes) -> tuple[object, ...]:
        """Return the values of `KEEP_MESSAGE`."""
        return (
            *(message, self.at_ms, self.recipient, self.transmission, self.run, self.sender),
            *(self.injection, self.message_fields),
        )


class Arrived(NamedTuple):
    """A new row, for the figures. line: `facts.COLUMNS`. fresh_from: its message has no rows
    before this place; 0 for not known."""

    place: int
    tenant: int
    message: bytes
    line: tuple[Any, ...]
    fresh_from: int


class Portion:
    """The values of some rows.

    arrived: the rows for the figures, if all are new. senders: messages with older events, which now have a
    sender. newest: when the newest injection came, by run of `lookup`. Raises ValueError, TypeError,
    OverflowError or RecursionError for a row that cannot be stored.
    """

    def __init__(self, connection: sqlite3.Connection, terms: Terms, tag_numbers: Iterable[int]) -> None:
        self._connection = connection
        self._terms = terms
        self._tags = iter(tag_numbers)
        self._first = 0
        self.events: list[tuple[Any, ...]] = []
        self.arrived: list[Arrived] = []
        self.bodies: list[tuple[object, ...]] = []
        self.lookups: list[tuple[int, int, int, bytes]] = []
        self.messages: dict[bytes, Known] = {}
        self.senders: list[tuple[int, bytes, int]] = []
        self.newest: dict[int, int] = {}
        self._injected: dict[bytes, int] = {}

    def put(self, rows: list[EventRow], place: int) -> None:
        """Add rows. place: of the first of them."""
        numbers = self._terms.numbers(self._connection)
        times = {row.message_id: row.at_ms for row in reversed(rows)}
        times.pop("", None)
        self._read({bytes.fromhex(message): at_ms for message, at_ms in times.items()})
        self._first = place
        for each, row in enumerate(rows, place):
            self._put(row, each, numbers)

    def _put(self, row: EventRow, place: int, numbers: Mapping[str, int]) -> None:
        source, at_ms, label = row.source, row.at_ms, None
        if isinstance(source, RowSource):
            record, rcpt_hash, label = source.record, source.rcpt_hash or None, source.label
            rules, reason = (label.rules, label.reason) if label else ("", "")
        else:
            record, rcpt_hash, rules, reason = as_text(source).encode(), None, row.rules, row.reason
        event_id = bytes.fromhex(row.event_id.replace("-", ""))
        link = int.from_bytes(bytes.fromhex(row.link), "big", signed=True)
        tenant, kind, run = numbers[row.tenant], TYPE_CODES[row.type], place >> RUN_BITS
        recipient = recipient_hash(row.tenant, row.recipient)
        transmission = signed(int(row.transmission_id or "0"))
        sender, fresh_from, is_repeated = numbers[row.sending_domain], 0, False
        if kind == _INJECTION:
            self.newest[run] = max(at_ms, self.newest.get(run, at_ms))
        if row.message_id:
            leads_to = message = bytes.fromhex(row.message_id)
            known = self.messages[message]
            if known.run < run or known.recipient != recipient or known.transmission != transmission:
                self._note(known, message, run, recipient, transmission)
            if kind == _INJECTION:
                is_repeated = self._is_sent_again(known, message, event_id, at_ms)
                self._inject(row, known, message, sender, place)
            sender = sender or known.sender
            fresh_from = self._first if known.new else 0
        else:
            message, leads_to = b"", event_ref(at_ms, event_id)
            self._look(run, Lookup.RECIPIENT, recipient, leads_to)
            self._look(run, Lookup.TRANSMISSION, transmission, leads_to)
        for name in row.names:
            self._look(run, NAMES[name.what], hashed(name.text), leads_to)
        if int.from_bytes(event_id[:6], "big") != at_ms:
            self._look(run, Lookup.EVENT_ID, hashed(row.event_id), event_ref(at_ms, event_id))
        tries, wait = (-1, -1) if label else tries_and_wait(row)  # what has a label is a hit
        client, certain, expired, hits = CLASS_CODES[row.client], row.certain, row.expired, row.hits
        if is_repeated:
            hits = 0
        campaign, domain, cause = numbers[row.campaign], numbers[row.domain], numbers[reason]
        ordinal, bounce, link_name, size = row.ordinal, row.bounce_class, numbers[row.link_name], row.size
        self.events.append((
            tenant, at_ms, event_id, place, kind, client, certain, expired, hits, message, recipient, link,
            ordinal, campaign, domain, sender, next(self._tags), bounce, cause, numbers[rules], link_name,
            size, tries, wait,
        ))  # fmt: skip
        line = (
            at_ms, kind, event_id, campaign, domain, link, client, certain, cause, expired, hits, ordinal,
            link_name, size, bounce, tries, wait, place,
        )  # fmt: skip
        self.arrived.append(Arrived(place, tenant, message, line, fresh_from))
        self.bodies.append((place, tenant, at_ms, event_id, rcpt_hash, record))

    def _read(self, messages: Mapping[bytes, int]) -> None:
        """Read what is known of messages. messages: with the time that a new one gets."""
        unread = [message for message in messages if message not in self.messages]
        for message, *line in self._select(_MESSAGES, unread):
            self.messages[message] = known = Known(*line)
            known.has_row = True
        others = [message for message in unread if message not in self.messages]
        there = {message for (message,) in self._select(_WITH_EVENTS, others)}
        for message in others:
            self.messages[message] = Known(messages[message], new=message not in there)

    def _select(self, statement: str, messages: list[bytes]) -> Iterator[tuple[Any, ...]]:
        """Yield the lines of a statement about messages."""
        for start in range(0, len(messages), _AT_ONCE):
            some = messages[start : start + _AT_ONCE]
            size = _AT_ONCE if len(some) > 1 else 1  # of one length, so that it is prepared once
            some += [some[-1]] * (size - len(some))
            yield from self._connection.execute(f"{statement} ({', '.join('?' * size)})", some)

    def _note(self, known: Known, message: bytes, run: int, recipient: int, transmission: int) -> None:
        """Write what the message is found by, once in each run, and again where an event says otherwise.

        Of a later run than that of its row each portion writes it, as `lookup` is dense there and rows of
        messages are not.
        """
        if recipient and (known.recipient != recipient or known.run < run):
            self._look(run, Lookup.RECIPIENT, recipient, message)
            known.changed |= known.recipient != recipient
            known.recipient = recipient
        if transmission and (known.transmission != transmission or known.run < run):
            self._look(run, Lookup.TRANSMISSION, transmission, message)
            known.changed |= known.transmission != transmission
            known.transmission = transmission
        known.run = max(known.run, run)

    def _is_sent_again(self, known: Known, message: bytes, event_id: bytes, at_ms: int) -> bool:
        """Tell whether a message's injection came before, at another time; it is counted once."""
        before = self._injected.setdefault(event_id, at_ms)
        if before != at_ms or not known.injection:
            return before != at_ms
        return self._connection.execute(_INJECTED, (message, event_id, at_ms)).fetchone() is not None

    def _inject(self, row: EventRow, known: Known, message: bytes, sender: int, place: int) -> None:
        if not known.injection or known.injection <= place:
            known.injection, known.at_ms, known.changed = place, row.at_ms, True
        if row.message is not None:
            known.message_fields = _message_text(row.message)
        if sender != known.sender:
            if not known.new:
                self.senders.append((sender, message, sender))
            known.sender = sender

    def _look(self, run: int, what: Lookup, number: int, ref: bytes) -> None:
        if number:
            self.lookups.append((run, what, number, ref))


def _message_text(fields: Fields) -> str:
    """Return what a message's events borrow as JSON text. It is read, never compared."""
    try:
        return _quick_text(fields).decode()
    except (ValueError, OverflowError):  # a number of more than 64 bits: the standard library's has no limit
        return as_text(fields)


def tag_values(book: TagBook, rows: list[EventRow], now: float) -> tuple[list[int], list[tuple[object, ...]]]:
    """Return the number of each row's tag set, and the values of `ADD_TAG_SET` for new ones. now: seconds."""
    numbers = []
    used: dict[tuple[Customer, tuple[str, ...], int], None] = {}  # in the order of their coming
    for row in rows:
        if row.tags:
            customer = (row.tenant, row.customer)
            numbers.append(int.from_bytes(book.set_id(customer, row.tags), "big", signed=True))
            used[customer, row.tags, row.at_ms // DAY_MS] = None
        else:
            numbers.append(0)
    return numbers, [
        (tenant, valid(customer), each.set_id, as_text(each.tags), each.used)
        for (tenant, customer), each in book.news(used, now)
    ]
