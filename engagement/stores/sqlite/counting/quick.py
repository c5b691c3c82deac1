"""What `figures.contribution` and `hourly` say, for many rows at once, over the numbers of the file. Pure.

A message's contribution is added with a sign, so that a difference is two calls. Plain counts are added up
at the finest places alone, and from these sums at the others; uniques at each place. The twins are the
authority: tests hold this to them.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from engagement.events.classify import MACHINES, ReaderClass, verdict
from engagement.events.rows import REPEAT_MS
from engagement.figures.contribution import ALONE, Cube
from engagement.figures.counters import Counter, bounce_counter
from engagement.stores.sqlite.codes import CLASS_CODES, CLASSES, PROBE, TYPE_CODES, TYPES

# One line: `facts.COLUMNS`.
Line = tuple[Any, ...]
# (cube, bucket, counter, a, b), a and b as terms.
Cells = dict[tuple[int, int, int, int, int], int]

ALONE_CODES: Final = frozenset(TYPE_CODES[name] for name in ALONE)
KINDS: Final = {
    **dict.fromkeys((TYPE_CODES["open"], TYPE_CODES["amp_open"]), 0),
    **dict.fromkeys((TYPE_CODES["initial_open"], TYPE_CODES["amp_initial_open"]), 1),
    **dict.fromkeys((TYPE_CODES["click"], TYPE_CODES["amp_click"]), 2),
    **dict.fromkeys((TYPE_CODES["link_unsubscribe"], TYPE_CODES["list_unsubscribe"]), 3),
}
CLICK: Final = 2
_RANKS: Final = {"people": 0, "unsure": 1, "machines": 2}
_VERDICTS: Final = [
    [_RANKS[verdict(name, certain=certain)] if name else 1 for certain in (False, True)] for name in CLASSES
]
MACHINE_CODES: Final = frozenset(CLASS_CODES[client.value] for client in MACHINES)
_RECORDED: Final = int(Counter.RECORDED_RENDERED)
_HITS: Final = int(Counter.PEOPLE_RENDERED)
_UNIQUE: Final = int(Counter.PEOPLE_UNIQUE_RENDERED)
_CONFIRMED: Final = int(Counter.PEOPLE_UNIQUE_CONFIRMED)
_RAW: Final = int(Counter.PEOPLE_RAW_CLICKED)
_EXPIRED: Final = int(Counter.EXPIRED)
FIRSTS: Final = ((_UNIQUE, _CONFIRMED), (_UNIQUE + 3,), (_UNIQUE + 6, _CONFIRMED, _RAW), ())
# EVERY: minute, hour, day and life at once, as what is seen for the first time is unique in all of them.
MINUTE, HOUR, DAY, LIFE, LINK, EVERY = 60_000, 3_600_000, 86_400_000, 1, 2, 3
# The rank that a thing has by level and bucket.
_Times = dict[tuple[int, int], int]
# Counter of the first verdict, and link: what a message is unique for. It has one campaign and one domain, as
# its links do, so that what is unique in a day is so in the day of each. What was seen in one minute alone,
# as nearly all, is told by this and the rank.
_Seen = dict[tuple[int, int], tuple[int, int] | _Times]
_NOT_SEEN: Final = 3  # worse than every rank
_Counts = list[tuple[tuple[int, ...], int]]
assert {ReaderClass.PROBE.value} == {CLASSES[PROBE]}, "the probe's number"


class Sums:
    """What messages contribute, added up.

    Hits that are alike are counted together, and which figures each sort of them changes is told by `spread`:
    of 20,000 clicks of a mailing there are some hundred sorts. by_minute, by_campaign, by_domain: how many
    hits there are of a sort, which ends with the number of requests, and whether they are the first hit of
    their message that counts, so that the message is unique by it wherever it is counted. alone: events that
    contribute by themselves, by increment, value and counters. unique: what messages are unique for by later
    hits. hours: six numbers by (campaign, hour, type), campaign 0 for all, of what is no hit. later: messages
    that have a later hit of a type in an hour, and those of people, by (campaign, hour, type).
    """

    def __init__(self) -> None:
        self.by_minute: defaultdict[tuple[int, int, int, int, int, bool], int] = defaultdict(int)
        self.by_campaign: defaultdict[tuple[int, ...], int] = defaultdict(int)
        self.by_domain: defaultdict[tuple[int, int, int, int, int, int, bool], int] = defaultdict(int)
        self.alone: defaultdict[tuple[int, int, int, tuple[int, ...]], int] = defaultdict(int)
        self.unique: defaultdict[tuple[int, Any, int, int, int], int] = defaultdict(int)
        self.hours: dict[tuple[int, int, int], list[int]] = {}
        self.later: defaultdict[tuple[int, int, int, bool], int] = defaultdict(int)

    def add_alone(self, line: Line, sign: int = 1) -> None:
        """Add an event that contributes by itself, to all but the figures of hours."""
        if not line[10]:
            return
        at_ms, alone = line[0], self.alone
        minute, hour, day = at_ms // MINUTE, at_ms // HOUR, at_ms // DAY
        for counters, n in _counters(line):
            alone[MINUTE, minute, 0, counters] += sign * n
            alone[HOUR, hour, line[3], counters] += sign * n
            alone[DAY, day, line[4], counters] += sign * n

    def add_message(self, lines: list[Line], sign: int = 1) -> None:
        """Add a message with all its rows."""
        several = len(lines) > 1
        if several:
            lines = sorted(lines, key=_in_time)
        last: dict[tuple[int, int, int], int] = {}
        counted: list[tuple[Line, int, int]] = []
        others: list[Line] = []
        for line in lines:
            kind = KINDS.get(line[1])
            if kind is None:
                self.add_alone(line, sign)
                others.append(line)
                continue
            repeat = False
            if line[5] and several:
                key = line[1], line[5], line[6]
                before = last.get(key)
                last[key] = line[0]
                repeat = before is not None and line[0] - before < REPEAT_MS
            if repeat or line[6] == PROBE or line[9]:
                self._add_hit(line, kind, -1, sign, first=False)
            else:
                rank = _VERDICTS[line[6]][line[7]]
                self._add_hit(line, kind, rank, sign, first=not counted)
                counted.append((line, kind, rank))
        if others:
            self._add_others(others, sign)
        if len(counted) > 1:
            self._add_several(counted, sign)

    def _add_hit(self, line: Line, kind: int, rank: int, sign: int, *, first: bool) -> None:
        """Add one hit. rank: of its verdict, -1 if none. first: it is its message's first that counts."""
        at_ms, _, _, campaign, domain, _, client, _, reason, expired, hits, ordinal, name = line[:13]
        hour = at_ms // HOUR
        self.by_minute[at_ms // MINUTE, kind, rank, expired, hits, first] += sign
        self.by_domain[hour // 24, domain, kind, rank, expired, hits, first] += sign
        self.by_campaign[
            hour, campaign, line[1], rank, expired, client, reason, ordinal, name, hits, first
        ] += sign

    def _add_several(self, counted: list[tuple[Line, int, int]], sign: int) -> None:
        """Add what a message is unique for beside what its first hit that counts is."""
        seen: _Seen = {}
        links: dict[tuple[int, int, int, int, int], int] = {}
        first_line = counted[0][0]
        hour, sort, campaign, domain = first_line[0] // HOUR, first_line[1], *first_line[3:5]
        persons = {(hour, sort): first_line[6] not in MACHINE_CODES}
        unique, later = self.unique, False
        for line, kind, rank in counted:
            at_ms, link = line[0], line[5]
            minute = at_ms // MINUTE
            for first in FIRSTS[kind]:
                name = link if first == _RAW else 0
                known = seen.get((first, name))
                if known is None:
                    seen[first, name] = minute, rank
                    if later:
                        unique[EVERY, minute, campaign, domain, first + rank] += sign
                elif isinstance(known, dict) or known[0] != minute or known[1] > rank:
                    times = seen[first, name] = known if isinstance(known, dict) else _times(*known)
                    for (level, bucket), before in _better(times, minute, rank):
                        unique[level, bucket, campaign, domain, first + rank] += sign
                        if before < _NOT_SEEN:
                            unique[level, bucket, campaign, domain, first + before] -= sign
                if kind == CLICK:
                    place = first, name, at_ms // DAY, line[11], line[12]
                    before = links.get(place, _NOT_SEEN)
                    if before > rank:
                        links[place] = rank
                        if later:
                            unique[LINK, place[2:], campaign, domain, first + rank] += sign
                            if before < _NOT_SEEN:
                                unique[LINK, place[2:], campaign, domain, first + before] -= sign
            if not later:
                later = True
                continue
            cell, person = (at_ms // HOUR, line[1]), line[6] not in MACHINE_CODES
            was = persons.get(cell)
            if was is None or (person and not was):
                persons[cell] = person
                if was is None:
                    self.later[campaign, *cell, False] += sign
                if person:
                    self.later[campaign, *cell, True] += sign

    def add_hours(self, lines: Iterable[Line], had: set[tuple[int, int]]) -> None:
        """Add events that are no hits to the hours. had: type and hour of what their message has already."""
        for line in lines:
            if not line[10]:
                continue
            hour, kind = line[0] // HOUR, line[1]
            first = 0 if (kind, hour) in had else 1
            had.add((kind, hour))
            for whose in (0, line[3]) if line[3] else (0,):
                self._add_to_hour((whose, hour, kind), (line[10], 0, 1, 1, first, first))

    def _add_others(self, lines: list[Line], sign: int) -> None:
        """Add a message's events that are no hits to the hours."""
        seen: set[tuple[int, int, int]] = set()
        for line in lines:
            if not line[10]:
                continue
            hour, kind, campaign = line[0] // HOUR, line[1], line[3]
            for whose in (0, campaign) if campaign else (0,):
                cell = whose, hour, kind
                first = 0 if cell in seen else sign
                seen.add(cell)
                self._add_to_hour(cell, (sign * line[10], 0, sign, sign, first, first))

    def _add_to_hour(self, cell: tuple[int, int, int], numbers: tuple[int, ...]) -> None:
        found = self.hours.get(cell)
        if found is None:
            self.hours[cell] = list(numbers)
        else:
            for place, n in enumerate(numbers):
                found[place] += n


def _times(minute: int, rank: int) -> _Times:
    """Return the ranks of a thing that was seen in one minute alone, by level and bucket."""
    return {(MINUTE, minute): rank, (HOUR, minute // 60): rank, (DAY, minute // 1440): rank, (LIFE, 0): rank}


def _better(times: _Times, minute: int, rank: int) -> list[tuple[tuple[int, int], int]]:
    """Note a hit in a minute, in place; return where it ranks better than before, each with that rank."""
    if times.get((MINUTE, minute), _NOT_SEEN) <= rank:
        return []  # it ranks no better in what is longer than a minute
    found = []
    for level in _times(minute, rank):
        before = times.get(level, _NOT_SEEN)
        if before > rank:
            times[level] = rank
            found.append((level, before))
    return found


def _in_time(line: Line) -> tuple[int, bytes]:
    return line[0], line[2]


_DELIVERY: Final = TYPE_CODES["delivery"]
_INJECTION: Final = TYPE_CODES["injection"]
_DELAY: Final = TYPE_CODES["delay"]
_COMPLAINT: Final = TYPE_CODES["spam_complaint"]
# By opens (1) and clicks (2) tracked.
_INJECTED: Final[list[_Counts]] = [[((1,), 1)], [((1, 2, 4), 1)], [((1, 3, 4), 1)], [((1, 2, 3, 4), 1)]]


def _counters(line: Line) -> _Counts:
    """Return the counters of an event that is no hit, and by how much they rise."""
    kind, size, bounce, tries, wait = line[1], line[13], line[14], line[15], line[16]
    if kind == _INJECTION:
        return _INJECTED[tries & 3]
    if kind == _DELIVERY:
        counters: _Counts = [((10,) if tries < 0 else (10, 11) if tries == 0 else (10, 12), 1)]
        if tries >= 0 and wait > 0:
            counters.append(((14,) if tries == 0 else (15,), wait))
        if size:
            counters.append(((13,), size))
        return counters
    if kind == _DELAY:
        return [((16, 17) if tries == 0 else (16,), 1)]
    if kind == _COMPLAINT:
        return [((18,), 1)]
    bounced = bounce_counter(bounce, late=TYPES[kind] == "out_of_band")
    return [((bounced, 19) if TYPES[kind] == "expiration" else (bounced,), 1)]


def is_uniform(lines: list[Line]) -> bool:
    """Tell whether a message's hits have one campaign and domain, as links have."""
    return len(lines) < 2 or len({line[3:5] for line in lines if line[1] in KINDS}) < 2


assert [int(Cube[name]) for name in ("TOTAL_MINUTE", "LINK_DAY", "MACHINE_DAY", "CAMPAIGN_LIFE")] == [
    1,
    7,
    8,
    9,
]
