"""From X-MSYS-API's bytes to JSON: folds, encoded words, charset, JSON itself (contract.md 3.1, 3.6)."""

import base64
import json

import pytest

from smtpapi.model.outcome import Refuse
from smtpapi.request.x_msys_api import MAX_HEADER, XMsysApi, parse, unfold


def parsed(*values: bytes) -> XMsysApi:
    directive = parse(values)
    assert isinstance(directive, XMsysApi), directive
    return directive


def refused(*values: bytes) -> str:
    refusal = parse(values)
    assert isinstance(refusal, Refuse), refusal
    assert (refusal.code, refusal.status) == ("550", "5.6.0")
    return refusal.text


@pytest.mark.parametrize(
    ("value", "unfolded"),
    [
        (b' {"a":1,\r\n   "b":2}', b'{"a":1, "b":2}'),
        (b' {"a":1,\n "b":2}', b'{"a":1, "b":2}'),
        (b'{"a":1,\n\t \t"b":2}\r\n', b'{"a":1, "b":2}'),
        (b"\r\n {}", b"{}"),
        (b"{}\r\n  \r\n ", b"{}"),
        (b"{\r\r\n }", b"{ }"),
    ],
)
def test_each_line_end_and_the_white_space_after_it_become_one_space(value: bytes, unfolded: bytes) -> None:
    assert unfold(value) == unfolded


def test_three_spaces_of_a_fold_inside_a_string_become_one() -> None:
    """The manual's example; the space is not repaired away."""
    assert parsed(b'{"campaign_id":"my_awes\r\n   ome_campaign"}').campaign == "my_awes ome_campaign"


def test_white_space_before_a_fold_stays() -> None:
    assert parsed(b'{"campaign_id":"a  \n   b"}').campaign == "a   b"


@pytest.mark.parametrize("eol", [b"\n", b"\r\n"])
@pytest.mark.parametrize("white_space", [b" ", b"   ", b"\t"])
def test_folds_between_tokens_mean_nothing(eol: bytes, white_space: bytes) -> None:
    whole = b'{"campaign_id": "c", "tags": ["a", "b"], "options": {"open_tracking": true}}'
    assert parsed(whole.replace(b" ", eol + white_space)) == parsed(whole)


def test_no_header_says_nothing() -> None:
    assert parse(()) == XMsysApi()


@pytest.mark.parametrize("value", [b"", b" ", b"\r\n  \r\n "])
def test_an_empty_value_counts_as_absent(value: bytes) -> None:
    assert parsed(value) == XMsysApi()


def test_an_empty_object_is_present_and_says_nothing() -> None:
    assert parsed(b"{}") == XMsysApi(present=True)


def test_of_several_headers_the_first_counts_with_a_warning() -> None:
    directive = parsed(b'{"campaign_id":"one"}', b'{"campaign_id":"two"}', b"not json")
    assert directive.campaign == "one"
    assert directive.warnings == ("3 X-MSYS-API fields; the first one counts",)


def test_a_broken_first_header_is_not_rescued_by_the_second() -> None:
    assert refused(b"{", b"{}").startswith("JSON parsing error in X-MSYS-API: ")


def test_of_a_repeated_name_the_last_counts_with_a_warning() -> None:
    directive = parsed(b'{"campaign_id":"a","campaign_id":"b","options":{"x":1,"x":2}}')
    assert directive.campaign == "b"
    assert directive.warnings == ("2 names repeated in X-MSYS-API; the last of each counts",)


def test_null_is_as_good_as_absent() -> None:
    value = b"""{"campaign_id":null,"metadata":null,"tags":null,"cc":null,"bcc":null,"archive":null,
        "options":{"open_tracking":null,"click_tracking":null,"ip_pool":null}}"""
    assert parsed(value) == XMsysApi(present=True)
    assert parsed(b'{"options":null}') == XMsysApi(present=True)


