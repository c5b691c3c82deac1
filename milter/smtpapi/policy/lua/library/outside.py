"""What a policy's Lua calls in Python about what is outside its message: counts of traffic, and the DNS.

As in `functions`, no function raises. Those for counts return the value, or None and what is wrong.
"""

from collections.abc import Callable

from smtpapi.policy.lua.library.counts import CountError, Counts
from smtpapi.policy.lua.library.functions import word
from smtpapi.policy.lua.library.names import NameFault, Resolver


class Outside:
    """The functions of one state. peer: returns the client's address, "" without a client."""

    def __init__(self, counts: Counts, resolver: Resolver, peer: Callable[[], str]) -> None:
        self._counts = counts
        self._resolver = resolver
        self._peer = peer

    def functions(self) -> dict[str, Callable[..., object]]:
        """Return all functions by the names that the prelude calls them by."""
        return {
            "audit": self._audit,
            "sessions": self._sessions,
            "series_define": self._series_define,
            "series_add": self._series_add,
            "series_count": self._series_count,
            "series_remove": self._series_remove,
            "counter": self._counter,
            "gauge_define": self._gauge_define,
            "gauge": self._gauge,
            "dns": self._dns,
            "fcdns": self._fcdns,
        }

    def _audit(self, kind: bytes, monitor: bytes, first: float, last: float, cidr: bytes) -> object:
        return _counted(
            lambda: self._counts.audit(
                word(kind), word(monitor), int(first), int(last), word(cidr), self._peer()
            )
        )

    def _sessions(self, cidr: bytes, service: bytes) -> object:
        return _counted(lambda: self._counts.sessions(word(cidr), word(service), self._peer()))

    def _series_define(self, name: bytes, kind: bytes, seconds: float, windows: float) -> object:
        return _counted(lambda: self._counts.define_series(word(name), word(kind), seconds, windows))

    def _series_add(self, name: bytes, key: bytes | None, count: float) -> object:
        return _counted(lambda: self._counts.add(word(name), _key(key), count, self._peer()))

    def _series_count(self, name: bytes, key: bytes | None, first: float, last: float) -> object:
        return _counted(
            lambda: self._counts.count(word(name), _key(key), int(first), int(last), self._peer())
        )

    def _series_remove(self, name: bytes, key: bytes | None) -> object:
        return _counted(lambda: self._counts.remove(word(name), _key(key), self._peer()))

    def _counter(self, how: bytes, path: bytes, number: float) -> object:
        """Add to a counter, set it, or remove it."""
        if how == b"unlink":
            return _counted(lambda: self._counts.unlink(word(path)))
        change = (lambda _: number) if how == b"set" else (lambda value: value + number)
        return _counted(lambda: self._counts.counter(word(path), change))

    def _gauge_define(self, name: bytes, most: float, seconds: float) -> object:
        return _counted(lambda: self._counts.define_gauges(word(name), most, seconds))

    def _gauge(self, name: bytes, key: bytes, change: float | None) -> object:
        """Change a gauge; None removes it."""
        if change is None:
            return _counted(lambda: self._counts.remove_gauge(word(name), word(key)))
        return _counted(lambda: self._counts.gauge(word(name), word(key), change))

    def _dns(self, name: bytes, kind: bytes, server: bytes) -> object:
        """Return (preference, text, …); (None, fault); (False, what is wrong with the question)."""
        try:
            found = self._resolver.lookup(word(name), word(kind), word(server))
        except NameFault as fault:
            return None, str(fault).encode()
        except ValueError as error:
            return False, str(error).encode()
        return tuple(value for pair in found[:100] for value in pair)

    def _fcdns(self) -> tuple[bytes, bytes, bytes]:
        name, there, back = self._resolver.confirmed(self._peer())
        return name.encode("utf-8", "replace"), there.encode(), back.encode()


def _key(key: bytes | None) -> str | None:
    return None if key is None else word(key)


def _counted(call: Callable[[], float | None]) -> object:
    try:
        return call() or 0
    except (CountError, ValueError, OverflowError) as error:
        return None, str(error).encode()
