"""What context variables may hold, what is cut, and what a privacy mode takes away (contract.md 1.5, 4.1)."""

import json
from collections.abc import Mapping

import pytest

from engagement.settings import Where, load_text
from engagement.settings.schema import PrivacyMode
from smtpapi.model.outcome import Refuse
from smtpapi.request.decision import Decision, OptionDecision, SiteWide, decide
from smtpapi.request.x_msys_api import XMsysApi, parse

_SCOPE = load_text('smtpapi { } ESMTP_Listener { tracking_domain = "t.example.net" }').scoped(Where())


def settled(
    context: Mapping[str, str], fields: object = None, site: SiteWide | None = None
) -> OptionDecision | Refuse:
    directive = parse([json.dumps(fields).encode()] if fields is not None else [])
    assert isinstance(directive, XMsysApi)
    return decide(_SCOPE.options, site or SiteWide(), directive, context)


def decided(context: Mapping[str, str], fields: object = None, site: SiteWide | None = None) -> Decision:
    result = settled(context, fields, site)
    assert isinstance(result, OptionDecision)
    return result.decision


def warnings(
    context: Mapping[str, str], fields: object = None, site: SiteWide | None = None
) -> tuple[str, ...]:
    result = settled(context, fields, site)
    assert isinstance(result, OptionDecision)
    return result.warnings


def refused(context: Mapping[str, str]) -> str:
    result = settled(context)
    assert isinstance(result, Refuse)
    assert (result.code, result.status) == ("550", "5.6.0")
    return result.text


@pytest.mark.parametrize("text", ["1", "true", "TRUE", "on", "yes", "enabled", " 1 "])
def test_spellings_of_true(text: str) -> None:
    assert decided({"smtpapi_open_tracking": text}).opens is True


@pytest.mark.parametrize("text", ["0", "false", "Off", "no", "disabled"])
def test_spellings_of_false(text: str) -> None:
    assert decided({"smtpapi_open_tracking": text}, {"options": {"open_tracking": True}}).opens is False


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("smtpapi_open_tracking", "2", "true or false"),
        ("smtpapi_click_tracking", "maybe", "true or false"),
        ("smtpapi_initial_open", "x", "true or false"),
        ("smtpapi_click_tracking_scheme", "ftp", "http or https"),
        ("smtpapi_open_tracking_scheme", "https://", "http or https"),
        ("smtpapi_tracking_domain", "https://x.example", "host or host:port"),
        ("smtpapi_tracking_domain", "x.example/path", "host or host:port"),
        ("smtpapi_tracking_domain", "a b", "host or host:port"),
        ("smtpapi_tracking_domain", "u@x.example", "host or host:port"),
        ("smtpapi_tracking_domain", "x.example:0", "host or host:port"),
        ("smtpapi_tracking_domain", "x.example\r\nX: y", "host or host:port"),
        ("smtpapi_tracking_link_expiry", "1h", "a whole number of seconds"),
        ("smtpapi_tracking_link_expiry", "1.5", "a whole number of seconds"),
        ("smtpapi_tracking_link_expiry", "9" * 16, "a whole number of seconds"),
        ("mo_customer_id", "x" * 256, "at most 255 bytes"),
    ],
)
def test_a_bad_variable_is_ignored_and_told(name: str, value: str, expected: str) -> None:
    fields = {"options": {"open_tracking": True, "click_tracking": True, "initial_open": True}}
    assert decided({name: value}, fields) == decided({}, fields)
    assert warnings({name: value}, fields) == (f"context variable {name} ignored: expected {expected}",)


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("-5", -5), ("+60", 60), ("9" * 15, 2**40)])
def test_any_whole_number_is_an_expiry_within_reason(text: str, seconds: int) -> None:
    assert decided({"smtpapi_tracking_link_expiry": text}).expiry == seconds


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("smtpapi_metadata", "[]", "smtpapi_metadata must be of type 'json object'"),
        ("smtpapi_metadata", '"x"', "smtpapi_metadata must be of type 'json object'"),
        ("smtpapi_tags", "{}", "smtpapi_tags must be of type 'json array'"),
        ("smtpapi_tags", "1", "smtpapi_tags must be of type 'json array'"),
        (
            "smtpapi_metadata",
            "{'a':1}",
            "JSON parsing error in smtpapi_metadata: expected a name in double quotes at character 2",
        ),
        ("smtpapi_tags", "cat, dog", "JSON parsing error in smtpapi_tags: expected a value at character 1"),
        ("smtpapi_campaign_id", "x" * 65, "smtpapi_campaign_id context is limited to 64 bytes"),
        ("smtpapi_campaign_id", "é" * 33, "smtpapi_campaign_id context is limited to 64 bytes"),
        ("smtpapi_campaign_id", "a\nb", "smtpapi_campaign_id context must not hold line breaks"),
    ],
)
def test_bad_labels_of_policy_refuse_the_mail_and_name_the_variable(name: str, value: str, text: str) -> None:
    assert refused({name: value}) == text


