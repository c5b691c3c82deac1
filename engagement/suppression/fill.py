"""Bounces and complaints put recipients on the list, where the operator's thresholds say so.

Fed by the shipper with the rows that it stored. What was counted is in the registry (`_COUNTED`), so that
several hosts and restarts count together. Invariants: an event counts once, however often it comes; an entry
that is there stays as it is; a registry that fails costs no event its way into the store.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from engagement.events.model import MessageEvent
from engagement.events.rows import EventRow, RowSource
from engagement.links.model import PSEUDONYM_DOMAIN
from engagement.registry.port import MOST, ConflictError, Registry, RegistryError
from engagement.suppression import book
from engagement.suppression.model import KIND, BadEntryError, Entry, MailKind, Source, checked, key_of

_log = logging.getLogger("engagement.suppression")

INVALID_RECIPIENT: Final = 10  # of engagement.bounces
_COUNTED: Final = "suppression_count"
_WAITING: Final = 10_000  # events that wait for a registry that fails; beyond, the oldest are not counted
_BUDGET: Final = (
    0.5  # seconds of one turn: in a cluster an event takes some 30 ms, and others wait to be shipped
)
_CLOSING: Final = 5.0  # seconds at the end of the shipper
_AGAIN_SECONDS: Final = 5.0  # after a failure of the registry
_SWEEP_SECONDS: Final = 3600.0  # from one removal of what is over to the next
_TRIES: Final = 10  # of one change that others overtake; two at once are rare


@dataclass(frozen=True, slots=True)
class Thresholds:
    """After how many bounces or complaints a recipient is put on the list, 0 for never. within: seconds."""

    invalid_recipients: int = 0
    complaints: int = 0
    within: int = 30 * 86_400


class Strike(NamedTuple):
    """One event that counts against a recipient. reason: what the other side said, for the description."""

    tenant: str
    recipient: str
    source: Source
    types: tuple[MailKind, ...]
    event_id: str
    at_ms: int
    reason: str

    @property
    def key(self) -> str:
        """The key of the document in which this is counted."""
        return f"{self.source.value}\x1f{key_of(self.tenant, self.recipient, '', self.types[0])}"


def strike_of(row: EventRow, terms: Thresholds) -> Strike | None:
    """Return what a row counts for, None for nothing.

    An address that is not there is so for mail of both types. Who complains has had enough of the type of
    mail that they complain of. The entry belongs to the customer whose mail it was, "" where mail has none.
    """
    named = row.recipient and not row.recipient.endswith(PSEUDONYM_DOMAIN)
    if not named or not isinstance(row.source, RowSource) or not isinstance(row.source.event, MessageEvent):
        return None
    reason = row.source.event.raw_reason
    kind = MailKind.TRANSACTIONAL if row.transactional else MailKind.NON_TRANSACTIONAL
    types: tuple[MailKind, ...] = (kind,)
    if row.type == "spam_complaint" and terms.complaints:
        source = Source.SPAM_COMPLAINT
    elif row.bounce_class == INVALID_RECIPIENT and terms.invalid_recipients:
        source, types = Source.BOUNCE_RULE, (MailKind.NON_TRANSACTIONAL, MailKind.TRANSACTIONAL)
    else:
        return None
    try:
        recipient = checked(Entry(row.recipient, kind, tenant=row.customer)).recipient
    except BadEntryError:
        return None
    return Strike(row.customer, recipient, source, types, row.event_id, row.at_ms, reason)


def counted(
    before: Sequence[tuple[int, str]], strike: Strike, within: int, most: int
) -> tuple[tuple[int, str], ...]:
    """Return the events that count, by time, with this one: those less than `within` seconds before the last.

    most: how many are kept, the newest.
    """
    together = sorted({*before, (strike.at_ms, strike.event_id)})
    first = together[-1][0] - within * 1000
    return tuple(each for each in together if each[0] > first)[-most:]


class SuppressionFiller:
    """Counts events of one shipper, and adds entries. registry: opens it; called again after a failure."""

    def __init__(self, registry: Callable[[], Registry], terms: Thresholds) -> None:
        self._open = registry
        self._registry: Registry | None = None
        self._terms = terms
        self._waiting: list[Strike] = []
        self._not_before = float("-inf")
        self._swept = time.monotonic()
        self._reported = ""

    def note(self, rows: Iterable[EventRow]) -> None:
        """Take over what counts of these rows, for the next turn."""
        for row in rows:
            if (row.type == "spam_complaint" or row.bounce_class) and (strike := strike_of(row, self._terms)):
                self._waiting.append(strike)
        if len(self._waiting) > _WAITING:
            _log.error("suppression list: %d event(s) not counted", len(self._waiting) - _WAITING)
            del self._waiting[:-_WAITING]

    def take(self, rows: Iterable[EventRow]) -> None:
        """Take over what counts of these rows, and count what there is time for. Raises nothing."""
        self.note(rows)
        self.turn()

    def turn(self, seconds: float = _BUDGET) -> None:
        """Count what waits, for so many seconds, and sweep what is too old.

        Raises nothing: what failed, and what is left, is for the next turn.
        """
        now = time.monotonic()
        due = now - self._swept >= _SWEEP_SECONDS
        if now < self._not_before or not (self._waiting or due):
            return
        try:
            if self._registry is None:
                self._registry = self._open()
            done = 0
            try:
                for strike in self._waiting:
                    if time.monotonic() - now > seconds:
                        break
                    self._count(self._registry, strike)
                    done += 1
            finally:
                del self._waiting[:done]
            if due:
                self._swept = now
                self._sweep(self._registry)
            self._reported = ""
        except RegistryError as error:
            self._not_before = now + _AGAIN_SECONDS
            if str(error) != self._reported:
                self._reported = str(error)
                _log.error("suppression list: bounces and complaints wait: %s", error)

    def _count(self, registry: Registry, strike: Strike) -> None:
        """Count one event; add the entries where it is the last that is needed. Raises RegistryError."""
        complaint = strike.source is Source.SPAM_COMPLAINT
        most = self._terms.complaints if complaint else self._terms.invalid_recipients
        for _ in range(_TRIES):
            there = registry.get(_COUNTED, strike.key) if most > 1 else None
            events = counted(_events(there.data if there else {}), strike, self._terms.within, most)
            version = there.version if there else 0
            try:
                if len(events) < most:
                    data = {"events": [list(each) for each in events]}
                    registry.put(_COUNTED, strike.key, data, expected=version)
                else:
                    self._add(registry, strike, len(events))
                    if there:
                        registry.delete(_COUNTED, strike.key, expected=version)
            except ConflictError:
                continue
            return
        raise ConflictError("others count for the same recipient all the time; it is tried again")

    def _add(self, registry: Registry, strike: Strike, count: int) -> None:
        what = "complaint" if strike.source is Source.SPAM_COMPLAINT else "bounce"
        description = strike.reason if count == 1 else f"{count} {what}s, the last: {strike.reason}"
        for kind in strike.types:
            if registry.get(KIND, key_of(strike.tenant, strike.recipient, "", kind)) is None:
                entry = Entry(strike.recipient, kind, strike.source, description, tenant=strike.tenant)
                book.add(registry, entry)

    def _sweep(self, registry: Registry) -> None:
        """Forget what was counted too long ago to matter."""
        oldest = (time.time() - self._terms.within) * 1000
        after = ""
        while documents := registry.find(_COUNTED, after=after):
            for each in documents:
                if each.changed_ms < oldest:
                    registry.delete(_COUNTED, each.key)
            after = documents[-1].key
            if len(documents) < MOST:
                return

    def close(self) -> None:
        """Count what waits, and close the registry."""
        self._not_before = float("-inf")
        self.turn(_CLOSING)
        if self._registry is not None:
            self._registry.close()


def _events(data: Any) -> list[tuple[int, str]]:
    try:
        return [(int(at_ms), str(event_id)) for at_ms, event_id in data.get("events", ())]
    except (AttributeError, TypeError, ValueError):
        return []
