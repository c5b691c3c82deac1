"""What every engine must do (engagement.stores.port)."""

import json
import random
import time
from itertools import permutations
from typing import Any

import pytest
from msgspec.structs import replace

from contract.store_samples import AT, SampleRows
from engagement.events.rows import EventRow
from engagement.links.model import Kind
from engagement.stores.port import (
    Count,
    EventStore,
    NotTogetherError,
    Query,
    RowRefusedError,
    cursor_of,
)


def found(store: EventStore, **query: Any) -> list[str]:
    return [event["event_id"] for event in store.find(Query(**query))]


def ids(rows: list[EventRow]) -> list[str]:
    return [row.event_id for row in rows]


def test_an_empty_store_has_nothing(store: EventStore) -> None:
    assert list(store.find(Query())) == []
    assert dict(store.counts(Query())) == {}
    assert store.arrivals("").events == ()
    assert store.sweep(AT) == 0
    assert store.add([]) == 0


def test_what_was_added_is_found_newest_first(store: EventStore, sample: SampleRows) -> None:
    rows = sample.hit(at=1) + sample.hit(at=3) + sample.hit(at=2)
    assert store.add(rows) == 3
    assert found(store) == [rows[1].event_id, rows[2].event_id, rows[0].event_id]


def test_equal_times_are_ordered_by_id(store: EventStore, sample: SampleRows) -> None:
    rows = [row for _ in range(5) for row in sample.hit()]
    store.add(rows[::-1])
    assert found(store) == sorted(ids(rows), reverse=True)


def test_adding_twice_counts_once(store: EventStore, sample: SampleRows) -> None:
    rows = sample.hit() + sample.injection()
    assert store.add(rows) == store.add(rows) == store.add(rows + rows[:1]) - 1
    assert len(found(store)) == 2
    assert store.counts(Query())["click"].recorded == 1


def test_any_order_any_number_of_times_gives_the_same_store(store: EventStore, sample: SampleRows) -> None:
    parts = [sample.injection(), sample.hit(at=1), sample.hit(at=2), sample.hit(Kind.OPEN, at=3)]
    expected: list[object] = []
    for order in permutations(parts):
        for part in order:
            store.add(part)
        answers: list[object] = [list(store.find(Query())), dict(store.counts(Query()))]
        expected = expected or answers
        assert answers == expected


def test_a_row_told_anew_takes_the_place_of_the_old(store: EventStore, sample: SampleRows) -> None:
    """Labels may be made again with better rules."""
    (row,) = sample.hit()
    store.add([row])
    better = row.fields | {"x_client_class": "scanner", "x_client_rules": "2"}
    store.add([replace(row, client="scanner", source=better)])
    store.add([replace(row, client="scanner", source=better)])
    (event,) = store.find(Query())
    assert event["x_client_class"] == "scanner"
    assert store.counts(Query())["click"].people == 0


@pytest.mark.parametrize("injection_first", [True, False])
def test_an_event_shows_what_its_injection_knew(
    store: EventStore, sample: SampleRows, injection_first: bool
) -> None:
    parts = [sample.injection(subject="Vår høst"), sample.hit()]
    for part in parts if injection_first else parts[::-1]:
        store.add(part)
    event = next(store.find(Query(types=("click",))))
    assert (event["subject"], event["msg_from"]) == ("Vår høst", "b@example.org")
    assert event["injection_time"] == "2026-10-26T08:01:02.000Z"


@pytest.mark.parametrize(
    "metadata", [{"n": 1 << 70}, {"n": -(10**400)}, {"n": 1e300}, {"n": [1.5e-7, None, {"å": "\x7f/\\u"}]}]
)
def test_metadata_comes_back_whatever_numbers_and_texts_it_has(
    store: EventStore, sample: SampleRows, metadata: dict[str, Any]
) -> None:
    store.add(sample.injection(metadata=json.dumps(metadata)) + sample.hit())
    assert [event["rcpt_meta"] for event in store.find(Query())] == [metadata] * 2