def test_null_labels_of_policy_are_not_set() -> None:
    fields = {"tags": ["h"], "metadata": {"h": 1}}
    assert decided({"smtpapi_tags": "null", "smtpapi_metadata": "null"}, fields) == decided({}, fields)


def test_tags_of_policy_obey_the_limits_of_the_header() -> None:
    eleven = json.dumps([None, *[f"t{n}" for n in range(11)]])
    assert decided({"smtpapi_tags": eleven}).tags == tuple(f"t{n}" for n in range(10))
    assert warnings({"smtpapi_tags": eleven}) == ("1 tags ignored: a message has at most 10",)


# --- metadata


@pytest.mark.parametrize(("size", "carried"), [(999, True), (1000, True), (1001, False)])
def test_metadata_up_to_the_limit_is_carried_whole(size: int, carried: bool) -> None:
    value = "x" * (size - len('{"k":""}'))
    decision = decided({}, {"metadata": {"k": value}})
    assert decision.metadata == (f'{{"k":"{value}"}}' if carried else "")
    assert len(f'{{"k":"{value}"}}') == size


def test_whole_pairs_are_kept_in_their_order_while_they_fit() -> None:
    fields = {"metadata": {"a": 1, "b": "x" * 20, "c": 3}}
    site = SiteWide(max_metadata_len=len('{"a":1}') + 5)
    assert decided({}, fields, site).metadata == '{"a":1}'
    assert warnings({}, fields, site) == ("2 metadata pairs do not fit into max_metadata_len = 12 bytes",)


def test_the_limit_counts_utf_8_bytes_of_compact_text() -> None:
    fields = {"metadata": {"é": "é"}}
    text = '{"é":"é"}'
    assert decided({}, fields, SiteWide(max_metadata_len=11)).metadata == text
    assert len(text.encode()) == 11
    assert decided({}, fields, SiteWide(max_metadata_len=10)).metadata == ""


def test_metadata_of_policy_is_cut_like_the_header_s() -> None:
    site = SiteWide(max_metadata_len=7)
    assert decided({"smtpapi_metadata": '{ "a" : 1, "b" : 2 }'}, None, site).metadata == '{"a":1}'


def test_no_room_at_all_means_no_metadata() -> None:
    assert decided({}, {"metadata": {"a": 1}}, SiteWide(max_metadata_len=0)).metadata == ""
    assert warnings({}, {"metadata": {}}, SiteWide(max_metadata_len=0)) == ()


# --- what else policy says


def test_customer_and_custom_variables_are_collected() -> None:
    decision = decided({"mo_customer_id": "17", "cust_b": "2", "cust_a": "1", "custom": "no", "other": "x"})
    assert decision.customer_id == "17"
    assert decision.custom == (("cust_a", "1"), ("cust_b", "2"))


def test_whether_click_links_carry_metadata_is_the_site_s_choice() -> None:
    assert decided({}, None, SiteWide(click_metadata=False)).click_metadata is False


# --- privacy

_ALL_ON = {
    "campaign_id": "c",
    "tags": ["t"],
    "metadata": {"m": 1},
    "options": {"open_tracking": True, "click_tracking": True, "initial_open": True},
}
_POLICY = {"smtpapi_open_tracking": "1", "smtpapi_click_tracking": "1", "cust_x": "y", "mo_customer_id": "17"}


def test_full_takes_nothing_away() -> None:
    decision = decided(_POLICY, _ALL_ON)
    assert (decision.clicks, decision.opens, decision.initial_opens) == (True, True, True)
    assert (decision.campaign, decision.tags, decision.metadata) == ("c", ("t",), '{"m":1}')
    assert decision.privacy is PrivacyMode.FULL


def test_aggregate_keeps_what_says_nothing_of_a_person() -> None:
    decision = decided(_POLICY, _ALL_ON, SiteWide(privacy=PrivacyMode.AGGREGATE))
    assert (decision.clicks, decision.opens, decision.initial_opens) == (True, True, True)
    assert (decision.campaign, decision.tags) == ("c", ("t",))
    assert (decision.metadata, decision.custom) == ("", ())
    assert decision.privacy is PrivacyMode.AGGREGATE


def test_hygiene_keeps_opens_alone() -> None:
    decision = decided(_POLICY, _ALL_ON, SiteWide(privacy=PrivacyMode.HYGIENE))
    assert (decision.clicks, decision.opens, decision.initial_opens) == (False, True, False)
    assert (decision.campaign, decision.tags, decision.metadata, decision.custom) == ("", (), "", ())
    assert decision.customer_id == "17"


def test_off_cannot_be_lifted_by_header_or_policy() -> None:
    decision = decided(_POLICY, _ALL_ON, SiteWide(privacy=PrivacyMode.OFF))
    assert (decision.clicks, decision.opens, decision.initial_opens) == (False, False, False)
    assert decision.privacy is PrivacyMode.OFF


@pytest.mark.parametrize("mode", list(PrivacyMode))
def test_no_mode_adds_anything(mode: PrivacyMode) -> None:
    decision = decided({}, None, SiteWide(privacy=mode))
    assert (decision.clicks, decision.opens, decision.initial_opens) == (False, False, False)
