"""The memory that messages under way may take in all workers together, however many sessions there are.

There is one number for each process, in memory that all of them share. Only that process changes its number,
so after a process was killed, at whatever moment, the parent can set the number back to 0. Not what is
counted (`incoming_message`).
"""

import mmap
import threading

_NUMBER = 8  # octets of one number, 64 bits


class BodyMemory:
    """The share of one process. Safe between the threads of that process.

    limit: octets that the messages of all processes may take. numbers: the octets that each process took; the
    first number says up to which index they are in use. mine: the index of this process. Without numbers this
    process is the only one.
    """

    def __init__(self, limit: int, numbers: memoryview | None = None, mine: int = 1) -> None:
        self._limit = limit
        self._numbers = numbers if numbers is not None else BodyMemoryTable(2).numbers
        self._mine = mine
        self._lock = threading.Lock()

    def take(self, octets: int) -> bool:
        """Take more octets. Return False, with nothing taken, where there is no room.

        They are added before the sum is checked. So if two processes do this at once, at least one of them
        sees both amounts.
        """
        numbers = self._numbers
        with self._lock:
            numbers[self._mine] += octets
            if sum(numbers[1 : max(numbers[0], self._mine) + 1]) <= self._limit:
                return True
            numbers[self._mine] -= octets
            return False

    def give(self, octets: int) -> None:
        """Give back octets that were taken."""
        with self._lock:
            self._numbers[self._mine] -= octets


class BodyMemoryTable:
    """The numbers of all processes. Made by the parent before it forks; the parent has none itself."""

    def __init__(self, size: int) -> None:
        self.numbers = memoryview(mmap.mmap(-1, size * _NUMBER)).cast("Q")

    def share(self, number: int, limit: int) -> BodyMemory:
        """Return the share of the process with that number, from 1. limit: octets for all processes."""
        return BodyMemory(limit, self.numbers, number)

    def taken(self) -> int:
        """Return the octets that the messages of all processes take now."""
        return sum(self.numbers[1 : self.numbers[0] + 1])

    def begin(self, number: int) -> None:
        """Count a process that is about to start."""
        self.numbers[number] = 0
        self.numbers[0] = max(self.numbers[0], number)

    def end(self, number: int) -> None:
        """Free what the messages of a process took. The process must have ended."""
        self.numbers[number] = 0
