"""What SQLite's rows are counted by at a question is what the definitions say (`engagement.figures`)."""

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from engagement.figures.contribution import Contribution, Cube, add, contribution
from engagement.figures.facts import Fact
from engagement.stores.sqlite.codes import CLASSES, SECOND, TYPES
from engagement.stores.sqlite.counting.sums import Hit, Others, summed

_HOUR, _DAY = 3_600_000, 86_400_000
_MIDNIGHT = _DAY * 20_000
_SETS = {1: (10,), 2: (20,), 3: (10, 20), 4: (30, 10)}  # as sets of tags are, of several values each


@st.composite
def hit(draw: st.DrawFn) -> Hit:
    """A hit around midnight, of one of three messages or of none."""
    return (
        _MIDNIGHT + draw(st.sampled_from((0, 5_000, 9_999, 10_000, 60_000, -1, -9_000, 3_600_000, -90_000))),
        draw(st.binary(min_size=2, max_size=2)),
        draw(st.integers(1, SECOND)),
        draw(st.integers(1, len(CLASSES) - 1)),
        draw(st.integers(0, 1)),
        int(draw(st.integers(0, 4)) == 0),
        draw(st.sampled_from((1, 1, 7))),
        draw(st.sampled_from((b"", b"a", b"b", b"c"))),
        draw(st.integers(0, 2)),
        draw(st.sampled_from(tuple(_SETS))),
    )


@st.composite
def other(draw: st.DrawFn) -> tuple[int, int, int, int, int, int, int]:
    """at_ms, type, tries, bounce class, set, size and wait of an event that is no hit."""
    kind = draw(st.integers(SECOND + 1, len(TYPES) - 1))
    return (
        _MIDNIGHT + draw(st.sampled_from((0, 5_000, 3_600_000))),
        kind,
        draw(st.integers(0, 3)) if TYPES[kind] == "injection" else draw(st.integers(-1, 3)),
        draw(st.sampled_from((0, 10, 50, 25))),
        draw(st.sampled_from(tuple(_SETS))),
        draw(st.sampled_from((0, 500))),
        draw(st.sampled_from((-1, 0, 1200))),
    )


def defined(
    hits: list[Hit], others: list[tuple[int, int, int, int, int, int, int]]
) -> dict[tuple[int, int, int, int], int]:
    """What the definitions say, for hours and days by value."""
    messages: defaultdict[tuple[bytes, int], list[Fact]] = defaultdict(list)
    for at_ms, event_id, kind, client, certain, expired, requests, message, link, tags in hits:
        for value in _SETS[tags]:
            fact = Fact(
                *(at_ms, TYPES[kind], event_id, str(value), "", link, CLASSES[client], bool(certain), ""),
                *(bool(expired), requests),
            )
            messages[message or event_id, value].append(fact)
    for number, (at_ms, kind, tries, bounce, tags, size, wait) in enumerate(others):
        tracked = tries if TYPES[kind] == "injection" else 0
        for value in _SETS[tags]:
            fact = Fact(
                *(at_ms, TYPES[kind], str(number), str(value)),
                opens=bool(tracked & 1), clicks=bool(tracked & 2), size=size, bounce_class=bounce,
                retries=tries, queue_ms=wait,
            )  # fmt: skip
            messages[b"other %d" % number, value].append(fact)
    sums: Contribution = {}
    for facts in messages.values():
        add(sums, contribution(facts))
    levels = {Cube.CAMPAIGN_HOUR: _HOUR, Cube.CAMPAIGN_DAY: _DAY}
    return {
        (levels[Cube(cube)], bucket, int(counter), int(value)): n
        for (cube, bucket, counter, value, _), n in sums.items()
        if cube in levels
    }


def added_up(others: list[tuple[int, int, int, int, int, int, int]]) -> list[Others]:
    """As SQLite hands them in."""
    sums: dict[tuple[int, int, int, int, int], tuple[int, int, int]] = {}
    for at_ms, kind, tries, bounce, tags, size, wait in others:
        few = tries & 3 if TYPES[kind] == "injection" else max(-1, min(tries, 1))
        sort = at_ms // _HOUR, kind, few, bounce, tags
        events, sizes, waits = sums.get(sort, (0, 0, 0))
        sums[sort] = events + 1, sizes + size, waits + max(wait, 0)
    return [(*sort, *numbers) for sort, numbers in sums.items()]


@settings(max_examples=150, deadline=None)
@given(st.lists(hit(), max_size=14), st.lists(other(), max_size=6))
def test_it_is_what_the_definitions_say(
    hits: list[Hit], others: list[tuple[int, int, int, int, int, int, int]]
) -> None:
    hits = sorted({(each[0], each[1]): each for each in hits}.values())
    found = summed(hits, added_up(others), _MIDNIGHT - _DAY, (_HOUR, _DAY), _SETS.__getitem__)
    assert found == defined(hits, others)


@settings(max_examples=50, deadline=None)
@given(st.lists(hit(), max_size=14))
def test_what_is_before_a_span_tells_repeats_alone(hits: list[Hit]) -> None:
    hits = sorted({(each[0], each[1]): each for each in hits}.values())
    found = summed(hits, (), _MIDNIGHT, (_HOUR, _DAY), _SETS.__getitem__)
    expected = defined(hits, [])
    assert found == {cell: n for cell, n in expected.items() if cell[1] * cell[0] >= _MIDNIGHT}
