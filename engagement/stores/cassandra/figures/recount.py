"""Makes the figures of days anew from `tally`, where they have changed.

A virtual shard's day is counted as a whole and written as absolute numbers (`part`), and the parts of a day
are added up (`figure`). Before each of the two a turn is taken (`turns`), whose number is the timestamp of
what is written. So whoever has the highest turn has read all that lower turns wrote or were taken for; any
number of shippers, with any clocks, end with the same figures. What was read is remembered while nobody else
has a turn, and only what has changed is added up and written.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from engagement.events.rows import REPEAT_MS
from engagement.figures.contribution import Contribution, Cube, add, difference
from engagement.stores.aggregate import to_text
from engagement.stores.cassandra import queries
from engagement.stores.cassandra.figures.counting import (
    TOTALS,
    DayOfShard,
    Key,
    by_key,
    count,
    life_of,
    pack,
    pack_counters,
    pack_flags,
    pack_row,
    period_of,
    totals_by_hour,
    unpack,
    unpack_row,
)
from engagement.stores.cassandra.figures.day_facts import (
    SHARDS,
    days_to_count,
    facts_by_message,
    may_repeat,
    virtual_shard,
)
from engagement.stores.cassandra.figures.marks import Day, Marks
from engagement.stores.cassandra.figures.ranks import ranks
from engagement.stores.cassandra.figures.turns import RollupTurns, by_turns, stamp
from engagement.stores.cassandra.reader import Reader
from engagement.stores.cassandra.writing import Partitions, Writes
from engagement.stores.customer_tags import DAY_MS

CUBES: Final = tuple(int(cube) for cube in Cube if cube != Cube.CAMPAIGN_LIFE)
FIGURES_LIFE: Final = 400 * 86_400  # seconds, at least; longer where rows live longer
_OUTLIVE: Final = 7 * 86_400  # turns and parts, by which figures are made, live so much longer than events
_HOURS: Final = 24
_LIFE_AT: Final = 1 << 40  # timestamps of `life` begin here
_DAYS_REMEMBERED: Final = 3
_AT_ONCE: Final = 16  # virtual shards, to begin with


@dataclass
class _Known:
    """What is remembered of a day, while nobody else counts it. parts, rows (of `figure`), seen: packed."""

    sums: Contribution = field(default_factory=dict)
    parts: dict[int, bytes] = field(default_factory=dict)
    rows: dict[Key, bytes] = field(default_factory=dict)
    totals: dict[tuple[str, int], str] = field(default_factory=dict)
    seen: dict[int, dict[tuple[str, bytes], bytes]] = field(default_factory=dict)


class Recount:
    """The counting of one shipper. write: writes rows, or raises. Not safe to share between threads."""

    def __init__(
        self, reader: Reader, write: Callable[[Writes], None], life: queries.Lifetimes, shipper: str
    ) -> None:
        self._reader = reader
        self._write = write
        self._life = life
        self._turns = RollupTurns(reader.read, shipper)
        self._days: dict[Day, _Known] = {}
        self._open: dict[Day, None] = {}  # written while they were not over
        self._taken_over = False
        self.marks = Marks(shipper)

    def roll_up(self, seconds: float, now: float) -> int:
        """Count what has changed; return how many days are done. now: Unix seconds.

        seconds: after about this time it stops; the newest day and the oldest are gone on with in any case.
        """
        until = time.monotonic() + seconds
        if not self._taken_over:
            self.marks.take_over(self._reader.read("stale_days", (queries.PLACE,)))
            self._taken_over = True
        stale, done = self.marks.stale, 0
        for place, day in enumerate(by_turns(list(stale))):
            stale[day] -= self._count(day, sorted(stale[day]), until, now)
            if not stale[day]:
                del stale[day]
                done += 1
            if place and time.monotonic() >= until:
                break
        self._write(self.marks.removals(int(now * 1000)))
        if not stale:
            self._rank_what_is_over(now)
        return done

    def _rank_what_is_over(self, now: float) -> None:
        """Add up once more the days that were written before they were over, for their ranks."""
        for day in [day for day in self._open if now * 1000 >= (day[1] + 1) * DAY_MS]:
            self._count(day, [], 0.0, now)
            self._open.pop(day, None)

    def settle(self, changes: Iterable[tuple[str, int, bytes]], now: float) -> None:
        """Count now what these events are part of, whatever waits else and whoever marked it.

        changes: (tenant, at_ms, message). It is for events that are about to go: what was seen of them in
        their campaign's life is told by them alone.
        """
        shards: dict[Day, set[int]] = {}
        for tenant, at_ms, message in changes:
            for day in days_to_count(at_ms):
                shards.setdefault((tenant, day), set()).add(virtual_shard(message))
        for each, some in shards.items():
            self._count(each, sorted(some), float("inf"), now)

    def again(self, day: Day, now: float) -> int:
        """Count a whole day again, whatever is marked; return how many cells of figures were wrong."""
        if not self.is_countable(day, now):
            return 0
        before = self._rows(day)
        self._days.pop(day, None)
        self._count(day, list(range(SHARDS)), float("inf"), now)
        after = self._rows(day)
        cells = [
            {cell: n for key, row in rows.items() for cell, n in unpack_row(key, row).items()}
            for rows in (after, before)
        ]
        return len(difference(*cells))

    def is_countable(self, day: Day, now: float) -> bool:
        """Return whether what a day's figures are counted from is there still.

        It ends all at once, and earlier than is known here where `retention` was made longer since.
        """
        if self._ends(day, now) is None:
            return False
        parts = (list(range(first, first + _AT_ONCE)) for first in range(0, SHARDS, _AT_ONCE))
        return not self._rows(day) or any(each.cells for part in parts for each in self._counted(day, part))

    def _count(self, day: Day, shards: list[int], until: float, now: float) -> set[int]:
        """Go on with a day; return the virtual shards that are done."""
        ends = self._ends(day, now)
        if ends is None:
            return set(shards)
        try:
            return self._counted_to(day, shards, until, now, ends)
        except BaseException:
            self._days.pop(day, None)  # what was to be written may not be in the store
            raise

    def _counted_to(self, day: Day, shards: list[int], until: float, now: float, ends: int) -> set[int]:
        turn = self._turn(day, ends)
        known = self._days.get(day)
        done: dict[int, DayOfShard] = {}
        most, start = _AT_ONCE, 0
        while start < len(shards) and (not done or time.monotonic() < until):
            part = shards[start : start + most]
            counted = dict(zip(part, self._counted(day, part), strict=True))
            self._write_parts(day, counted, turn, now)
            done |= counted
            start, most = start + most, 2 * most
        summed = self._turn(day, ends)  # may forget what was known
        if known is not None and self._days.get(day) is known:
            for v, each in done.items():
                add(known.sums, {cell: -n for cell, n in unpack(known.parts.get(v, pack({}))).items()})
                add(known.sums, each.cells)
                known.parts[v] = pack(each.cells)
        else:
            known = self._read_parts(day)
            self._remember(day, known)
        self._write_sums(day, known, summed, now)
        for v, each in done.items():
            known.seen[v] = {place: pack_flags(flags) for place, flags in each.seen.items()}
        return set(done)

    # --- reading ---

    def _turn(self, day: Day, ends: int) -> int:
        turn, was_ours = self._turns.take((day[0], -1 - day[1]), ends + _OUTLIVE if ends else 0)
        if not was_ours:  # others may have counted since
            self._days.pop(day, None)
        return turn

    def _counted(self, day: Day, shards: list[int]) -> list[DayOfShard]:
        tenant, number = day
        lines = self._reader.read_each("tally_of", [(tenant, number, v) for v in shards])
        every = [facts_by_message(each) for each in lines]
        early = [
            (tenant, number - 1, v, message, number * DAY_MS - REPEAT_MS)
            for v, facts in zip(shards, every, strict=True)
            for message, own in facts.items()
            if may_repeat(own, number)
        ]
        before = facts_by_message(
            line for found in self._reader.read_each("tally_from", early) for line in found
        )
        return [count(number, facts, before) for facts in every]

    def _read_parts(self, day: Day) -> _Known:
        known = _Known()
        for v, cells in self._reader.read("parts", day):
            known.parts[v] = cells
            add(known.sums, unpack(cells))
        known.rows = self._rows(day)
        return known

    def _rows(self, day: Day) -> dict[Key, bytes]:
        """Return the rows of `figure` of a day."""
        tenant, number = day
        bound = [(tenant, cube, period_of(cube, number), number, number) for cube in CUBES]
        return {
            (cube, a, b): cells
            for cube, lines in zip(CUBES, self._reader.read_each("figures", bound), strict=True)
            for _, a, b, cells in lines
        }

    # --- writing ---

    def _write_parts(self, day: Day, counted: dict[int, DayOfShard], turn: int, now: float) -> None:
        tenant, number = day
        at, known = stamp(number * _HOURS + _HOURS - 1, turn), self._days.get(day)
        left, long = (
            self._left(day, self._life.events, now, _OUTLIVE),
            self._left(day, self._life.message, now),
        )
        made = Partitions()
        touched: dict[tuple[str, int], None] = {}
        for v, each in counted.items():
            made.add("part", day, (*day, v, pack(each.cells), left, at))
            last = known.seen.get(v, {}) if known else {}
            for (campaign, message), flags in each.seen.items():
                packed = pack_flags(flags)
                if last.get((campaign, message)) != packed:
                    place = (tenant, campaign, v)
                    made.add("seen", place, (*place, message, number, turn, packed, long, at))
                    touched[campaign, v] = None
        self._write(made.writes())
        self._write_lives(tenant, touched, long)

    def _write_lives(self, tenant: str, touched: Iterable[tuple[str, int]], left: int) -> None:
        """Count what messages were seen in campaigns' lives, where that has changed."""
        places = [(tenant, campaign, v) for campaign, v in touched]
        made = Partitions()
        for place, lines in zip(places, self._reader.read_each("seen_of", places), strict=True):
            counters, turns = life_of(lines)
            values = (*place, pack_counters(counters), left, _LIFE_AT + turns)
            made.add("life", place[:2], values)
        self._write(made.writes())

    def _write_sums(self, day: Day, known: _Known, turn: int, now: float) -> None:
        tenant, number = day
        at = stamp(number * _HOURS + _HOURS - 1, turn)
        left = self._left(day, max(self._life.events, FIGURES_LIFE) if self._life.events else 0, now)
        sums = {cell: n for cell, n in known.sums.items() if cell[0] != TOTALS}
        rows = {key: pack_row(cells) for key, cells in by_key(sums).items()}
        made = Partitions()
        for key in rows.keys() | known.rows.keys():
            cube, a, b = key
            packed = rows.get(key, pack_row([]))
            if known.rows.get(key) != packed:
                place = (tenant, cube, period_of(cube, number))
                made.add("figure", place, (*place, number, a, b, packed, left, at))
        known.rows = rows
        if now * 1000 < (number + 1) * DAY_MS:
            self._open[day] = None  # its ranks follow when it is over
        else:
            for cube, a, packed in ranks(sums):
                place = (tenant, cube, number)
                made.add("figure", place, (*place, number, a, "", packed, left, at))
        self._write_totals(made, day, known, turn, now)
        made.add("figure_day", (tenant,), (queries.PLACE, tenant, number, left, at))
        self._write(made.writes())

    def _write_totals(self, made: Partitions, day: Day, known: _Known, turn: int, now: float) -> None:
        """Add the port's old figures; those of hours before schema 7 were made by earlier programs."""
        first = self._reader.indexed_from()
        totals = {
            place: to_text(figures)
            for place, figures in totals_by_hour(known.sums).items()
            if place[1] >= first
        }
        left = self._left(day, self._life.events, now)
        for campaign, hour in totals.keys() | known.totals.keys():
            text = totals.get((campaign, hour), "{}")
            if known.totals.get((campaign, hour)) != text:
                place = (day[0], campaign)
                made.add("hour_figures", place, (*place, hour, text, left, stamp(hour, turn)))
        known.totals = totals

    def _ends(self, day: Day, now: float) -> int | None:
        """Return for how many seconds a day can still be counted, 0 for ever, None if it is over."""
        return queries.ttl((day[1] + 1) * DAY_MS, self._life.events, now)

    @staticmethod
    def _left(day: Day, life: int, now: float, more: int = 0) -> int:
        return queries.ttl((day[1] + 1) * DAY_MS, life + more if life else 0, now) or 0

    def _remember(self, day: Day, known: _Known) -> None:
        self._days[day] = known
        while len(self._days) > _DAYS_REMEMBERED:
            del self._days[next(iter(self._days))]
