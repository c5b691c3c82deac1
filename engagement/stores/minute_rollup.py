"""Computes an hour's figures from those of its minutes, so that only changed minutes are read again.

The minutes are in the memory of the process that computes the figures, some 20 bytes an event for the hours
under way. Pure: an engine reads the events (`read`) and stores the figures. They are the same as if the whole
hour had been read: an hour's different messages are the union of those of its minutes.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from engagement.stores.aggregate import HOUR_MS, MINUTE_MS, AggregatePart, Figure, Figures

HOURS: Final = 3  # in memory at a time: the hour itself, the one before, and one that late events belong to
MINUTES: Final = HOUR_MS // MINUTE_MS
_QUICK: Final = 0.1  # seconds

Hour = tuple[str, int]  # tenant, hour since 1970
Minute = Mapping[str, Mapping[str, AggregatePart]]  # by campaign and type


class _OneHour:
    """What is known of an hour.

    stale: minutes to be read. touched: campaigns whose figures may have changed. whole: all its figures have
    been stored once.
    """

    def __init__(self) -> None:
        self.stale = set(range(MINUTES))
        self.minutes: dict[int, Minute] = {}
        self.touched: set[str] = set()
        self.whole = False

    def next(self, most: int, *, newest: bool) -> tuple[int, int]:
        """Return the first and the last of at most `most` stale minutes, at one end of the hour."""
        first = last = max(self.stale) if newest else min(self.stale)
        while newest and first - 1 in self.stale and last - first + 1 < most:
            first -= 1
        while not newest and last + 1 in self.stale and last - first + 1 < most:
            last += 1
        return first, last


class MinuteRollup:
    """The hours under way. Not safe to share between threads."""

    def __init__(self) -> None:
        self._hours: dict[Hour, _OneHour] = {}

    def forget(self) -> None:
        """Forget all hours, as others may have changed what was read."""
        self._hours.clear()

    def forget_hour(self, hour: Hour) -> None:
        """Forget one hour."""
        self._hours.pop(hour, None)

    def changed(self, tenant: str, minute: int) -> None:
        """Note that a minute since 1970 has other events than before."""
        hour, within = divmod(minute, MINUTES)
        if known := self._hours.get((tenant, hour)):
            known.stale.add(within)

    def bring_up(self, hour: Hour, read: Callable[[int, int], Mapping[int, Minute]], until: float) -> bool:
        """Read the stale minutes of an hour, from both ends in turn; tell whether all are read.

        read: returns those of the minutes from one to another (since 1970, exclusive) that have events.
        until: by the monotonic clock. The newest and the oldest are read in any case, as the newest is often
        stale again at each call. More are read at a time while that is quick.
        """
        known = self._hours.pop(hour, None) or _OneHour()
        self._hours[hour] = known  # now the last to be dropped
        while len(self._hours) > HOURS:
            del self._hours[next(iter(self._hours))]
        base, most, newest = hour[1] * MINUTES, 1, True
        while known.stale:
            first, last = known.next(most, newest=newest)
            began = time.monotonic()
            made = read(base + first, base + last + 1)
            for within in range(first, last + 1):
                new = made.get(base + within, {})
                known.touched |= new.keys() | known.minutes.get(within, {}).keys()
                known.minutes[within] = new
                known.stale.discard(within)
            now = time.monotonic()
            if now >= until and not newest:
                break
            newest = not newest
            most = 2 * most if now - began < _QUICK else max(1, most // 2)
        return not known.stale

    def figures(self, hour: Hour) -> tuple[dict[str, Figures], bool]:
        """Return an hour's figures by campaign ("" for all its events), and whether these are all of them.

        If not, they are the ones that may have changed since `written`.
        """
        known = self._hours[hour]
        found: dict[str, Figures] = {}
        for campaign in known.touched - {""}:
            found[campaign] = _together(minute.get(campaign, {}) for minute in known.minutes.values())
        everything = (kinds for minute in known.minutes.values() for kinds in minute.values())
        if known.touched or not known.whole:
            found[""] = _together(everything)
        return found, not known.whole

    def written(self, hour: Hour) -> None:
        """Note that what `figures` returned was stored."""
        known = self._hours[hour]
        known.touched, known.whole = set(), True


def by_turns(hours: Iterable[Hour]) -> Iterator[Hour]:
    """Yield the newest hour, the oldest, and so on, so that a caller who stops after two starves none."""
    left = deque(sorted(hours, key=lambda hour: hour[1]))
    while left:
        yield left.pop()
        if left:
            yield left.popleft()


def _together(several: Iterable[Mapping[str, AggregatePart]]) -> Figures:
    by_kind: dict[str, list[AggregatePart]] = {}
    for kinds in several:
        for kind, seen in kinds.items():
            by_kind.setdefault(kind, []).append(seen)
    return {kind: _figure(parts) for kind, parts in sorted(by_kind.items())}


def _figure(parts: list[AggregatePart]) -> Figure:
    recorded, expired, counted, people = map(sum, zip(*(part.numbers for part in parts), strict=True))
    if len(parts) == 1:
        messages, of_people = len(parts[0].messages), len(parts[0].people_messages)
    else:
        messages = len(set().union(*(part.messages for part in parts)))
        if all(part.messages is part.people_messages for part in parts):
            of_people = messages
        else:
            of_people = len(set().union(*(part.people_messages for part in parts)))
    return Figure(recorded, expired, counted, people, messages, of_people)
