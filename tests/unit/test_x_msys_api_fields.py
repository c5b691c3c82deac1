"""The fields of X-MSYS-API: types, limits, booleans, copy lists (contract.md 3.2, 3.3, 3.6, 9)."""

import json

import pytest

from smtpapi.model.outcome import Refuse
from smtpapi.request.x_msys_api import Copy, XMsysApi, is_address, parse


def parsed(**fields: object) -> XMsysApi:
    directive = parse([json.dumps(fields).encode()])
    assert isinstance(directive, XMsysApi), directive
    return directive


def refused(**fields: object) -> str:
    refusal = parse([json.dumps(fields).encode()])
    assert isinstance(refusal, Refuse), refusal
    assert (refusal.code, refusal.status) == ("550", "5.6.0")
    return refusal.text


# --- the table of replies


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"metadata": []}, "X-MSYS-API 'metadata' must be of type 'json object'"),
        ({"metadata": "x"}, "X-MSYS-API 'metadata' must be of type 'json object'"),
        ({"metadata": 7}, "X-MSYS-API 'metadata' must be of type 'json object'"),
        ({"metadata": False}, "X-MSYS-API 'metadata' must be of type 'json object'"),
        ({"campaign_id": 7}, "X-MSYS-API 'campaign_id' must be of type 'string'"),
        ({"campaign_id": ["x"]}, "X-MSYS-API 'campaign_id' must be of type 'string'"),
        ({"campaign_id": True}, "X-MSYS-API 'campaign_id' must be of type 'string'"),
        ({"tags": "x"}, "X-MSYS-API 'tags' must be of type 'json array'"),
        ({"tags": {}}, "X-MSYS-API 'tags' must be of type 'json array'"),
        ({"options": []}, "X-MSYS-API 'options' must be of type 'json object'"),
        ({"options": "x"}, "X-MSYS-API 'options' must be of type 'json object'"),
        (
            {"options": {"open_tracking": "on"}},
            "X-MSYS-API 'options.open_tracking' must be of type 'boolean'",
        ),
        ({"options": {"open_tracking": 2}}, "X-MSYS-API 'options.open_tracking' must be of type 'boolean'"),
        (
            {"options": {"click_tracking": []}},
            "X-MSYS-API 'options.click_tracking' must be of type 'boolean'",
        ),
        (
            {"options": {"click_tracking": 1.0}},
            "X-MSYS-API 'options.click_tracking' must be of type 'boolean'",
        ),
        (
            {"options": {"click_tracking": ""}},
            "X-MSYS-API 'options.click_tracking' must be of type 'boolean'",
        ),
        ({"options": {"initial_open": {}}}, "X-MSYS-API 'options.initial_open' must be of type 'boolean'"),
        (
            {"options": {"transactional": "no"}},
            "X-MSYS-API 'options.transactional' must be of type 'boolean'",
        ),
        ({"options": {"inline_css": -1}}, "X-MSYS-API 'options.inline_css' must be of type 'boolean'"),
        (
            {"options": {"skip_suppression": "x"}},
            "X-MSYS-API 'options.skip_suppression' must be of type 'boolean'",
        ),
        ({"options": {"ip_pool": 1}}, "X-MSYS-API 'options.ip_pool' must be of type 'string'"),
        ({"options": {"dkim_key": {}}}, "X-MSYS-API 'options.dkim_key' must be of type 'string'"),
        ({"campaign_id": "x" * 65}, "smtpapi_campaign_id context is limited to 64 bytes"),
        ({"campaign_id": "a\nb"}, "smtpapi_campaign_id context must not hold line breaks"),
        ({"cc": "a@example.net"}, "X-MSYS-API 'cc' must be of type 'json array'"),
        ({"bcc": {}}, "X-MSYS-API 'bcc' must be of type 'json array'"),
        ({"archive": 1}, "X-MSYS-API 'archive' must be of type 'json array'"),
        ({"cc": ["no address"]}, "X-MSYS-API 'cc' contains an invalid address"),
        ({"bcc": [{"email": "@"}]}, "X-MSYS-API 'bcc' contains an invalid address"),
        ({"archive": [{"name": "x"}]}, "X-MSYS-API 'archive' contains an invalid address"),
        ({"cc": [None]}, "X-MSYS-API 'cc' contains an invalid address"),
        ({"cc": [7]}, "X-MSYS-API 'cc' contains an invalid address"),
        ({"cc": [["a@example.net"]]}, "X-MSYS-API 'cc' contains an invalid address"),
        ({"cc": ["a@example.net\r\nBcc: x@y"]}, "X-MSYS-API 'cc' contains a line break or NUL"),
        (
            {"bcc": [{"email": "a@example.net", "name": "x\r\nTo: y"}]},
            "X-MSYS-API 'bcc' contains a line break or NUL",
        ),
        (
            {"bcc": [{"email": "a@example.net", "name": "x\0"}]},
            "X-MSYS-API 'bcc' contains a line break or NUL",
        ),
        ({"cc": [{"email": "a@example.net", "name": 7}]}, "X-MSYS-API 'cc.name' must be of type 'string'"),
    ],
)
def test_wrong_fields_are_refused_in_the_published_words(fields: dict[str, object], text: str) -> None:
    assert refused(**fields) == text


