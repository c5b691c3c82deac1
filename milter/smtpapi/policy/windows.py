"""Counts by key in windows of time, of which the newest are kept."""

from collections.abc import Callable, Hashable, Iterator

_MOST_KEYS = 100_000  # in one window: about 10 MB; the keys of a flood beyond it are not counted


class Windows:
    """A series of counts. seconds: the length of a window. kept: how many windows are remembered."""

    def __init__(self, seconds: float, kept: int) -> None:
        self.seconds = seconds
        self.kept = kept
        self._windows: dict[int, dict[Hashable, float]] = {}

    def add(self, key: Hashable, count: float, now: float) -> None:
        """Add to a key's count in the window of now, in seconds of any clock."""
        number = int(now // self.seconds)
        window = self._windows.get(number)
        if window is None:
            window = self._windows[number] = {}
            for old in [each for each in self._windows if each <= number - self.kept]:
                del self._windows[old]
        if key in window or len(window) < _MOST_KEYS:
            window[key] = window.get(key, 0) + count

    def of(self, key: Hashable, since: float, until: float) -> float:
        """Return a key's sum over the windows that touch the time from since to until."""
        return sum(window.get(key, 0) for window in self._between(since, until))

    def total(self, wanted: Callable[[Hashable], bool], since: float, until: float) -> float:
        """Return the same for all keys that are wanted."""
        return sum(
            count for window in self._between(since, until) for key, count in window.items() if wanted(key)
        )

    def remove(self, key: Hashable) -> None:
        """Forget a key."""
        for window in self._windows.values():
            window.pop(key, None)

    def _between(self, since: float, until: float) -> Iterator[dict[Hashable, float]]:
        for number, window in self._windows.items():
            if number * self.seconds < until and (number + 1) * self.seconds > since:
                yield window
