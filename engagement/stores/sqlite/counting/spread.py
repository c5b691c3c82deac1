"""What `quick.Sums` change: cells of figures and of hours, from how many events there are of each sort."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Final

from engagement.figures.contribution import link_group
from engagement.figures.counters import Counter
from engagement.stores.sqlite.codes import CLASSES
from engagement.stores.sqlite.counting.quick import (
    CLICK,
    DAY,
    EVERY,
    FIRSTS,
    HOUR,
    KINDS,
    LINK,
    MACHINE_CODES,
    MINUTE,
    Sums,
)

# (cube, bucket, counter, a, b), a and b as terms.
Cells = dict[tuple[int, int, int, int, int], int]
_Found = defaultdict[tuple[int, int, int, int, int], int]

_RECORDED: Final = int(Counter.RECORDED_RENDERED)
_HITS: Final = int(Counter.PEOPLE_RENDERED)
_UNIQUE: Final = int(Counter.PEOPLE_UNIQUE_RENDERED)
_EXPIRED: Final = int(Counter.EXPIRED)


def hours(sums: Sums) -> dict[tuple[int, int, int], list[int]]:
    """Return by what figures of hours change: six numbers by (campaign, hour, type), campaign 0 for all."""
    found = {cell: list(numbers) for cell, numbers in sums.hours.items()}
    for (campaign, hour, kind, of_people), n in sums.later.items():
        for whose in (0, campaign) if campaign else (0,):
            found.setdefault((whose, hour, kind), [0, 0, 0, 0, 0, 0])[5 if of_people else 4] += n
    for sort, n in sums.by_campaign.items():
        hour, campaign, kind, rank, expired, client, *_, requests, is_first = sort
        hits, first, counts = n * requests, n if is_first else 0, rank >= 0
        person = counts and client not in MACHINE_CODES
        for whose in (0, campaign) if campaign else (0,):
            numbers = found.setdefault((whose, hour, kind), [0, 0, 0, 0, 0, 0])
            numbers[1 if expired else 0] += hits
            if counts:
                numbers[2] += n
                numbers[4] += first
            if person:
                numbers[3] += n
                numbers[5] += first
    return found


def cells(sums: Sums, number: Mapping[str, int], text: Callable[[int], str]) -> Cells:
    """Return the cells that change. number: by text, text: of a number."""
    found: _Found = defaultdict(int)
    for (minute, kind, rank, expired, hits, first), number_of in sums.by_minute.items():
        for counter, n in _counters(kind, rank, expired, (number_of, hits, first)):
            found[1, minute, counter, 0, 0] += n
            found[2, minute // 60, counter, 0, 0] += n
            found[3, minute // 1440, counter, 0, 0] += n
    for (day, domain, kind, rank, expired, hits, first), number_of in sums.by_domain.items():
        for counter, n in _counters(kind, rank, expired, (number_of, hits, first)):
            found[6, day, counter, domain, 0] += n
    links = {(each[7], each[8]) for each in sums.by_campaign if KINDS[each[2]] == CLICK}
    links |= {bucket[1:] for level, bucket, *_ in sums.unique if level == LINK}
    groups = {(ordinal, name): number[link_group(ordinal, text(name))] for ordinal, name in links}
    _of_campaigns(found, sums, number, groups)
    _of_alone(found, sums)
    _of_unique(found, sums, groups)
    return {cell: n for cell, n in found.items() if n}


def _counters(kind: int, rank: int, expired: int, of: tuple[int, int, bool]) -> list[tuple[int, int]]:
    """Return the counters that the hits of one sort change, and by how much.

    of: how many hits, the requests of each, and whether each is its message's first.
    """
    n, hits, is_first = of
    counters = [(_EXPIRED if expired else _RECORDED + kind, n * hits)]
    if rank >= 0:
        counters.append((_HITS + 3 * kind + rank, n))
        if is_first:
            counters += [(first + rank, n) for first in FIRSTS[kind]]
    return counters


def _of_campaigns(
    found: _Found, sums: Sums, number: Mapping[str, int], groups: Mapping[tuple[int, int], int]
) -> None:
    for sort, number_of in sums.by_campaign.items():
        hour, campaign, type_code, rank, expired, client, reason, ordinal, name, hits, first = sort
        kind, day = KINDS[type_code], hour // 24
        for counter, n in _counters(kind, rank, expired, (number_of, hits, bool(first))):
            found[4, hour, counter, campaign, 0] += n
            found[5, day, counter, campaign, 0] += n
            if campaign:
                found[9, 0, counter, campaign, 0] += n
            if expired:
                continue
            if counter < _UNIQUE:
                found[8, day, counter, number[CLASSES[client]], reason] += n
            if kind == CLICK:
                found[7, day, counter, campaign, groups[ordinal, name]] += n


def _of_alone(found: _Found, sums: Sums) -> None:
    for (level, bucket, value, counters), n in sums.alone.items():
        for counter in counters:
            if level == MINUTE:
                found[1, bucket, counter, 0, 0] += n
                found[2, bucket // 60, counter, 0, 0] += n
                found[3, bucket // 1440, counter, 0, 0] += n
            elif level == DAY:
                found[6, bucket, counter, value, 0] += n
            else:
                found[4, bucket, counter, value, 0] += n
                found[5, bucket // 24, counter, value, 0] += n
                if value:
                    found[9, 0, counter, value, 0] += n


def _of_unique(found: _Found, sums: Sums, groups: Mapping[tuple[int, int], int]) -> None:
    for (level, bucket, campaign, domain, counter), n in sums.unique.items():
        if level == EVERY:
            hour, day = bucket // 60, bucket // 1440
            found[1, bucket, counter, 0, 0] += n
            found[2, hour, counter, 0, 0] += n
            found[3, day, counter, 0, 0] += n
            found[4, hour, counter, campaign, 0] += n
            found[5, day, counter, campaign, 0] += n
            found[6, day, counter, domain, 0] += n
            if campaign:
                found[9, 0, counter, campaign, 0] += n
        elif level == DAY:
            found[3, bucket, counter, 0, 0] += n
            found[5, bucket, counter, campaign, 0] += n
            found[6, bucket, counter, domain, 0] += n
        elif level == HOUR:
            found[2, bucket, counter, 0, 0] += n
            found[4, bucket, counter, campaign, 0] += n
        elif level == MINUTE:
            found[1, bucket, counter, 0, 0] += n
        elif level == LINK:
            found[7, bucket[0], counter, campaign, groups[bucket[1:]]] += n
        elif campaign:
            found[9, 0, counter, campaign, 0] += n
