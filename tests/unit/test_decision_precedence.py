"""Policy before header before configuration, option by option (contract.md 1.2)."""

import json
from collections.abc import Mapping

import pytest

from engagement.settings import Where, load_text
from engagement.settings.schema import ScopedOptions
from smtpapi.model.outcome import Refuse
from smtpapi.request.decision import Decision, SiteWide, bypassed, decide
from smtpapi.request.x_msys_api import XMsysApi, parse


def scope(**options: str) -> ScopedOptions:
    lines = " ".join(f'{name} = "{value}"' for name, value in options.items())
    return load_text(f"smtpapi {{ }} ESMTP_Listener {{ {lines} }}").scoped(Where()).options


def header(fields: object = None) -> XMsysApi:
    directive = parse([json.dumps(fields).encode()] if fields is not None else [])
    assert isinstance(directive, XMsysApi)
    return directive


def decided(options: ScopedOptions, directive: XMsysApi, context: Mapping[str, str]) -> Decision:
    settled = decide(options, SiteWide(), directive, context)
    assert not isinstance(settled, Refuse)
    return settled.decision


TABLE = scope(
    click_tracking_enabled="false",
    open_tracking_enabled="true",
    tracking_domain="t.example.net",
    click_tracking_scheme="https",
)


@pytest.mark.parametrize(
    ("options", "context", "clicks", "opens", "domain"),
    [
        (None, {}, False, True, "t.example.net"),
        ({"click_tracking": True}, {}, True, True, "t.example.net"),
        (
            {"click_tracking": True, "open_tracking": False},
            {"smtpapi_click_tracking": "0"},
            False,
            False,
            "t.example.net",
        ),
        ({"tracking_domain": "x.example.org"}, {}, False, True, "t.example.net"),
        (
            None,
            {"smtpapi_tracking_domain": "a.example.org", "smtpapi_open_tracking": "false"},
            False,
            False,
            "a.example.org",
        ),
    ],
)
def test_the_worked_table(
    options: object, context: Mapping[str, str], clicks: bool, opens: bool, domain: str
) -> None:
    decision = decided(TABLE, header(None if options is None else {"options": options}), context)
    assert (decision.clicks, decision.opens, decision.domain) == (clicks, opens, domain)
    assert decision.click_scheme == "https"


_SWITCHES = {
    "clicks": ("click_tracking_enabled", "click_tracking", "smtpapi_click_tracking"),
    "opens": ("open_tracking_enabled", "open_tracking", "smtpapi_open_tracking"),
}


@pytest.mark.parametrize("switch", _SWITCHES)
@pytest.mark.parametrize("policy", [None, False, True])
@pytest.mark.parametrize("requested", [None, False, True])
@pytest.mark.parametrize("configured", [None, False, True])
def test_every_combination_of_configuration_header_and_policy(
    configured: bool | None, requested: bool | None, policy: bool | None, switch: str
) -> None:
    """The eight of on and off, and each of them with one, two or all three silent."""
    option, field, variable = _SWITCHES[switch]
    options = scope() if configured is None else scope(**{option: str(configured).lower()})
    directive = header({"options": {} if requested is None else {field: requested}})
    context = {} if policy is None else {variable: str(int(policy))}
    decision = decided(options, directive, context)
    expected = next((voice for voice in (policy, requested, configured) if voice is not None), False)
    assert getattr(decision, switch) is expected
    other = "opens" if switch == "clicks" else "clicks"
    assert getattr(decision, other) is False


def test_nothing_set_anywhere_is_off_with_the_documented_defaults() -> None:
    assert decided(scope(), header(), {}) == Decision(
        clicks=False,
        opens=False,
        initial_opens=False,
        click_scheme="http",
        open_scheme="http",
        domain="localhost:8080",
        expiry=31536000,
    )


def test_the_header_has_no_word_on_schemes_domain_and_expiry() -> None:
    fields = {
        name: value
        for name, value in {
            "click_tracking_scheme": "https",
            "open_tracking_scheme": "https",
            "tracking_domain": "x.example.org",
            "tracking_link_expiry": 1,
        }.items()
    }
    assert decided(scope(), header({**fields, "options": fields}), {}) == decided(scope(), header(), {})


def test_policy_sets_schemes_domain_and_expiry() -> None:
    context = {
        "smtpapi_click_tracking_scheme": "https",
        "smtpapi_open_tracking_scheme": "HTTPS",
        "smtpapi_tracking_domain": "[2001:db8::1]:8443",
        "smtpapi_tracking_link_expiry": "60",
    }
    decision = decided(TABLE, header(), context)
    assert (decision.click_scheme, decision.open_scheme) == ("https", "https")
    assert (decision.domain, decision.expiry) == ("[2001:db8::1]:8443", 60)


