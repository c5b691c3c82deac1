"""Events as SparkPost's clients read them (contract.md 7.1 and 7.2)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.events.api_event import BOOLEANS, GROUPS, OBJECTS, api_event, unix_ms, webhook_event
from engagement.events.field_values import timestamp
from engagement.events.fields import ALL_TYPES, to_fields
from unit.event_samples import AT, hit, injection


def test_the_api_gives_a_time_that_go_can_read() -> None:
    assert api_event(to_fields(hit()))["timestamp"] == "2026-10-26T08:02:02.373+00:00"


def test_a_webhook_gives_unix_seconds_as_text_alone_in_its_group() -> None:
    fields = to_fields(hit(), injection())
    sent = webhook_event(fields)
    assert list(sent) == ["msys"]
    assert list(sent["msys"]) == ["track_event"]
    event = sent["msys"]["track_event"]
    assert event["timestamp"] == str(hit().at_ms // 1000)
    assert {**event, "timestamp": ""} == {**api_event(fields), "timestamp": ""}


def test_every_type_has_the_group_that_sparkpost_sends_it_in() -> None:
    assert set(GROUPS) == set(ALL_TYPES)
    assert GROUPS["click"] == GROUPS["amp_initial_open"] == "track_event"
    assert GROUPS["link_unsubscribe"] == GROUPS["list_unsubscribe"] == "unsubscribe_event"
    assert GROUPS["injection"] == GROUPS["spam_complaint"] == GROUPS["expiration"] == "message_event"


def test_all_but_named_fields_are_text() -> None:
    for fields in (to_fields(hit(), injection()), to_fields(injection())):
        event = api_event(fields)
        assert {type(value) for name, value in event.items() if name in BOOLEANS} == {bool}
        others = set(event) - BOOLEANS - OBJECTS - {"rcpt_tags"}
        assert {name for name in others if not isinstance(event[name], str)} == set()
        assert event["rcpt_tags"] == ["letter", "nl"]
        assert event["rcpt_meta"] == {"shop": "north", "n": [1, 2]}


def test_a_number_or_a_truth_value_in_a_variable_becomes_text() -> None:
    event = api_event(
        {"type": "click", "cust_plan": 7, "cust_paid": True, "cust_list": [1], "rcpt_tags": [1]}
    )
    assert (event["cust_plan"], event["cust_paid"], event["cust_list"]) == ("7", "1", "[1]")
    assert event["rcpt_tags"] == ["1"]


def test_what_the_store_gave_is_not_changed() -> None:
    fields = to_fields(hit(), injection())
    before = json.dumps(fields)
    api_event(fields)
    webhook_event(fields)
    assert json.dumps(fields) == before


def test_an_event_of_no_known_type_has_no_group() -> None:
    with pytest.raises(ValueError, match="no type"):
        webhook_event({"type": "sms_status", "timestamp": timestamp(AT)})


@given(st.integers(0, 253402300799999))
def test_a_time_is_read_back_to_the_millisecond(ms: int) -> None:
    assert unix_ms(timestamp(ms)) == ms
