"""Figures from counters, rates from figures, increments of time: worked out by hand."""

from typing import Any

import pytest
from msgspec.structs import replace

from engagement.events.classify import ReaderClass
from engagement.events.rows import rows
from engagement.figures.contribution import contribution, link_group
from engagement.figures.counters import Counter, bounce_counter
from engagement.figures.definitions import FIGURES, RATES, figure, rate
from engagement.figures.facts import Fact, fact_of
from engagement.figures.increments import PRECISIONS, begin, end
from unit.event_samples import hit, injection

HOUR = 3_600_000
DAY = 24 * HOUR
MONDAY = 1_792_972_800_000  # 26 October 2026


def test_every_counter_is_in_a_figure() -> None:
    assert {counter for each in FIGURES.values() for counter in each.parts} == set(Counter)


def test_the_three_sides_add_up_to_each_figure_of_hits() -> None:
    sums: dict[int, int] = {counter: 2**n for n, counter in enumerate(Counter)}
    for name in FIGURES:
        if (tail := name.removeprefix("x_count_people_")) != name:
            people, unsure, machine = (
                figure(f"x_count_{side}_{tail}", sums) for side in ("people", "unsure", "machine")
            )
            assert figure(f"count_{tail}", sums) == people + unsure + machine
            if f"count_nonprefetched_{tail}" in FIGURES:
                assert figure(f"count_nonprefetched_{tail}", sums) == people + unsure


