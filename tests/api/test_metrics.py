"""Figures over the API: each path, and that they are those of the store (contract.md 8.4)."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from api.api_site import ApiSite, make_api_site
from contract.figure_story import at, fill, story
from engagement.figures.definitions import FIGURES
from engagement.figures.query import FigureQuery
from engagement.stores import open_store
from engagement.stores.port import EventStore

DAY = 86_400_000
LONG = {"metrics": "count_clicked", "from": "1970-01-01", "precision": "12hr"}
WITHOUT = (
    *("template", "ip-pool", "mailbox-provider", "watched-domain"),
    *("rejection-reason", "rejection-reason/domain"),
)


@pytest.fixture
def site(tmp_path: Path) -> ApiSite:
    return make_api_site(tmp_path)


@pytest.fixture
def store(site: ApiSite) -> EventStore:
    """The site's store with the story of tests/contract/figure_story.py."""
    store = open_store(site.settings.store, writing=True)
    fill(store, story())
    return store


def moment(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%M}"


WINDOW = {"from": moment(at(0)), "to": moment(at(0) + 2 * DAY)}


def results(site: ApiSite, path: str, status: int = 200, /, **parameters: Any) -> Any:
    answer = site.get(f"/metrics/{path}", query_string=WINDOW | parameters)
    assert answer.status_code == status, answer.get_data(as_text=True)
    assert answer.mimetype == "application/json"
    return answer.get_json()["results" if status == 200 else "errors"]


def test_the_figures_of_a_window_are_those_of_the_store(site: ApiSite, store: EventStore) -> None:
    (row,) = results(site, "deliverability", metrics=",".join(FIGURES), precision="day")
    (stored,) = store.figures(FigureQuery(from_ms=at(0), to_ms=at(0) + 2 * DAY))
    assert row == {name: stored.figures.get(name, 0) for name in FIGURES}


@pytest.mark.parametrize("precision", ["1min", "hour", "12hr", "day", "week", "month"])
def test_a_series_has_a_row_for_each_increment(site: ApiSite, store: EventStore, precision: str) -> None:
    window = {"to": moment(at(0) + DAY)} if precision == "1min" else {}
    rows = results(
        site,
        "deliverability/time-series",
        metrics="count_clicked,count_injected",
        precision=precision,
        **window,
    )
    steps = {"1min": 1440, "hour": 48, "12hr": 4, "day": 2}
    if precision in steps:
        assert len(rows) == steps[precision]
    stored = store.figures(
        FigureQuery(
            from_ms=at(0),
            to_ms=at(0) + (DAY if precision == "1min" else 2 * DAY),
            precision=precision,
            metrics=("count_clicked", "count_injected"),
        )
    )
    for name in ("count_clicked", "count_injected"):
        assert sum(row[name] for row in rows) == sum(row.figures.get(name, 0) for row in stored)
    assert all(row["ts"].endswith("+00:00") for row in rows)
    assert len({row["ts"] for row in rows}) == len(rows)


def test_hours_are_told_in_the_zone_that_was_asked_for(site: ApiSite, store: EventStore) -> None:
    parameters = {"metrics": "count_injected", "timezone": "America/New_York", "precision": "hour"}
    here = results(site, "deliverability/time-series", **parameters)
    assert {row["ts"][-6:] for row in here} <= {"-05:00", "-04:00"}
    days = results(site, "deliverability/time-series", **parameters | {"precision": "day"})
    assert {row["ts"][-6:] for row in days} == {"+00:00"}


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Pacific/Kiritimati"])
@pytest.mark.parametrize(
    "times", [("0001-01-01T00:00", "2026-10-27T00:00"), ("9999-12-30", "9999-12-31T23:59")]
)
def test_times_at_the_ends_of_the_calendar_are_no_fault(
    site: ApiSite, store: EventStore, zone: str, times: tuple[str, str]
) -> None:
    given = {"from": times[0], "to": times[1], "timezone": zone, "metrics": "count_injected"}
    for precision in ("day", "month"):
        query = {**given, "precision": precision}
        answer = site.get("/metrics/deliverability/time-series", query_string=query)
        assert answer.status_code in (200, 400), answer.get_data(as_text=True)


