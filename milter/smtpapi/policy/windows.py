"""Counts by key in windows of time, of which the newest are kept."""

from collections.abc import Callable, Hashable, Iterator

# In all windows of a series: about 5 MB, and some 10 ms to look at. New keys of a flood are not counted.
_MOST_KEYS = 50_000


class Windows:
    """A series of counts. seconds: the length of a window. retained: how many windows are remembered."""

    def __init__(self, seconds: float, retained: int) -> None:
        self.seconds = seconds
        self.retained = retained
        self._windows: dict[int, dict[Hashable, float]] = {}
        self._keys = 0  # in all windows

    def add(self, key: Hashable, count: float, now: float) -> None:
        """Add to a key's count in the window of now, in seconds of any clock."""
        number = int(now // self.seconds)
        window = self._windows.get(number)
        if window is None:
            window = self._windows[number] = {}
            for old in [each for each in self._windows if each <= number - self.retained]:
                self._keys -= len(self._windows.pop(old))
        if key in window:
            window[key] += count
        elif self._keys < _MOST_KEYS:
            window[key] = count
            self._keys += 1

    def of(self, key: Hashable, since: float, until: float) -> float:
        """Return a key's sum over the windows that touch the time from since to until."""
        return sum(window.get(key, 0) for window in self._between(since, until))

    def total(self, selects: Callable[[Hashable], bool], since: float, until: float) -> float:
        """Return the same for all keys that `selects` takes."""
        return sum(
            count for window in self._between(since, until) for key, count in window.items() if selects(key)
        )

    def remove(self, key: Hashable) -> None:
        """Forget a key."""
        for window in self._windows.values():
            self._keys -= window.pop(key, None) is not None

    def _between(self, since: float, until: float) -> Iterator[dict[Hashable, float]]:
        numbers = range(int(since // self.seconds), -int(-until // self.seconds))
        if len(numbers) < len(self._windows):
            yield from (self._windows[each] for each in numbers if each in self._windows)
        else:
            yield from (window for number, window in self._windows.items() if number in numbers)
