"""What the SQLite store adds up over its numbers is what the definitions say (`engagement.figures`)."""

import sqlite3
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engagement.figures.contribution import Contribution, add, contribution
from engagement.stores.sqlite.codes import CLASSES, LABELLED, TYPES
from engagement.stores.sqlite.counting import hourly, spread
from engagement.stores.sqlite.counting.facts import facts
from engagement.stores.sqlite.counting.quick import ALONE_CODES, HOUR, Line, Sums
from engagement.stores.sqlite.migrate import migrate
from engagement.stores.sqlite.terms import Terms

_TEXTS = ("spring", "autumn", "a.example", "b.example", "agent", "burst", "top", "raw url")


def dictionary() -> tuple[sqlite3.Connection, Terms]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, ":memory:")
    terms = Terms()
    for text in _TEXTS:
        assert terms.numbers(connection)[text]
    return connection, terms


CONNECTION, TERMS = dictionary()
NUMBERS = {text: TERMS.number(CONNECTION, text) for text in _TEXTS}


@st.composite
def line(draw: st.DrawFn) -> Line:
    """A row of any type, within three hours around midnight."""
    kind = draw(st.integers(1, len(TYPES) - 1))
    hit = kind in LABELLED
    at_ms = 86_400_000 * 20_000 + draw(
        st.sampled_from((0, 5_000, 9_999, 60_000, -1, -9_000, 3_600_000, -90_000))
    )
    return (
        at_ms,
        kind,
        draw(st.binary(min_size=2, max_size=2)),
        draw(st.sampled_from((0, NUMBERS["spring"], NUMBERS["autumn"]))),
        draw(st.sampled_from((0, NUMBERS["a.example"], NUMBERS["b.example"]))),
        draw(st.integers(0, 2)) if hit else 0,
        draw(st.integers(1, len(CLASSES) - 1)) if hit else 0,
        draw(st.integers(0, 1)),
        draw(st.sampled_from((NUMBERS["agent"], NUMBERS["burst"]))) if hit else 0,
        int(hit and draw(st.integers(0, 4)) == 0),
        draw(st.sampled_from((1, 1, 7))) if hit else 1,
        draw(st.integers(-1, 2)),
        draw(st.sampled_from((0, NUMBERS["top"], NUMBERS["raw url"]))),
        draw(st.sampled_from((0, 500))),
        draw(st.sampled_from((0, 10, 50, 25))),
        draw(st.integers(0, 3)) if TYPES[kind] == "injection" else draw(st.integers(-1, 2)),
        draw(st.sampled_from((-1, 0, 1200))),
        1,
    )


def different(lines: list[Line]) -> list[Line]:
    """Rows of one message: with ids of their own, of one campaign and domain."""
    found = list({(each[0], each[2]): each for each in lines}.values())
    return [(*each[:3], *lines[0][3:5], *each[5:]) for each in found]


def in_texts(sums: Sums) -> tuple[Contribution, dict[tuple[int, str, str], list[int]]]:
    """What was added up, in texts."""
    number = TERMS.numbers(CONNECTION)
    text = lambda number: TERMS.text(CONNECTION, number)  # noqa: E731 - as the store hands it in
    cells: dict[Any, int] = {
        (cube, bucket, counter, text(a), text(b)): n
        for (cube, bucket, counter, a, b), n in spread.cells(sums, number, text).items()
    }
    hours = {
        (hour, text(campaign), TYPES[kind]): each
        for (campaign, hour, kind), each in spread.hours(sums).items()
        if any(each)
    }
    return cells, hours


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(line(), max_size=6).map(different), max_size=5))
def test_messages_add_up_to_what_they_contribute(messages: list[list[Line]]) -> None:
    sums, cells, hours = Sums(), Contribution(), hourly.Sums()
    for lines in messages:
        sums.add_message(lines)
        known = facts(CONNECTION, TERMS, lines)
        add(cells, contribution(known))
        hourly.add(hours, hourly.hourly(known))
    assert in_texts(sums) == (cells, hours)


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(line(), max_size=8).map(different), st.integers(0, 8))
def test_a_difference_is_what_comes_to_it(lines: list[Line], before: int) -> None:
    sums, whole = Sums(), Sums()
    sums.add_message(lines[:before])
    sums.add_message(lines)
    sums.add_message(lines[:before], -1)
    whole.add_message(lines)
    assert in_texts(sums) == in_texts(whole)


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(line(), max_size=8).map(different))
def test_events_that_contribute_alone_may_be_added_alone(lines: list[Line]) -> None:
    alone = [each for each in lines if each[1] in ALONE_CODES]
    sums, whole = Sums(), Sums()
    whole.add_message(alone)
    had: set[tuple[int, int]] = set()
    for each in alone:
        sums.add_alone(each)
        sums.add_hours([each], had)
    assert in_texts(sums) == in_texts(whole)


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(line(), max_size=8).map(different), st.integers(0, 8))
def test_what_came_before_matters_to_hits_alone(lines: list[Line], before: int) -> None:
    sums, whole = Sums(), Sums()
    whole.add_message(lines)
    whole.add_message(lines[:before], -1)
    had = {(each[1], each[0] // HOUR) for each in lines[:before] if each[10]}
    for each in lines[before:]:
        if each[1] in ALONE_CODES:
            sums.add_alone(each)
            sums.add_hours([each], had)
    hits = [each for each in lines if each[1] not in ALONE_CODES]
    sums.add_message(hits)
    sums.add_message([each for each in lines[:before] if each[1] not in ALONE_CODES], -1)
    assert in_texts(sums) == in_texts(whole)
