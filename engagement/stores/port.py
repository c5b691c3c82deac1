"""The interface of every engine that stores events: `memory` (for tests), `sqlite`, `cassandra`.

An engine without transactions, insert order or secondary indexes can implement it: rows are upserts under
ids that were made with the event; every query names a time range, a message, a recipient or a campaign; a
page continues from a cursor, never from an offset; the fields that an event takes from its injection are
joined when it is read, as the two arrive in any order.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple, Protocol

from engagement.events.classify import Classification
from engagement.events.fields import Fields
from engagement.events.ids import is_event_id
from engagement.events.model import Hit, Injection, MessageEvent, MessageName
from engagement.events.rows import EventRow
from engagement.figures.query import FigureQuery as FigureQuery
from engagement.figures.query import FigureRow as FigureRow
from engagement.figures.query import Grouping as Grouping
from engagement.figures.query import UnsupportedQueryError as UnsupportedQueryError

MAX_LIMIT: Final = 10_000  # the Events API's largest page (contract.md 8.3)

HITS_OF_A_MESSAGE: Final = 1_000  # that are judged together; more of them are a robot, whatever they do

SWEEP_LIMIT: Final = 5_000  # rows; a transaction of some tens of milliseconds blocks nobody for long


Enough = Callable[[MessageName, Sequence[Injection]], bool]
Named = Literal["campaign", "domain", "sending_domain"]  # what events are found by; a domain: of recipients


class StoreError(Exception):
    """The store failed for now: not reachable, locked, full. The text says what to do before a retry."""


class RowRefusedError(Exception):
    """The store will never take one of these rows."""


class NotTogetherError(Exception):
    """What was to be one transaction cannot be one; nothing of it is stored."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which events. An empty field matches any event, one of several values any of them; all must match.

    from_ms, to_ms: Unix milliseconds, from inclusive, to exclusive. types: names of `fields.ALL_TYPES`.
    recipients: compared in lower case. messages: hex. transmissions: decimal. expired: also hits on expired
    links, which are in no figure (contract.md 6.4). limit: rows of one page. cursor: of the page before
    (`cursor_of` its last event), for older events. ids: event ids. tags: found while `tags` lists them.
    classes: names of `ReaderClass`. domains: of recipients, sending_domains: of From fields, lower case.
    ordinals: of links. bounce_classes: Momentum's numbers. queue_ids, message_id_headers: of the message.
    """

    from_ms: int | None = None
    to_ms: int | None = None
    types: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    campaigns: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    transmissions: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    sending_domains: tuple[str, ...] = ()
    ordinals: tuple[int, ...] = ()
    bounce_classes: tuple[int, ...] = ()
    queue_ids: tuple[str, ...] = ()
    message_id_headers: tuple[str, ...] = ()
    tenant: str = ""
    expired: bool = False
    limit: int = 1000
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Count:
    """Figures of one type of event.

    recorded: every row. counted: each hit once, without probes, repeats and expired links. people: counted
    without prefetching and scanners, the `nonprefetched` figures of contract.md 7.6. messages,
    people_messages: different messages among counted and among people.
    """

    recorded: int = 0
    counted: int = 0
    people: int = 0
    messages: int = 0
    people_messages: int = 0


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What came in since a mark. mark: for the next call. events: roughly in the order of their arrival."""

    events: tuple[Fields, ...]
    mark: str


class LabelledHit(NamedTuple):
    """A stored hit and its present label."""

    hit: Hit
    label: Classification


class PastLabel(NamedTuple):
    """A label that a hit had until it was classified anew. until_ms: Unix milliseconds, when that was."""

    label: Classification
    until_ms: int


