"""What a store of events must do. Engines: `memory` (for tests), `sqlite`, `cassandra`.

Written so that an engine without transactions, insert order or secondary indexes can do it too: rows are
upserts under ids fixed long before; every question names a time range, a message, a recipient or a campaign;
pages go on from a cursor, never from an offset; what events borrow from their injection is joined on read,
as the two arrive in any order.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from engagement.events.fields import Fields
from engagement.events.ids import is_event_id
from engagement.events.rows import EventRow

MAX_LIMIT: Final = 10_000  # the Events API's largest page (contract.md 8.3)

SWEEP_LIMIT: Final = 5_000  # a transaction of some tens of milliseconds, so that nobody waits


class StoreError(Exception):
    """The store cannot do it now: not reachable, locked, full. Its text says what to do; then try again."""


class RowRefusedError(Exception):
    """The store will never take one of these rows."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which events. Empty means any; several values of one sort mean any of them; sorts are all to be met.

    from_ms, to_ms: Unix milliseconds, from inclusive, to exclusive. types: names of `fields.ALL_TYPES`.
    recipients: compared in lower case. messages: hex. transmissions: decimal. expired: also hits on expired
    links, which no figure holds (contract.md 6.4). limit: rows of one page. cursor: of the page before
    (`cursor_of` its last event), for the ones that are older. ids: event ids. tags: found while `tags` lists
    them.
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
    tenant: str = ""
    expired: bool = False
    limit: int = 1000
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Count:
    """Figures of one type of event. No probe, no repeat, no expired link is in `counted` and what follows.

    recorded: every row. counted: each hit once. people: counted without prefetching and scanners, the
    `nonprefetched` figures of contract.md 7.6. messages, people_messages: different messages among them.
    """

    recorded: int = 0
    counted: int = 0
    people: int = 0
    messages: int = 0
    people_messages: int = 0


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What came in since a mark. mark: for the next call. events: in about the order of their coming."""

    events: tuple[Fields, ...]
    mark: str


class EventStore(Protocol):
    """Safe to use from several threads. All methods raise StoreError when the engine fails."""

    def add(self, events: Iterable[EventRow]) -> int:
        """Keep the rows, durably, when this returns; return how many were handed in.

        A row whose id is there already takes its place, if the rules it was judged by are not older. Raises
        RowRefusedError; then none may be counted on, and those that can be kept are to be handed in again.
        """

    def find(self, query: Query) -> Iterator[Fields]:
        """Return a page of events, newest first by time and id, each joined with its injection.

        A repeat within 10 s carries `x_repeat` = True.
        """

    def counts(self, query: Query) -> Mapping[str, Count]:
        """Return figures by event type, made anew from all these events: costs as much as there are.

        limit and cursor mean nothing here, nor in `totals`.
        """

    def totals(self, query: Query) -> Mapping[str, Count]:
        """Return figures for a page that must not wait: of whole hours, as they were at the last `roll_up`.

        The hours that from_ms and to_ms lie in belong to them. Different messages are told by the hour (and
        campaign), and added up (contract.md 7.6: unique within one roll-up increment). A question by
        recipient, message, transmission or id is small; `counts` answers that.
        """

    def roll_up(self, seconds: float = math.inf) -> int:
        """Make the figures of hours that have changed anew, as absolute numbers; return how many hours.

        For the shipper alone. Done twice, or by two, it gives the same numbers. Of an hour only the minutes
        that have changed are read again. After about so many seconds it stops, and goes on when next called.
        """

    def tags(self, customer: str, tenant: str = "") -> tuple[str, ...]:
        """Return the tags that messages of a customer (`customer_id`, "" for none) have carried, sorted.

        At most 100, the first that came (contract.md 3.2). A tag nobody uses goes with the events.
        """

    def arrivals(self, mark: str, limit: int = 1000, *, expired: bool = False) -> Arrivals:
        """Return events that came in after the mark; "" returns none, and the mark of now.

        At most limit of them, and none on expired links unless asked for. An engine may tell an event twice;
        the caller knows it by its id. What is no mark of this store counts as "".
        """

    def sweep(self, before_ms: int, limit: int = SWEEP_LIMIT) -> int:
        """Remove what happened before (Unix milliseconds), at most limit rows; return how many went.

        Fewer than limit: nothing is left to remove. An injection's record stays while an event needs it. An
        engine whose rows end by themselves removes none.
        """

    def erase(self, recipient: str, tenant: str = "") -> int:
        """Remove all events of this recipient's messages, and what they borrow; return how many events.

        Figures stay: they name nobody. An event of those messages that happens later is kept again.
        """

    def close(self) -> None:
        """Let go of files and connections."""


def cursor_of(event: Fields) -> str:
    """Return where the page goes on after this event of it."""
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
    """Tell whether a mark is the number of a row, as engines that count their rows use it."""
    return mark.isascii() and mark.isdigit() and len(mark) < 19