def test_groups_are_ordered_and_limited(site: ApiSite, store: EventStore) -> None:
    parameters = {"metrics": ["count_injected", "count_bounce"], "order_by": "count_injected"}
    rows = results(site, "deliverability/domain", **parameters)
    assert [(row["domain"], row["count_injected"]) for row in rows] == [("a.example", 2), ("b.example", 1)]
    assert len(results(site, "deliverability/domain", limit=1, **parameters)) == 1
    rows = results(site, "deliverability/campaign", **parameters, precision="day")
    assert [(row["campaign_id"], row["count_injected"]) for row in rows] == [("spring", 2)]


def test_links_are_told_by_their_name(site: ApiSite, store: EventStore) -> None:
    rows = results(site, "deliverability/link-name", metrics="count_clicked,count_raw_clicked")
    stored = store.figures(
        FigureQuery(from_ms=at(0), to_ms=at(0) + 2 * DAY, by="link", metrics=("count_clicked",))
    )
    assert sum(row["count_clicked"] for row in rows) == sum(row.figures["count_clicked"] for row in stored)
    assert len({row["link_name"] for row in rows}) == len(rows)
    (error,) = results(site, "deliverability/link-name", 400, metrics="count_injected")
    assert "count_injected" in error["message"]


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ({"campaigns": "spring"}, {"campaigns": "spring"}),
        ({"campaign_ids": "spring"}, {"campaigns": "spring"}),
        (
            {"query_filters": json.dumps({"groupings": [{"AND": {"campaigns": {"eq": ["spring"]}}}]})},
            {"campaigns": "spring"},
        ),
        ({"domains[]": "A.example"}, {"domains": "a.example"}),
        ({"subaccounts": "0"}, {}),
    ],
)
def test_filters_are_read_in_every_spelling(
    site: ApiSite, store: EventStore, given: dict[str, str], same: dict[str, str]
) -> None:
    metrics = {"metrics": ["count_injected", "count_clicked"], "precision": "day"}
    found = results(site, "deliverability", **metrics, **given)
    assert found == results(site, "deliverability", **metrics, **same)
    assert found[0]["count_injected"] > 0


@pytest.mark.parametrize(
    "name", ["templates", "ip_pools", "sending_ips", "sending_domains", "tags", "ab_tests"]
)
def test_a_filter_by_what_no_mail_has_finds_nothing(site: ApiSite, store: EventStore, name: str) -> None:
    assert results(site, "deliverability", metrics="count_injected", **{name: "x"}) == [{"count_injected": 0}]


@pytest.mark.parametrize("path", WITHOUT)
def test_what_no_figures_are_kept_by_has_no_rows(site: ApiSite, store: EventStore, path: str) -> None:
    assert results(site, f"deliverability/{path}", metrics="count_injected") == []


def test_bounces_are_told_by_reason_and_class(site: ApiSite, store: EventStore) -> None:
    rows = results(site, "deliverability/bounce-reason", metrics="count_bounce")
    (stored,) = store.figures(FigureQuery(from_ms=at(0), to_ms=at(0) + 2 * DAY))
    assert sum(row["count_bounce"] for row in rows) == stored.figures["count_bounce"]
    assert sum(row["count_admin_bounce"] for row in rows) == stored.figures.get("count_admin_bounce", 0)
    for row in results(site, "deliverability/bounce-classification", metrics="count_bounce"):
        assert row["bounce_class_name"]
        assert isinstance(row["classification_id"], int)
    for row in results(site, "deliverability/bounce-reason/domain", metrics="count_bounce"):
        assert row["domain"].endswith(".example")
    for path in ("delay-reason", "delay-reason/domain"):
        rows = results(site, f"deliverability/{path}", metrics="count_delayed")
        assert sum(row["count_delayed"] for row in rows) == stored.figures.get("count_delayed", 0)


