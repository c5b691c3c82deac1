"""Events that wait for their message: a row under each of the message's names, which ends by itself."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from engagement.events.model import MessageEvent, MessageName, names_of
from engagement.events.record import decode, encode
from engagement.stores.cassandra.queries import waiting_key
from engagement.stores.cassandra.reader import Reader
from engagement.stores.cassandra.writing import Writes

WAITING_LIFE: Final = 7 * 86400


def waiting_writes(reader: Reader, events: Iterable[MessageEvent]) -> Writes:
    """Return the writes of events that begin to wait."""
    secret = reader.secret()
    return [
        ("waiting", [(name.what, waiting_key(secret, name), UUID(event.id), encode(event), WAITING_LIFE)])
        for event in events
        for name in names_of(event)
    ]


def read_waiting(reader: Reader, names: Iterable[MessageName]) -> tuple[MessageEvent, ...]:
    """Return the events that wait under one of these names. Raises StoreError."""
    secret = reader.secret()
    bound = [(name.what, waiting_key(secret, name)) for name in dict.fromkeys(names)]
    found: dict[str, MessageEvent] = {}
    for lines in reader.read_each("waiting_for", bound):
        for _, body, _ in lines:
            event = decode(body)
            if isinstance(event, MessageEvent):
                found[event.id] = event
    return tuple(found.values())


def no_longer_waiting(reader: Reader, events: Iterable[MessageEvent]) -> Writes:
    """Return the writes that remove events that wait no more.

    What is there is removed, with its own time as timestamp: so the clocks of those who put and who remove
    it do not matter, and an event told again later waits again.
    """
    secret = reader.secret()
    removed = [(UUID(event.id), name) for event in events for name in names_of(event)]
    bound = [(name.what, waiting_key(secret, name)) for _, name in removed]
    writes: Writes = []
    for (event_id, _), place, lines in zip(
        removed, bound, reader.read_each("waiting_for", bound), strict=True
    ):
        writes += [
            ("no_longer_waiting", [(written, *place, found)])
            for found, _, written in lines
            if found == event_id
        ]
    return writes
