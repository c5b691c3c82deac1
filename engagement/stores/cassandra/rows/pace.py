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
_DEVIATIONS: Final = 1.0  # another round costs as much as some 200 messages that are looked up

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
        self._few = few
        self._page = _LARGE_PAGE if few else PAGE
        self._sure = self._perhaps = 0
        self._before = (0, 0)
        self.selective = False

    def found(self, *, sure: bool = True) -> None:
        """Note an event that was looked for, or of which that is to be found out."""
        if sure:
            self._sure += 1
        else:
            self._perhaps += 1

    def next(self, count: int, likelihood: float = 1.0) -> int:
        """Return how many days or hours to read after the last `count`.

        likelihood: that an event of which it is to be found out is one that was looked for.
        """
        sure, perhaps = self._before
        self._before = self._sure, self._perhaps
        found = self._sure - sure + likelihood * (self._perhaps - perhaps)
        missing = self._limit - self._sure - likelihood * self._perhaps
        if not self._few:
            return expected(missing, found, count)
        if missing <= 0:  # likely there are enough; what is read together with the next ones will show it
            return 1
        return math.ceil(surely(missing) * count / found) if found else FASTEST * count

    def page(self, streams: int) -> int:
        """Return how many rows to fetch at first of each of so many streams."""
        page = self._page if self.selective else max(2, min(self._limit, PAGE))
        return min(page, max(_LEAST_PAGE, _ROWS_AT_ONCE // streams))


def surely(missing: float) -> float:
    """Return how many to look for so that as many as are missing are found most of the time, 0 for none."""
    return missing + _DEVIATIONS * math.sqrt(missing) if missing > 0 else 0.0


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

    After those an empty list is yielded once, before more are read. following: returns how many after so
    many; it is asked when those were gone through. fastest: at most how many times as many as before.
    """
    rest, count = iter(bound), 1
    while part := list(islice(rest, count)):
        streams = iter(read([one for _, each in part for one in each]))
        for _, each in part:
            yield [next(streams) for _ in each]
        yield []
        count = min(MOST_AT_ONCE, fastest * count, following(count))