def test_an_injection_with_a_number_that_no_double_holds_is_stored_without_metadata(
    store: EventStore, sample: SampleRows
) -> None:
    store.add(sample.injection(metadata='{"n": 1e999}'))
    assert ["rcpt_meta" in event for event in store.find(Query())] == [False]


def test_another_messages_injection_is_not_borrowed_from(store: EventStore, sample: SampleRows) -> None:
    store.add(sample.injection(message=2) + sample.hit(message=1))
    assert "subject" not in next(store.find(Query(types=("click",))))


def test_a_row_without_message_id_borrows_from_nobody(store: EventStore, sample: SampleRows) -> None:
    rows = [
        replace(row, message_id="", message=None)
        for row in sample.injection() + sample.injection(subject="B")
    ]
    store.add(rows)
    assert [event["subject"] for event in store.find(Query())] == ["B", "Autumn"]


def test_events_survive_the_way_through_json(store: EventStore, sample: SampleRows) -> None:
    (row,) = sample.hit(
        recipient="Ærlig@Example.net", target="https://example.org/?q=%C3%A6", campaign='a"b\\c'
    )
    store.add([row])
    (event,) = store.find(Query())
    assert event == row.fields
    json.dumps(event)


QUERIES: dict[str, tuple[dict[str, Any], set[int]]] = {
    "from is inclusive": ({"from_ms": AT + 2000}, {2, 3, 4, 5}),
    "to is exclusive": ({"to_ms": AT + 2000}, {0, 1}),
    "a span": ({"from_ms": AT + 1000, "to_ms": AT + 3000}, {1, 2}),
    "one type": ({"types": ("open",)}, {1}),
    "two types": ({"types": ("open", "injection")}, {1, 5}),
    "a recipient in any case": ({"recipients": ("OLE@example.net",)}, {2}),
    "two recipients": ({"recipients": ("ole@example.net", "ida@example.net")}, {0, 1, 2, 4, 5}),
    "a campaign": ({"campaigns": ("spring",)}, {3}),
    "a message": ({"messages": (f"{2:032x}",)}, {2}),
    "a transmission": ({"transmissions": ("18446744073709551615",)}, {4}),
    "a recipient in a span": ({"recipients": ("ida@example.net",), "from_ms": AT + 4000}, {4, 5}),
    "a recipient and a type": ({"recipients": ("ida@example.net",), "types": ("click",)}, {0, 4}),
    "no such": ({"campaigns": ("winter",)}, set()),
    "no such message": ({"messages": ("not hexadecimal",)}, set()),
    "no such transmission": ({"transmissions": ("-1", "x", "9" * 30)}, set()),
    "no such id": ({"ids": ("x",)}, set()),
    "another tenant": ({"tenant": "b"}, set()),
}


@pytest.mark.parametrize("case", QUERIES)
def test_a_query_finds_what_it_asks_for(store: EventStore, sample: SampleRows, case: str) -> None:
    rows = [
        *sample.hit(at=0),
        *sample.hit(Kind.OPEN, at=1000),
        *sample.hit(at=2000, message=2, recipient="Ole@Example.net"),
        *sample.hit(at=3000, message=3, recipient="", campaign="spring"),
        *sample.hit(at=4000, message=4, transmission=2**64 - 1),
        *sample.injection(at=5000, message=5),
    ]
    store.add(rows)
    query, places = QUERIES[case]
    assert set(found(store, **query)) == {rows[place].event_id for place in places}
    assert sum(count.recorded for count in store.counts(Query(**query)).values()) == len(places)


def test_an_event_is_found_by_its_id(store: EventStore, sample: SampleRows) -> None:
    rows = sample.hit(at=0) + sample.hit(at=1)
    store.add(rows)
    assert found(store, ids=(rows[0].event_id,)) == [rows[0].event_id]


def test_tenants_do_not_see_each_other(store: EventStore, sample: SampleRows) -> None:
    own, others = sample.hit(tenant=""), sample.hit(tenant="b")
    store.add(own + others)
    assert found(store) == ids(own)
    assert found(store, tenant="b") == ids(others)