# --- campaign


def test_a_campaign_of_64_bytes_passes_and_65_do_not() -> None:
    assert parsed(campaign_id="x" * 64).campaign == "x" * 64
    assert refused(campaign_id="x" * 65) == "smtpapi_campaign_id context is limited to 64 bytes"


def test_the_limit_counts_bytes_of_utf_8() -> None:
    assert parsed(campaign_id="x" * 62 + "é").campaign == "x" * 62 + "é"
    assert refused(campaign_id="x" * 63 + "é") == "smtpapi_campaign_id context is limited to 64 bytes"


def test_an_empty_campaign_is_not_an_absent_one() -> None:
    assert parsed(campaign_id="").campaign == ""
    assert parsed().campaign is None


# --- tags


def test_ten_tags_are_kept_and_the_eleventh_is_ignored() -> None:
    eleven = [f"t{n}" for n in range(11)]
    assert parsed(tags=eleven[:10]).tags == tuple(eleven[:10])
    directive = parsed(tags=eleven)
    assert directive.tags == tuple(eleven[:10])
    assert directive.warnings == ("1 tags ignored: a message has at most 10",)


def test_null_tags_are_skipped() -> None:
    """They once crashed the server (MO-4367)."""
    directive = parsed(tags=[None])
    assert directive.tags == ()
    assert directive.warnings == ()


def test_repeats_and_what_is_no_string_are_dropped_before_counting_ten() -> None:
    values: list[object] = ["a", 1, "a", None, {}, [], True, 1.5, *[f"t{n}" for n in range(9)]]
    assert parsed(tags=values).tags == ("a", *[f"t{n}" for n in range(9)])


@pytest.mark.parametrize("tag", ["", "x" * 65, "é" * 33, "a\nb", "a\0b"])
def test_strange_tags_are_ignored_and_never_refused(tag: str) -> None:
    directive = parsed(tags=["good", tag])
    assert directive.tags == ("good",)
    assert len(directive.warnings) == 1


def test_a_tag_of_64_bytes_is_kept() -> None:
    assert parsed(tags=["é" * 32]).tags == ("é" * 32,)


# --- metadata


def test_metadata_keeps_order_numbers_and_inner_values() -> None:
    value = b'{"metadata":{"b":1.10,"a":[1, {"x": null}],"n":12345678901234567890,"e":1E2,"s":"\\u00e9\\n"}}'
    directive = parse([value])
    assert isinstance(directive, XMsysApi)
    assert directive.metadata == (
        '"b":1.10',
        '"a":[1,{"x":null}]',
        '"n":12345678901234567890',
        '"e":1E2',
        '"s":"é\\n"',
    )


def test_empty_metadata_is_not_absent_metadata() -> None:
    assert parsed(metadata={}).metadata == ()
    assert parsed().metadata is None


