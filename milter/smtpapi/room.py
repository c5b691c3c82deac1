"""The memory that mail under way may take in one process, so that no number of sessions can exhaust it."""

import threading


class Room:
    """limit: octets for all messages together. Safe between threads."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._lock = threading.Lock()

    def take(self, octets: int) -> bool:
        """Whether there was room for so much more; then it is taken."""
        with self._lock:
            if octets > self._left:
                return False
            self._left -= octets
            return True

    def give(self, octets: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self._left += octets
