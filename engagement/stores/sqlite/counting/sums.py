"""Figures by a value that no cube holds, counted from rows: what `figures.contribution` says, in one pass.

Of rows in the order of time, and over the numbers of the file. Injections, deliveries and the like come added
up by SQLite, hits one by one, as what repeats what and what is unique is a matter of each message.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from engagement.events.classify import verdict
from engagement.events.rows import REPEAT_MS
from engagement.figures.contribution import ALONE
from engagement.figures.counters import Counter, bounce_counter
from engagement.figures.increments import Level
from engagement.stores.sqlite.codes import CLASSES, PROBE, TYPE_CODES, TYPES
from engagement.stores.sqlite.counting.quick import FIRSTS, KINDS

# at_ms, event id, type, class, certain, expired, hits, message, link, value.
Hit = tuple[int, bytes, int, int, int, int, int, bytes, int, int]
# bucket of the finer level, type, tries (of an injection what is tracked, else -1, 0 or 1 for more), bounce
# class, value, and then sums: events, sizes, times in the queue.
Others = tuple[int, int, int, int, int, int, int, int]
# (level, bucket, counter, value).
Sums = dict[tuple[int, int, int, int], int]

_RANKS: Final = {"people": 0, "unsure": 1, "machines": 2}
_VERDICTS: Final = [
    [_RANKS[verdict(name, certain=certain)] if name else 1 for certain in (False, True)] for name in CLASSES
]
_RECORDED: Final = int(Counter.RECORDED_RENDERED)
_PEOPLE: Final = int(Counter.PEOPLE_RENDERED)
_EXPIRED: Final = int(Counter.EXPIRED)
_RAW: Final = int(Counter.PEOPLE_RAW_CLICKED)
_NOT_SEEN: Final = 3  # worse than every rank
_INJECTION, _DELIVERY, _DELAY, _COMPLAINT = (
    TYPE_CODES[name] for name in ("injection", "delivery", "delay", "spam_complaint")
)
assert min(TYPE_CODES[name] for name in ALONE) == _INJECTION, "hits have the smaller numbers"


def summed(
    hits: list[Hit], others: Iterable[Others], from_ms: int, levels: tuple[int, ...],
    values_of: Callable[[int], Iterable[int]],
) -> Sums:  # fmt: skip
    """Return the figures of rows by value. hits: sorted; those before from_ms tell repeats alone.

    levels: of `increments.Level`, the finest first, of which others' buckets are. values_of: what a row's
    value stands for: itself, or of a set of tags each tag.
    """
    found, several = _of_hits(hits, from_ms, levels)
    for bucket, kind, tries, bounce, value, *sums in others:
        for counter, n in _counters(kind, tries, bounce, *sums):
            for level in levels:
                found[level, bucket * levels[0] // level, counter, value] += n
    made: Sums = defaultdict(int)
    for (level, bucket, counter, value), n in found.items():
        for each in values_of(value):
            made[level, bucket, counter, each] += n
    if several:
        # A message of more than one value, as after a mail with its id that came from somebody else.
        theirs = [hit for hit in hits if (hit[7] or hit[1]) in several]
        for one in {each for hit in theirs for each in values_of(hit[9])}:
            own = [(*hit[:9], one) for hit in theirs if one in values_of(hit[9])]
            for cell, n in _of_hits(own, from_ms, levels)[0].items():
                made[cell] += n
    return {cell: n for cell, n in made.items() if n}


def _of_hits(
    hits: list[Hit], from_ms: int, levels: tuple[int, ...]
) -> tuple[defaultdict[tuple[int, int, int, int], int], set[bytes]]:
    """Return the figures of hits, but of messages that have several values, and these messages."""
    fine = levels[0]
    owner: dict[bytes, int] = {}
    for hit in hits:
        owner.setdefault(hit[7] or hit[1], hit[9])
    several = {whose for hit in hits if owner[whose := hit[7] or hit[1]] != hit[9]}
    last: dict[tuple[bytes, int, int, int], int] = {}
    sorts: defaultdict[tuple[int, int, int, int, int], list[int]] = defaultdict(lambda: [0, 0])
    best: dict[tuple[bytes, int, int, int], int] = {}
    for at_ms, event_id, code, client, certain, expired, requests, message, link, value in hits:
        whose = message or event_id
        if whose in several:
            continue
        repeat = False
        if link:
            key = whose, code, link, client
            before = last.get(key)
            last[key] = at_ms
            repeat = before is not None and at_ms - before < REPEAT_MS
        if at_ms < from_ms:
            continue
        bucket, kind = at_ms // fine, KINDS[code]
        counts = not (repeat or expired or client == PROBE)
        rank = _VERDICTS[client][certain] if counts else -1
        numbers = sorts[bucket, value, kind, rank, expired]
        numbers[0] += 1
        numbers[1] += requests
        if counts:
            for first in FIRSTS[kind]:
                seen = whose, bucket, first, link if first == _RAW else 0
                if best.get(seen, _NOT_SEEN) > rank:
                    best[seen] = rank
    found: defaultdict[tuple[int, int, int, int], int] = defaultdict(int)
    for level in levels:
        for (bucket, value, kind, rank, expired), (n, requests) in sorts.items():
            there = bucket * fine // level
            found[level, there, _EXPIRED if expired else _RECORDED + kind, value] += requests
            if rank >= 0:
                found[level, there, _PEOPLE + 3 * kind + rank, value] += n
        for (whose, bucket, first, _), rank in _at(best, fine, level).items():
            found[level, bucket, first + rank, owner[whose]] += 1
    return found, several


def _at(
    best: dict[tuple[bytes, int, int, int], int], fine: int, level: int
) -> dict[tuple[bytes, int, int, int], int]:
    """Return what messages are unique for in the increments of a level, from that of the finest."""
    if level == fine:
        return best
    coarse: dict[tuple[bytes, int, int, int], int] = {}
    for (whose, bucket, first, link), rank in best.items():
        seen = whose, bucket * fine // level, first, link
        if coarse.get(seen, _NOT_SEEN) > rank:
            coarse[seen] = rank
    return coarse


def _counters(kind: int, tries: int, bounce: int, n: int, size: int, wait: int) -> list[tuple[int, int]]:
    """Return the counters of n events that are no hits, and by how much they rise."""
    if kind == _INJECTION:
        opens, clicks = tries & 1, tries & 2
        return [
            (Counter.INJECTED, n),
            *([(Counter.OPEN_TRACKED, n)] if opens else ()),
            *([(Counter.CLICK_TRACKED, n)] if clicks else ()),
            *([(Counter.TRACKED, n)] if tries & 3 else ()),
        ]
    if kind == _DELIVERY:
        counters = [(Counter.DELIVERED, n), (Counter.VOLUME, size)]
        if tries >= 0:
            first = tries == 0
            counters.append((Counter.DELIVERED_FIRST if first else Counter.DELIVERED_LATER, n))
            counters.append((Counter.TIME_FIRST if first else Counter.TIME_LATER, wait))
        return [(int(counter), number) for counter, number in counters]
    if kind == _DELAY:
        return [(Counter.DELAYED, n), *([(Counter.DELAYED_FIRST, n)] if tries == 0 else ())]
    if kind == _COMPLAINT:
        return [(Counter.COMPLAINTS, n)]
    bounced = bounce_counter(bounce, late=TYPES[kind] == "out_of_band"), n
    return [bounced, (Counter.EXPIRATIONS, n)] if TYPES[kind] == "expiration" else [bounced]


assert Level.MINUTE < Level.HOUR < Level.DAY
