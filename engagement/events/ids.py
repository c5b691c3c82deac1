"""Ids of events: 128 bits, ordered by time, made without asking another process.

The layout is RFC 9562 5.7 (UUID version 7), so any database with UUIDs stores and sorts them:

    48 bits  Unix milliseconds, an argument
    24 bits  counter within the millisecond   (12 in rand_a, 12 at the head of rand_b)
    48 bits  node, moved on by one at each backward step of the clock
     2 bits  part: 0 the event itself, 1 to 3 events that were derived from it

Invariant: ids of one `EventIds` are unique whatever its clock does. While the clock does not go back,
(millisecond, counter) grows; when it goes back, the node changes. Two processes differ by their random nodes.
"""

import re
import threading
from hashlib import blake2b

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_NODE_BITS = 48
_COUNTER_BITS = 24
_LAST = (1 << _COUNTER_BITS) - 1
_MAX_MS = (1 << 48) - 1
_FEW = 16  # ids in a millisecond whose text is made in advance


class EventIds:
    """Makes the ids of one process. Safe to share between threads.

    node: 8 random bytes, drawn after fork. Raises ValueError for another number of bytes.
    """

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
        """Return a new id, UUID text, for an event at now_ms (Unix milliseconds)."""
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
        """Begin a new millisecond: counter 0, and the part of the text that all its ids share."""
        self._ms = now_ms
        self._counter = 0
        self._head = now_ms.to_bytes(6, "big").hex("-", -4) + "-7"

    def _take_node(self, node: int) -> None:
        """Begin with a node, and make the text of the first ids of each millisecond in advance."""
        self._node = node & ((1 << _NODE_BITS) - 1)
        self._few = tuple(map(self._rest, range(_FEW)))

    def _rest(self, counter: int) -> str:
        """Return an id's text behind the version's digit."""
        upper = 0b10 << 14 | (counter & 0xFFF) << 2 | self._node >> _NODE_BITS - 2
        return f"{counter >> 12:03x}-{upper:04x}-{(self._node << 2) & ((1 << 48) - 1):012x}"


def derived(event_id: str, part: int) -> str:
    """Return the id of an event derived from event_id. Equal arguments give equal ids.

    part: 1 to 3, which of the derived events. Raises ValueError for another part.
    """
    if not 1 <= part <= 3:
        raise ValueError("part is 1, 2 or 3")
    return event_id[:-1] + f"{int(event_id[-1], 16) & ~0b11 | part:x}"


def is_event_id(text: str) -> bool:
    """Return whether text is a UUID in lower case with hyphens."""
    return _UUID.fullmatch(text) is not None


def reported_id(at_ms: int, *parts: str) -> str:
    """Return the id of an event that something outside reports, so that reported twice it is one event.

    A UUID of version 8 (RFC 9562 5.8): 48 bits of the time, Unix milliseconds, then a hash of the texts that
    distinguish it from others of that time.
    """
    framed = b"".join(
        len(data).to_bytes(4, "big") + data
        for data in (part.encode("utf-8", "surrogatepass") for part in parts)
    )
    rest = int.from_bytes(blake2b(framed, digest_size=10, person=b"told").digest(), "big")
    head = f"{min(max(at_ms, 0), _MAX_MS):012x}"
    upper = 0b10 << 14 | rest >> 48 & 0x3FFF
    # The last two bits stay free for derived events.
    return f"{head[:8]}-{head[8:]}-8{rest >> 62 & 0xFFF:03x}-{upper:04x}-{rest & 0xFFFFFFFFFFFC:012x}"
