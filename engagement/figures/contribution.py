"""What one message adds to the figures: a pure function of its events.

Figures of any set of messages are sums of contributions. So whatever changes what is known of a message (an
event that comes late or again, another label, an event removed), the figures change by what it contributes
afterwards less what it contributed before: `difference`. Nothing else is ever added.

The events of a message that sorts alone (`ALONE`: injections, deliveries, bounces) contribute by themselves,
without its other events; only of several injections with one id, of a message that was sent again, the first.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final

from engagement.events.classify import ReaderClass, Verdict, verdict
from engagement.events.fields import INJECTION, MESSAGE_TYPES
from engagement.events.rows import REPEAT_MS
from engagement.figures.counters import Counter, bounce_counter
from engagement.figures.facts import Fact
from engagement.figures.increments import Level


class Cube(IntEnum):
    """Along which values counters are kept: by which increment, and what `a` and `b` of a cell are."""

    TOTAL_MINUTE = 1
    TOTAL_HOUR = 2
    TOTAL_DAY = 3
    CAMPAIGN_HOUR = 4  # a: campaign, "" for mail without one
    CAMPAIGN_DAY = 5
    DOMAIN_DAY = 6  # a: the recipient's domain, "" for not known
    LINK_DAY = 7  # a: campaign, b: `link_group`; clicks only
    MACHINE_DAY = 8  # a: class, b: the reason of the label; hits and recorded requests, no uniques
    CAMPAIGN_LIFE = 9  # a: campaign; the bucket is 0


# (cube, bucket, counter, a, b). bucket: minutes, hours or days since 1970.
Cell = tuple[int, int, int, str, str]
Contribution = dict[Cell, int]

ALONE: Final = frozenset((INJECTION, *MESSAGE_TYPES))

_HIT_KINDS: Final = {
    "open": 0,
    "amp_open": 0,
    "initial_open": 1,
    "amp_initial_open": 1,
    "click": 2,
    "amp_click": 2,
    "link_unsubscribe": 3,
    "list_unsubscribe": 3,
}
_CLICK: Final = 2
_UNSUBSCRIBE: Final = 3
_CONFIRMING: Final = (0, _CLICK)  # a click confirms that the mail was opened (contract.md 7.6)
_RANKS: Final = {Verdict.PEOPLE: 0, Verdict.UNSURE: 1, Verdict.MACHINES: 2}
_VERDICTS: Final = {
    (client.value, certain): _RANKS[verdict(client.value, certain=certain)]
    for client in ReaderClass
    for certain in (True, False)
}
_HITS: Final = int(Counter.PEOPLE_RENDERED)
_RECORDED: Final = int(Counter.RECORDED_RENDERED)
_UNIQUE: Final = int(Counter.PEOPLE_UNIQUE_RENDERED)
_CONFIRMED: Final = int(Counter.PEOPLE_UNIQUE_CONFIRMED)
_RAW: Final = int(Counter.PEOPLE_RAW_CLICKED)
_EXPIRED: Final = int(Counter.EXPIRED)
_INJECTED: Final = int(Counter.INJECTED)
_OPEN_TRACKED: Final = int(Counter.OPEN_TRACKED)
_CLICK_TRACKED: Final = int(Counter.CLICK_TRACKED)
_TRACKED: Final = int(Counter.TRACKED)
_DELIVERED: Final = int(Counter.DELIVERED)
_VOLUME: Final = int(Counter.VOLUME)
_FIRST: Final = (int(Counter.DELIVERED_FIRST), int(Counter.TIME_FIRST))
_LATER: Final = (int(Counter.DELIVERED_LATER), int(Counter.TIME_LATER))
_DELAYED: Final = int(Counter.DELAYED)
_DELAYED_FIRST: Final = int(Counter.DELAYED_FIRST)
_COMPLAINTS: Final = int(Counter.COMPLAINTS)
_EXPIRATIONS: Final = int(Counter.EXPIRATIONS)

_MINUTE, _HOUR, _DAY = int(Level.MINUTE), int(Level.HOUR), int(Level.DAY)

# (cube, bucket, a, b): where counters are added.
_Place = tuple[int, int, str, str]
# Which unique thing is seen there: the first counter of its three, and the link for raw clicks.
Seen = tuple[_Place, int, str | bytes | int]
Ever = dict[Seen, int]


def contribution(facts: Iterable[Fact], ever: Ever | None = None) -> Contribution:
    """Return what a message with these events, in any order, contributes.

    ever: of `seen_ever`, of events that are gone while their figures stay.
    """
    cells: Contribution = {}
    for ((cube, bucket, a, b), first, _), rank in _collect(facts, cells, dict(ever or {})).items():
        cell = (cube, bucket, first + rank, a, b)
        cells[cell] = cells.get(cell, 0) + 1
    return cells


def seen_ever(facts: Iterable[Fact], ever: Ever | None = None) -> Ever:
    """Return what of these events, and of earlier ones, counts once in a campaign's life.

    A store keeps it of a message whose events it removes, so that what comes later is no second unique.
    """
    best = _collect(facts, {}, dict(ever or {}))
    return {seen: rank for seen, rank in best.items() if seen[0][0] == Cube.CAMPAIGN_LIFE}


def _collect(facts: Iterable[Fact], cells: Contribution, best: Ever) -> Ever:
    """Add the plain counts to cells, in place; return what was seen, by whom at best."""
    last: dict[tuple[str, str | bytes | int, str], int] = {}
    taken_in: set[str | bytes | int] = set()
    for fact in sorted(facts, key=_in_time):
        if not fact.hits or is_sent_again(fact, taken_in):
            continue
        kind = _HIT_KINDS.get(fact.type)
        if kind is None:
            _count(cells, _places(fact), _alone(fact))
            continue
        if fact.expired:
            _count(cells, _places(fact), ((_EXPIRED, fact.hits),))
            _is_repeat(fact, last)
            continue
        numbers = [(_RECORDED + kind, fact.hits)]
        counts = not _is_repeat(fact, last) and fact.client != ReaderClass.PROBE
        rank = _VERDICTS.get((fact.client, fact.certain), 1)
        if counts:
            numbers.append((_HITS + 3 * kind + rank, 1))
        places = _places(fact)
        _count(cells, [*places, _machine_place(fact)], numbers)
        if kind == _CLICK:
            places.append(_link_place(fact))
            _count(cells, places[-1:], numbers)
        if counts:
            _see(best, places, kind, rank, fact.link)
    return best


def difference(after: Mapping[Cell, int], before: Mapping[Cell, int]) -> Contribution:
    """Return what to add to the figures when a message's contribution has changed, without zeros."""
    changed = {cell: n - before.get(cell, 0) for cell, n in after.items() if n != before.get(cell, 0)}
    return changed | {cell: -n for cell, n in before.items() if n and cell not in after}


