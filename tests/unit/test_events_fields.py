"""Fields as users know them (contract.md 7.2)."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engagement.classify.shipped import classify, shipped
from engagement.events.agents import parsed_agent, with_agent
from engagement.events.field_values import timestamp
from engagement.events.fields import ALL_TYPES, borrowed, join, to_fields
from engagement.events.rows import repeats, rows
from engagement.links.model import BadToken, Kind, Link
from unit.event_samples import AT, hit, identity, injection

LEFT_OUT: tuple[object, ...] = ("", [], {}, None, 0)


def test_a_click_has_the_fields_of_the_contract() -> None:
    event = hit()
    assert to_fields(event, injection()) == {
        "type": "click",
        "event_id": event.id,
        "timestamp": "2026-10-26T08:02:02.373Z",
        "message_id": "00000000000000000000000000000001",
        "transmission_id": "73120948816540217",
        "customer_id": "12",
        "campaign_id": "autumn-letter",
        "rcpt_to": "ida.holm@example.net",
        "raw_rcpt_to": "Ida.Holm@Example.net",
        "recipient_domain": "example.net",
        "rcpt_meta": {"shop": "north", "n": [1, 2]},
        "rcpt_tags": ["letter", "nl"],
        "friendly_from": "news@Example.org",
        "sending_domain": "example.org",
        "msg_from": "b-77@bounce.example.org",
        "subject": "Our autumn letter",
        "msg_size": "20480",
        "injection_time": "2026-10-26T08:01:02.373Z",
        "transactional": "0",
        "open_tracking": True,
        "click_tracking": True,
        "initial_pixel": False,
        "amp_enabled": False,
        "cust_plan": "gold",
        "target_link_url": "https://shop.example.org/a?x=1&y=",
        "target_link_name": "top banner",
        "ip_address": "203.0.113.9",
        "user_agent": event.user_agent,
        "accept_language": "nb-NO",
        "user_agent_parsed": {"is_proxy": False, "is_prefetched": False},
        "x_client_class": "human",
        "x_client_reason": "browser",
        "x_client_rules": shipped().version,
        "x_host": "click.example.org",
    }


def test_an_injection_has_its_fields() -> None:
    event = injection(outcome="no-link", rcpt_type="cc", transactional=True)
    fields = to_fields(event)
    assert fields["type"] == "injection"
    assert fields["timestamp"] == fields["injection_time"] == timestamp(event.at_ms)
    assert (fields["rcpt_to"], fields["raw_rcpt_to"]) == ("ida.holm@example.net", "Ida.Holm@Example.net")
    assert (fields["x_outcome"], fields["x_queue_id"], fields["rcpt_type"]) == ("no-link", "4bQx1z0", "cc")
    assert (fields["transactional"], fields["msg_size"]) == ("1", "20480")
    assert fields["subject"] == event.subject


@pytest.mark.parametrize(("kind", "name"), list(zip(Kind, ALL_TYPES[:7], strict=True)))
def test_each_kind_has_its_type(kind: Kind, name: str) -> None:
    fields = to_fields(hit(kind))
    assert fields["type"] == name == kind.name.lower()
    assert ("target_link_url" in fields) == ("click" in name)
    assert ("user_agent" in fields) == (name != "list_unsubscribe")


def test_a_link_without_a_name_is_a_raw_url() -> None:
    assert to_fields(hit(link=Link(b"https://a.example/")))["target_link_name"] == "Raw URL"


def test_without_its_injection_an_event_has_what_its_link_knows() -> None:
    fields = to_fields(hit())
    assert "subject" not in fields
    assert fields["campaign_id"] == "autumn-letter"
    assert fields["injection_time"] == "2026-10-26T08:01:02.000Z"  # to the second


def test_metadata_that_a_link_left_behind_comes_from_the_injection() -> None:
    """click_tracking_include_metadata = false keeps it out of click links (contract.md 1.5)."""
    fields = to_fields(hit(whose=identity(metadata="")), injection())
    assert fields["rcpt_meta"] == {"shop": "north", "n": [1, 2]}


def test_a_link_without_recipient_stays_without_one() -> None:
    """The privacy modes aggregate and hygiene: nothing may put the address back."""
    fields = to_fields(hit(whose=identity(recipient="")), injection(), hash_key=b"key")
    assert not [name for name in fields if "rcpt_to" in name or "hash" in name or name == "recipient_domain"]


def test_the_hash_of_a_recipient_is_keyed_and_has_40_digits() -> None:
    first, second = to_fields(hit(), hash_key=b"one"), to_fields(hit(), hash_key=b"two")
    assert re.fullmatch("[0-9a-f]{40}", first["rcpt_hash"])
    assert first["rcpt_hash"] != second["rcpt_hash"]
    assert (
        to_fields(injection(recipient="ida.holm@EXAMPLE.net"), hash_key=b"one")["rcpt_hash"]
        == first["rcpt_hash"]
    )


def test_unsubscribing_names_the_senders_address() -> None:
    assert to_fields(hit(Kind.LIST_UNSUBSCRIBE), injection())["mailfrom"] == "b-77@bounce.example.org"
    assert "mailfrom" not in to_fields(hit(), injection())


def test_a_hit_that_is_odd_says_so() -> None:
    fields = to_fields(hit(spoiled=True, expired=True))
    assert (fields["x_spoiled"], fields["x_expired"]) == (True, True)


def test_head_is_a_probe_and_keeps_its_type() -> None:
    fields = to_fields(hit(method="HEAD"))
    assert (fields["type"], fields["x_client_class"]) == ("click", "probe")


TEXT = st.text(st.characters(codec=None), max_size=12)


@settings(max_examples=80)
@given(TEXT, TEXT, TEXT)
def test_fields_are_valid_json_without_empty_values(agent: str, subject: str, recipient: str) -> None:
    event = hit(user_agent=agent, whose=identity(recipient=recipient))
    fields = to_fields(event, injection(subject=subject, friendly_from=agent, metadata='{"a": "\\ud800"}'))
    text = json.dumps(fields, ensure_ascii=False, allow_nan=False)
    assert json.loads(text.encode("utf-8")) == fields
    for name, value in fields.items():
        assert isinstance(value, bool) or value not in LEFT_OUT, name
        assert not isinstance(value, int) or isinstance(value, bool), name
        assert "\0" not in str(value)


@pytest.mark.parametrize("metadata", ["", "[1]", "{", "NaN", '{"a": NaN}', '{"a": -1e999}', "3", "[" * 9000])
def test_metadata_that_is_no_object_is_left_out(metadata: str) -> None:
    assert "rcpt_meta" not in to_fields(injection(metadata=metadata))


def test_bytes_hidden_in_text_are_shown_if_they_are_utf_8() -> None:
    assert to_fields(injection(subject="\udcc3\udca6ble"))["subject"] == "æble"
    assert to_fields(injection(subject="\udcc3ble"))["subject"] == "\N{REPLACEMENT CHARACTER}ble"


def test_a_time_no_calendar_has_is_still_a_time() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00.000Z"
    assert timestamp((1 << 48) - 1) == "9999-12-31T23:59:59.999Z"
    assert timestamp(1 << 70) == "9999-12-31T23:59:59.999Z"


def test_joining_later_gives_the_same_fields() -> None:
    """A store joins when it is asked, as an injection may come after the click."""
    event, known = hit(), injection()
    assert join(to_fields(event), borrowed(known)) == to_fields(event, known)


# --- rows ---


def test_an_unsubscribe_link_gives_two_events() -> None:
    """contract.md 11 row 18."""
    event = hit(link=Link(b"https://example.org/bye", "", unsubscribe=True))
    click, second = rows(event)
    assert (click.type, second.type) == ("click", "link_unsubscribe")
    assert click.event_id == event.id != second.event_id
    assert second.fields["event_id"] == second.event_id
    assert second.fields["target_link_url"] == "https://example.org/bye"
    assert rows(event) == (click, second)


def test_a_probe_of_an_unsubscribe_link_unsubscribes_nobody() -> None:
    (row,) = rows(hit(link=Link(b"https://example.org/bye", "", unsubscribe=True), method="HEAD"))
    assert row.type == "click"


def test_an_injection_gives_a_row_and_what_others_borrow() -> None:
    event = injection()
    (row,) = rows(event)
    assert row.message == borrowed(event)
    assert (row.link, row.client, row.expired) == ("", "", False)


def test_an_injection_without_a_message_id_is_a_row_that_lends_nothing() -> None:
    """A message that nobody is to track may have none."""
    (row,) = rows(injection(message_id=b""))
    assert (row.message_id, row.message) == ("", None)
    assert "message_id" not in row.fields


def test_a_payload_that_is_not_ours_is_refused() -> None:
    with pytest.raises(BadToken):
        rows(hit(packed=b"\xc1"))


def test_repeats_within_ten_seconds_are_one_event() -> None:
    """contract.md 6.3. A repeat of a repeat is one too, and the order of telling does not matter."""
    offsets = (0, 9_999, 19_998, 29_998, 40_000)
    found = [rows(hit(at_ms=AT + offset))[0] for offset in offsets]
    expected = {found[1].event_id, found[2].event_id}
    assert repeats(found) == expected
    assert repeats(found[::-1]) == expected


def test_other_links_kinds_classes_and_messages_are_no_repeats() -> None:
    found = [
        rows(event)[0]
        for event in (
            hit(),
            hit(at_ms=AT + 1, link=Link(b"https://other.example/")),
            hit(Kind.OPEN, at_ms=AT + 2),
            hit(at_ms=AT + 3, user_agent="curl/8.0"),
            hit(at_ms=AT + 4, whose=identity(2)),
            injection(),
            injection(),
        )
    ]
    assert repeats(found) == frozenset()


# --- classes ---


@pytest.mark.parametrize(
    ("agent", "kind", "method", "client", "reason"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", Kind.CLICK, "GET", "human", "browser"),
        ("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", Kind.CLICK, "HEAD", "probe", "head"),
        ("Mozilla/5.0 (via ggpht.com GoogleImageProxy)", Kind.OPEN, "GET", "proxy", "image-proxy"),
        ("YahooMailProxy; https://help.yahoo.com/", Kind.OPEN, "GET", "proxy", "image-proxy"),
        ("Mozilla/5.0", Kind.OPEN, "GET", "prefetch", "apple-privacy"),
        ("Mozilla/5.0", Kind.AMP_INITIAL_OPEN, "GET", "prefetch", "apple-privacy"),
        ("Mozilla/5.0", Kind.CLICK, "GET", "unknown", "bare-agent"),
        ("", Kind.OPEN, "GET", "unknown", "no-user-agent"),
        ("  ", Kind.CLICK, "GET", "unknown", "no-user-agent"),
        ("curl/8.9.1", Kind.CLICK, "GET", "scanner", "library"),
        ("BarracudaCentral", Kind.CLICK, "GET", "scanner", "mail-filter"),
        ("Google-Safety; +http://www.google.com/bot.html", Kind.CLICK, "GET", "scanner", "mail-filter"),
        ("Mozilla/4.0 (compatible; ms-office; MSOffice 16)", Kind.OPEN, "GET", "human", "mail-program"),
        ("Mozilla/5.0 (X11; rv:128.0) Thunderbird/128.2", Kind.OPEN, "GET", "human", "mail-program"),
    ],
)
def test_who_was_it(agent: str, kind: Kind, method: str, client: str, reason: str) -> None:
    label = classify(hit(kind, user_agent=agent, method=method))
    assert (label.client, label.reason, label.rules) == (client, reason, shipped().version)


def test_a_spoiled_link_followed_by_a_browsers_name_is_a_scanner() -> None:
    label = classify(hit(spoiled=True))
    assert (label.client, label.reason) == ("scanner", "spoiled-link")


def test_machines_are_told_apart_in_the_parsed_agent() -> None:
    proxy = to_fields(hit(Kind.OPEN, user_agent="x GoogleImageProxy"))["user_agent_parsed"]
    ahead = to_fields(hit(Kind.OPEN, user_agent="Mozilla/5.0"))["user_agent_parsed"]
    assert (proxy["is_proxy"], proxy["is_prefetched"]) == (True, False)
    assert (ahead["is_proxy"], ahead["is_prefetched"]) == (False, True)


def test_only_what_is_no_more_than_probable_says_so() -> None:
    assert to_fields(hit(Kind.OPEN, user_agent="Mozilla/5.0"))["x_client_certain"] is False
    assert "x_client_certain" not in to_fields(hit(Kind.OPEN))


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)",
            {"os_family": "iOS", "os_version": "17.5", "device_brand": "Apple", "is_mobile": True},
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0) Thunderbird/128.0",
            {"agent_family": "Thunderbird", "is_mobile": False},
        ),
        ("", {}),
        ("withheld", {}),
        ("withheld apple-privacy bare-agent", {}),
    ],
)
def test_an_agent_is_told_in_words(agent: str, expected: dict[str, object]) -> None:
    found = parsed_agent(agent)
    assert expected.items() <= found.items()
    assert bool(found) == bool(expected)
    fields = to_fields(hit(Kind.OPEN, user_agent=agent))
    shown = with_agent(fields)
    assert shown["user_agent_parsed"] == fields["user_agent_parsed"] | found
    assert shown | {"user_agent_parsed": fields["user_agent_parsed"]} == fields


def test_what_has_no_agent_is_shown_as_it_is() -> None:
    for event in (injection(), hit(Kind.LIST_UNSUBSCRIBE)):
        assert with_agent(to_fields(event)) == to_fields(event)
