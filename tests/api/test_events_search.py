"""The search of events: parameters in all their spellings, filters, both forms of links, pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.api_site import ApiSite, make_api_site
from contract.store_samples import AT, SampleRows
from engagement.events.model import Injection, MessageEvent
from engagement.events.rows import EventRow, rows
from engagement.links.model import Kind
from engagement.stores.memory import MemoryStore
from engagement.stores.sqlite.store import SqliteStore
from tracker_web.api.events.filters import Filters
from tracker_web.api.events.keywords import matches
from tracker_web.api.events.paging import Cursor, CursorError, packed, page, unpacked
from tracker_web.api.moments import unix_ms

SPAN = "from=2026-10-26T00:00&to=2026-10-28T00:00"


def injection(number: int, campaign: str, subject: str, **more: Any) -> Injection:
    return Injection(
        f"00000000-0000-7000-8000-{number:012x}", AT + number, number.to_bytes(16, "big"), 70 + number,
        f"R{number}@{'ab'[number % 2]}.mail.example", "b@example.org", f"News@shop{number}.example", subject,
        campaign, ("letter", f"t{number}"), '{"shop":"north"}', "12",
        False, True, True, False, False, 9, f"Q{number}", "", {},
        message_id_header=f"<{number}@example.org>", **more,
    )  # fmt: skip


def bounce(
    number: int, of: Injection, kind: str = "bounce", reason: str = "550 mailbox is full"
) -> list[EventRow]:
    name = f"00000000-0000-7000-9000-{number:012x}"
    event = MessageEvent(
        name, AT + 5000 + number, kind, "mx", of.queue_id, 7, bounce_class=22, raw_reason=reason,
        sending_ip="192.0.2.40", error_code="550", queue_time=12,
    )  # fmt: skip
    return list(rows(event, injection=of))


ONE = injection(1, "autumn-letter", "Our autumn letter")
TWO = injection(2, "spring_sale", "Spring: prices")
NAMES = {
    "one": f"00000000-0000-7000-8000-{1:012x}",
    "two": f"00000000-0000-7000-8000-{2:012x}",
    "bounce": f"00000000-0000-7000-9000-{1:012x}",
    "delay": f"00000000-0000-7000-9000-{2:012x}",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> ApiSite:
    made = make_api_site(tmp_path_factory.mktemp("site"))
    made.add([*rows(ONE), *rows(TWO), *bounce(1, ONE), *bounce(2, TWO, "delay", "451 greylisted, wait")])
    return made


def names(answer: Any) -> set[str]:
    ids = {name: key for key, name in NAMES.items()}
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return {ids[event["event_id"]] for event in answer.json["results"]}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"one", "two", "bounce", "delay"}),
        ("events=bounce", {"bounce"}),
        ("events=bounce,delay", {"bounce", "delay"}),
        ("events=bounce&events=delay", {"bounce", "delay"}),
        ("events[]=bounce&events[]=delay", {"bounce", "delay"}),
        ("events=bounce%3Bdelay&delimiter=%3B", {"bounce", "delay"}),
        ("events=sms_status", set()),
        ("events=sms_status,bounce", {"bounce"}),
        ("recipients=r1@b.mail.example", {"one", "bounce"}),
        ("recipients=R1%40B.mail.example,nobody@x.example", {"one", "bounce"}),
        ("recipient_domains=mail.example", {"one", "two", "bounce", "delay"}),
        ("recipient_domains=b.mail", {"one", "bounce"}),
        ("recipient_domains=mai", set()),
        ("from_addresses=news@SHOP2.example", {"two", "delay"}),
        ("friendly_froms=news@shop2.example", {"two", "delay"}),
        ("sending_domains=shop1", {"one", "bounce"}),
        ("subjects=AUTUMN", {"one", "bounce"}),
        ("subjects=autumn letter", {"one", "bounce"}),
        ("subjects=letter autumn", set()),
        ("campaigns=autumn", {"one", "bounce"}),
        ("campaign_ids=sale,letter", {"one", "two", "bounce", "delay"}),
        ("campaigns=aut", set()),
        ("reasons=full", {"bounce"}),
        ("reason=greylisted,", set()),
        ("reason=wait", {"delay"}),
        ("reasons=full&events=delay", set()),
        ("bounce_classes=22", {"bounce", "delay"}),
        ("messages=" + "00" * 15 + "01", {"one", "bounce"}),
        ("message_ids=" + "00" * 15 + "02", {"two", "delay"}),
        ("message_ids=nonsense", set()),
        ("transmissions=71", {"one", "bounce"}),
        ("transmission_ids=72", {"two", "delay"}),
        ("event_ids=" + NAMES["one"], {"one"}),
        ("event_ids=nonsense", set()),
        ("sending_ips=192.0.2.40", {"bounce", "delay"}),
        ("x_message_id_headers=%3C1@example.org%3E", {"one", "bounce"}),
        ("message_id_header=%3C1@example.org%3E", {"one", "bounce"}),
        ("x_tags=t2", {"two", "delay"}),
        ("templates=a", set()),
        ("ip_pools=a", set()),
        ("ab_tests=a&ab_test_versions=1", set()),
        ("subaccounts=0", {"one", "two", "bounce", "delay"}),
        ("subaccounts=7", set()),
        ("recipients=r1@b.mail.example&campaigns=spring", set()),
        ("whatever=1&events=bounce", {"bounce"}),
    ],
)
def test_filters(site: ApiSite, query: str, found: set[str]) -> None:
    assert names(site.get(f"/events/message?{SPAN}&{query}")) == found


@pytest.mark.parametrize(
    ("text", "value", "domain", "does"),
    [
        ("blackfriday-specials", "blackfriday", False, True),
        ("blackfriday-specials", "friday", False, False),
        ("a b_c", "B-C", False, True),
        ("a b", "-", False, False),
        ("info.example.com", "example.com", True, True),
        ("example.com.uk", "example.com", True, True),
        ("example.com.uk", "ample.com", True, False),
    ],
)
def test_keywords(text: str, value: str, domain: bool, does: bool) -> None:
    assert matches(text, [value], domain=domain) is does


@pytest.mark.parametrize(
    "query",
    [
        "from=yesterday",
        "to=2026-13-01T00:00",
        "to=2026-10-26T24:61",
        "from=2026-10-28T00:00&to=2026-10-26T00:00",
        "timezone=Atlantis",
        "per_page=0",
        "per_page=10001",
        "per_page=many",
        "page=2",
        "cursor=nonsense",
        "cursor=eJwrSS0uAQAEXQHB",
        "bounce_classes=full",
        "ab_test_versions=1",
        "x_expired=perhaps",
    ],
)
def test_what_cannot_be_asked_is_400_and_names_the_parameter(site: ApiSite, query: str) -> None:
    for path in ("/events/message", "/message-events"):
        answer = site.get(f"{path}?{query}")
        assert answer.status_code == 400, query
        (error,) = answer.json["errors"]
        assert error["param"].partition(".")[0] == query.split("=")[0] or "from" in query
        assert error["message"].startswith(f"'{error['param']}' ")


HOUR = 3_600_000


@pytest.mark.parametrize(
    ("text", "zone", "ms"),
    [
        ("2026-10-26T08:02:02Z", "UTC", AT),
        ("2026-10-26T08:02:02", "UTC", AT),
        ("2026-10-26T08:02", "UTC", AT - 2000),
        ("2026-10-26T09:02:02", "Europe/Oslo", AT),
        ("2026-10-26T08:02:02Z", "Europe/Oslo", AT),
        ("2026-10-26T08:02:02.114+00:00", "UTC", AT + 114),
        ("2026-10-26T10:02:02+0200", "UTC", AT),
        ("2026-10-26T10:02:02 02:00", "UTC", AT),  # a plus that a form decoded
        ("2026-10-26T06:02:02-02:00", "UTC", AT),
        ("2026-10-26 08:02:02", "UTC", AT),
        ("2026-10-26T08:01:60Z", "UTC", AT - 2000),
        ("2026-10-26", "UTC", AT - 8 * HOUR - 122_000),
    ],
)
def test_times_in_all_their_forms(text: str, zone: str, ms: int) -> None:
    assert unix_ms(text, zone) == ms


@given(st.text(max_size=30))
def test_what_is_no_time_is_a_value_error(text: str) -> None:
    try:
        unix_ms(text)
    except (ValueError, OverflowError):
        return
    assert text[:4].isdigit()


def test_times_are_the_first_included_and_the_last_not(site: ApiSite) -> None:
    at = "2026-10-26T08:02:02.001Z"
    assert names(site.get(f"/events/message?from={at}&to=2026-10-26T08:02:02.002Z")) == {"one"}
    assert names(site.get(f"/events/message?from={at}&to={at}")) == set()


def test_without_times_it_is_a_day_up_to_a_minute_ago(tmp_path: Path) -> None:
    from tracker_web.api.events.calls import Search, filters_of

    requested = Search().load({})
    filters = filters_of(requested, AT / 1000)
    assert (filters.from_ms, filters.to_ms) == (AT - 24 * HOUR, AT - 60_000)


def test_fields_are_those_that_clients_read(site: ApiSite) -> None:
    (event,) = site.get(f"/events/message?{SPAN}&events=bounce").json["results"]
    assert event["timestamp"] == "2026-10-26T08:02:07.001+00:00"
    assert event["rcpt_meta"] == {"shop": "north"}
    assert event["rcpt_tags"] == ["letter", "t1"]
    assert (event["bounce_class"], event["error_code"], event["queue_time"]) == ("22", "550", "12")
    assert event["campaign_id"] == "autumn-letter"


@pytest.mark.parametrize("more", ["", "&campaigns=letter,sale", "&sending_domains=example"])
@pytest.mark.parametrize("path", ["/events/message", "/message-events"])
def test_pages_by_links_of_both_forms(site: ApiSite, path: str, more: str) -> None:
    key, seen, sizes = site.key("events/view"), list[str](), list[int]()
    url = f"{path}?{SPAN}&per_page=3{more}"
    while url:
        answer = site.get(url, key)
        assert answer.status_code == 200
        seen += [event["event_id"] for event in answer.json["results"]]
        sizes.append(len(answer.json["results"]))
        links = answer.json["links"]
        if path == "/message-events":
            assert isinstance(links, list)
            href = links[0]["href"] if links else ""
            assert [link["rel"] for link in links] in ([], ["next"])
        else:
            href = links.get("next", "")
        assert href.startswith((f"/api/v1{path}?", "")) if href else True
        url = href.removeprefix("/api/v1")
    assert sizes == [3, 1]
    assert len(set(seen)) == 4


def test_total_is_counted_once_and_told_on_each_page(site: ApiSite) -> None:
    first = site.get(f"/events/message?{SPAN}&per_page=3").json
    second = site.get(first["links"]["next"].removeprefix("/api/v1")).json
    assert (first["total_count"], second["total_count"], second["links"]) == (4, 4, {})


def test_cursor_alone_keeps_the_filters_and_the_tenant_is_the_keys(site: ApiSite) -> None:
    first = site.get(f"/events/message?{SPAN}&per_page=1&recipients=r1@b.mail.example").json
    cursor = first["links"]["next"].partition("cursor=")[2].partition("&")[0]
    assert names(site.get(f"/events/message?cursor={cursor}")) == {"one"}
    stranger = site.key("events/view", tenant="north")
    assert names(site.get(f"/events/message?cursor={cursor}", stranger)) == set()


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.hex()))
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(CursorError):
        unpacked(text)


def test_cursor_that_unpacks_to_gigabytes_is_refused() -> None:
    import base64
    import zlib

    bomb = base64.urlsafe_b64encode(zlib.compress(b" " * 10_000_000)).decode()
    with pytest.raises(CursorError):
        unpacked(bomb)


def test_cursor_survives_being_taken_apart_by_clients() -> None:
    made = packed(
        Cursor(
            Filters(1, 2, recipients=("å@x.example", "a&b=c@x")), "2026-10-26T08:02:02.001Z/" + NAMES["one"]
        )
    )
    assert made.isascii()
    assert not set(made) & set("&=?/+% ")
    assert unpacked(made).filters.recipients == ("å@x.example", "a&b=c@x")


# --- nothing is missed and nothing comes twice while events arrive ---

_PLACES = st.integers(0, 40)


@st.composite
def _stories(draw: st.DrawFn) -> tuple[list[int], list[list[int]], int, bool]:
    """Times of events that are there, of what arrives before each page, size of pages, by keyword."""
    there = draw(st.lists(_PLACES, max_size=30))
    arriving = draw(st.lists(st.lists(_PLACES, max_size=4), max_size=12))
    return there, arriving, draw(st.integers(1, 7)), draw(st.booleans())


def _story(store: MemoryStore | SqliteStore, arrivals: tuple[list[int], list[list[int]], int, bool]) -> None:
    there, arriving, size, by_keyword = arrivals
    sample = SampleRows()

    def arrive(places: list[int]) -> list[str]:
        made = [row for place in places for row in sample.hit(Kind.OPEN, place, campaign="autumn-letter")]
        store.add(made)
        return [row.event_id for row in made]

    begun = arrive(there)
    keywords = ("letter",) if by_keyword else ()
    filters, after, seen = Filters(AT, AT + 30, campaigns=keywords, x_expired=True), None, list[str]()
    steps: Iterator[list[int]] = iter(arriving)
    while True:
        found = page(store, filters, "", size, after)
        assert len(found.events) <= size
        seen += [event["event_id"] for event in found.events]
        after = found.next and unpacked(packed(found.next))
        if after is None:
            break
        arrive(next(steps, []))
    assert len(seen) == len(set(seen)), "an event came twice"
    expected = {name for name, place in zip(begun, there, strict=True) if place < 30}
    assert expected <= set(seen), "an event that was there is missing"


@settings(deadline=None)
@given(_stories())
def test_pages_have_no_gaps_and_no_repeats_while_events_arrive(
    arrivals: tuple[list[int], list[list[int]], int, bool],
) -> None:
    _story(MemoryStore(), arrivals)


@settings(max_examples=15, deadline=None)
@given(_stories())
def test_the_same_in_a_file(
    tmp_path_factory: pytest.TempPathFactory, arrivals: tuple[list[int], list[list[int]], int, bool]
) -> None:
    store = SqliteStore(tmp_path_factory.mktemp("events") / "events.db", writing=True)
    try:
        _story(store, arrivals)
    finally:
        store.close()