def test_tries_are_told(site: ApiSite, store: EventStore) -> None:
    rows = results(site, "deliverability/attempt", metrics="count_delivered")
    (stored,) = store.figures(FigureQuery(from_ms=at(0), to_ms=at(0) + 2 * DAY))
    assert [row["count_delivered"] for row in rows] == [
        stored.figures.get("count_delivered_first", 0),
        stored.figures.get("count_delivered_subsequent", 0),
    ]


def test_names_are_listed_without_a_window(site: ApiSite, store: EventStore) -> None:
    assert site.get("/metrics/campaigns").get_json() == {"results": {"campaigns": ["spring"]}}
    assert site.get("/metrics/domains").get_json() == {"results": {"domains": ["a.example", "b.example"]}}
    assert site.get("/metrics/domains?match=B.&limit=5").get_json() == {"results": {"domains": ["b.example"]}}
    assert site.get("/metrics/ip-pools").get_json() == {"results": {"ip_pools": []}}
    index = site.get("/metrics/").get_json()
    assert isinstance(index["links"], list)
    assert index == site.get("/metrics").get_json()


@pytest.mark.parametrize(
    ("path", "parameters", "word"),
    [
        ("deliverability", {"metrics": "count_happy"}, "count_happy"),
        ("deliverability", {"metrics": ""}, "metrics"),
        ("deliverability", {"metrics": "count_clicked", "from": ""}, "from"),
        ("deliverability", {"metrics": "count_clicked", "to": "2001-01-01T00:00"}, "from"),
        ("deliverability", {"metrics": "count_clicked", "precision": "second"}, "precision"),
        ("deliverability", {"metrics": "count_clicked", "precision": "5min"}, "precision"),
        ("deliverability", {"metrics": "count_clicked", "timezone": "Mars"}, "timezone"),
        ("deliverability", {"metrics": "count_clicked", "query_filters": "{"}, "query_filters"),
        (
            "deliverability",
            {"metrics": "count_clicked", "query_filters": '{"groupings":[{"AND":{"x":{"eq":[1]}}}]}'},
            "query_filters",
        ),
        ("deliverability/domain", {"metrics": "count_clicked", "limit": "0"}, "limit"),
        ("deliverability/domain", {"metrics": "count_clicked", "order_by": "x"}, "order_by"),
        (
            "deliverability",
            {"metrics": "count_clicked", "query_filters": '{"groupings":[{"XOR":{"tags":{"eq":["a"]}}}]}'},
            "AND or OR",
        ),
        (
            "deliverability",
            {"metrics": "count_clicked", "query_filters": '{"groupings":[{"AND":{"tags":{"is":["a"]}}}]}'},
            "notLike",
        ),
        (
            "deliverability",
            {"metrics": "count_clicked", "query_filters": '{"groupings":[{"AND":{"tags":{"like":["ab"]}}}]}'},
            "3 characters",
        ),
        (
            "deliverability/campaign",
            {"metrics": "count_clicked", "precision": "1min", "to": moment(at(5))},
            "minutes",
        ),
        (
            "deliverability/time-series",
            {"metrics": "count_clicked", "from": "1970-01-01", "precision": "12hr"},
            "rows",
        ),
    ],
)
def test_what_cannot_be_asked_is_said(
    site: ApiSite, store: EventStore, path: str, parameters: dict[str, str], word: str
) -> None:
    errors = results(site, path, 400, **parameters)
    assert word in json.dumps(errors)


def test_a_key_sees_its_own_tenant_alone(site: ApiSite, store: EventStore) -> None:
    other = site.key("metrics/view", tenant="other")
    answer = site.get("/metrics/deliverability", other, query_string=WINDOW | {"metrics": "count_injected"})
    assert answer.get_json()["results"] == [{"count_injected": 0}]
    assert site.get("/metrics/campaigns", other).get_json() == {"results": {"campaigns": []}}
    assert site.get("/metrics/campaigns", site.key("events/view")).status_code == 403
    assert site.get("/metrics/campaigns", "").status_code == 401