@pytest.mark.parametrize("page", [1, 2, 3, 7, 100])
def test_pages_follow_each_other_without_gap_or_repeat(
    store: EventStore, sample: SampleRows, page: int
) -> None:
    """Also among events of one millisecond, and when new ones come in between."""
    rows = [row for number in range(20) for row in sample.hit(at=number // 6)]
    store.add(rows)
    expected = found(store)
    got: list[str] = []
    cursor = ""
    while events := list(store.find(Query(limit=page, cursor=cursor))):
        got += [event["event_id"] for event in events]
        cursor = cursor_of(events[-1])
        store.add(sample.hit(at=100_000 + len(got)))
    assert got == expected


def test_a_cursor_of_somebody_else_is_refused(store: EventStore) -> None:
    for cursor in ("x", "2026-10-26T08:01:02.000Z", "2026-10-26T08:01:02.000Z/7"):
        with pytest.raises(ValueError, match=r".+"):
            list(store.find(Query(cursor=cursor)))


def test_a_limit_of_nothing_gives_nothing(store: EventStore, sample: SampleRows) -> None:
    store.add(sample.hit())
    assert found(store, limit=0) == []


def test_expired_links_are_in_no_figure_and_shown_when_asked_for(
    store: EventStore, sample: SampleRows
) -> None:
    """contract.md 6.4."""
    rows = sample.hit(expired=True)
    store.add(rows)
    assert found(store) == []
    assert dict(store.counts(Query())) == {}
    (event,) = store.find(Query(expired=True))
    assert event["x_expired"] is True
    assert store.counts(Query(expired=True))["click"] == Count(recorded=1)


# --- figures ---


def test_figures_leave_out_probes_and_repeats_and_tell_machines_apart(
    store: EventStore, sample: SampleRows
) -> None:
    store.add(
        [
            *sample.hit(at=0),
            *sample.hit(at=5_000),  # a repeat
            *sample.hit(at=14_999),  # a repeat of the repeat
            *sample.hit(at=25_000),
            *sample.hit(at=0, method="HEAD"),
            *sample.hit(at=1, agent="curl/8"),
            *sample.hit(at=0, message=2),
            *sample.hit(at=0, message=3, agent="BarracudaCentral"),
        ]
    )
    assert store.counts(Query())["click"] == Count(
        recorded=8, counted=5, people=3, messages=3, people_messages=2
    )


def test_a_repeat_is_marked_and_kept(store: EventStore, sample: SampleRows) -> None:
    first, second = sample.hit(at=0), sample.hit(at=9_999)
    store.add(second + first)
    assert [event.get("x_repeat") for event in store.find(Query())] == [True, None]
    assert [event.get("x_repeat") for event in store.find(Query(from_ms=AT + 1))] == [True]


def test_h6_an_event_that_stands_for_several_is_counted_as_so_many(
    store: EventStore, sample: SampleRows
) -> None:
    store.add(
        [
            *sample.hit(at=0),
            *sample.hit(at=4_000, hits=500),  # repeats of the first, told together
            *sample.hit(at=0, message=2, expired=True, hits=7),
            *sample.hit(at=20_000, hits=3, unsubscribe=True, message=3),  # whose first was lost
        ]
    )
    clicks = Count(recorded=504, counted=2, people=2, messages=2, people_messages=2)
    assert store.counts(Query())["click"] == hourly(store)["click"] == clicks
    assert store.counts(Query())["link_unsubscribe"] == Count(3, 1, 1, 1, 1)
    assert store.counts(Query(messages=(f"{1:032x}",)))["click"] == Count(501, 1, 1, 1, 1)
    assert (
        store.counts(Query(expired=True))["click"].recorded
        == hourly(store, expired=True)["click"].recorded
        == 511
    )
    (event,) = store.find(Query(messages=(f"{1:032x}",), from_ms=AT + 1))
    assert (event["x_hits"], event["x_repeat"]) == ("500", True)


def test_figures_are_by_type(store: EventStore, sample: SampleRows) -> None:
    store.add(sample.injection() + sample.hit(unsubscribe=True) + sample.hit(Kind.OPEN))
    one = Count(1, 1, 1, 1, 1)
    assert dict(store.counts(Query())) == {
        "click": one,
        "injection": one,
        "link_unsubscribe": one,
        "open": one,
    }
    assert dict(store.counts(Query(types=("open",)))) == {"open": one}


def test_engines_count_alike(store: EventStore, sample: SampleRows) -> None:
    """Against the definition, written out: a thousand hits by chance."""
    chance = random.Random(11)
    rows = [
        row
        for _ in range(1000)
        for row in sample.hit(
            chance.choice((Kind.CLICK, Kind.OPEN)),
            chance.randrange(120_000),
            message=chance.randrange(4),
            agent=chance.choice(("Firefox", "curl/8", "")),
            method=chance.choice(("GET", "GET", "HEAD")),
        )
    ]
    store.add(rows)
    last: dict[tuple[str, ...], int] = {}
    counted = 0
    for row in sorted(rows, key=lambda row: (row.at_ms, row.event_id)):
        key = (row.type, row.link, row.client)
        if row.type == "click" and row.client != "probe" and row.at_ms - last.get(key, 0) >= 10_000:
            counted += 1
        last[key] = row.at_ms
    assert store.counts(Query())["click"].counted == counted


def hourly(store: EventStore, **query: Any) -> dict[str, Count]:
    store.roll_up()
    return dict(store.totals(Query(**query)))


def test_totals_are_the_figures_of_whole_hours(store: EventStore, sample: SampleRows) -> None:
    hour = 3_600_000
    store.add(
        [
            *sample.hit(at=0),
            *sample.hit(at=5_000),  # a repeat
            *sample.hit(at=1, message=2, agent="BarracudaCentral"),
            *sample.hit(at=hour),  # the same message again, in another hour
            *sample.hit(at=2, expired=True),
            *sample.hit(Kind.OPEN, at=hour, campaign="spring", message=3),
            *sample.hit(at=3, tenant="b"),
        ]
    )
    assert hourly(store) == {"click": Count(4, 3, 2, 3, 2), "open": Count(1, 1, 1, 1, 1)}
    assert hourly(store, expired=True)["click"].recorded == 5
    assert hourly(store, types=("open",)) == {"open": Count(1, 1, 1, 1, 1)}
    assert hourly(store, campaigns=("spring",)) == {"open": Count(1, 1, 1, 1, 1)}
    assert hourly(store, campaigns=("spring", "autumn", "spring")) == hourly(store)
    assert hourly(store, from_ms=AT + hour)["click"] == Count(1, 1, 1, 1, 1)
    assert hourly(store, to_ms=AT + hour // 2)["click"] == Count(3, 2, 1, 2, 1)
    assert hourly(store, tenant="b") == {"click": Count(1, 1, 1, 1, 1)}
    assert hourly(store, messages=(f"{1:032x}",))["click"] == Count(3, 2, 2, 1, 1)


def test_totals_of_what_is_no_hit_do_not_depend_on_the_portions_it_came_in(
    store: EventStore, sample: SampleRows
) -> None:
    end = 3_600_000 - AT % 3_600_000
    for at in (end, end + 1, end + 2):
        store.add([*sample.injection(at), *sample.injection(at + 10)])
        store.roll_up()
    assert hourly(store)["injection"] == Count(6, 6, 6, 1, 1)
    store.add([*sample.injection(end + 3_600_000), *sample.injection(end, message=2)])
    assert hourly(store)["injection"] == Count(8, 8, 8, 3, 3)


def test_totals_do_not_depend_on_how_often_and_in_which_order(store: EventStore, sample: SampleRows) -> None:
    """A late hit makes one of the next hour a repeat."""
    end = 3_600_000 - AT % 3_600_000
    early, late = sample.hit(at=end - 1), sample.hit(at=end + 9_000)
    store.add(late)
    assert hourly(store)["click"].counted == 1
    for _ in range(2):
        store.add(early)
        assert hourly(store)["click"] == Count(2, 1, 1, 1, 1)
    assert hourly(store, from_ms=AT + end)["click"] == Count(recorded=1)
    assert store.roll_up() == 0


DAY = 86_400_000
DATED = {"a minute's turn before": -3_000, "days before": -3 * DAY, "ahead": 3_500_000}


@pytest.mark.parametrize("dated", DATED)
def test_an_injections_time_is_when_it_happened_not_what_its_id_begins_with(
    store: EventStore, sample: SampleRows, dated: str
) -> None:
    """The id of an injection begins with the mail's Date, up to a week before or an hour ahead."""
    (row,) = sample.injection(at=0, dated=DATED[dated])
    before, after = sample.hit(at=-1), sample.hit(at=1)
    store.add([row, *before, *after])
    newest_first = [after[0].event_id, row.event_id, before[0].event_id]
    assert found(store) == newest_first
    assert found(store, from_ms=AT) == newest_first[:2]
    assert found(store, from_ms=AT, to_ms=AT + 1) == [row.event_id]
    assert found(store, to_ms=AT) == newest_first[2:]
    cursor, paged = "", []
    while page := list(store.find(Query(limit=1, cursor=cursor))):
        paged += [event["event_id"] for event in page]
        cursor = cursor_of(page[-1])
    assert paged == newest_first
    assert store.counts(Query(from_ms=AT, to_ms=AT + 1)) == {"injection": Count(1, 1, 1, 1, 1)}
    assert hourly(store, from_ms=AT, to_ms=AT + 1)["injection"] == Count(1, 1, 1, 1, 1)


@pytest.mark.parametrize("dated", DATED)
def test_an_injection_is_found_by_its_id_whatever_its_date(
    store: EventStore, sample: SampleRows, dated: str
) -> None:
    (row,) = sample.injection(at=0, dated=DATED[dated])
    store.add([row, *sample.hit()])
    assert found(store, ids=(row.event_id,)) == [row.event_id]
    assert store.counts(Query(ids=(row.event_id,)))["injection"].recorded == 1


def test_an_hour_that_changes_all_the_time_does_not_keep_the_others_waiting(
    store: EventStore, sample: SampleRows
) -> None:
    """Time is over as soon as something was read, and there is news of the newest hour at each call."""
    hours = [-3 * 3_600_000, -2 * 3_600_000, 0]
    store.add([row for at in hours for row in sample.hit(at=at)])
    for _ in range(150):
        store.add(sample.hit())
        store.roll_up(0.0)
        if store.totals(Query(to_ms=AT - 3_600_000)) == {"click": Count(2, 2, 2, 2, 2)}:
            return
    raise AssertionError("hours were never made")


# --- erasing ---


def test_erasing_a_recipient_leaves_nothing_of_their_messages(store: EventStore, sample: SampleRows) -> None:
    mine = sample.injection() + sample.hit() + sample.hit(recipient="", at=1)
    others = sample.hit(message=2, recipient="ole@example.net")
    store.add(mine + others)
    assert store.erase("IDA@example.net") == 3
    assert store.erase("ida@example.net") == 0
    assert found(store) == ids(others)
    assert found(store, messages=(f"{1:032x}",)) == []
    store.add(sample.hit(at=int(time.time() * 1000) - AT + 60_000))
    (event,) = store.find(Query(messages=(f"{1:032x}",)))
    assert "subject" not in event


# --- what comes in ---


def test_arrivals_are_told_once_each_in_the_order_of_their_coming(
    store: EventStore, sample: SampleRows
) -> None:
    store.add(sample.hit(at=50))
    mark = store.arrivals("").mark
    late, later = sample.hit(at=-5000), sample.hit(at=10)
    store.add(late)
    store.add(later)
    came = store.arrivals(mark)
    assert [event["event_id"] for event in came.events] == ids(late + later)
    assert store.arrivals(came.mark).events == ()
    store.add(late)  # an engine may tell it twice
    assert {event["event_id"] for event in store.arrivals(came.mark).events} <= set(ids(late))


def test_arrivals_come_in_portions(store: EventStore, sample: SampleRows) -> None:
    mark = store.arrivals("").mark
    rows = [row for number in range(7) for row in sample.hit(at=number)]
    store.add(rows)
    got: list[str] = []
    while (came := store.arrivals(mark, 3)).events:
        got += [event["event_id"] for event in came.events]
        mark = came.mark
    assert got == ids(rows)


def test_arrivals_on_expired_links_are_passed_over(store: EventStore, sample: SampleRows) -> None:
    mark = store.arrivals("").mark
    store.add(sample.hit(expired=True))
    came = store.arrivals(mark)
    assert came.events == ()
    assert store.arrivals(mark, expired=True).events
    store.add(sample.hit(at=1))
    assert len(store.arrivals(came.mark).events) == 1


@pytest.mark.parametrize("mark", ["x", "-1", "1e3", "9" * 40, "½"])
def test_a_mark_of_somebody_else_means_from_now(store: EventStore, sample: SampleRows, mark: str) -> None:
    store.add(sample.hit())
    came = store.arrivals(mark)
    assert (came.events, came.mark) == ((), store.arrivals("").mark)


# --- taking away ---


def test_a_sweep_takes_what_is_older(sweeping_store: EventStore, sample: SampleRows) -> None:
    store = sweeping_store
    rows = sample.injection(at=-5000) + sample.hit(at=-1) + sample.hit(at=0)
    store.add(rows)
    assert store.sweep(AT) == 2
    assert found(store) == [rows[2].event_id]
    assert next(store.find(Query()))["subject"] == "Autumn"  # an event that stays keeps what it borrows
    assert store.sweep(AT + 1) == 2  # the last event, and then what it borrowed
    store.add(sample.hit(at=10))
    assert "subject" not in next(store.find(Query()))


@pytest.mark.parametrize("dated", DATED)
def test_a_sweep_goes_by_when_an_event_happened(
    sweeping_store: EventStore, sample: SampleRows, dated: str
) -> None:
    store = sweeping_store
    old = sample.injection(at=-1, message=2, dated=DATED[dated])
    fresh = sample.injection(at=0, dated=DATED[dated])
    store.add(old + fresh)
    store.sweep(AT)
    assert found(store) == ids(fresh)


def test_a_sweep_goes_in_portions(sweeping_store: EventStore, sample: SampleRows) -> None:
    store = sweeping_store
    store.add([row for number in range(7) for row in sample.injection(at=-7 + number, message=number)])
    went = [store.sweep(AT, 4) for _ in range(5)]
    assert went == [4, 4, 4, 2, 0]
    assert found(store) == []


def test_after_a_sweep_of_everything_arrivals_go_on(store: EventStore, sample: SampleRows) -> None:
    store.add(sample.hit())
    mark = store.arrivals("").mark
    store.sweep(AT + 1)
    rows = sample.hit(at=5)
    store.add(rows)
    assert [event["event_id"] for event in store.arrivals(mark).events] == ids(rows)


def test_a_row_no_engine_can_keep_is_refused_alone(store: EventStore, sample: SampleRows) -> None:
    good, bad = sample.hit(), sample.hit()
    broken = replace(bad[0], source={"type": "click", "event_id": bad[0].event_id, "x": object()})
    with pytest.raises(RowRefusedError):
        store.add([*good, broken])
    assert found(store) == []
    store.add(good)
    assert found(store) == ids(good)


def test_what_is_written_together_is_kept_as_a_whole(store: EventStore, sample: SampleRows) -> None:
    first, second, third = (sample.hit(at=60_000 * number) for number in range(3))
    with store.together():
        store.add(first)
        store.add(second)
    assert set(found(store)) == set(ids([*first, *second]))
    try:
        with store.together() as joined:
            store.add(third)
            raise ZeroDivisionError
    except ZeroDivisionError:
        assert set(found(store)) == set(ids([*first, *second] if joined else [*first, *second, *third]))
    store.add(third)
    store.roll_up()
    assert store.totals(Query())["click"].recorded == 3


def test_a_row_that_is_there_goes_with_no_other(store: EventStore, sample: SampleRows) -> None:
    first, second = sample.hit(), sample.hit(at=60_000)
    store.add(first)
    try:
        with store.together() as joined:
            store.add(second)
            store.add(first)
    except NotTogetherError:
        assert joined
        assert found(store) == ids(first)
        store.add([*second, *first])
    assert set(found(store)) == set(ids([*first, *second]))
