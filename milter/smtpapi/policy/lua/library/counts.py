"""Counts for policies: msys.audit, msys.audit_series, msys.counter, msys.gauge_cache.

All of it is in the memory of one worker: each counts for itself, from zero when it starts. The Lua side makes
0 and a warning of a count that cannot be had: it is not worth a mail's tracking.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import ip_network

from smtpapi.policy.lua.library.texts import peer_address
from smtpapi.policy.traffic import KINDS, TRAFFIC, Network, address_of, total_in
from smtpapi.policy.windows import Windows

_MOST = 10_000  # series, caches or counters of one policy, which names them itself; a guess
_MOST_WINDOWS = 10_000  # of one series: nearly a week of minutes; a guess


class CountError(ValueError):
    """Raised for a count that cannot be had. str(error): why."""


class Counts:
    """The counts of one loaded policy. Threads share it."""

    def __init__(self) -> None:
        self._series: dict[str, tuple[str, Windows]] = {}
        self._counters: dict[str, float] = {}
        self._caches: dict[str, tuple[int, float, OrderedDict[str, tuple[float, float]]]] = {}
        self._lock = threading.Lock()

    # -- msys.audit

    def audit(self, kind: str, monitor: str, first: int, last: int, cidr: str, peer: str) -> int:
        """Return how many connections, receptions or rejections came from a network. kind: of `KINDS`.

        monitor: "seconds,windows" as in inbound_audit. first, last: windows back from the current one, 0.
        cidr: as in `network_of`. Raises CountError.
        """
        TRAFFIC.noting = True
        seconds = monitor.partition(",")[0].strip()
        if kind not in KINDS or not seconds.isdigit() or not int(seconds):
            raise CountError(f'{monitor!r} is no monitor: "seconds,windows"')
        since, until = _span(float(seconds), first, last, time.monotonic())
        return TRAFFIC.count(kind, network_of(cidr, peer), since, until)

    def sessions(self, cidr: str, service: str, peer: str) -> int:
        """Return how many SMTP sessions from a network are open. Raises CountError."""
        TRAFFIC.noting = True
        if service not in ("", "SMTP"):
            raise CountError(f"no sessions of the service {service} are here, only SMTP's")
        return TRAFFIC.sessions(network_of(cidr, peer))

    # -- msys.audit_series

    def define_series(self, name: str, kind: str, seconds: float, windows: float) -> None:
        """Add a series; one of that name and kind stays. Raises CountError."""
        if kind not in ("cidr", "cidr_ipv6", "string"):
            raise CountError(f"series {name}: its type is cidr, cidr_ipv6 or string")
        if not (seconds >= 1 and 1 <= windows <= _MOST_WINDOWS):
            raise CountError(f"series {name}: at least one second, 1 to {_MOST_WINDOWS} windows")
        with self._lock:
            before = self._series.get(name)
            if before is not None and before[0] == kind and before[1].seconds == seconds:
                return
            if len(self._series) < _MOST:
                self._series[name] = kind, Windows(seconds, int(windows))

    def add(self, name: str, key: str | None, count: float, peer: str) -> None:
        """Add to the current window. key: None for the client, in a series by address. Raises CountError."""
        kind, windows = self._of(name)
        where = key_of(kind, name, key, peer)
        with self._lock:
            windows.add(where, count, time.monotonic())

    def count(self, name: str, key: str | None, first: int, last: int, peer: str) -> int:
        """Return a series' sum. first, last: windows back from the current one, 0. Raises CountError."""
        kind, windows = self._of(name)
        since, until = _span(windows.seconds, first, last, time.monotonic())
        with self._lock:
            if kind == "string":
                return int(windows.of(key_of(kind, name, key, peer), since, until))
            return total_in(windows, network_of(key or "", peer), since, until)

    def remove(self, name: str, key: str | None, peer: str) -> None:
        """Forget a key of a series. Raises CountError."""
        kind, windows = self._of(name)
        where = key_of(kind, name, key, peer)
        with self._lock:
            windows.remove(where)

    def _of(self, name: str) -> tuple[str, Windows]:
        found = self._series.get(name)
        if found is None:
            raise CountError(f"no series is named {name}: msys.audit_series.define in init")
        return found

    # -- msys.counter

    def counter(self, path: str, change: Callable[[float], float]) -> float:
        """Change a counter, which begins with 0, and return its value. Raises CountError for one too many."""
        with self._lock:
            if path not in self._counters and len(self._counters) >= _MOST:
                raise CountError(f"more than {_MOST} counters")
            found = self._counters[path] = change(self._counters.get(path, 0.0))
            return found

    def unlink(self, path: str) -> None:
        """Forget a counter."""
        with self._lock:
            self._counters.pop(path, None)

    # -- msys.gauge_cache

    def define_gauges(self, name: str, most: float, seconds: float) -> None:
        """Add a cache of gauges: how many it holds, and how long after a change. Raises CountError."""
        if not (1 <= most <= 1_000_000 and seconds >= 0):
            raise CountError(f"gauge cache {name}: 1 to 1000000 entries, and a life in seconds")
        with self._lock:
            if name not in self._caches and len(self._caches) < _MOST:
                self._caches[name] = int(most), seconds, OrderedDict()

    def gauge(self, name: str, key: str, change: float) -> float:
        """Change a gauge, and return its value; a change of 0 only reads it. Raises CountError."""
        found = self._caches.get(name)
        if found is None:
            raise CountError(f"no gauge cache is named {name}: msys.gauge_cache.define in init")
        most, seconds, gauges = found
        now = time.monotonic()
        with self._lock:
            value, changed_at = gauges.get(key, (0.0, now))
            if seconds and now - changed_at > seconds:
                value = 0.0
            if change:
                value += change
                gauges[key] = value, now
                gauges.move_to_end(key)
                if len(gauges) > most:
                    gauges.popitem(last=False)
            return value

    def remove_gauge(self, name: str, key: str) -> None:
        """Forget a gauge."""
        with self._lock:
            if name in self._caches:
                self._caches[name][2].pop(key, None)


def key_of(kind: str, name: str, key: str | None, peer: str) -> object:
    """Return the key that a count stands under. Raises CountError."""
    if kind == "string":
        if key is None:
            raise CountError(f"series {name}: the key is missing")
        return key
    address = address_of(peer_address(key) if key else peer)
    if address is None:
        raise CountError(f"series {name}: {key or peer!r} is no address")
    return address


def network_of(cidr: str, peer: str) -> Network:
    """Return the network that a policy means: /24 around the client, address/24, an address, "" the client.

    Raises CountError.
    """
    host, slash, mask = cidr.strip().replace("[", "").replace("]", "").partition("/")
    host = "127.0.0.1" if host == "localhost" else host
    address = address_of(peer_address(host) if host else peer)
    if address is None:
        raise CountError(f"{host or peer!r} is no address")
    try:
        return ip_network(f"{address}/{mask if slash else address.max_prefixlen}", strict=False)
    except ValueError as error:
        raise CountError(str(error)) from None


def _span(seconds: float, first: int, last: int, now: float) -> tuple[float, float]:
    """Return begin and end of some windows."""
    newest = now // seconds
    return (newest - max(last, first)) * seconds, (newest - first + 1) * seconds
