"""Each question in SQLite has its index, and goes through no more than it must."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from contract.store_samples import AT, SampleRows
from engagement.stores.port import Query, UnsupportedQueryError
from engagement.stores.sqlite import plan, reading
from engagement.stores.sqlite.store import SqliteStore

KEY = "PRIMARY KEY"
FILTERS: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, KEY),
    "from": ({"from_ms": AT}, KEY),
    "to": ({"to_ms": AT + 10**6}, KEY),
    "type": ({"types": ("click",)}, "by_kind"),
    "types": ({"types": ("click", "open", "injection")}, "by_kind"),
    "class": ({"classes": ("human",)}, "by_kind"),
    "campaign": ({"campaigns": ("autumn",)}, "by_campaign"),
    "campaigns": ({"campaigns": ("autumn", "spring")}, "by_campaign"),
    "domain": ({"domains": ("example.net",)}, "by_domain"),
    "sending domain": ({"sending_domains": ("example.org",)}, "by_sender"),
    "tag": ({"tags": ("nl",)}, "by_tags"),
    "bounce class": ({"bounce_classes": (10,)}, "by_bounce"),
    "link": ({"ordinals": (-1,)}, KEY),
    "recipient": ({"recipients": ("ida@example.net",)}, "by_message"),
    "message": ({"messages": (f"{1:032x}",)}, "by_message"),
    "transmission": ({"transmissions": ("7",)}, "by_message"),
    "queue id": ({"queue_ids": ("q",)}, "by_message"),
    "event id": ({"ids": ("",)}, KEY),
}
# What a question goes by that has several of them.
FIRST = ("event id", "message", "recipient", "transmission", "queue id")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    made, sample = SqliteStore(tmp_path_factory.mktemp("plans") / "events.db", writing=True), SampleRows()
    rows = [row for at in range(30) for row in sample.hit(at=at * 20_000, tags=("nl",))]
    spring = [
        row for at in range(30) for row in sample.hit(at=at, campaign="spring", message=2, tags=("letter",))
    ]
    made.add([*sample.injection(), *rows, *spring])
    made.roll_up()
    FILTERS["event id"] = ({"ids": (rows[3].event_id,)}, KEY)
    yield made
    made.close()


def plans(store: SqliteStore, query: Query) -> list[list[str]]:
    """The plan of the page, and that of the count."""
    connection = store._connection
    assert connection is not None
    narrowed = reading.resolve(connection, store._terms, query)
    if narrowed.is_empty:
        return []
    lead = reading.lead(connection, narrowed)
    return [
        [line[3] for line in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
        for statement, values in (plan.page(narrowed, lead, 100), plan.counts(narrowed, lead))
    ]


@pytest.mark.parametrize("name", FILTERS)
def test_each_filter_has_its_index(store: SqliteStore, name: str) -> None:
    given, index = FILTERS[name]
    for steps in plans(store, Query(**given)):
        assert any(f"event USING {index}" in step or f"INDEX {index} " in step for step in steps), steps


@pytest.mark.parametrize("names", list(combinations(FILTERS, 2)), ids=" and ".join)
def test_no_pair_of_filters_goes_through_everything(store: SqliteStore, names: tuple[str, str]) -> None:
    given = FILTERS[names[0]][0] | FILTERS[names[1]][0]
    indexes = {FILTERS[name][1] for name in names}
    leading = [name for name in names if name in FIRST]
    for steps in plans(store, Query(**given)):
        read = [step for step in steps if " event " in f"{step} "]
        assert read, steps
        made = (
            "CO-ROUTINE event" in steps or "MATERIALIZE event" in steps
        )  # the ranges together have that name
        assert made or not any(step.startswith("SCAN event") for step in steps), steps
        assert not any(step.startswith("SCAN event USING") for step in steps), steps
        expected = {FILTERS[leading[0]][1]} if leading else indexes - {KEY} or {KEY}
        if "event id" in names:
            expected = {KEY}
        assert any(index in step for step in read for index in expected), steps


def test_a_page_reads_rows_for_what_it_shows_alone(store: SqliteStore) -> None:
    """What is filtered by stands in the index."""
    for given in (
        {"types": ("click",)},
        {"campaigns": ("autumn",), "ordinals": (3,)},
        {"domains": ("example.net",)},
        {"sending_domains": ("example.org",)},
        {"tags": ("nl",)},
    ):
        page, _ = plans(store, Query(**given))
        found = [step for step in page if "by_" in step and "AS before" not in step and " event " in step]
        assert found, page
        assert all("COVERING INDEX" in step for step in found), page


def test_ranges_are_read_in_their_order_and_not_sorted(store: SqliteStore) -> None:
    """Else a page would read all that matches."""
    (page, _) = plans(store, Query(types=("click",), classes=("human",)))
    assert not any(
        "TEMP B-TREE" in step for step in page[: next(i for i, s in enumerate(page) if "by_kind" in s)]
    )


def test_what_is_not_offered_says_what_to_add(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_SCANNED", 10)
    with pytest.raises(UnsupportedQueryError, match="add a campaign"):
        store.find(Query(ordinals=(3,)))
    store.find(Query(ordinals=(3,), campaigns=("autumn",)))
    store.find(Query(ordinals=(3,), from_ms=AT, to_ms=AT + 2))
    monkeypatch.setattr(plan, "RANGES", 10)
    with pytest.raises(UnsupportedQueryError, match="name fewer"):
        store.find(Query(campaigns=("autumn",)))
    store.find(Query(campaigns=("autumn",), types=("click",)))


def test_an_event_that_two_ranges_hold_is_counted_and_shown_once(store: SqliteStore) -> None:
    """As one that was told before its message was known, and is found by its own name, too."""
    connection = store._connection
    assert connection is not None
    narrowed = reading.resolve(connection, store._terms, Query(messages=((2).to_bytes(16, "big").hex(),)))
    assert narrowed.messages is not None
    event = connection.execute(
        "SELECT at_ms, event_id FROM event WHERE message = ?", list(narrowed.messages or ())
    ).fetchone()
    both = replace(narrowed, events=(tuple(event),))
    lead = reading.lead(connection, both)
    assert len(lead.ranges) == 2
    for statement, values in (
        plan.number(both, lead, 100),
        plan.number(narrowed, reading.lead(connection, narrowed), 100),
    ):
        assert connection.execute(statement, values).fetchone() == (30,)
    statement, values = plan.counts(both, lead)
    assert [line[1] for line in connection.execute(statement, values)] == [30]
    statement, values = plan.page(both, lead, 100)
    assert len(connection.execute(statement, values).fetchall()) == 30


@pytest.mark.parametrize("name", ["domain", "sending domain", "tag"])
def test_of_bounces_only_rows_are_read_that_may_have_a_class(store: SqliteStore, name: str) -> None:
    given, index = FILTERS[name]
    connection = store._connection
    assert connection is not None
    narrowed = reading.resolve(connection, store._terms, Query(**given, bounce_classes=(10,)))
    lead = next(lead for lead in plan.leads(narrowed) if lead.index == index)
    statement, values = plan.page(narrowed, lead, 100)
    steps = [line[3] for line in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert any(f"event USING COVERING INDEX {index} " in step for step in steps), steps
    assert steps.count("USE TEMP B-TREE FOR ORDER BY") == 1, steps  # of the page, not of all that match