# --- booleans

_SWITCHES = {
    "click_tracking": "clicks",
    "open_tracking": "opens",
    "initial_open": "initial_opens",
    "transactional": "transactional",
    "skip_suppression": "skip_suppression",
    "inline_css": "inline_css",
}


@pytest.mark.parametrize("name", _SWITCHES)
@pytest.mark.parametrize("value", [True, False])
def test_true_and_false_are_taken_without_a_word(name: str, value: bool) -> None:
    directive = parsed(options={name: value})
    assert getattr(directive, _SWITCHES[name]) is value
    assert directive.warnings == ()


@pytest.mark.parametrize("name", _SWITCHES)
@pytest.mark.parametrize(
    ("spelled", "value"),
    [(1, True), (0, False), ("true", True), ("FALSE", False), ("True", True), ("1", True), ("0", False)],
)
def test_other_spellings_are_taken_with_a_warning(name: str, spelled: object, value: bool) -> None:
    directive = parsed(options={name: spelled})
    assert getattr(directive, _SWITCHES[name]) is value
    assert directive.warnings == (f"options.{name} is not written as true or false",)


@pytest.mark.parametrize("name", _SWITCHES)
def test_an_absent_switch_is_neither_true_nor_false(name: str) -> None:
    assert getattr(parsed(options={}), _SWITCHES[name]) is None


def test_pool_and_key_are_kept() -> None:
    directive = parsed(options={"ip_pool": "p", "dkim_key": "k"})
    assert (directive.ip_pool, directive.dkim_key) == ("p", "k")


# --- copies


def test_copy_lists_take_addresses_and_objects() -> None:
    directive = parsed(
        cc=["a@example.net", {"email": "b@example.net", "name": 'B, the "second"'}],
        bcc=[{"email": "c@example.net"}, {"email": "d@example.net", "name": None, "x": 1}],
        archive=[{"email": "e@example.net", "name": ""}],
    )
    assert directive.cc == (Copy("a@example.net"), Copy("b@example.net", 'B, the "second"'))
    assert directive.bcc == (Copy("c@example.net"), Copy("d@example.net"))
    assert directive.archive == (Copy("e@example.net"),)


@pytest.mark.parametrize("split", [(1000, 0, 0), (0, 0, 1000), (400, 300, 300)])
def test_a_thousand_copies_pass_and_one_more_does_not(split: tuple[int, int, int]) -> None:
    lists = {
        name: [f"{name}{n}@x.org" for n in range(count)]
        for name, count in zip(("cc", "bcc", "archive"), split, strict=True)
    }
    directive = parsed(**lists)
    assert len(directive.cc) + len(directive.bcc) + len(directive.archive) == 1000
    lists["bcc"].append("one@more.org")
    assert refused(**lists) == "X-MSYS-API cc, bcc and archive are limited to 1000 recipients"


@pytest.mark.parametrize(
    "address",
    [
        "a@b.example",
        "first.last+tag@example.net",
        "o'hara!#$%&*/=?^_`{|}~-@example.net",
        '"odd \\"one\\", here"@example.net',
        "a@[192.0.2.7]",
        "a@[IPv6:2001:db8::1]",
        "jörg@bücher.example",
        "a@localhost",
        "x" * 64 + "@example.net",
    ],
)
def test_addresses_of_rfc_5321_are_addresses(address: str) -> None:
    assert is_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a",
        "@",
        "a@",
        "@b",
        "a@b@c.example",
        "a b@example.net",
        "<a@example.net>",
        "A <a@example.net>",
        "a@example.net, b@example.net",
        "a..b@example.net",
        ".a@example.net",
        "a@-b.example",
        "a@b..example",
        "a@example.net ",
        "a@exa mple.net",
        "x" * 65 + "@example.net",
        "a@" + "b" * 260,
        "a\x7f@example.net",
    ],
)
def test_what_is_no_address_is_none(address: str) -> None:
    assert not is_address(address)
