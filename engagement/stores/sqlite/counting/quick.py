"""What `figures.contribution` and `hourly` say, for many rows at once, over the numbers of the file. Pure.

A message's contribution is added with a sign, so that a difference is two calls. Plain counts are added up
at the finest places alone, and from these sums at the others; uniques at each place. The twins are the
authority: tests hold this to them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from engagement.events.classify import MACHINES, ReaderClass, verdict
from engagement.events.rows import REPEAT_MS
from engagement.figures.contribution import ALONE, Cube, link_group
from engagement.figures.counters import Counter, bounce_counter
from engagement.stores.sqlite.codes import CLASS_CODES, CLASSES, PROBE, TYPE_CODES, TYPES

# One line: `facts.COLUMNS`.
Line = tuple[Any, ...]
# (cube, bucket, counter, a, b), a and b as terms.
Cells = dict[tuple[int, int, int, int, int], int]

_ALONE: Final = frozenset(TYPE_CODES[name] for name in ALONE)
_KINDS: Final = {
    **dict.fromkeys((TYPE_CODES["open"], TYPE_CODES["amp_open"]), 0),
    **dict.fromkeys((TYPE_CODES["initial_open"], TYPE_CODES["amp_initial_open"]), 1),
    **dict.fromkeys((TYPE_CODES["click"], TYPE_CODES["amp_click"]), 2),
    **dict.fromkeys((TYPE_CODES["link_unsubscribe"], TYPE_CODES["list_unsubscribe"]), 3),
}
_CLICK: Final = 2
_RANKS: Final = {"people": 0, "unsure": 1, "machines": 2}
_VERDICTS: Final = [
    [_RANKS[verdict(name, certain=certain)] if name else 1 for certain in (False, True)] for name in CLASSES
]
_MACHINES: Final = frozenset(CLASS_CODES[client.value] for client in MACHINES)
_RECORDED: Final = int(Counter.RECORDED_RENDERED)
_HITS: Final = int(Counter.PEOPLE_RENDERED)
_UNIQUE: Final = int(Counter.PEOPLE_UNIQUE_RENDERED)
_CONFIRMED: Final = int(Counter.PEOPLE_UNIQUE_CONFIRMED)
_RAW: Final = int(Counter.PEOPLE_RAW_CLICKED)
_EXPIRED: Final = int(Counter.EXPIRED)
_FIRSTS: Final = ((_UNIQUE, _CONFIRMED), (_UNIQUE + 3,), (_UNIQUE + 6, _CONFIRMED, _RAW), ())
_MINUTE, _HOUR, _DAY, _LIFE, _LINK = 60_000, 3_600_000, 86_400_000, 1, 2
# Level, bucket, campaign, domain, counter of the first verdict, link. A message has one campaign and domain,
# as its links do, so that what is unique in a day is so in the day of each.
_Seen = tuple[int, Any, int, int, int, int]
assert {ReaderClass.PROBE.value} == {CLASSES[PROBE]}, "the probe's number"


class Sums:
    """What messages contribute, added up. hours: by (campaign, hour, type), campaign 0 for all events."""

    def __init__(self) -> None:
        self._minutes: defaultdict[tuple[int, int], int] = defaultdict(int)
        self._campaigns: defaultdict[tuple[int, int, int], int] = defaultdict(int)
        self._domains: defaultdict[tuple[int, int, int], int] = defaultdict(int)
        self._machines: defaultdict[tuple[int, int, int, int], int] = defaultdict(int)
        self._links: defaultdict[tuple[int, int, int, tuple[int, int]], int] = defaultdict(int)
        self._unique: defaultdict[tuple[int, Any, int, int, int], int] = defaultdict(int)
        self.hours: dict[tuple[int, int, int], list[int]] = {}

    def add_alone(self, line: Line, sign: int = 1) -> None:
        """Add an event that contributes by itself, to all but the figures of hours."""
        at_ms = line[0]
        minute, campaign, domain = at_ms // _MINUTE, (at_ms // _HOUR, line[3]), (at_ms // _DAY, line[4])
        for counter, n in _alone(line):
            self._minutes[minute, counter] += sign * n
            self._campaigns[(*campaign, counter)] += sign * n
            self._domains[(*domain, counter)] += sign * n

    def add_message(self, lines: list[Line], sign: int = 1) -> None:
        """Add a message with all its rows."""
        if len(lines) > 1:
            lines = sorted(lines, key=_in_time)
        last: dict[tuple[int, int, int], int] = {}
        best: dict[_Seen, int] = {}
        seen: set[tuple[Any, ...]] = set()
        for line in lines:
            kind = _KINDS.get(line[1])
            if kind is None:
                self.add_alone(line, sign)
                self._add_hour(line, seen, sign, counts=True)
                continue
            repeat = False
            if line[5]:
                key = line[1], line[5], line[6]
                before = last.get(key)
                last[key] = line[0]
                repeat = before is not None and line[0] - before < REPEAT_MS
            rank = -1 if repeat or line[6] == PROBE or line[9] else _VERDICTS[line[6]][line[7]]
            self._add_hour(line, seen, sign, counts=rank >= 0)
            self._add_hit(line, kind, rank, sign)
            if rank >= 0:
                _see(best, line, kind, rank)
        for (level, bucket, campaign, domain, first, _), rank in best.items():
            self._unique[level, bucket, campaign, domain, first + rank] += sign

    def _add_hit(self, line: Line, kind: int, rank: int, sign: int) -> None:
        """Add the plain counts of a hit. rank: of its verdict, -1 if it counts in none."""
        at_ms, campaign = line[0], line[3]
        day = at_ms // _DAY
        for counter, n in (
            (_EXPIRED if line[9] else _RECORDED + kind, sign * line[10]),
            (_HITS + 3 * kind + rank, sign if rank >= 0 else 0),
        ):
            if not n:
                continue
            self._minutes[at_ms // _MINUTE, counter] += n
            self._campaigns[at_ms // _HOUR, campaign, counter] += n
            self._domains[day, line[4], counter] += n
            if not line[9]:
                self._machines[day, line[6], line[8], counter] += n
                if kind == _CLICK:
                    self._links[day, campaign, counter, (line[11], line[12])] += n

    def _add_hour(self, line: Line, seen: set[tuple[Any, ...]], sign: int, *, counts: bool) -> None:
        """Add one event. seen: what of its message counted already."""
        hour, kind, campaign = line[0] // _HOUR, line[1], line[3]
        person = counts and line[6] not in _MACHINES
        for whose in (0, campaign) if campaign else (0,):
            cell = whose, hour, kind
            numbers = self.hours.get(cell)
            if numbers is None:
                numbers = self.hours[cell] = [0, 0, 0, 0, 0, 0]
            numbers[1 if line[9] else 0] += sign * line[10]
            if counts:
                numbers[2] += sign
                if cell not in seen:
                    seen.add(cell)
                    numbers[4] += sign
            if person:
                numbers[3] += sign
                if (cell, 1) not in seen:
                    seen.add((cell, 1))
                    numbers[5] += sign

    def add_hours(self, lines: Iterable[Line], had: set[tuple[int, int]]) -> None:
        """Add events that are no hits to the hours. had: type and hour of what their message has already."""
        for line in lines:
            hour, kind = line[0] // _HOUR, line[1]
            first = (kind, hour) not in had
            had.add((kind, hour))
            for whose in (0, line[3]) if line[3] else (0,):
                cell = whose, hour, kind
                numbers = self.hours.get(cell)
                if numbers is None:
                    numbers = self.hours[cell] = [0, 0, 0, 0, 0, 0]
                for place in (0, 2, 3, 4, 5) if first else (0, 2, 3):
                    numbers[place] += 1

    def cells(self, number: Mapping[str, int], text: Callable[[int], str]) -> Cells:
        """Return the cells that change. number: by text, text: of a number."""
        found: defaultdict[tuple[int, int, int, int, int], int] = defaultdict(int)
        for (minute, counter), n in self._minutes.items():
            found[1, minute, counter, 0, 0] += n
            found[2, minute // 60, counter, 0, 0] += n
            found[3, minute // 1440, counter, 0, 0] += n
        for (hour, campaign, counter), n in self._campaigns.items():
            found[4, hour, counter, campaign, 0] += n
            found[5, hour // 24, counter, campaign, 0] += n
            if campaign:
                found[9, 0, counter, campaign, 0] += n
        for (day, domain, counter), n in self._domains.items():
            found[6, day, counter, domain, 0] += n
        classes = {client: number[CLASSES[client]] for _, client, _, _ in self._machines}
        for (day, client, reason, counter), n in self._machines.items():
            found[8, day, counter, classes[client], reason] += n
        links = {link for _, _, _, link in self._links}
        groups = {(ordinal, name): number[link_group(ordinal, text(name))] for ordinal, name in links}
        for (day, campaign, counter, link), n in self._links.items():
            found[7, day, counter, campaign, groups[link]] += n
        for (level, bucket, campaign, domain, counter), n in self._unique.items():
            if level == _DAY:
                found[3, bucket, counter, 0, 0] += n
                found[5, bucket, counter, campaign, 0] += n
                found[6, bucket, counter, domain, 0] += n
            elif level == _HOUR:
                found[2, bucket, counter, 0, 0] += n
                found[4, bucket, counter, campaign, 0] += n
            elif level == _MINUTE:
                found[1, bucket, counter, 0, 0] += n
            elif level == _LINK:
                found[7, bucket[0], counter, campaign, groups[bucket[1]]] += n
            else:
                found[9, 0, counter, campaign, 0] += n
        return {cell: n for cell, n in found.items() if n}


def _see(best: dict[_Seen, int], line: Line, kind: int, rank: int) -> None:
    """Note what a hit is unique for, in place, where it ranks better than what was seen."""
    at_ms, campaign, domain = line[0], line[3], line[4]
    day = at_ms // _DAY
    for first in _FIRSTS[kind]:
        name = line[5] if first == _RAW else 0
        keys: list[_Seen] = [
            (_MINUTE, at_ms // _MINUTE, 0, 0, first, name),
            (_HOUR, at_ms // _HOUR, campaign, 0, first, name),
            (_DAY, day, campaign, domain, first, name),
        ]
        if campaign:
            keys.append((_LIFE, 0, campaign, 0, first, name))
        if kind == _CLICK:
            keys.append((_LINK, (day, (line[11], line[12])), campaign, 0, first, name))
        for key in keys:
            if best.get(key, 3) > rank:
                best[key] = rank


def _in_time(line: Line) -> tuple[int, bytes]:
    return line[0], line[2]


_DELIVERY: Final = TYPE_CODES["delivery"]
_INJECTION: Final = TYPE_CODES["injection"]
_DELAY: Final = TYPE_CODES["delay"]
_COMPLAINT: Final = TYPE_CODES["spam_complaint"]


def _alone(line: Line) -> list[tuple[int, int]]:
    kind, size, bounce, tries, wait = line[1], line[13], line[14], line[15], line[16]
    if kind == _INJECTION:
        numbers = [(1, 1)]
        if tries & 1:
            numbers.append((2, 1))
        if tries & 2:
            numbers.append((3, 1))
        if tries:
            numbers.append((4, 1))
        return numbers
    if kind == _DELIVERY:
        numbers = [(10, 1)]
        if tries >= 0:
            numbers.append((11, 1) if tries == 0 else (12, 1))
            if wait > 0:
                numbers.append((14, wait) if tries == 0 else (15, wait))
        if size:
            numbers.append((13, size))
        return numbers
    if kind == _DELAY:
        return [(16, 1), (17, 1)] if tries == 0 else [(16, 1)]
    if kind == _COMPLAINT:
        return [(18, 1)]
    bounced = bounce_counter(bounce, late=TYPES[kind] == "out_of_band")
    return [(bounced, 1), (19, 1)] if TYPES[kind] == "expiration" else [(bounced, 1)]


def is_uniform(lines: list[Line]) -> bool:
    """Tell whether a message's hits have one campaign and domain, as links have."""
    return len({line[3:5] for line in lines if line[1] in _KINDS}) < 2


def is_alone(kind: int) -> bool:
    """Tell whether an event of a type contributes without its message's others."""
    return kind in _ALONE


assert [int(Cube[name]) for name in ("TOTAL_MINUTE", "LINK_DAY", "MACHINE_DAY", "CAMPAIGN_LIFE")] == [
    1,
    7,
    8,
    9,
]
