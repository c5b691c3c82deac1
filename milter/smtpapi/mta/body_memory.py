"""The memory that mail under way may take in all workers together, so that no number of sessions exhausts it.

One number for each process, in memory that they share; only that process adds to it, so that one that is
killed at any moment leaves what the parent sets to nothing. Not what is counted (`session`).
"""

import mmap
import threading

_NUMBER = 8  # octets


class BodyMemory:
    """What one process takes of it. limit: octets for all messages of all processes. Safe between threads.

    numbers: of all the processes, the first of them how far those that count go. mine: which is this one's.
    Without them this process is the only one.
    """

    def __init__(self, limit: int, numbers: memoryview | None = None, mine: int = 1) -> None:
        self._limit = limit
        self._numbers = numbers if numbers is not None else Rooms(2).numbers
        self._mine = mine
        self._lock = threading.Lock()

    def take(self, octets: int) -> bool:
        """Whether there was room for so much more; then it is taken.

        Taken first and then looked at: of two processes that do so at once, one at least sees both.
        """
        numbers = self._numbers
        with self._lock:
            numbers[self._mine] += octets
            if sum(numbers[1 : max(numbers[0], self._mine) + 1]) <= self._limit:
                return True
            numbers[self._mine] -= octets
            return False

    def give(self, octets: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self._numbers[self._mine] -= octets


class Rooms:
    """All the numbers. Made by the parent before it forks; it has none itself."""

    def __init__(self, most: int) -> None:
        self.numbers = memoryview(mmap.mmap(-1, most * _NUMBER)).cast("Q")

    def room(self, number: int, limit: int) -> BodyMemory:
        """Of the process with that number, from 1."""
        return BodyMemory(limit, self.numbers, number)

    def begin(self, number: int) -> None:
        """Count a process that is about to be made."""
        self.numbers[number] = 0
        self.numbers[0] = max(self.numbers[0], number)

    def end(self, number: int) -> None:
        """A process is gone, however it went: what its mail took is free."""
        self.numbers[number] = 0