class EventStore(Protocol):
    """A store of events, safe to share between threads. All methods raise StoreError when it fails."""

    def add(self, events: Iterable[EventRow]) -> int:
        """Store the rows, durably when this returns; return their number.

        A row replaces the one with its id, unless the rules it was classified by are older. Raises
        RowRefusedError if a row can never be stored; then the others may or may not be, and must be added
        again without it.
        """

    def together(self) -> AbstractContextManager[bool]:
        """Make one transaction of all that is written within, where the engine can: durable at its end.

        For the shipper only. The value says whether it is one. Then `add` raises NotTogetherError for a row
        that is there or can never be stored, and nothing that was written within is kept; the rows must be
        added again, outside. Otherwise this has no effect.
        """

    def find(self, query: Query) -> Iterator[Fields]:
        """Return a page of events, newest first by time and id, each joined with its injection.

        A repeat within 10 s carries `x_repeat` = True.
        """

    def number(self, query: Query, most: int) -> int:
        """Return how many events `find` would return in all its pages from the cursor on, at most `most`."""

    def names(self, what: Named, tenant: str, most: int) -> tuple[str, ...] | None:
        """Return all names that a tenant's events have at this moment, in any order.

        None where there are more than `most`, or where this engine cannot tell without reading events.
        """

    def counts(self, query: Query) -> Mapping[str, Count]:
        """Return figures by event type, computed from all these events; the cost grows with their number.

        limit and cursor have no effect here, nor in `totals`.
        """

    def totals(self, query: Query) -> Mapping[str, Count]:
        """Return figures of whole hours, as they were at the last `roll_up`; fast enough for a page.

        The hours of from_ms and to_ms are included. Different messages are counted within each hour (and
        campaign), and these counts are added up (contract.md 7.6: unique within one roll-up increment). A
        query by recipient, message, transmission or id is small; it is answered by `counts`.
        """

    def roll_up(self, seconds: float = math.inf) -> int:
        """Compute the figures of hours that have changed again, as absolute numbers; return how many hours.

        For the shipper only. Done twice, or by two shippers, it gives the same numbers. Of an hour only the
        minutes that have changed are read again. seconds: after about this time it stops; the next call
        continues.
        """

    def tags(self, customer: str, tenant: str = "") -> tuple[str, ...]:
        """Return the tags that messages of a customer (`customer_id`, "" for none) have had, sorted.

        At most 100, the first that came (contract.md 3.2). A tag that is used no more ends with its events.
        """

    def arrivals(self, mark: str, limit: int = 1000, *, expired: bool = False) -> Arrivals:
        """Return events that came in after the mark; "" returns none, and the mark of now.

        At most limit of them; expired: also hits on expired links. An engine may return an event twice, under
        the same id. What is no mark of this store counts as "".
        """

    def injections(
        self, names: Iterable[MessageName], enough: Enough | None = None, since_ms: int = 0
    ) -> Mapping[MessageName, tuple[Injection, ...]]:
        """Return the injections of messages that these names stand for, newest first.

        One queue id stands for one message of several recipients, or, used again, for several messages. Names
        that are not known are left out. enough: takes a name and what was found for it; once it returns True,
        injections that came before need not be looked for, nor those from before since_ms. A large store may
        make use of both.
        """

    def newest_injection(self) -> int | None:
        """Return when the newest injection in the store came, Unix milliseconds; 0 if there is none.

        None where the store cannot tell at little cost, or others may write one meanwhile.
        """

    def put_waiting(self, events: Iterable[MessageEvent]) -> None:
        """Store events whose message is not known yet, durably. An event put again changes nothing."""

    def waiting(self, names: Iterable[MessageName]) -> tuple[MessageEvent, ...]:
        """Return the waiting events about messages with one of these names."""

    def drop_waiting(self, events: Iterable[MessageEvent]) -> None:
        """Remove events that wait no more. Those that do not wait change nothing."""

    def hits(self, from_ms: int, to_ms: int, after: str = "", limit: int = 1000) -> tuple[LabelledHit, ...]:
        """Return hits of a time, oldest first by time and id, to be classified anew.

        after: `timestamp/event id` of the last one before, as `cursor_of` makes it.
        """

    def hits_of(self, messages: Iterable[bytes]) -> Mapping[bytes, tuple[LabelledHit, ...]]:
        """Return the hits of messages (16 bytes), oldest first, of each the newest `HITS_OF_A_MESSAGE`."""

    def deliveries(self, messages: Iterable[bytes]) -> Mapping[bytes, int]:
        """Return when messages were delivered first, Unix milliseconds; those that were not are left out."""

    def relabel(self, labels: Iterable[LabelledHit], at_ms: int) -> int:
        """Give stored hits the labels named here, with the figures that follow; return how many changed.

        The label before goes into the hit's history, with at_ms. A hit that is gone, or whose rules are newer
        than those of the label, stays as it is. The second row of a hit changes with it.
        """

    def past_labels(self, event_id: str) -> tuple[PastLabel, ...]:
        """Return the labels that a hit had before, oldest first."""

    def figures(self, query: FigureQuery) -> tuple[FigureRow, ...]:
        """Return figures, by group (the greatest `order_by` first) and then time.

        They are sums of contributions (`engagement.figures.contribution`), made up to a moment shortly
        before now. Raises UnsupportedQueryError for what this engine does not offer at this size.
        """

    def grouped(
        self, group: Grouping, query: FigureQuery, values: tuple[str, ...] = ()
    ) -> tuple[FigureRow, ...] | None:
        """Return figures by something that no cube holds, as `figures_from` would of all events.

        query: of a window, without campaigns and domains; by: "campaign" for a row of each value, "" for one
        of them all, which have to be one value then. values: no others are told, all if empty. None where
        this engine cannot tell without going through whole events. Raises UnsupportedQueryError as `figures`.
        """

    def recount(self, day: int) -> int:
        """Count a day (since 1970) again from its events; return how many cells were wrong.

        They are right afterwards. Of a day whose events were erased or removed in part nothing is changed:
        its figures stay, and cannot be counted again (`is_whole`).
        """

    def is_whole(self, day: int) -> bool:
        """Return whether all events of a day (since 1970) are there, so that it can be counted again.

        False as soon as one was erased or, as too old, removed, and its figures may say so no more.
        """

    def sweep_waiting(self, before_ms: int) -> int:
        """Remove events that happened before (Unix milliseconds) and still wait; return how many."""

    def sweep(self, before_ms: int, limit: int = SWEEP_LIMIT) -> int:
        """Remove what happened before (Unix milliseconds), at most limit rows; return how many.

        Fewer than limit: nothing is left to remove. An injection's record stays while an event needs it. An
        engine whose rows expire by themselves removes none. Figures stay as in `erase`.
        """

    def erase(self, recipient: str, tenant: str = "") -> int:
        """Remove all events of this recipient's messages, and their injections; return how many events.

        Figures stay: they name nobody. An event of those messages that happens later is stored again; it is
        unique anew in its minute, hour and day, but not in its campaign's life.
        """

    def close(self) -> None:
        """Close files and connections."""


def cursor_of(event: Fields) -> str:
    """Return the cursor of the page after this event."""
    return f"{event['timestamp']}/{event['event_id']}"


def clamped(query: Query) -> int:
    """Return the number of rows a page may have."""
    return max(0, min(query.limit, MAX_LIMIT))


def cursor_position(cursor: str) -> tuple[int, str]:
    """Return (Unix milliseconds, event id) of a cursor. Raises ValueError if `cursor_of` did not make it."""
    moment, _, event_id = cursor.partition("/")
    since = datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S.%f%z") - datetime.fromtimestamp(0, UTC)
    if not is_event_id(event_id):
        raise ValueError("a cursor ends with an event id")
    return since // timedelta(milliseconds=1), event_id


def is_place(mark: str) -> bool:
    """Return whether a mark is the number of a row, as engines that number their rows use it."""
    return mark.isascii() and mark.isdigit() and len(mark) < 19
