"""Figures as docs/figures.md defines them: what every engine must count (contract.md 7.6)."""

from itertools import chain, permutations
from typing import Any

import pytest

from contract.figure_story import DAY, Message, at, fill, story
from engagement.events.classify import Classification, ReaderClass
from engagement.events.model import MessageName
from engagement.figures.contribution import link_group
from engagement.links.model import Kind
from engagement.stores.port import (
    EventStore,
    FigureQuery,
    FigureRow,
    LabelledHit,
    Query,
    UnsupportedQueryError,
)

_TWO_DAYS = {"from_ms": at(0), "to_ms": at(0, day=2)}


_FIRST_DAY = {
    "count_targeted": 3,
    "count_injected": 3,
    "count_sent": 3,
    "count_delivered": 2,
    "count_accepted": 2,
    "count_delivered_first": 1,
    "count_delivered_subsequent": 1,
    "total_delivery_time_first": 400,
    "total_delivery_time_subsequent": 1_860_000,
    "total_msg_volume": 1500,
    "count_delayed": 1,
    "count_delayed_first": 1,
    "count_bounce": 1,
    "count_inband_bounce": 1,
    "count_hard_bounce": 1,
    "x_count_open_tracked": 2,
    "x_count_click_tracked": 2,
    "x_count_tracked": 2,
    # one message opened, three times by people and once by a machine
    "count_rendered": 4,
    "count_nonprefetched_rendered": 3,
    "x_count_people_rendered": 3,
    "x_count_machine_rendered": 1,
    "count_unique_rendered": 1,
    "count_nonprefetched_unique_rendered": 1,
    "x_count_people_unique_rendered": 1,
    # another clicked, on two links
    "count_clicked": 2,
    "x_count_people_clicked": 1,
    "x_count_unsure_clicked": 1,
    "count_raw_clicked": 2,
    "x_count_people_raw_clicked": 1,
    "x_count_unsure_raw_clicked": 1,
    "count_unique_clicked": 1,
    "x_count_people_unique_clicked": 1,
    # both are confirmed as opened
    "count_unique_confirmed_opened": 2,
    "count_nonprefetched_unique_confirmed_opened": 2,
    "x_count_people_unique_confirmed_opened": 2,
    "x_count_recorded_rendered": 4,
    "x_count_recorded_clicked": 7,
    "x_count_expired": 1,
}
_SECOND_DAY = {
    "count_accepted": -1,
    "count_bounce": 1,
    "count_outofband_bounce": 1,
    "count_block_bounce": 1,
    "count_spam_complaint": 1,
    "count_clicked": 1,
    "x_count_people_clicked": 1,
    "count_raw_clicked": 1,
    "x_count_people_raw_clicked": 1,
    "count_unique_clicked": 1,
    "x_count_people_unique_clicked": 1,
    "count_unique_confirmed_opened": 1,
    "count_nonprefetched_unique_confirmed_opened": 1,
    "x_count_people_unique_confirmed_opened": 1,
    "count_unsubscribe": 1,
    "x_count_people_unsubscribe": 1,
    "x_count_recorded_clicked": 1,
    "x_count_recorded_unsubscribe": 1,
}
_SUM = {name: _FIRST_DAY.get(name, 0) + _SECOND_DAY.get(name, 0) for name in (*_FIRST_DAY, *_SECOND_DAY)}


def ask(store: EventStore, **query: Any) -> tuple[FigureRow, ...]:
    return store.figures(FigureQuery(**query))


def one(store: EventStore, **query: Any) -> dict[str, int]:
    """The figures of the only row."""
    rows = ask(store, **query)
    assert len(rows) == 1
    return {name: n for name, n in rows[0].figures.items() if n}


