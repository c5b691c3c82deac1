"""How much of partitions in an order is read at once: as much as likely holds what is still missing. Pure."""

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

PAGE: Final = 500
_LARGE_PAGE: Final = 1500  # one after another costs more than what is read too much
MOST_AT_ONCE: Final = 64  # days or hours,
FASTEST: Final = 8  # and at most so many times as many as before;
SEARCHING: Final = 4  # fewer where a node goes through all of each, as the first one is seldom a whole hour
_ROWS_AT_ONCE: Final = 1600  # of all that is read at once: some milliseconds of the processor
_LEAST_PAGE: Final = 25

T = TypeVar("T")

# Partitions to read, by the day or hour that they share.
Together = tuple[int, list[tuple[object, ...]]]


class Pace:
    """How much is read at once: as much as holds what is still missing, if it is as dense as what was read.

    limit: how many events are looked for. few: whether they are only few of what matches. selective: whether
    some of what is read will be left out here.
    """

    def __init__(self, limit: int, *, few: bool) -> None:
        self._limit = limit
        self._page = _LARGE_PAGE if few else PAGE
        self._missing = self._before = float(limit)
        self.selective = False

    def found(self, likelihood: float = 1.0) -> None:
        """Note an event that was looked for, or is as likely as that."""
        self._missing -= likelihood

    def next(self, count: int) -> int:
        """Return how many days or hours to read after the last `count`."""
        found, self._before = self._before - self._missing, self._missing
        return expected(self._missing, found, count)

    def page(self, streams: int) -> int:
        """Return how many rows to fetch at first of each of so many streams."""
        page = self._page if self.selective else max(2, min(self._limit, PAGE))
        return min(page, max(_LEAST_PAGE, _ROWS_AT_ONCE // streams))


def expected(missing: float, found: float, among: int) -> int:
    """Return how many more to look through, of which `found` among the last `among` were looked for."""
    if missing <= 0:  # more are looked for than was said
        return 2 * among
    return math.ceil(1.25 * missing * among / found) if found else FASTEST * among


def in_turns(
    bound: Iterable[Together],
    read: Callable[[list[tuple[object, ...]]], list[Iterator[T]]],
    following: Callable[[int], int] = lambda count: 2 * count,
    fastest: int = FASTEST,
) -> Iterator[list[Iterator[T]]]:
    """Yield what is in the partitions of each day or hour; those of several are read at once.

    following: returns how many after so many; it is asked when those were gone through. fastest: at most how
    many times as many as before.
    """
    rest, count = iter(bound), 1
    while part := list(islice(rest, count)):
        streams = iter(read([one for _, each in part for one in each]))
        for _, each in part:
            yield [next(streams) for _ in each]
        count = min(MOST_AT_ONCE, fastest * count, following(count))
