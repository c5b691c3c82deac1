"""Turns of shippers at counting a day, so that the latest win, however far apart clocks are.

A shipper takes a turn before it reads, and the turn's number is the timestamp of the figures that it
writes. It has stored its own events before. So whoever has the highest turn has read all events that any
lower turn was taken for, and the order of their writes does not matter. Pure, except for the query.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from engagement.stores.aggregate import HOUR_MS
from engagement.stores.port import StoreError

# The figures' timestamps begin three days after the hour. Earlier versions used the shippers' clocks, none of
# which was more than a day ahead, and then turns at each hour from two days after it.
_AFTER_HOUR_MS: Final = 3 * 24 * HOUR_MS
_TRIES: Final = 20  # others take a turn every few seconds at most
_REMEMBERED: Final = 1_000  # days

Place = tuple[str, int]  # tenant, and a number of what is counted

Ask = Callable[[str, tuple[object, ...]], list[tuple[Any, ...]]]


def stamp(hour: int, turn: int) -> int:
    """Return the timestamp, in microseconds, of figures of an hour that were computed in a turn."""
    return ((hour + 1) * HOUR_MS + _AFTER_HOUR_MS) * 1000 + turn


class RollupTurns:
    """The turns of one shipper. ask: runs a statement by name. Not safe to share between threads."""

    def __init__(self, ask: Ask, shipper: str) -> None:
        self._ask = ask
        self._shipper = shipper
        self._last: dict[Place, tuple[int | None, str | None]] = {}

    def take(self, hour: Place, life: int) -> tuple[int, bool]:
        """Take the next turn; return its number, and whether nobody else had one since our last.

        life: seconds until the hour's turns may be forgotten, 0 for never. Raises StoreError.
        """
        last = self._last.pop(hour, (None, None))
        for _ in range(_TRIES):
            number = (last[0] or 0) + 1
            values = (life, number, self._shipper, *hour, *last)
            applied, *others = self._ask("take_turn", values)[0]
            if applied:
                self._last[hour] = number, self._shipper
                if len(self._last) > _REMEMBERED:
                    del self._last[next(iter(self._last))]
                return number, last[1] == self._shipper
            last = (others[0], others[1]) if others else (None, None)
        raise StoreError("Cassandra: no turn at the figures of an hour to be had; others take them all.")


def by_turns(places: Iterable[Place]) -> Iterator[Place]:
    """Yield the newest place, the oldest, and so on, so that a caller who stops after two starves none."""
    left = deque(sorted(places, key=lambda place: place[1]))
    while left:
        yield left.pop()
        if left:
            yield left.popleft()
