"""Every way in which figures can be asked for: the cells that answer it, or the words of a refusal."""

import itertools
from typing import Any

import pytest

from engagement.events.rows import REPEAT_MS
from engagement.figures.contribution import Cube
from engagement.figures.definitions import FIGURES
from engagement.figures.facts import Fact
from engagement.figures.from_events import fact_of_fields, window
from engagement.figures.increments import LIFE, PRECISIONS, begin, end
from engagement.figures.query import (
    GROUPS,
    FigureQuery,
    FigureRow,
    UnsupportedQueryError,
    answer,
    reading,
)

DAY = 86_400_000
NAMED: tuple[tuple[str, ...], ...] = ((), ("x",))
HOURS = ("hour", "12hr")


def cube_of(precision: str, by: str, campaigns: bool, domains: bool) -> Cube | None:
    """What answers, as docs/figures.md says it; None where nothing does."""
    campaign, domain = campaigns or by == "campaign", domains or by == "domain"
    days = precision in ("day", "week", "month")
    if precision == LIFE:
        return Cube.CAMPAIGN_LIFE if campaign and not domain and by in ("", "campaign") else None
    if domain:
        return Cube.DOMAIN_DAY if days and by in ("", "domain") and not campaign else None
    if by == "link":
        return Cube.LINK_DAY if days else None
    if by == "machine":
        return Cube.MACHINE_DAY if days and not campaign else None
    if campaign:
        return Cube.CAMPAIGN_DAY if days else Cube.CAMPAIGN_HOUR if precision in HOURS else None
    return Cube.TOTAL_DAY if days else Cube.TOTAL_HOUR if precision in HOURS else Cube.TOTAL_MINUTE


@pytest.mark.parametrize("precision", [*PRECISIONS, LIFE])
def test_each_question_has_the_cells_that_are_kept_for_it_or_is_refused(precision: str) -> None:
    for by, campaigns, domains in itertools.product(("", *GROUPS), NAMED, NAMED):
        query = FigureQuery(precision=precision, by=by, campaigns=campaigns, domains=domains)
        cube = cube_of(precision, by, bool(campaigns), bool(domains))
        if cube is None:
            with pytest.raises(UnsupportedQueryError):
                reading(query)
            continue
        found = reading(query)
        assert (found.cube, found.first, found.last) == (cube, None, None), query
        assert found.a == (domains if cube == Cube.DOMAIN_DAY else campaigns)


REFUSED = [
    ({"precision": "day", "domains": ("x",), "campaigns": ("y",)}, "domains are kept for all campaigns tog"),
    ({"precision": "day", "by": "machine", "campaigns": ("y",)}, "machines are kept for all campaigns tog"),
    ({"precision": LIFE}, "only campaigns have a life; name some, or ask by campaign"),
    ({"precision": "hour", "by": "domain"}, "a domain is kept by day; ask for day, week or month"),
    ({"precision": "hour", "by": "link"}, "a link is kept by day; ask for day, week or month"),
    ({"precision": "hour", "by": "machine"}, "what machines did is kept by day; ask for day, week or month"),
    (
        {"precision": "1min", "by": "campaign"},
        "minutes are kept for all mail together; ask for hour or day, ",
    ),
    ({"precision": LIFE, "by": "campaign", "series": True}, "a campaign's life has no times; leave them and"),
    ({"precision": LIFE, "by": "campaign", "from_ms": 0}, "a campaign's life has no times; leave them and"),
    ({"precision": LIFE, "by": "campaign", "to_ms": 1}, "a campaign's life has no times; leave them and"),
    ({"precision": "hours"}, "'hours' is no precision; known: "),
    ({"by": "hour"}, "figures by 'hour' are not kept; known: campaign, domain, link, machine"),
    ({"metrics": ("count_sent", "count_odd")}, "'count_odd' is no figure; docs/figures.md lists them"),
    ({"order_by": "count_odd"}, "'count_odd' is no figure; docs/figures.md lists them"),
]


@pytest.mark.parametrize(("query", "message"), REFUSED)
def test_what_is_not_kept_is_said_with_what_to_ask_for(query: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message.replace("?", r"\?")):
        reading(FigureQuery(**query))


@pytest.mark.parametrize(
    ("from_ms", "to_ms", "buckets"),
    [
        (None, None, (None, None)),
        (0, DAY, (0, 0)),
        (0, DAY + 1, (0, 1)),
        (DAY - 1, 2 * DAY, (0, 1)),
        (DAY, None, (1, None)),
        (None, 1, (None, 0)),
    ],
)
def test_times_are_rounded_outwards_to_whole_days(
    from_ms: int | None, to_ms: int | None, buckets: tuple[int | None, int | None]
) -> None:
    found = reading(FigureQuery(from_ms=from_ms, to_ms=to_ms))
    assert (found.first, found.last) == buckets


def cells(
    figure: str, cube: Cube, *places: tuple[int, str, str, int]
) -> list[tuple[tuple[int, int, int, str, str], int]]:
    counter = next(iter(FIGURES[figure].parts))
    return [((cube, bucket, int(counter), a, b), n) for bucket, a, b, n in places]


