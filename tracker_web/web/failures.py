"""Slows down those who try wrong tokens or keys, by address."""

from collections.abc import Callable
from typing import Final

_FREE_FAILURES: Final = 3  # before an address must wait
_LONGEST_WAIT: Final = 60.0  # seconds
_MOST_ADDRESSES: Final = 10_000  # beyond, the oldest are forgotten


class Failures:
    """Wrong tokens by address: after three, each doubles the wait for the next try, up to a minute."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[str, tuple[int, float]] = {}

    def wait(self, address: str) -> float:
        """Return the seconds until a token from this address is checked; 0 for now."""
        return max(0.0, self._known.get(address, (0, 0.0))[1] - self._clock())

    def add(self, address: str) -> None:
        """Count one more wrong token."""
        count = self._known.pop(address, (0, 0.0))[0] + 1
        pause = min(_LONGEST_WAIT, 2.0 ** min(count - _FREE_FAILURES, 10)) if count >= _FREE_FAILURES else 0.0
        self._known[address] = count, self._clock() + pause
        while len(self._known) > _MOST_ADDRESSES:
            del self._known[next(iter(self._known))]

    def forget(self, address: str) -> None:
        """Reset an address that sent the right token."""
        self._known.pop(address, None)