def uniques(store: EventStore, precision: str) -> list[tuple[int, int]]:
    """Minutes since the day began, and messages opened by people."""
    name = "x_count_people_unique_rendered"
    rows = ask(store, precision=precision, series=True, metrics=(name,), **_TWO_DAYS)
    return [((row.at_ms or 0) // 60_000 - DAY // 60_000, row.figures[name]) for row in rows if row.figures]


def test_an_empty_store_has_no_figures(store: EventStore) -> None:
    assert ask(store, **_TWO_DAYS) == ()
    assert ask(store, by="campaign", precision="life") == ()


def test_every_figure_of_a_small_story(store: EventStore) -> None:
    fill(store, story())
    days = ask(store, precision="day", series=True, **_TWO_DAYS)
    assert [(row.group, row.at_ms) for row in days] == [("", at(0)), ("", at(0, day=1))]
    first, second = ({name: n for name, n in row.figures.items() if n} for row in days)
    assert first == _FIRST_DAY
    assert second == _SECOND_DAY
    assert one(store, **_TWO_DAYS) == _SUM
    assert one(store, precision="week", **_TWO_DAYS) == _SUM
    assert one(store, precision="month", **_TWO_DAYS) == _SUM


def test_a_message_is_unique_within_its_roll_ups_increment(store: EventStore) -> None:
    fill(store, story())
    assert uniques(store, "1min") == [(68, 1), (73, 1), (157, 1)]
    assert uniques(store, "5min") == [(65, 1), (70, 1), (155, 1)]
    assert uniques(store, "15min") == [(60, 2), (150, 1)]
    assert uniques(store, "hour") == [(60, 1), (120, 1)]
    assert uniques(store, "12hr") == [(0, 2)]
    assert uniques(store, "day") == uniques(store, "week") == [(0, 1)]
    assert uniques(store, "month") == [(-25 * 24 * 60, 1)]


def test_a_message_counts_where_its_best_hit_does(store: EventStore) -> None:
    """At 1:01 only a machine had fetched the pixel, within the hour a person did."""
    fill(store, story())
    minute = one(store, precision="1min", from_ms=at(1, 1), to_ms=at(1, 2))
    assert minute["count_unique_rendered"] == minute["x_count_machine_unique_rendered"] == 1
    assert "count_nonprefetched_unique_rendered" not in minute
    hour = one(store, precision="hour", from_ms=at(1), to_ms=at(2))
    assert hour["count_unique_rendered"] == hour["x_count_people_unique_rendered"] == 1
    assert "x_count_machine_unique_rendered" not in hour


def test_times_are_rounded_outwards_to_whole_increments(store: EventStore) -> None:
    fill(store, story())
    inside = {"from_ms": at(2, 22), "to_ms": at(2, 36)}
    assert ask(store, precision="1min", metrics=("count_rendered",), **inside) == ()
    assert one(store, precision="5min", metrics=("count_clicked",), **inside) == {"count_clicked": 1}
    assert one(store, precision="15min", metrics=("count_rendered",), **inside) == {"count_rendered": 1}
    assert one(store, precision="day", metrics=("count_rendered",), **inside) == {"count_rendered": 4}


def test_figures_by_campaign_domain_and_time(store: EventStore) -> None:
    fill(store, story())
    metrics = ("count_injected", "count_bounce", "count_unique_confirmed_opened")
    rows = ask(store, by="campaign", metrics=metrics, order_by="count_injected", **_TWO_DAYS)
    assert [(row.group, dict(row.figures)) for row in rows] == [
        ("spring", {"count_injected": 2, "count_bounce": 1, "count_unique_confirmed_opened": 3}),
        ("", {"count_injected": 1, "count_bounce": 1}),
    ]
    rows = ask(store, by="domain", metrics=metrics, **_TWO_DAYS)
    assert [(row.group, dict(row.figures)) for row in rows] == [
        ("a.example", {"count_injected": 2, "count_bounce": 1, "count_unique_confirmed_opened": 2}),
        ("b.example", {"count_injected": 1, "count_bounce": 1, "count_unique_confirmed_opened": 1}),
    ]
    assert one(store, domains=("b.example",), metrics=metrics, **_TWO_DAYS) == dict(rows[1].figures)
    hours = ask(store, campaigns=("spring",), precision="hour", series=True, metrics=metrics, **_TWO_DAYS)
    assert [((row.at_ms or 0 - DAY), dict(row.figures)) for row in hours] == [
        (at(1), {"count_injected": 2, "count_unique_confirmed_opened": 1}),
        (at(2), {"count_unique_confirmed_opened": 2}),
        (at(8, day=1), {"count_unique_confirmed_opened": 1}),
        (at(9, day=1), {"count_bounce": 1}),
    ]
    assert ask(store, by="domain", metrics=metrics, limit=1, order_by="count_injected", **_TWO_DAYS)[
        0
    ].group == ("a.example")


@pytest.mark.parametrize("by", ["campaign", "domain", "link", "machine"])
@pytest.mark.parametrize("order_by", ["count_injected", "count_accepted", "x_count_people_clicked"])
def test_the_first_groups_are_the_first_of_all(store: EventStore, by: str, order_by: str) -> None:
    """An engine may read the first ones only; equal ones come by name, and those with nothing come last."""
    fill(store, story())
    for series in (False, True):
        every = ask(store, by=by, order_by=order_by, series=series, **_TWO_DAYS)
        groups = list(dict.fromkeys(row.group for row in every))
        for limit in range(len(groups) + 2):
            expected = [row for row in every if row.group in groups[:limit]]
            assert (
                list(ask(store, by=by, order_by=order_by, series=series, limit=limit, **_TWO_DAYS))
                == expected
            )


def test_in_a_campaigns_life_a_message_is_unique_once(store: EventStore) -> None:
    """Message 1 was opened on the first day and clicked on the second."""
    fill(store, story())
    life = one(store, campaigns=("spring",), precision="life")
    assert life["count_unique_confirmed_opened"] == 2
    assert life["count_unique_clicked"] == 2
    assert life["count_raw_clicked"] == 3
    assert life["count_clicked"] == 3
    assert life["count_injected"] == 2
    (row,) = ask(store, by="campaign", precision="life")
    assert (row.group, row.at_ms, {name: n for name, n in row.figures.items() if n}) == ("spring", None, life)


def test_figures_by_link(store: EventStore) -> None:
    parts = story()
    fill(store, parts)
    clicks = {row.link_name: link_group(row.ordinal, row.link_name) for part in parts for row in part}
    metrics = ("count_clicked", "count_raw_clicked", "x_count_unsure_clicked", "x_count_recorded_clicked")
    rows = ask(
        store,
        by="link",
        campaigns=("spring",),
        metrics=metrics,
        order_by="x_count_recorded_clicked",
        **_TWO_DAYS,
    )
    assert [(row.group, dict(row.figures)) for row in rows] == [
        (
            clicks["top"],
            {
                "count_clicked": 1,
                "count_raw_clicked": 1,
                "x_count_unsure_clicked": 1,
                "x_count_recorded_clicked": 6,
            },
        ),
        *sorted(
            (clicks[name], {"count_clicked": 1, "count_raw_clicked": 1, "x_count_recorded_clicked": 1})
            for name in ("Raw URL", "foot")
        ),
    ]


def test_figures_by_machine(store: EventStore) -> None:
    fill(store, story())
    metrics = ("count_clicked", "count_rendered", "x_count_recorded_clicked")
    rows = ask(store, by="machine", metrics=metrics, **_TWO_DAYS)
    assert {row.group: dict(row.figures) for row in rows} == {
        "human agent": {"count_clicked": 2, "count_rendered": 2, "x_count_recorded_clicked": 2},
        "prefetch agent": {"count_rendered": 1},
        "probe head": {"x_count_recorded_clicked": 1},
        "proxy agent": {"count_rendered": 1},
        "scanner burst": {"count_clicked": 1, "x_count_recorded_clicked": 5},
    }


@pytest.mark.parametrize(
    "query",
    [
        {"precision": "1min", "campaigns": ("spring",)},
        {"precision": "hour", "by": "domain"},
        {"by": "campaign", "domains": ("a.example",)},
        {"precision": "life"},
        {"precision": "life", "by": "campaign", "from_ms": 0},
    ],
)
def test_what_is_not_kept_is_refused_with_what_to_do(store: EventStore, query: dict[str, Any]) -> None:
    fill(store, story())
    with pytest.raises(UnsupportedQueryError, match=r"ask|leave|name"):
        store.figures(FigureQuery(**query))


def test_names_that_are_not_known_are_refused(store: EventStore) -> None:
    for query in (
        {"metrics": ("count_happy",)},
        {"order_by": "count_happy"},
        {"precision": "2min"},
        {"by": "moon"},
    ):
        with pytest.raises(ValueError, match=r"count_happy|2min|moon"):
            ask(store, **query)


def test_the_order_of_coming_and_telling_twice_change_nothing(store: EventStore) -> None:
    parts = story()
    quarters = [list(chain(*parts[begin:end])) for begin, end in ((0, 7), (7, 11), (11, 16), (16, 99))]
    for order in permutations(quarters):
        for part in order[:2]:
            store.add(part)
        store.roll_up()
        for part in order:
            store.add(part)
        store.roll_up()
        assert one(store, **_TWO_DAYS) == _SUM
        assert one(store, by="campaign", precision="life", campaigns=("spring",))["count_raw_clicked"] == 3


def test_another_label_moves_figures_and_is_remembered(store: EventStore) -> None:
    """The opens of a person turn out to be a machine's; the unsure click a person's."""
    parts = story()
    fill(store, parts)
    hits = {hit.hit.id: hit for hit in store.hits(at(0), at(0, day=2))}
    assert len(hits) == 11
    machine = Classification(ReaderClass.SCANNER, "network", "2")
    person = Classification(ReaderClass.HUMAN, "agent", "2")
    opens = [hits[part[0].event_id] for part in parts[8:11]]
    clicks = [hits[part[0].event_id] for part in parts[11:14]]
    labels = [LabelledHit(hit.hit, machine) for hit in opens] + [
        LabelledHit(hit.hit, person) for hit in clicks
    ]
    assert store.relabel(labels, at(12, day=1)) == 6
    assert store.relabel(labels, at(12, day=1)) == 0
    store.roll_up()
    day = one(store, from_ms=at(0), to_ms=at(1))
    expected = dict(_FIRST_DAY)
    for name in [name for name in expected if "rendered" in name and "recorded" not in name]:
        del expected[name]
    expected |= {
        "count_rendered": 4,
        "x_count_machine_rendered": 4,
        "count_unique_rendered": 1,
        "x_count_machine_unique_rendered": 1,
        "x_count_people_unique_confirmed_opened": 1,
        "count_nonprefetched_unique_confirmed_opened": 1,
        "x_count_machine_unique_confirmed_opened": 1,
        "x_count_people_clicked": 2,
        "x_count_people_raw_clicked": 2,
    }
    del expected["x_count_unsure_clicked"], expected["x_count_unsure_raw_clicked"]
    assert day == expected
    (past,) = store.past_labels(opens[0].hit.id)
    assert (past.label.client, past.until_ms) == (ReaderClass.HUMAN, at(12, day=1))
    # told again by a shipper with the rules of before
    fill(store, parts)
    assert one(store, from_ms=at(0), to_ms=at(1)) == expected


def test_figures_stay_when_events_go(store: EventStore) -> None:
    parts = story()
    fill(store, parts)
    assert store.erase("ida@a.example") > 0
    store.roll_up()
    assert one(store, **_TWO_DAYS) == _SUM
    assert store.recount(DAY // 86_400_000) == 0
    assert one(store, **_TWO_DAYS) == _SUM


def test_figures_stay_when_a_day_is_swept_in_part_or_whole_and_counted_again(
    sweeping_store: EventStore,
) -> None:
    fill(sweeping_store, story())
    day = at(0) // 86_400_000
    for before_ms in (at(10), at(12, day=1)):  # some events of the first day, then all
        assert sweeping_store.sweep(before_ms) > 0
        assert sweeping_store.recount(day) == 0
        assert one(sweeping_store, **_TWO_DAYS) == _SUM
        assert not sweeping_store.is_whole(day)
    assert sweeping_store.is_whole(day + 7)


@pytest.mark.parametrize("counted", [True, False])
def test_after_an_erasure_nothing_is_unique_twice_in_a_campaigns_life(
    store: EventStore, *, counted: bool
) -> None:
    parts = story()
    if counted:
        fill(store, parts)
    else:  # the figures are not yet brought up to what came last
        for part in parts:
            store.add(part)
    store.erase("ida@a.example")
    store.roll_up()
    life = one(store, campaigns=("spring",), precision="life")
    assert (life["count_rendered"], life["count_unique_rendered"]) == (4, 1)
    later = Message(1, "ida@a.example", "spring").hit(Kind.OPEN, at(8, day=3))
    fill(store, [later])
    life = one(store, campaigns=("spring",), precision="life")
    assert (life["count_rendered"], life["count_unique_rendered"]) == (5, 1)
    assert one(store, from_ms=at(0, day=3), to_ms=at(1, day=3))["count_unique_rendered"] == 1


def test_a_recount_of_what_is_right_finds_nothing(store: EventStore) -> None:
    fill(store, story())
    assert store.recount(DAY // 86_400_000) == 0
    assert one(store, **_TWO_DAYS) == _SUM


def test_tenants_have_figures_of_their_own(store: EventStore) -> None:
    fill(store, story())
    assert ask(store, tenant="b", **_TWO_DAYS) == ()


def _once_taken_in(store: EventStore, day: int = 0) -> None:
    """Check that one message was taken in, wherever that is counted."""
    span = {"from_ms": at(0), "to_ms": at(0, day=day + 1)}
    for precision in ("1min", "hour", "day"):
        found = one(store, precision=precision, metrics=("count_injected", "x_count_tracked"), **span)
        assert found == {"count_injected": 1, "x_count_tracked": 1}, precision
    for by in ("campaign", "domain"):
        assert one(store, by=by, metrics=("count_injected",), **span) == {"count_injected": 1}
    assert one(store, by="campaign", precision="life", metrics=("count_injected",)) == {"count_injected": 1}


def test_a_message_that_was_sent_again_was_taken_in_once(store: EventStore) -> None:
    """A client that missed the answer sends it again: the same message, with another queue id."""
    message = Message(1, "ida@a.example", "spring")
    first = message.comes_in(at(1))
    again = message.comes_again(at(2, 0, 7), "q2")
    for part in (
        first,
        message.hit(Kind.OPEN, at(1, 30)),
        again,
        first,
        again,
        message.hit(Kind.CLICK, at(3)),
    ):
        store.add(part)
        store.roll_up()
    _once_taken_in(store)
    by_hand = store.counts(Query(types=("injection",)))["injection"]
    assert (by_hand.recorded, by_hand.counted, by_hand.messages) == (1, 1, 1)
    assert store.totals(Query(types=("injection",)))["injection"].recorded == 1
    assert store.recount(at(0) // 86_400_000) == 0
    _once_taken_in(store)
    names = [MessageName("queue_id", "", name) for name in ("q1", "q2")]
    assert set(store.injections(names)) == set(names)


def test_both_tries_of_a_message_in_one_portion(store: EventStore) -> None:
    message = Message(1, "ida@a.example", "spring")
    fill(store, [message.comes_in(at(1)) + message.comes_again(at(1, 0, 7), "q2")])
    _once_taken_in(store)