def test_cells_outside_a_question_are_left_out_and_those_inside_added_up() -> None:
    name = "count_delivered"
    query = FigureQuery(
        from_ms=DAY, to_ms=3 * DAY, by="campaign", campaigns=("a", "b"), metrics=(name,), order_by=name
    )
    found = answer(
        query,
        [
            *cells(name, Cube.CAMPAIGN_DAY, (0, "a", "", 100), (1, "a", "", 1), (2, "a", "", 2)),
            *cells(name, Cube.CAMPAIGN_DAY, (3, "a", "", 100), (1, "b", "", 5), (1, "c", "", 100)),
            *cells(name, Cube.CAMPAIGN_DAY, (2, "a", "", 1)),
            *cells(name, Cube.CAMPAIGN_HOUR, (1, "a", "", 100)),
        ],
    )
    assert found == (FigureRow("b", None, {name: 5}), FigureRow("a", None, {name: 4}))


def test_a_series_has_a_row_for_each_increment_in_their_order() -> None:
    name = "count_delivered"
    made = cells(name, Cube.TOTAL_DAY, (5, "", "", 2), (3, "", "", 1), (4, "", "", 0))
    rows = answer(FigureQuery(metrics=(name,), series=True), made)
    assert rows == (FigureRow("", 3 * DAY, {name: 1}), FigureRow("", 5 * DAY, {name: 2}))
    assert answer(FigureQuery(metrics=(name,)), made) == (FigureRow("", None, {name: 3}),)


def test_groups_are_named_and_the_first_of_them_shown() -> None:
    name = "count_clicked"
    links = cells(name, Cube.LINK_DAY, (1, "c", "top", 1), (1, "c", "a", 3), (1, "c", "b", 3))
    shown = answer(FigureQuery(by="link", metrics=(name,), order_by=name, limit=2), links)
    assert [(row.group, row.figures[name]) for row in shown] == [("a", 3), ("b", 3)]
    assert answer(FigureQuery(by="link", metrics=(name,), limit=-1), links) == ()
    machines = cells(name, Cube.MACHINE_DAY, (1, "scanner", "odd", 1), (1, "human", "", 2))
    rows = answer(FigureQuery(by="machine", metrics=(name,)), machines)
    assert [row.group for row in rows] == ["human", "scanner odd"]


@pytest.mark.parametrize(
    ("precision", "length"), [("1min", 60_000), ("hour", 3_600_000), ("12hr", 43_200_000), ("day", DAY)]
)
def test_events_are_needed_of_whole_increments_and_of_the_moment_before(precision: str, length: int) -> None:
    for from_ms, to_ms, first, last in (
        (0, length, 0, 1),
        (0, length + 1, 0, 2),
        (length - 1, length, 0, 1),
        (length, 2 * length, 1, 2),
        (length, length + 1, 1, 2),
    ):
        query = FigureQuery(from_ms=from_ms, to_ms=to_ms, precision=precision)
        assert window(query) == (first * length - REPEAT_MS, last * length)


@pytest.mark.parametrize("times", [{"from_ms": 0}, {"to_ms": 1}, {}])
def test_events_of_an_open_window_are_not_asked_for(times: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="a window has a beginning and an end"):
        window(FigureQuery(times.get("from_ms"), times.get("to_ms")))


def test_what_an_event_does_not_say_counts_as_not_known() -> None:
    little = {"timestamp": "1970-01-01T00:00:00.007Z", "type": "delivery", "event_id": "e"}
    fact = fact_of_fields(little)
    assert fact == Fact(
        7, "delivery", "e", "", "", "", "", True, "", False, 1, -1, "", False, False, 0, 0, -1, -1
    )
    labels = {
        "campaign_id": "c",
        "recipient_domain": "d",
        "x_client_class": "human",
        "x_client_certain": False,
        "x_client_reason": "r",
        "x_expired": True,
        "x_hits": "3",
        "x_link_ordinal": 2,
        "target_link_name": "n",
        "open_tracking": True,
        "click_tracking": True,
        "msg_size": "9",
        "bounce_class": "10",
        "num_retries": "1",
        "queue_time": "5",
        "target_link_url": "u",
        "x_link_part": "html",
    }
    link = "hit\0u\0n\0002\0html"
    whole = ("c", "d", link, "human", False, "r", True, 3, 2, "n", True, True, 9, 10, 1, 5)
    assert fact_of_fields(little | labels) == Fact(7, "delivery", "e", *whole)
    assert fact_of_fields(little | labels | {"x_shared": True}).link == "e"


@pytest.mark.parametrize("at_ms", [-(1 << 62), -62_135_596_800_001, 253_402_300_800_000, 1 << 62])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_moments_of_no_year_are_no_fault(precision: str, at_ms: int) -> None:
    assert begin(precision, at_ms) <= end(precision, at_ms)
    assert reading(FigureQuery(at_ms, at_ms + 1, precision)).cube