def add(sums: Contribution, more: Mapping[Cell, int]) -> None:
    """Add to sums, in place. What becomes 0 is left out."""
    for cell, n in more.items():
        found = sums.get(cell, 0) + n
        if found:
            sums[cell] = found
        else:
            sums.pop(cell, None)


def link_group(ordinal: int, name: str) -> str:
    """Return how a link is named among those of its campaign. ordinal: -1 for not known."""
    return f"{ordinal if ordinal >= 0 else ''}:{name}"


def is_sent_again(fact: Fact, taken_in: set[str | bytes | int]) -> bool:
    """Return whether this is the injection of a message that was sent before (decision 0007); note it."""
    if fact.type != INJECTION or not fact.order:
        return False
    before = fact.order in taken_in
    taken_in.add(fact.order)
    return before


def _in_time(fact: Fact) -> tuple[int, str | bytes | int]:
    return fact.at_ms, fact.order


def _is_repeat(fact: Fact, last: dict[tuple[str, str | bytes | int, str], int]) -> bool:
    """Return whether a hit repeats an earlier one, as `rows.repeats` does; note it."""
    if not fact.link:
        return False
    key = (fact.type, fact.link, fact.client)
    before = last.get(key)
    last[key] = fact.at_ms
    return before is not None and fact.at_ms - before < REPEAT_MS


def _places(fact: Fact) -> list[_Place]:
    at, campaign = fact.at_ms, fact.campaign
    hour, day = at // _HOUR, at // _DAY
    places: list[_Place] = [
        (1, at // _MINUTE, "", ""),
        (2, hour, "", ""),
        (3, day, "", ""),
        (4, hour, campaign, ""),
        (5, day, campaign, ""),
        (6, day, fact.domain, ""),
    ]
    if campaign:
        places.append((9, 0, campaign, ""))
    return places


def _link_place(fact: Fact) -> _Place:
    return 7, fact.at_ms // _DAY, fact.campaign, link_group(fact.ordinal, fact.link_name)


def _machine_place(fact: Fact) -> _Place:
    return 8, fact.at_ms // _DAY, fact.client, fact.reason


def _count(cells: Contribution, places: Iterable[_Place], numbers: Iterable[tuple[int, int]]) -> None:
    for cube, bucket, a, b in places:
        for counter, n in numbers:
            cell = (cube, bucket, counter, a, b)
            cells[cell] = cells.get(cell, 0) + n


def _see(best: Ever, places: Iterable[_Place], kind: int, rank: int, link: str | bytes | int) -> None:
    seen: list[tuple[int, str | bytes | int]] = []
    if kind != _UNSUBSCRIBE:
        seen.append((_UNIQUE + 3 * kind, ""))
    if kind in _CONFIRMING:
        seen.append((_CONFIRMED, ""))
    if kind == _CLICK:
        seen.append((_RAW, link))
    for place in places:
        for first, name in seen:
            key = (place, first, name)
            if best.get(key, 3) > rank:
                best[key] = rank


def _alone(fact: Fact) -> list[tuple[int, int]]:
    """Return the counters of an event that is no hit, and by how much they rise."""
    if fact.type == INJECTION:
        return [
            (_INJECTED, 1),
            *([(_OPEN_TRACKED, 1)] if fact.opens else ()),
            *([(_CLICK_TRACKED, 1)] if fact.clicks else ()),
            *([(_TRACKED, 1)] if fact.opens or fact.clicks else ()),
        ]
    if fact.type == "delivery":
        numbers = [(_DELIVERED, 1)]
        if fact.size:
            numbers.append((_VOLUME, fact.size))
        if fact.retries >= 0:
            tries, time = _FIRST if fact.retries == 0 else _LATER
            numbers.append((tries, 1))
            if fact.queue_ms > 0:
                numbers.append((time, fact.queue_ms))
        return numbers
    if fact.type == "delay":
        return [(_DELAYED, 1), (_DELAYED_FIRST, 1)] if fact.retries == 0 else [(_DELAYED, 1)]
    if fact.type == "spam_complaint":
        return [(_COMPLAINTS, 1)]
    if fact.type == "expiration":
        return [(bounce_counter(fact.bounce_class, late=False), 1), (_EXPIRATIONS, 1)]
    if fact.type in ("bounce", "out_of_band"):
        return [(bounce_counter(fact.bounce_class, late=fact.type == "out_of_band"), 1)]
    return []
