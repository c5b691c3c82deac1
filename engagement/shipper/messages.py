"""Which injection an event of a log, or of a mail that came back, is about.

An event names its message by queue ids and by the Message-ID. One whose injection is not there yet waits in
the store, and goes on when that comes. Invariants: an event is either in the store with its message, or waits
there, before the spool's cursor is committed. Injections ask for waiting events only where some can be: that
costs a look-up each, and nearly always none waits.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from engagement.events.field_values import domain_of
from engagement.events.model import Injection, MessageEvent, MessageName, names_of, recipient_mark
from engagement.events.rows import EventRow, rows
from engagement.links.model import PSEUDONYM_DOMAIN
from engagement.stores.port import EventStore

_log = logging.getLogger("engagement.shipper")

DAY_MS: Final = 86_400_000
LONGEST_MS: Final = 7 * DAY_MS  # from an injection to what the log says of it: queues give up after five days
LONGEST_BACK_MS: Final = 60 * DAY_MS  # and to a mail that comes back and names it
AHEAD_MS: Final = 60_000  # a log has whole seconds, and a clock of its own
# What waits from before its start a shipper does not know, nor what was too much to remember. An injection
# that comes later than so long after either is newer than all that can wait from then, or late, which is
# asked for always.
_UNSURE_SECONDS: Final = 120
_LATE_MS: Final = 60_000  # an injection is written within seconds; hosts' clocks may disagree
_LOOKS: Final = (1.0, 5.0, 30.0, 300.0, 1800.0)  # seconds after which a waiting event is looked at again
_REMEMBERED: Final = 10_000  # names of waiting events, some MB; the store knows all of them
_SWEEP_SECONDS: Final = 3600.0  # from one look for what waited too long, which is days, to the next

_Found = Mapping[MessageName, Sequence[Injection]]


class Match(NamedTuple):
    """An event, its row with what its message gives it, and whether it may be waiting in the store."""

    event: MessageEvent
    row: EventRow
    waits: bool


class MessageMatcher:
    """Leads events to their messages, for one shipper. now: returns Unix seconds. hash_key: for `rcpt_hash`.

    All raise StoreError where the store fails; then the same may be done again.
    """

    def __init__(self, store: EventStore, hash_key: bytes, now: Callable[[], float]) -> None:
        self._store = store
        self._hash_key = hash_key
        self._now = now
        self._began = time.monotonic()
        self._forgot = float("-inf")  # when names were too many to remember
        self._swept = float("-inf")
        self._names: dict[MessageName, set[str]] = {}  # of events that this shipper let wait, with their ids
        self._remembered = 0  # ids there
        self._again: dict[str, tuple[float, int, MessageEvent]] = {}  # when to look again, how often it was

    def matched(self, events: Sequence[MessageEvent], injections: Sequence[Injection]) -> list[Match]:
        """Return events that are about a known message: of these, and of those that waited for one of these.

        injections: of the same batch, which the store does not have yet. What is not returned of `events`
        waits in the store, durably. After the rows are in the store, `done` has to be called.
        """
        names = self._to_ask(injections)
        waited = self._store.waiting(names) if names else ()
        if not events and not waited:
            return []
        ids = {event.id for event in waited}
        both = {event.id: event for event in (*events, *waited)}
        newest = self._store.newest_injection()
        found = self._rows(list(both.values()), injections, newest)
        missing = [event for event in both.values() if event.id not in found and event.id not in ids]
        if missing:
            self._store.put_waiting(missing)
            self._remember(missing, look_again=newest is None)
            ids.update(event.id for event in missing)
            if newest is None:
                found |= self._rows(missing, injections)  # another shipper may have brought it meanwhile
        unsure = self._is_unsure()
        return [Match(both[name], row, unsure or name in ids) for name, row in found.items()]

    def done(self, matches: Iterable[Match]) -> None:
        """Let events wait no more: their rows are in the store."""
        gone = [match.event for match in matches if match.waits]
        if not gone:
            return
        self._store.drop_waiting(gone)
        for event in gone:
            self._again.pop(event.id, None)
            self._forget(event)

    def look_again(self) -> tuple[EventRow, ...]:
        """Look for the messages of events that came a while ago, and sweep what waited too long.

        Return the rows that went into the store.
        """
        now = time.monotonic()
        added: tuple[EventRow, ...] = ()
        due = [event for at, _, event in self._again.values() if at <= now]
        if due:
            found = self._rows(due, ())
            if found:
                added = tuple(found.values())
                self._store.add(added)
                self.done([Match(event, found[event.id], True) for event in due if event.id in found])
            for event in due:
                if event.id in self._again:
                    self._later(event, self._again[event.id][1] + 1, now)
        if now - self._swept >= _SWEEP_SECONDS:
            self._swept = now
            if swept := self._store.sweep_waiting(int(self._now() * 1000) - LONGEST_MS):
                _log.info("%d event(s) of logs given up: no message of theirs came in a week", swept)
        return added

    def _is_unsure(self) -> bool:
        """Return whether events may wait that a shipper before this one put there."""
        return time.monotonic() - self._began < _UNSURE_SECONDS

    def _to_ask(self, injections: Sequence[Injection]) -> list[MessageName]:
        """Return the names of injections that events may wait for."""
        if self._is_unsure() or time.monotonic() - self._forgot < _UNSURE_SECONDS:
            return [name for injection in injections for name in names_of(injection)]
        late = self._now() * 1000 - _LATE_MS
        return [
            name
            for injection in injections
            for name in names_of(injection)
            if injection.at_ms < late or name in self._names
        ]

    def _rows(
        self, events: Sequence[MessageEvent], injections: Sequence[Injection], newest: int | None = None
    ) -> dict[str, EventRow]:
        """Return the rows of events whose message is known, by event id. newest: injection in the store."""
        sent = _just_sent(events, injections, newest)
        known = self._known([event for event in events if event.id not in sent], injections)
        made = {}
        for event in events:
            try:
                found = sent.get(event.id) or chosen(event, known)
                if found is not None:
                    (row,) = rows(completed(event, found), hash_key=self._hash_key, injection=found)
                    made[event.id] = row
            except Exception as error:  # noqa: BLE001 - a fault of ours in one must not stop the others: it waits
                _log.error("event %s: %s while its message was looked for", event.id, type(error).__name__)
        return made

    def _known(
        self, events: Sequence[MessageEvent], injections: Sequence[Injection]
    ) -> dict[MessageName, list[Injection]]:
        """Return the injections that events may be about, by name: of the store, and those of this batch.

        Nearly all are known by their queue id and mark, and came not long ago; then nothing older is looked
        for, nor a Message-ID, which each costs a large store a look in all there is.
        """
        if not events:
            return {}
        marked, whole = _by_mark(events)

        def enough(name: MessageName, found: Sequence[Injection]) -> bool:
            return name not in whole and all(_of_mark(event, found) for event in marked[name])

        since = min(_span(event)[0] for event in events)
        known = {name: list(found) for name, found in self._store.injections(marked, enough, since).items()}
        names = {name for event in events for name in names_of(event)}
        for injection in injections:
            for name in names_of(injection):
                if name in names:
                    known.setdefault(name, []).append(injection)
        clear = {
            event.id
            for name, of_name in marked.items()
            for event in of_name
            if name in known and _of_mark(event, known[name])
        }
        rest = {name for event in events if event.id not in clear for name in names_of(event)} - marked.keys()
        for name, found in self._store.injections(rest, None, since).items() if rest else ():
            known[name] = [*found, *known.get(name, ())]
        return known

    def _remember(self, events: Iterable[MessageEvent], *, look_again: bool) -> None:
        """Note that events wait. look_again: their injections may come past this shipper."""
        now = time.monotonic()
        for event in events:
            for name in names_of(event):
                ids = self._names.setdefault(name, set())
                self._remembered += event.id not in ids
                ids.add(event.id)
            if look_again:
                self._later(event, 0, now)
        while self._remembered > _REMEMBERED:
            self._remembered -= len(self._names.pop(next(iter(self._names))))
            self._forgot = now
        while len(self._again) > _REMEMBERED:
            del self._again[next(iter(self._again))]

    def _forget(self, event: MessageEvent) -> None:
        """Forget the names of an event that waits no more, unless others wait by them."""
        for name in names_of(event):
            ids = self._names.get(name, set())
            if event.id in ids:
                ids.remove(event.id)
                self._remembered -= 1
            if not ids:
                self._names.pop(name, None)

    def _later(self, event: MessageEvent, looks: int, now: float) -> None:
        if looks < len(_LOOKS):
            self._again[event.id] = (now + _LOOKS[looks], looks, event)
        else:
            self._again.pop(event.id, None)


def _just_sent(
    events: Sequence[MessageEvent], injections: Sequence[Injection], newest: int | None
) -> dict[str, Injection]:
    """Return the injections that events are about for sure without a look-up, by event id.

    `chosen` takes the newest of a queue id and mark: one of this batch, if the store has none as new.
    That is so of nearly all mail that is sent at once, also where a backlog is shipped.
    """
    if newest is None:
        return {}
    sent: dict[tuple[str, str], list[Injection]] = {}
    for injection in injections:
        if injection.at_ms > newest and injection.queue_id:
            sent.setdefault((injection.node_name, injection.queue_id), []).append(injection)
    found = {}
    for event in events:
        if event.recipient_mark and (one := _of_mark(event, sent.get((event.node_name, event.queue_id), ()))):
            found[event.id] = one
    return found


def _by_mark(
    events: Iterable[MessageEvent],
) -> tuple[dict[MessageName, list[MessageEvent]], set[MessageName]]:
    """Return the events that a queue id and a mark lead from, by its name, and all names used otherwise.

    Of the latter every injection counts: only one copy may be meant (`_only`).
    """
    marked: dict[MessageName, list[MessageEvent]] = {}
    whole = set[MessageName]()
    for event in events:
        own, *others = names_of(event) or (None,)
        if own and event.queue_id and event.recipient_mark:
            marked.setdefault(own, []).append(event)
            whole.update(others)
        elif own:
            whole.update((own, *others))
    return marked, whole


def _of_mark(event: MessageEvent, found: Iterable[Injection]) -> Injection | None:
    """Return the newest of the injections of an event's queue id that has its mark and came in time."""
    first, last = _span(event)
    mark = event.recipient_mark
    return _newest([each for each in found if each.recipient_mark == mark and first <= each.at_ms <= last])


