"""Figures by difference equal the figures of what is known at the end, whatever came in whichever order."""

from collections import Counter
from collections.abc import Iterable
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from engagement.events.fields import ALL_TYPES
from engagement.figures.contribution import (
    ALONE,
    Cell,
    Contribution,
    Cube,
    add,
    contribution,
    difference,
    seen_ever,
)
from engagement.figures.facts import Fact

_DAY = 86_400_000
# Moments that meet within ten seconds, a minute, an hour, a day, and on both sides of their edges.
_MOMENTS = st.builds(
    lambda day, offset: day * _DAY + offset,
    st.integers(20_000, 20_002),
    st.sampled_from(
        [0, 1, 5_000, 9_999, 10_000, 59_999, 60_000, 3_599_999, 3_600_000, 7_200_000, 86_395_000, 86_399_999]
    ),
)
_CLASSES = ("human", "proxy", "prefetch", "scanner", "probe", "unknown")
_MESSAGES = ("one", "two", "three")


@st.composite
def _facts(draw: st.DrawFn) -> tuple[str, Fact]:
    """Return a message and one of its events."""
    message = draw(st.sampled_from(_MESSAGES))
    kind = draw(st.sampled_from(ALL_TYPES))
    fact = Fact(
        draw(_MOMENTS),
        kind,
        draw(st.integers(1, 12)),  # the id; a small number, so that some come again
        campaign={"one": "spring", "two": "spring", "three": ""}[message],
        domain={"one": "a.example", "two": "b.example", "three": "a.example"}[message],
    )
    if kind in ALONE:
        return message, fact._replace(
            opens=draw(st.booleans()),
            clicks=draw(st.booleans()),
            size=draw(st.integers(0, 9)),
            bounce_class=draw(st.sampled_from([0, 1, 10, 20, 25, 50, 999])),
            retries=draw(st.integers(-1, 2)),
            queue_ms=draw(st.integers(-1, 3)),
        )
    ordinal = draw(st.integers(0, 2))
    return message, fact._replace(
        link=f"{kind} {ordinal}",
        client=draw(st.sampled_from(_CLASSES)),
        certain=draw(st.booleans()),
        reason=draw(st.sampled_from(["agent", "burst"])),
        expired=draw(st.integers(0, 4)) == 0,
        hits=draw(st.sampled_from([1, 1, 1, 7])),
        ordinal=ordinal if "click" in kind else -1,
        link_name="top" if "click" in kind and ordinal else "",
    )


class _Ledger:
    """Sums kept by difference alone, as a store keeps them."""

    def __init__(self) -> None:
        self.events: dict[str, dict[str | bytes | int, Fact]] = {}
        self.sums: Contribution = {}

    def put(self, message: str, fact: Fact) -> None:
        known = self.events.setdefault(message, {})
        self._change(message, {**known, fact.order: fact})

    def remove(self, message: str, order: str | bytes | int) -> None:
        known = self.events.get(message, {})
        self._change(message, {name: fact for name, fact in known.items() if name != order})

    def _change(self, message: str, after: dict[str | bytes | int, Fact]) -> None:
        before = self.events.get(message, {})
        add(self.sums, difference(contribution(after.values()), contribution(before.values())))
        self.events[message] = after


def _in_full(messages: Iterable[Iterable[Fact]]) -> Contribution:
    sums: Contribution = {}
    for facts in messages:
        add(sums, contribution(facts))
    return sums


@settings(max_examples=150)
@given(
    st.lists(_facts(), max_size=25),
    st.lists(st.tuples(st.sampled_from(_MESSAGES), st.integers(1, 12)), max_size=5),
    st.randoms(),
)
def test_any_order_of_arrivals_replays_labels_and_removals_gives_the_figures_of_what_is_left(
    arrivals: list[tuple[str, Fact]], removed: list[tuple[str, int]], chance: Random
) -> None:
    ledger = _Ledger()
    steps: list[tuple[str, Fact | int]] = [*arrivals, *removed]
    chance.shuffle(steps)
    for message, step in steps:
        if isinstance(step, Fact):
            ledger.put(message, step)
            ledger.put(message, step)  # told again
        else:
            ledger.remove(message, step)
    left = [list(events.values()) for events in ledger.events.values()]
    assert ledger.sums == _in_full(left)
    assert all(n > 0 for n in ledger.sums.values()), "a count below nought"


@settings(max_examples=150)
@given(st.lists(_facts(), max_size=25), st.randoms())
def test_a_contribution_does_not_depend_on_the_order_of_its_events(
    arrivals: list[tuple[str, Fact]], chance: Random
) -> None:
    facts = list({fact.order: fact for message, fact in arrivals if message == "one"}.values())
    before = contribution(facts)
    chance.shuffle(facts)
    assert contribution(facts) == before


@settings(max_examples=150)
@given(st.lists(_facts(), max_size=25))
def test_events_that_stand_alone_add_up_without_the_others(arrivals: list[tuple[str, Fact]]) -> None:
    facts = list({fact.order: fact for message, fact in arrivals if message == "one"}.values())
    parts = [[fact] for fact in facts if fact.type in ALONE]
    assert contribution(facts) == _in_full([*parts, [fact for fact in facts if fact.type not in ALONE]])


