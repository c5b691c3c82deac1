"""Figures that are counted from events at a question: those of every engine, and what no sums are kept by."""

from dataclasses import replace
from itertools import product

import pytest

from contract.figure_story import Message, Parts, at, fill, story
from engagement.figures.query import FigureQuery, FigureRow, UnsupportedQueryError
from engagement.links.model import Kind, Link
from engagement.stores.port import EventStore
from tracker_web.api.metrics.counted import TooManyEventsError, figures, read
from tracker_web.api.metrics.filters import Groupings, groupings, simple

DAY = 86_400_000
# Something that every event fits, and that no store keeps figures by.
ANY = groupings('{"groupings":[{"AND":{"tags":{"notEq":["nobody"]}}}]}')


def test_they_are_those_that_stores_keep(store: EventStore) -> None:
    fill(store, story())
    offered = 0
    for precision, by, series in product(
        ("1min", "hour", "day", "month"), ("", "campaign", "domain", "link", "machine"), (True, False)
    ):
        query = FigureQuery(from_ms=at(1, 13), to_ms=at(9, day=1), precision=precision, by=by, series=series)
        try:
            stored = store.figures(query)
        except UnsupportedQueryError:
            with pytest.raises(UnsupportedQueryError, match="kept"):
                figures(store, query, ANY)
            continue
        assert stored
        assert figures(store, query, ANY) == stored, query
        offered += 1
    assert offered == 26


def test_the_links_of_html_and_amp_are_different_ones(store: EventStore) -> None:
    """Also of links whose place in their part is not recorded, as in tokens of format 1."""
    one = Message(1, "ida@a.example", "spring")
    bye = Link(b"https://example.org/bye", "", unsubscribe=True)
    placed = (
        Link(b"https://example.org/", "top", ordinal=0, part="html"),
        Link(b"https://example.org/", "top", ordinal=0, part="amp"),
    )
    fill(
        store,
        [
            one.hit(Kind.CLICK, at(1)),
            one.hit(Kind.AMP_CLICK, at(1, 0, 5)),
            one.hit(Kind.AMP_CLICK, at(1, 0, 9)),  # repeats the one before
            one.hit(Kind.CLICK, at(2), link=placed[0]),
            one.hit(Kind.AMP_CLICK, at(2, 0, 5), link=placed[1]),
            one.hit(Kind.CLICK, at(3), link=bye),
            one.hit(Kind.AMP_CLICK, at(3, 0, 5), link=bye),
        ],
    )
    names = ("count_clicked", "count_raw_clicked", "count_unsubscribe", "x_count_recorded_clicked")
    for precision in ("1min", "hour", "day"):
        query = FigureQuery(from_ms=at(0), to_ms=at(0) + DAY, precision=precision, metrics=names)
        (stored,) = store.figures(query)
        assert [stored.figures[name] for name in names] == [6, 6, 2, 7]
        assert figures(store, query, ANY) == (stored,)


def letters() -> Parts:
    """Two senders, three tags; one mail has two of them, one mail's injection came the day before."""
    one = Message(1, "ida@a.example", "spring", tags=("red", "blue"), friendly_from="news@one.example")
    two = Message(2, "bo@b.example", "", tags=("red",), friendly_from="shop@two.example")
    old = Message(3, "cy@b.example", "spring", tags=("old",), friendly_from="News <n@one.example>")
    return [
        old.comes_in(at(-2)),
        one.comes_in(at(1)),
        two.comes_in(at(2)),
        one.becomes("delivery", at(2), num_retries=0, queue_time=5, sending_ip="192.0.2.1"),
        two.becomes("bounce", at(2, 1), bounce_class=10, sending_ip="192.0.2.2"),
        one.hit(Kind.OPEN, at(3)),
        one.hit(Kind.OPEN, at(3, 0, 5)),
        one.hit(Kind.CLICK, at(4)),
        two.hit(Kind.CLICK, at(4), "scanner"),
        old.hit(Kind.CLICK, at(-1, 59, 58)),
        old.hit(Kind.CLICK, at(0, 0, 2)),  # repeats the one of the day before
        old.hit(Kind.CLICK, at(5)),
    ]


WHOLE = FigureQuery(
    from_ms=at(0),
    to_ms=at(0) + DAY,
    metrics=("count_injected", "count_clicked", "count_unique_clicked", "count_rendered", "count_bounce"),
)


def rows(found: tuple[FigureRow, ...]) -> dict[str, dict[str, int]]:
    return {row.group: dict(row.figures) for row in found}


def grouped_by(**filters: list[str]) -> Groupings:
    return simple(filters)


SENDERS = {
    "one.example": {"count_injected": 1, "count_clicked": 2, "count_unique_clicked": 2, "count_rendered": 1},
    "two.example": {"count_injected": 1, "count_clicked": 1, "count_unique_clicked": 1, "count_bounce": 1},
}
OR = """{"groupings":[
    {"OR":{"campaigns":{"eq":["spring"]},"recipient_domains":{"eq":["b.example"]}}},
    {"AND":{"sending_domains":{"notLike":["two."]}}}]}"""
# What is asked, and how many messages came in and clicks were made that fit it.
FILTERED: list[tuple[Groupings, int, int]] = [
    (grouped_by(sending_domains=["ONE.example"]), 1, 2),
    (grouped_by(sending_domains=["one.example"], domains=["a.example"]), 1, 1),
    (grouped_by(campaigns=["spring"], domains=["b.example"]), 0, 1),
    (grouped_by(sending_ips=["192.0.2.2"]), 0, 0),
    (groupings('{"groupings":[{"AND":{"campaigns":{"notEq":["spring"]}}}]}'), 1, 1),
    (groupings('{"groupings":[{"AND":{"campaigns":{"like":["PRIN"]}}}]}'), 1, 2),
    (groupings(OR), 1, 2),
    (groupings('{"groupings":[{"AND":{"templates":{"eq":["x"]}}}]}'), 0, 0),
]


def test_groups_and_filters_are_what_was_played(store: EventStore) -> None:
    """Hits have tags by their own token, what a message became by its injection."""
    fill(store, letters())
    assert rows(figures(store, WHOLE, (), "sending_domain")) == SENDERS
    assert rows(figures(store, WHOLE, (), "sending_ip")) == {"192.0.2.2": {"count_bounce": 1}}
    of_mail = replace(WHOLE, metrics=("count_injected", "count_bounce"))
    red = {"count_injected": 2, "count_bounce": 1}
    assert rows(figures(store, of_mail, (), "tag")) == {"red": red, "blue": {"count_injected": 1}}
    assert rows(figures(store, of_mail, grouped_by(tags=["red"]))) == {"": red}
    for filters, injected, clicked in FILTERED:
        numbers = rows(figures(store, WHOLE, filters)).get("", {})
        assert (numbers.get("count_injected", 0), numbers.get("count_clicked", 0)) == (injected, clicked), (
            filters
        )
    assert len(list(read(store, at(-3), at(0) + DAY, (), "", most=12))) == 12
    with pytest.raises(TooManyEventsError, match="less time"):
        list(read(store, at(-3), at(0) + DAY, (), "", most=11))
