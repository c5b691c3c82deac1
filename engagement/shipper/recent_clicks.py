"""Remembers for a while which messages each address clicked in, as no store can be asked for that.

Invariants: memory is bounded, whatever comes, and so is the time for one click.
"""

from bisect import bisect_left, bisect_right
from operator import attrgetter
from typing import Final

from engagement.classify.model import Seen, Within

MOST: Final = 100_000  # clicks, which bounds the memory; beyond, only half as many stay
_MANY: Final = 500  # of one address, looked at together at most: each looks at those before it
_moment = attrgetter("at_ms")


class RecentClicks:
    """The clicks of the last `span` seconds, by the times of hits, and somewhat older ones."""

    def __init__(self, span: float) -> None:
        self.span = span
        self._span_ms = int(span * 1000)
        self._number = 0
        self._returned: dict[str, int] = {}
        self.by_address: dict[str, list[Seen]] = {}

    def add(self, address: str, seen: Seen, within: Within) -> list[bytes]:
        """Note a click; return the messages to classify again for it.

        That is none while its address clicked in fewer messages than within says, then all of those, and
        later each one as it comes.
        """
        clicks = self.by_address.setdefault(address, [])
        place = bisect_right(clicks, seen.at_ms, key=_moment)
        clicks.insert(place, seen)
        self._number += 1
        window = int(within.seconds * 1000)
        first = bisect_left(clicks, seen.at_ms - window, key=_moment)
        last = place + 1
        if last < len(clicks):  # it came late
            last = bisect_right(clicks, seen.at_ms + window, key=_moment)
        found: list[bytes] = []
        if last - first >= within.number:
            in_order = last == place + 1
            if in_order and place and self._returned.get(address) == clicks[place - 1].at_ms:
                found = [seen.what]  # those before it were returned
            else:
                near = [each.what for each in clicks[max(first, last - _MANY) : last]]
                found = near if len(set(near)) >= within.number else []
            if in_order and found:
                self._returned[address] = seen.at_ms
        if len(clicks) % 64 == 0:
            self._cut(address, seen.at_ms)
        if self._number > MOST:
            self._sweep(seen.at_ms)
        return found

    def _cut(self, address: str, now_ms: int) -> None:
        """Forget what one address did before the span."""
        clicks = self.by_address[address]
        old = bisect_left(clicks, now_ms - self._span_ms, key=_moment)
        del clicks[:old]
        self._number -= old

    def _sweep(self, now_ms: int) -> None:
        """Forget what is old, of all addresses; and if that is not enough, those that came first."""
        for address in list(self.by_address):
            self._cut(address, now_ms)
        for address in list(self.by_address):
            if self.by_address[address] and self._number <= MOST // 2:
                continue
            self._number -= len(self.by_address.pop(address))
            self._returned.pop(address, None)
