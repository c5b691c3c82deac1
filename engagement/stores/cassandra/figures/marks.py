"""Marks of what was changed and is not counted yet: for each day and shipper, the virtual shards.

A mark is written before the rows, and removed after they were counted. A shipper writes marks under a name of
its own, and takes over those of others when it begins. Pure: what to write is returned.
"""

from collections.abc import Iterable
from typing import Any, Final

from engagement.stores.cassandra.figures.day_facts import SHARDS, days_to_count, virtual_shard
from engagement.stores.cassandra.queries import PLACE
from engagement.stores.cassandra.rows.statements import MARKED_AT
from engagement.stores.cassandra.writing import Writes
from engagement.stores.customer_tags import DAY_MS

_CLOSED_MS: Final = 600_000  # after a day's end; its mark stays until then, as more will come
_APART_MS: Final = 26 * 3_600_000  # marks of others stay so much longer: their clocks may be a day behind
_REMOVED: Final = 1 << 40  # timestamps of removals are so much later than those of marks

Day = tuple[str, int]  # tenant, day since 1970


class Marks:
    """The marks of one shipper. shipper: its name."""

    def __init__(self, shipper: str) -> None:
        self._shipper = shipper
        self._removed: dict[Day, int] = {}  # how often a day's mark was removed
        self._written = 0  # how many marks: the timestamps of one name grow
        self._own: dict[Day, set[int]] = {}  # as they are in the store
        self._pending: dict[Day, set[int]] = {}
        self._others: dict[Day, set[str]] = {}
        self.stale: dict[Day, set[int]] = {}  # what is to be counted

    def changed(self, changes: Iterable[tuple[str, int, bytes]]) -> Writes:
        """Note (tenant, at_ms, message) of events that will change; return the marks to write before them.

        When they are written, call `are_written`.
        """
        self._pending = {}
        for tenant, at_ms, message in changes:
            v = virtual_shard(message)
            for day in days_to_count(at_ms):
                self.stale.setdefault((tenant, day), set()).add(v)
                if v not in self._own.get((tenant, day), ()):
                    self._pending.setdefault((tenant, day), set()).add(v)
        writes: Writes = []
        for (tenant, day), more in self._pending.items():
            self._written += 1
            bits = _bits(more | self._own.get((tenant, day), set()))
            writes.append(
                (
                    "stale_day",
                    [(PLACE, tenant, day, self._name((tenant, day)), bits, MARKED_AT + self._written)],
                )
            )
        return writes

    def are_written(self) -> None:
        """Note that what `changed` returned was written."""
        for day, more in self._pending.items():
            self._own.setdefault(day, set()).update(more)
        self._pending = {}

    def take_over(self, lines: Iterable[tuple[Any, ...]]) -> None:
        """Take over marks: tenant, day, shipper, bits."""
        for tenant, day, name, bits in lines:
            self.stale.setdefault((tenant, day), set()).update(_shards(bits))
            if not name.startswith(self._shipper):
                self._others.setdefault((tenant, day), set()).add(name)

    def removals(self, now_ms: int) -> Writes:
        """Return what removes the marks of days that are counted and over; those of others later."""
        gone: list[tuple[Day, str]] = []
        for day in [day for day in self._own if day not in self.stale and _is_over(day, now_ms, 0)]:
            gone.append((day, self._name(day)))
            del self._own[day]
            # A removed mark cannot be set again, so the day's next one has another name.
            self._removed[day] = self._removed.get(day, 0) + 1
        for day in [
            day for day in self._others if day not in self.stale and _is_over(day, now_ms, _APART_MS)
        ]:
            gone += [(day, name) for name in self._others.pop(day)]
        return [("no_longer_stale", [(MARKED_AT + _REMOVED, PLACE, *day, name)]) for day, name in gone]

    def _name(self, day: Day) -> str:
        removed = self._removed.get(day, 0)
        return f"{self._shipper}.{removed}" if removed else self._shipper


def _is_over(day: Day, now_ms: int, later_ms: int) -> bool:
    return (day[1] + 1) * DAY_MS + _CLOSED_MS + later_ms < now_ms


def _bits(shards: Iterable[int]) -> bytes:
    return sum(1 << v for v in shards).to_bytes(SHARDS // 8, "big")


def _shards(bits: bytes) -> set[int]:
    number = int.from_bytes(bits, "big")
    return {v for v in range(SHARDS) if number >> v & 1}