def test_unknown_names_are_ignored_at_every_level() -> None:
    value = b"""{"substitution_data":[1],"return_path":7,"description":{},"tracking_domain":"x.example",
        "click_tracking_scheme":"https","tracking_link_expiry":1,"campaign":"no",
        "options":{"sandbox":"whatever","click_tracking_enabled":true,"tracking_domain":"x.example"}}"""
    assert parsed(value) == XMsysApi(present=True)


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (b"{", "expected a name in double quotes at character 2"),
        (b'{"a":1,}', "expected a name in double quotes at character 8"),
        (b'{"tags":["a",]}', "expected a value at character 14"),
        (b'{"a":1, }', "expected a name in double quotes at character 9"),
        (b'{"a":1 "b":2}', "expected a comma or the end of the object or array at character 8"),
        (b'{"a" 1}', "expected a colon at character 6"),
        (b'{"a":1} // note', "expected nothing after the value at character 9"),
        (b'{"a":"x', "string without an end at character 6"),
        (b'{"a":"x\ty"}', "control character in a string at character 8"),
        (rb'{"a":"\x"}', "unknown escape in a string at character 7"),
        (rb'{"a":"\u12"}', "malformed \\u escape in a string at character 8"),
        (b"hello", "expected a value at character 1"),
        (b"{'a':1}", "expected a name in double quotes at character 2"),
        (b'{"a":NaN}', "NaN and Infinity are no JSON values"),
        (b'{"a":-Infinity}', "NaN and Infinity are no JSON values"),
        (b'{"a":1e400}', "number out of range"),
        (b'{"a":' + b"9" * 5000 + b"}", "number out of range"),
        (b"[]", "the value is not an object"),
        (b'"x"', "the value is not an object"),
        (b"null", "the value is not an object"),
        (b"1", "the value is not an object"),
        (b'{"a":"\xe9"}', "bytes that are not UTF-8 at character 7"),
        (b'{"a":"\xed\xa0\x80"}', "bytes that are not UTF-8 at character 7"),
        (rb'{"a":"\ud83d"}', "half of a surrogate pair in a \\u escape"),
        (rb'{"\udc00":1}', "half of a surrogate pair in a \\u escape"),
        (rb'{"x":[{"y":["\udc00\ud800"]}]}', "half of a surrogate pair in a \\u escape"),
        (b'{"a":' + b"[" * 70, "nested deeper than 64 at character 69"),
        (b'{"a":"' + b"x" * MAX_HEADER + b'"}', "header too long"),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(value: bytes, detail: str) -> None:
    assert refused(value) == f"JSON parsing error in X-MSYS-API: {detail}"


def test_the_longest_header_passes_and_one_byte_more_does_not() -> None:
    longest = b'{"x":"' + b"y" * (MAX_HEADER - 8) + b'"}'
    assert len(longest) == MAX_HEADER
    assert parsed(longest) == XMsysApi(present=True)
    assert refused(longest[:-2] + b'y"}').endswith("header too long")


def test_brackets_inside_strings_do_not_count_as_depth() -> None:
    assert parsed(json.dumps({"description": '["\\' * 500}).encode()) == XMsysApi(present=True)


@pytest.mark.parametrize(
    ("length", "mta"), [(60_000, "Postfix"), (59_900, "Postfix"), (2_300, "Sendmail"), (2_250, "Sendmail")]
)
def test_a_value_that_an_mta_may_have_cut_is_called_so(length: int, mta: str) -> None:
    value = (b'{"description":"' + b"y" * 70_000)[:length]
    assert f"at {length} bytes the header looks cut by an MTA ({mta} does so)" in refused(value)


@pytest.mark.parametrize("length", [1_000, 30_000])
def test_other_lengths_get_no_such_hint(length: int) -> None:
    assert "cut" not in refused((b'{"description":"' + b"y" * 70_000)[:length])


def test_a_fault_inside_a_whole_value_gets_no_such_hint() -> None:
    assert "cut" not in refused(b'{"a":1,,"description":"' + b"y" * 2_270 + b'"}')


def test_no_reply_quotes_the_header() -> None:
    text = refused(b'{"cc":["secret@example.net", "other@example.net" "x"]}')
    assert "secret" not in text
    assert "example" not in text


# --- encoded words (RFC 2047)


def word(text: str, charset: str = "utf-8", encoding: str = "B") -> bytes:
    raw = text.encode(charset)
    if encoding == "B":
        return b"=?%b?B?%b?=" % (charset.encode(), base64.b64encode(raw))
    return b"=?%b?Q?%b?=" % (charset.encode(), b"".join(b"=%02X" % byte for byte in raw))


