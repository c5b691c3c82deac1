"""One step of the shipper: some records of the spool become rows of the store, then the cursor moves.

Not when a step is due, nor what is done between two (`engagement.shipper.loop`). Invariants: the cursor is
committed only after the store has the rows, so that a step that fails is repeated under the same ids. A
record that cannot be read or stored is set aside and does not stop those behind it.
"""

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from engagement.classify.rule_set import RuleSet
from engagement.events.model import Event, Injection, MessageEvent
from engagement.events.record import BadRecord, decode
from engagement.events.rows import EventRow, rows
from engagement.links.model import BadToken
from engagement.shipper.messages import MessageMatcher
from engagement.shipper.reclassifier import Reclassifier
from engagement.shipper.unsubscribe import Unsubscribes
from engagement.spool.read import SpoolEntry, SpoolReader
from engagement.stores.port import EventStore, NotTogetherError, RowRefusedError
from engagement.suppression.fill import SuppressionFiller

TOGETHER: Final = 20_000  # records of one transaction, about,
TOGETHER_SECONDS: Final = 3.0  # begun within so long

_Batch = list[tuple[SpoolEntry, tuple[EventRow, ...]]]


class Step:
    """Takes records from a reader into a store.

    reader: of the spool; another one may take its place between two steps. portion: bytes of the spool that
    are read at once. The rest as for `loop.Shipper`.
    """

    def __init__(
        self,
        reader: SpoolReader,
        store: EventStore,
        messages: MessageMatcher,
        *,
        reclassifier: Reclassifier | None,
        filler: SuppressionFiller | None,
        unsubscribes: Unsubscribes | None,
        hash_key: bytes,
        portion: int,
    ) -> None:
        self.reader = reader
        self._store = store
        self._messages = messages
        self._reclassifier = reclassifier
        self._filler = filler
        self._unsubscribes = unsubscribes
        self._hash_key = hash_key
        self._portion = portion
        self._rules: RuleSet | None = None
        self._alone = 0  # so many records go portion by portion: together they failed

    def take(self) -> tuple[int, list[Event]]:
        """Ship the next records, and commit the cursor; return how many, and the events in them.

        Raises StoreError if the store, RegistryError if the registry, OSError if the spool fails; nothing is
        lost then.
        """
        with _collector_waits():
            shipped, events = self._next()
            if shipped or self.reader.has_done():
                self.reader.commit()
            return shipped, events

    def _next(self) -> tuple[int, list[Event]]:
        """Ship the next records; return how many, and the events in them.

        As long as more waits, several portions go into the store in one transaction: a page of an index that
        many of them change is written once.
        """
        entries = self.reader.read(self._portion)
        if not entries:
            return 0, []
        if self._alone > 0:
            self._alone -= len(entries)
            return len(entries), self._ship(entries)
        shipped, events, until = 0, list[Event](), time.monotonic() + TOGETHER_SECONDS
        set_aside = self.reader.set_aside_count
        try:
            with self._store.together() as joined:
                while entries:
                    shipped += len(entries)
                    events += self._ship(entries)
                    size = sum(len(entry.record) for entry in entries)
                    if (
                        not joined
                        or size < self._portion // 2
                        or shipped >= TOGETHER
                        or time.monotonic() > until
                    ):
                        break
                    entries = self.reader.read(self._portion)
        except NotTogetherError:
            self.reader.rewind()
            self.reader.set_aside_count = set_aside
            self._alone = shipped
            return self._next()
        return shipped, events

    def _ship(self, entries: Sequence[SpoolEntry]) -> list[Event]:
        """Add the rows of these records, and those of events that waited for their injections.

        Return the events in the records.
        """
        events: list[Event] = []
        self._rules = self._reclassifier.rules() if self._reclassifier else None
        batch: _Batch = []
        reported: dict[str, tuple[SpoolEntry, MessageEvent]] = {}
        injections: list[Injection] = []
        for entry in entries:
            event = self._event(entry)
            if event is None:
                continue
            events.append(event)
            if isinstance(event, MessageEvent):
                reported[event.id] = (entry, event)
            elif made := self._rows(entry, event):
                batch.append((entry, made))
                if isinstance(event, Injection):
                    injections.append(event)
        matches = []
        if reported or injections:
            matches = self._messages.matched([event for _, event in reported.values()], injections)
        # Where a row of one that waited is refused, the record is put aside that it came with.
        batch += [(reported.get(each.event.id, (entries[-1],))[0], (each.row,)) for each in matches]
        self._add(batch)
        self._messages.done(matches)
        if self._reclassifier:
            self._reclassifier.note(row for _, made in batch for row in made)
        if self._filler:  # before the cursor moves: a kill costs only what one turn has no time for
            self._filler.take(row for _, made in batch for row in made)
        if self._unsubscribes:  # likewise: a wish that cannot be followed yet comes again
            self._unsubscribes.take(events)
        return events

    def _event(self, entry: SpoolEntry) -> Event | None:
        try:
            return decode(entry.record)
        except BadRecord as error:
            self.reader.set_aside(entry, f"no event: {error}")
        except Exception as error:  # noqa: BLE001 - a fault of ours in one record must not stop the others
            self.reader.set_aside(entry, f"{type(error).__name__} while reading it")
        return None

    def _rows(self, entry: SpoolEntry, event: Event) -> tuple[EventRow, ...]:
        try:
            return rows(event, self._rules, self._hash_key, entry.record)
        except BadToken as error:
            self.reader.set_aside(entry, f"no event: {error}")
        except Exception as error:  # noqa: BLE001 - a fault of ours in one record must not stop the others
            self.reader.set_aside(entry, f"{type(error).__name__} while making rows of it")
        return ()

    def _add(self, batch: _Batch) -> None:
        """Add all rows.

        If the store refuses, halve the batch until the refused record is alone, and set it aside.
        """
        if not batch:
            return
        try:
            self._store.add([row for _, made in batch for row in made])
        except RowRefusedError as error:
            if len(batch) == 1:
                self.reader.set_aside(batch[0][0], f"refused by the store: {error}")
                return
            middle = len(batch) // 2
            self._add(batch[:middle])
            self._add(batch[middle:])


@contextmanager
def _collector_waits() -> Iterator[None]:
    """Let Python's collector of cycles wait: a step makes many values that all live to its end."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