def test_schemes_are_independent() -> None:
    decision = decided(scope(open_tracking_scheme="https"), header(), {})
    assert (decision.click_scheme, decision.open_scheme) == ("http", "https")


def test_labels_of_policy_replace_those_of_the_header_as_a_whole() -> None:
    directive = header({"campaign_id": "h", "tags": ["h1", "h2"], "metadata": {"h": 1, "both": 1}})
    decision = decided(scope(), directive, {})
    assert (decision.campaign, decision.tags, decision.metadata) == ("h", ("h1", "h2"), '{"h":1,"both":1}')
    context = {
        "smtpapi_campaign_id": "black friday",
        "smtpapi_tags": '["cat", "dog"]',
        "smtpapi_metadata": '{"both" : 2}',
    }
    decision = decided(scope(), directive, context)
    assert (decision.campaign, decision.tags, decision.metadata) == (
        "black friday",
        ("cat", "dog"),
        '{"both":2}',
    )


def test_one_label_from_policy_leaves_the_others_to_the_header() -> None:
    directive = header({"campaign_id": "h", "tags": ["h"]})
    decision = decided(scope(), directive, {"smtpapi_campaign_id": "p"})
    assert (decision.campaign, decision.tags) == ("p", ("h",))


@pytest.mark.parametrize(
    "name",
    [
        "smtpapi_campaign_id",
        "smtpapi_click_tracking",
        "smtpapi_click_tracking_scheme",
        "smtpapi_metadata",
        "smtpapi_open_tracking",
        "smtpapi_open_tracking_scheme",
        "smtpapi_tags",
        "smtpapi_tracking_domain",
        "smtpapi_tracking_link_expiry",
        "smtpapi_initial_open",
        "mo_customer_id",
    ],
)
def test_an_empty_variable_is_not_set(name: str) -> None:
    directive = header(
        {"campaign_id": "h", "tags": ["h"], "metadata": {"h": 1}, "options": {"click_tracking": True}}
    )
    settled = decide(TABLE, SiteWide(), directive, {name: ""})
    assert settled == decide(TABLE, SiteWide(), directive, {})


def test_empty_labels_of_the_header_are_said() -> None:
    """Present and empty is an answer: there is nothing behind it to fall back to, and no error."""
    decision = decided(scope(), header({"campaign_id": "", "tags": [], "metadata": {}}), {})
    assert (decision.campaign, decision.tags, decision.metadata) == ("", (), "")


@pytest.mark.parametrize("opens", [False, True])
@pytest.mark.parametrize(
    ("configured", "requested", "policy", "expected"),
    [
        ("true", None, "", True),
        ("false", True, "", True),
        ("true", False, "", False),
        ("true", True, "0", False),
        ("false", None, "1", True),
        ("false", None, "", False),
    ],
)
def test_the_initial_open_pixel_needs_open_tracking(
    configured: str, requested: bool | None, policy: str, expected: bool, opens: bool
) -> None:
    directive = header({"options": {"initial_open": requested, "open_tracking": opens}})
    decision = decided(
        scope(initial_open_tracking_enabled=configured), directive, {"smtpapi_initial_open": policy}
    )
    assert decision.initial_opens is (expected and opens)


def test_transactional_comes_from_the_header_alone() -> None:
    assert decided(scope(), header({"options": {"transactional": True}}), {}).transactional is True
    assert decided(scope(), header(), {"smtpapi_transactional": "1"}).transactional is False


@pytest.mark.parametrize(
    ("value", "off"),
    [("true", True), ("1", True), ("TRUE", True), ("false", False), ("", False), ("x", False)],
)
def test_bypass_needs_a_true_value(value: str, off: bool) -> None:
    assert bypassed({"__bypass_smtpapi": value}) is off


def test_a_message_without_the_variable_is_not_bypassed() -> None:
    assert not bypassed({})


@pytest.mark.parametrize("requested", [None, False, True])
@pytest.mark.parametrize("configured", [False, True])
def test_the_policy_s_word_on_unsubscribing_goes_before_the_configuration(
    configured: bool, requested: bool | None
) -> None:
    options = scope(list_unsubscribe_enabled=str(configured).lower())
    context = {} if requested is None else {"smtpapi_list_unsubscribe": str(requested).lower()}
    decision = decided(options, header(), context)
    assert decision.list_unsubscribe is (configured if requested is None else requested)
