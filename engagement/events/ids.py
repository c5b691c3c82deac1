"""Ids of events: 128 bits, ordered by time, drawn without asking anyone.

The layout is RFC 9562 5.7 (UUID version 7), so any engine that knows UUIDs stores and sorts them:

    48 bits  Unix milliseconds, as handed in
    24 bits  counter within the millisecond   (12 in rand_a, 12 at the head of rand_b)
    48 bits  node, moved on by one at each backward step of the clock
     2 bits  part: 0 the event itself, 1..3 what was derived from it

Ids of one `EventIds` are unique whatever its clock does: while the clock does not go back, (millisecond,
counter) grows; when it goes back, the node changes. Two processes differ by their random nodes.
"""

import re
import threading

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_NODE_BITS = 48
_COUNTER_BITS = 24
_LAST = (1 << _COUNTER_BITS) - 1
_MAX_MS = (1 << 48) - 1
_FEW = 16  # ids in a millisecond whose text is written beforehand


class EventIds:
    """The ids of one process. node: 8 bytes of chance, drawn after fork. Safe to share between threads."""

    __slots__ = ("_counter", "_few", "_head", "_lock", "_ms", "_node")
    _counter: int
    _head: str

    def __init__(self, node: bytes) -> None:
        if len(node) != 8:
            raise ValueError("a node has 8 bytes")
        self._take_node(int.from_bytes(node, "big"))
        self._lock = threading.Lock()
        self._begin(0)

    def next(self, now_ms: int) -> str:
        """Return a new id for an event at now_ms (Unix milliseconds)."""
        if not 0 <= now_ms <= _MAX_MS:
            now_ms = 0 if now_ms < 0 else _MAX_MS
        with self._lock:
            if now_ms == self._ms and self._counter < _LAST:
                self._counter = counter = self._counter + 1
                return self._head + (self._few[counter] if counter < _FEW else self._rest(counter))
            if now_ms <= self._ms:
                self._take_node(self._node + 1)
            self._begin(now_ms)
            return self._head + self._few[0]

    def _begin(self, now_ms: int) -> None:
        """Take a new millisecond: counter 0, and the part of the text that stays while it lasts."""
        self._ms = now_ms
        self._counter = 0
        self._head = now_ms.to_bytes(6, "big").hex("-", -4) + "-7"

    def _take_node(self, node: int) -> None:
        """Take a node, and write beforehand what it gives the first ids of each millisecond."""
        self._node = node & ((1 << _NODE_BITS) - 1)
        self._few = tuple(map(self._rest, range(_FEW)))

    def _rest(self, counter: int) -> str:
        """The text behind the version's digit."""
        upper = 0b10 << 14 | (counter & 0xFFF) << 2 | self._node >> _NODE_BITS - 2
        return f"{counter >> 12:03x}-{upper:04x}-{(self._node << 2) & ((1 << 48) - 1):012x}"


def derived(event_id: str, part: int) -> str:
    """Return the id of the part-th (1 to 3) event that follows from event_id. The same each time."""
    if not 1 <= part <= 3:
        raise ValueError("part is 1, 2 or 3")
    return event_id[:-1] + f"{int(event_id[-1], 16) & ~0b11 | part:x}"


def is_event_id(text: str) -> bool:
    """Tell whether text is a UUID in its usual lower-case form."""
    return _UUID.fullmatch(text) is not None