@pytest.mark.parametrize("encoding", ["B", "Q"])
@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1"])
def test_encoded_words_inside_the_label_strings_are_decoded(charset: str, encoding: str) -> None:
    encoded = word("Frühling", charset, encoding)
    directive = parsed(
        b'{"campaign_id":"%b","tags":["%b"],"metadata":{"%b":[{"x":"%b"}]}}' % ((encoded,) * 4)
    )
    assert directive.campaign == "Frühling"
    assert directive.tags == ("Frühling",)
    assert directive.metadata == ('"Frühling":[{"x":"Frühling"}]',)


def test_a_decoded_quote_does_not_end_the_string() -> None:
    """Decoding before parsing would let a label break out of its string."""
    encoded = word('x","options":{"open_tracking":true},"y":"')
    directive = parsed(b'{"campaign_id":"%b"}' % encoded)
    assert directive.campaign == 'x","options":{"open_tracking":true},"y":"'
    assert directive.opens is None


def test_encoded_words_elsewhere_stay() -> None:
    directive = parsed(
        b'{"cc":[{"email":"a@example.net","name":"=?utf-8?q?x?="}],"options":{"ip_pool":"=?utf-8?q?x?="}}'
    )
    assert directive.cc[0].name == "=?utf-8?q?x?="
    assert directive.ip_pool == "=?utf-8?q?x?="


@pytest.mark.parametrize("encoding", ["B", "Q"])
def test_a_value_that_is_encoded_as_a_whole_is_decoded_and_read(encoding: str) -> None:
    assert parsed(word('{"campaign_id":"é"}', encoding=encoding)).campaign == "é"


def test_neighbouring_words_join_without_the_space_between() -> None:
    value = word('{"campaign_id":"gre') + b"\r\n  " + word('en leaf"}')
    assert parsed(value).campaign == "green leaf"


def test_a_letter_split_between_two_words_is_joined() -> None:
    raw = '{"campaign_id":"é"}'.encode()
    cut = raw.index(b"\xc3") + 1
    value = b" ".join(b"=?utf-8?b?%b?=" % base64.b64encode(part) for part in (raw[:cut], raw[cut:]))
    assert parsed(value).campaign == "é"


@pytest.mark.parametrize(
    "broken",
    [
        "=?x-unknown?q?a?=",
        "=?utf-8?b?!?=",
        "=?utf-8?b?A?=",
        "=?utf-8?q?=C3?=",
        "=?utf-8?x?a?=",
        "=?utf-8?q?a",
    ],
)
def test_a_word_that_cannot_be_decoded_stays_as_written(broken: str) -> None:
    assert parsed(json.dumps({"campaign_id": broken}).encode()).campaign == broken


def test_a_word_cannot_smuggle_half_a_surrogate_pair() -> None:
    """UTF-7 can spell one."""
    assert parsed(b'{"campaign_id":"=?utf-7?q?+2AA-?="}').campaign == "=?utf-7?q?+2AA-?="


@pytest.mark.parametrize(
    "charset", ["unicode_escape", "idna", "punycode", "rot13", "zlib", "hex", "undefined"]
)
def test_codecs_that_are_no_charsets_are_not_used(charset: str) -> None:
    text = f"=?{charset}?q?a?="
    assert parsed(json.dumps({"campaign_id": text}).encode()).campaign == text


def test_a_failed_value_with_words_that_stays_broken_is_refused() -> None:
    assert refused(b"=?utf-8?q?{?=").startswith("JSON parsing error in X-MSYS-API: ")


# --- letters beyond ASCII


def test_raw_utf_8_is_taken_as_it_is() -> None:
    assert parsed('{"campaign_id":"ünï"}'.encode()).campaign == "ünï"


def test_escaped_utf_8_bytes_are_not_corrected() -> None:
    r"""The manual's sample writes \u00e7\u00a7\u0081 for one letter: mojibake of the sender's making."""
    assert parsed(rb'{"campaign_id":"\u00e7\u00a7\u0081"}').campaign == "\u00e7\u00a7\u0081"


def test_surrogate_pairs_are_one_letter() -> None:
    assert parsed(rb'{"campaign_id":"\ud83d\ude00"}').campaign == "\U0001f600"