def chosen(event: MessageEvent, known: _Found) -> Injection | None:
    """Return the injection that an event is about, None where it is not known or cannot be determined.

    By queue id and recipient's mark first, then by Message-ID. Of several the newest counts that is at most a
    week (60 days where a mail came back) before the event, and at most a minute after it.
    """
    first, last = _span(event)

    def of(what: str, node: str, text: str) -> list[Injection]:
        found = known.get(MessageName(what, node, text), ()) if text else ()
        return [injection for injection in found if first <= injection.at_ms <= last]

    ways = ((event.queue_id, event.recipient_mark), *event.earlier)
    for queue_id, mark in ways:
        there = of("queue_id", event.node_name, queue_id)
        if (
            found := _newest([each for each in there if each.recipient_mark == mark])
            if mark
            else _only(there)
        ):
            return found
    there = of("message_id_header", "", event.message_id_header)
    if event.message_id:
        return _newest([each for each in there if each.message_id == event.message_id])
    marks = [(event.node_name, queue_id, mark) for queue_id, mark in ways if mark]
    theirs = [
        each
        for each in there
        if each.recipient
        and any(recipient_mark(node, queue_id, each.recipient) == mark for node, queue_id, mark in marks)
    ]
    if theirs:
        return _newest(theirs)
    # A recipient that the mode does not keep, or whom a mail came back for under another address.
    if event.queue_id and marks and not all(_is_nameless(each) for each in there):
        return None
    return _only(there)


def _span(event: MessageEvent) -> tuple[int, int]:
    """Return from when to when the injection of an event came, Unix milliseconds."""
    longest = LONGEST_MS if event.queue_id else LONGEST_BACK_MS
    return event.at_ms - longest, event.at_ms + AHEAD_MS


def completed(event: MessageEvent, injection: Injection) -> MessageEvent:
    """Return the event with the domain it was routed to, where the privacy mode keeps the recipient."""
    domain = domain_of(injection.recipient)
    if event.routing_domain or _is_nameless(injection):
        return event
    return event._replace(routing_domain=domain)


def _is_nameless(injection: Injection) -> bool:
    return not injection.recipient or injection.recipient.endswith(PSEUDONYM_DOMAIN)


def _newest(found: Sequence[Injection]) -> Injection | None:
    return max(found, key=lambda each: (each.at_ms, each.id), default=None)


def _only(found: Sequence[Injection]) -> Injection | None:
    """Return the one copy of the newest of these messages; None where it has several."""
    newest = _newest(found)
    if newest is None:
        return None
    copies = {each.message_id or each.id for each in found if each.transmission_id == newest.transmission_id}
    return newest if len(copies) == 1 else None
