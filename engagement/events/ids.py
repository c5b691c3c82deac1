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
_MAX_MS = (1 << 48) - 1


class EventIds:
    """The ids of one process. node: 8 bytes of chance, drawn after fork. Safe to share between threads."""

    __slots__ = ("_counter", "_lock", "_ms", "_node")

    def __init__(self, node: bytes) -> None:
        if len(node) != 8:
            raise ValueError("a node has 8 bytes")
        self._node = int.from_bytes(node, "big") & ((1 << _NODE_BITS) - 1)
        self._ms = -1
        self._counter = 0
        self._lock = threading.Lock()

    def next(self, now_ms: int) -> str:
        """Return a new id for an event at now_ms (Unix milliseconds)."""
        now_ms = min(max(now_ms, 0), _MAX_MS)
        with self._lock:
            if now_ms > self._ms:
                self._ms = now_ms
                self._counter = 0
            elif now_ms < self._ms or self._counter == (1 << _COUNTER_BITS) - 1:
                self._ms = now_ms
                self._counter = 0
                self._node = (self._node + 1) & ((1 << _NODE_BITS) - 1)
            else:
                self._counter += 1
            counter, node = self._counter, self._node
        number = (
            now_ms << 80
            | 0x7 << 76
            | (counter >> 12) << 64
            | 0b10 << 62
            | (counter & 0xFFF) << 50
            | node << 2
        )
        return _text(number)


def _text(number: int) -> str:
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def derived(event_id: str, part: int) -> str:
    """Return the id of the part-th (1 to 3) event that follows from event_id. The same each time."""
    if not 1 <= part <= 3:
        raise ValueError("part is 1, 2 or 3")
    return event_id[:-1] + f"{int(event_id[-1], 16) & ~0b11 | part:x}"


def is_event_id(text: str) -> bool:
    """Tell whether text is a UUID in its usual lower-case form."""
    return _UUID.fullmatch(text) is not None