@pytest.mark.parametrize(
    ("bounce_class", "name"),
    [
        *((number, "count_hard_bounce") for number in (10, 30, 90)),
        *((number, "count_soft_bounce") for number in (20, 21, 22, 23, 24, 40, 60, 70, 100)),
        *((number, "count_block_bounce") for number in (50, 51, 52, 53, 54)),
        *((number, "count_admin_bounce") for number in (25, 26, 80)),
        *((number, "count_undetermined_bounce") for number in (0, 1, 999)),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_a_bounce_is_counted_by_the_category_of_its_class(bounce_class: int, name: str, late: bool) -> None:
    sums = {bounce_counter(bounce_class, late=late): 1}
    kinds = ("hard", "soft", "block", "admin", "undetermined")
    assert {kind for kind in kinds if figure(f"count_{kind}_bounce", sums)} == {name.split("_")[1]}
    admin = name == "count_admin_bounce"
    assert figure("count_bounce", sums) == (0 if admin else 1)
    assert figure("count_outofband_bounce", sums) == (1 if late and not admin else 0)
    assert figure("count_inband_bounce", sums) == figure("count_sent", sums) == (0 if late or admin else 1)
    assert figure("count_accepted", sums) == (-1 if late and not admin else 0)


def test_rates_are_quotients_of_figures() -> None:
    figures = {
        "count_accepted": 200,
        "count_sent": 250,
        "count_bounce": 50,
        "count_nonprefetched_unique_confirmed_opened": 30,
        "count_unique_clicked": 5,
        "count_unsubscribe": 2,
        "x_count_tracked": 1,
        "x_count_click_tracked": 20,
        "x_count_people_unique_clicked": 4,
    }
    assert rate("open_rate", figures) == 0.15
    assert rate("click_through_rate", figures) == 0.025
    assert rate("unsubscribe_rate", figures) == 0.01
    assert rate("bounce_rate", figures) == 0.2
    assert rate("x_people_click_rate", figures) == 0.2
    assert rate("spam_complaint_rate", figures) == 0.0


def test_there_is_no_rate_where_nothing_was_tracked_or_sent() -> None:
    sent = {"count_accepted": 200, "count_sent": 200, "count_injected": 200}
    assert rate("open_rate", sent) is None
    assert rate("click_through_rate", sent) is None
    assert rate("x_people_open_rate", sent) is None
    assert rate("bounce_rate", sent) == 0.0
    assert all(rate(name, {}) is None for name in RATES)
    assert rate("open_rate", {"count_accepted": -1, "x_count_tracked": 1}) is None


@pytest.mark.parametrize(
    ("precision", "begins", "ends"),
    [
        ("1min", 4 * HOUR + 22 * 60_000, 4 * HOUR + 23 * 60_000),
        ("5min", 4 * HOUR + 20 * 60_000, 4 * HOUR + 25 * 60_000),
        ("15min", 4 * HOUR + 15 * 60_000, 4 * HOUR + 30 * 60_000),
        ("hour", 4 * HOUR, 5 * HOUR),
        ("12hr", 0, 12 * HOUR),
        ("day", 0, DAY),
        ("week", 0, 7 * DAY),
        ("month", -25 * DAY, 6 * DAY),
    ],
)
def test_increments_of_a_monday_in_october(precision: str, begins: int, ends: int) -> None:
    """At 4:22:10 on 26 October 2026."""
    moment = MONDAY + 4 * HOUR + 22 * 60_000 + 10_000
    assert (begin(precision, moment), end(precision, moment)) == (MONDAY + begins, MONDAY + ends)
    assert begin(precision, MONDAY + begins) == MONDAY + begins
    assert end(precision, MONDAY + ends - 1) == MONDAY + ends


@pytest.mark.parametrize("precision", PRECISIONS)
def test_increments_follow_each_other_without_gap(precision: str) -> None:
    at = begin(precision, 0)
    for _ in range(60):
        later = end(precision, at)
        assert at < later
        assert begin(precision, later) == later
        assert begin(precision, later - 1) == at
        at = later


def test_february_of_a_leap_year_has_29_days() -> None:
    february = 1_833_000_000_000  # in February 2028
    assert end("month", february) - begin("month", february) == 29 * DAY


@pytest.mark.parametrize("client", list(ReaderClass))
@pytest.mark.parametrize("certain", [True, False])
def test_each_class_is_on_one_side(client: ReaderClass, certain: bool) -> None:
    sums = {
        counter: n
        for (cube, _, counter, _, _), n in contribution(
            [Fact(MONDAY, "open", "a", link="l", client=client.value, certain=certain)]
        ).items()
        if cube == 3
    }
    sides = {side for side in ("people", "unsure", "machine") if figure(f"x_count_{side}_rendered", sums)}
    expected = {
        "human": "people",
        "proxy": "people",
        "unknown": "unsure",
        "probe": "",
    }.get(client.value, "machine" if certain else "unsure")
    assert sides == ({expected} if expected else set())
    assert figure("x_count_recorded_rendered", sums) == 1


def test_links_are_named_by_place_and_name() -> None:
    assert link_group(3, "top") == "3:top"
    assert link_group(0, "Raw URL") == "0:Raw URL"
    assert link_group(-1, "a:b") == ":a:b"


def test_facts_are_what_a_row_says() -> None:
    (row,) = rows(injection(opens=True, clicks=False, size=7))
    fact = fact_of(row)
    assert (fact.opens, fact.clicks, fact.size, fact.campaign, fact.domain) == (
        *(True, False, 7, "autumn-letter", "example.net"),
    )
    (row,) = rows(hit())
    fact = fact_of(row)
    assert (fact.type, fact.link_name, fact.client, fact.reason) == (
        "click",
        "top banner",
        row.client,
        row.reason,
    )
    assert fact.link == row.link


def test_facts_of_fields_say_what_is_not_known() -> None:
    def known(**fields: object) -> tuple[bool, bool, int, int]:
        source: dict[str, Any] = {"type": "delivery", **fields}
        (row,) = rows(hit())
        fact = fact_of(replace(row, source=source, message=None))
        return fact.opens, fact.clicks, fact.retries, fact.queue_ms

    assert known() == (False, False, -1, -1)
    assert known(num_retries=0, queue_time=0) == (False, False, 0, 0)
    assert known(num_retries="3", queue_time="70", open_tracking=True, click_tracking=True) == (
        *(True, True, 3, 70),
    )
    assert known(open_tracking=1, click_tracking="true") == (False, False, -1, -1)


def test_a_message_lends_an_event_what_that_does_not_say() -> None:
    (row,) = rows(hit())
    from_message: dict[str, Any] = {"num_retries": 2, "queue_time": 9}
    fact = fact_of(replace(row, source={"queue_time": 5}, message=from_message))
    assert (fact.retries, fact.queue_ms) == (2, 5)


# Each rate by its parts: 2 over 4, with 1 tracked where that matters.
_QUOTIENTS = {
    "open_rate": ("count_nonprefetched_unique_confirmed_opened", "count_accepted", "x_count_tracked"),
    "click_through_rate": ("count_unique_clicked", "count_accepted", "x_count_click_tracked"),
    "unsubscribe_rate": ("count_unsubscribe", "count_accepted"),
    "spam_complaint_rate": ("count_spam_complaint", "count_accepted"),
    "accepted_rate": ("count_accepted", "count_sent"),
    "bounce_rate": ("count_bounce", "count_sent"),
    "hard_bounce_rate": ("count_hard_bounce", "count_sent"),
    "soft_bounce_rate": ("count_soft_bounce", "count_sent"),
    "block_bounce_rate": ("count_block_bounce", "count_sent"),
    "undetermined_bounce_rate": ("count_undetermined_bounce", "count_sent"),
    "admin_bounce_rate": ("count_admin_bounce", "count_targeted"),
    "delayed_rate": ("count_delayed_first", "count_accepted"),
    "avg_delivery_time_first": ("total_delivery_time_first", "count_delivered_first"),
    "avg_delivery_time_subsequent": ("total_delivery_time_subsequent", "count_delivered_subsequent"),
    "avg_msg_size": ("total_msg_volume", "count_delivered"),
    **{
        f"x_{side}_open_rate": (f"x_count_{side}_unique_rendered", "x_count_open_tracked")
        for side in ("people", "unsure", "machine")
    },
    **{
        f"x_{side}_click_rate": (f"x_count_{side}_unique_clicked", "x_count_click_tracked")
        for side in ("people", "unsure", "machine")
    },
}


def test_each_rate_is_the_quotient_of_its_figures() -> None:
    assert set(_QUOTIENTS) == set(RATES)
    for name, (over, under, *tracked) in _QUOTIENTS.items():
        assert {over, under, *tracked} <= set(FIGURES)
        assert rate(name, {over: 2, under: 4} | dict.fromkeys(tracked, 1)) == 0.5, name
        assert rate(name, {over: 2, under: 1} | dict.fromkeys(tracked, 1)) == 2.0, name
        assert rate(name, {over: 2, under: 0} | dict.fromkeys(tracked, 1)) is None, name
        if tracked:
            assert rate(name, {over: 2, under: 4}) is None, name


def test_averages_have_their_unit() -> None:
    assert {each.name: each.unit for each in RATES.values() if each.unit} == {
        "avg_delivery_time_first": "ms",
        "avg_delivery_time_subsequent": "ms",
        "avg_msg_size": "bytes",
    }


@pytest.mark.parametrize(("client", "certain"), [("of later times", True), ("", True), ("human", False)])
def test_a_class_that_nobody_knows_is_on_no_side(client: str, certain: bool) -> None:
    facts = [Fact(MONDAY, "open", "a", link="l", client=client, certain=certain)]
    days = {counter: n for (cube, _, counter, _, _), n in contribution(facts).items() if cube == 3}
    sides = [side for side in ("people", "unsure", "machine") if figure(f"x_count_{side}_rendered", days)]
    assert sides == (["people"] if client == "human" else ["unsure"])


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_millisecond_in_the_queue_counts_and_none_counts_nothing(retries: int) -> None:
    def days(queue_ms: int = -1) -> dict[int, int]:
        fact = Fact(MONDAY, "delivery", "a", retries=retries, queue_ms=queue_ms)
        return {counter: n for (cube, _, counter, _, _), n in contribution([fact]).items() if cube == 3}

    name = "total_delivery_time_first" if retries == 0 else "total_delivery_time_subsequent"
    assert figure(name, days(queue_ms=1)) == 1
    assert figure(name, days(queue_ms=7)) == 7
    assert days(queue_ms=0) == days()
    assert len(days()) == 2