@settings(max_examples=150)
@given(st.lists(_facts(), max_size=25), st.lists(_facts(), max_size=10))
def test_in_a_campaigns_life_nothing_is_unique_twice_though_events_were_removed(
    early: list[tuple[str, Fact]], late: list[tuple[str, Fact]]
) -> None:
    """What comes after the sweep adds what it would have added without it, where nothing spans the cut."""
    old = [fact for message, fact in early if message == "one"]
    new = [
        fact._replace(at_ms=fact.at_ms + 90 * _DAY, order=20 + n)
        for n, (message, fact) in enumerate(late)
        if message == "one"
    ]
    old = list({fact.order: fact for fact in old}.values())
    ever = seen_ever(old)
    assert difference(contribution(new, ever), contribution((), ever)) == difference(
        contribution([*old, *new]), contribution(old)
    )


# An independent count: plain loops over all events, one rule after the other, as docs/figures.md says.

_OPENS = {"open", "amp_open"}
_CLICKS = {"click", "amp_click"}


def _side(fact: Fact) -> str:
    if fact.client in ("human", "proxy"):
        return "people"
    return "machine" if fact.certain and fact.client != "unknown" else "unsure"


def _counting_hits(facts: list[Fact]) -> list[Fact]:
    """Return hits without repeats, probes and expired links."""
    found = []
    for fact in facts:
        if not fact.link or fact.expired or fact.client == "probe":
            continue
        earlier = [
            other
            for other in facts
            if (other.type, other.link, other.client) == (fact.type, fact.link, fact.client)
            and (other.at_ms, other.order) < (fact.at_ms, fact.order)
            and fact.at_ms - other.at_ms < 10_000
        ]
        if not earlier:
            found.append(fact)
    return found


def _total_day(
    messages: Iterable[list[Fact]], types: set[str], *, raw: bool = False
) -> Counter[tuple[int, str]]:
    """Return messages (or links of messages) with such a hit by day and side."""
    counts: Counter[tuple[int, str]] = Counter()
    for facts in messages:
        sides: dict[tuple[int, object], set[str]] = {}
        for fact in _counting_hits(facts):
            if fact.type in types:
                sides.setdefault((fact.at_ms // _DAY, fact.link if raw else ""), set()).add(_side(fact))
        for (day, _), found in sides.items():
            counts[day, "people" if "people" in found else "unsure" if "unsure" in found else "machine"] += 1
    return counts


@settings(max_examples=200)
@given(st.lists(_facts(), max_size=25))
def test_uniques_of_a_day_equal_a_plain_count(arrivals: list[tuple[str, Fact]]) -> None:
    known: dict[str, dict[object, Fact]] = {}
    for message, fact in arrivals:
        known.setdefault(message, {})[fact.order] = fact
    messages = [list(events.values()) for events in known.values()]
    sums = _in_full(messages)
    sides = ("people", "unsure", "machine")
    for first, types, raw in (
        (60, _OPENS, False),
        (63, {"initial_open", "amp_initial_open"}, False),
        (66, _CLICKS, False),
        (69, _OPENS | _CLICKS, False),
        (72, _CLICKS, True),
    ):
        counted = _total_day(messages, types, raw=raw)
        ours: Counter[tuple[int, str]] = Counter()
        for (cube, bucket, counter, _, _), n in sums.items():
            if cube == Cube.TOTAL_DAY and first <= counter < first + 3:
                ours[bucket, sides[counter - first]] += n
        assert ours == counted


@settings(max_examples=100)
@given(st.lists(_facts(), max_size=25))
def test_all_cubes_tell_of_the_same_hits(arrivals: list[tuple[str, Fact]]) -> None:
    """Counts that are no uniques are equal by minute, hour, day, campaign, domain, and machine."""
    known: dict[str, dict[object, Fact]] = {}
    for message, fact in arrivals:
        known.setdefault(message, {})[fact.order] = fact
    sums = _in_full(list(events.values()) for events in known.values())

    def sums_of(cube: Cube, counters: Iterable[int]) -> Counter[int]:
        counts: Counter[int] = Counter()
        cells: list[tuple[Cell, int]] = list(sums.items())
        for (of, _, counter, _, _), n in cells:
            if of == cube and counter in counters:
                counts[counter] += n
        return counts

    whole = sums_of(Cube.TOTAL_DAY, range(60))
    for cube in (Cube.TOTAL_MINUTE, Cube.TOTAL_HOUR, Cube.CAMPAIGN_HOUR, Cube.CAMPAIGN_DAY, Cube.DOMAIN_DAY):
        assert sums_of(cube, range(60)) == whole
    hits = range(40, 52)
    assert sums_of(Cube.MACHINE_DAY, hits) == sums_of(Cube.TOTAL_DAY, hits)
    clicks = range(46, 49)
    assert sums_of(Cube.LINK_DAY, clicks) == sums_of(Cube.TOTAL_DAY, clicks)
