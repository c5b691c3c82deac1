"""What holds for every X-MSYS-API header, whatever is in it."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from smtpapi.model.outcome import Refuse
from smtpapi.request import strict_json
from smtpapi.request.x_msys_api import XMsysApi, parse, unfold

_PIECES = st.sampled_from(
    [
        *(
            b"{",
            b"}",
            b"[",
            b"]",
            b'"',
            b":",
            b",",
            b"\\u",
            b"\\",
            b"\xff",
            b"\xc3\xa9",
            b"\r\n ",
            b"\n\t",
            b" ",
        ),
        *(b"null", b"true", b"1e9", b"-0", b'"cc"', b'"tags"', b'"options"', b'"metadata"', b"\0"),
        *(b"=?utf-8?b?ww==?=", b"=?", b"?="),
    ]
)
_LETTERS = st.characters(exclude_categories=["Cs"])
_SCALARS = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(_LETTERS, max_size=12)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(_LETTERS, max_size=6), inner, max_size=3)
    ),
    max_leaves=12,
)
_LABEL = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=16)


def _is_proper_reply(refusal: Refuse) -> bool:
    return (
        (refusal.code, refusal.status) == ("550", "5.6.0")
        and refusal.text.isascii()
        and refusal.text.isprintable()
        and len(refusal.text) <= 400
    )


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=200) | st.lists(_PIECES, max_size=30).map(b"".join), max_size=3))
def test_whatever_the_bytes_there_is_a_directive_or_a_proper_reply(values: list[bytes]) -> None:
    read = parse(values)
    assert isinstance(read, XMsysApi) or _is_proper_reply(read)


@settings(max_examples=100)
@given(
    st.dictionaries(
        st.sampled_from(["campaign_id", "metadata", "tags", "options", "cc", "bcc", "archive", "x"]), _VALUES
    )
)
def test_whatever_the_json_there_is_a_directive_or_a_proper_reply(fields: dict[str, object]) -> None:
    read = parse([json.dumps(fields).encode()])
    assert isinstance(read, XMsysApi) or _is_proper_reply(read)


@settings(max_examples=100)
@given(
    campaign=_LABEL.filter(lambda text: "=?" not in text and len(text.encode()) <= 64),
    tags=st.lists(
        _LABEL.filter(lambda text: "=?" not in text and len(text.encode()) <= 64), max_size=10, unique=True
    ),
    metadata=st.dictionaries(
        _LABEL.filter(lambda text: "=?" not in text), st.integers() | st.booleans(), max_size=5
    ),
    clicks=st.none() | st.booleans(),
    opens=st.none() | st.booleans(),
    ascii_only=st.booleans(),
)
def test_what_a_sender_says_is_what_is_read(
    campaign: str,
    tags: list[str],
    metadata: dict[str, object],
    clicks: bool | None,
    opens: bool | None,
    ascii_only: bool,
) -> None:
    options = {"click_tracking": clicks, "open_tracking": opens}
    fields = {"campaign_id": campaign, "tags": tags, "metadata": metadata, "options": options}
    value = json.dumps(fields, ensure_ascii=ascii_only, separators=(",\r\n   ", ":")).encode()
    read = parse([value])
    assert isinstance(read, XMsysApi)
    assert (read.campaign, read.tags, read.clicks, read.opens) == (campaign, tuple(tags), clicks, opens)
    assert read.metadata is not None
    assert json.loads("{" + ",".join(read.metadata) + "}") == metadata


@settings(max_examples=100)
@given(st.lists(_PIECES, max_size=20).map(b"".join))
def test_an_unfolded_value_has_no_line_ends_and_unfolds_to_itself(value: bytes) -> None:
    unfolded = unfold(value)
    assert b"\n" not in unfolded
    assert unfold(unfolded) == unfolded


@settings(max_examples=100)
@given(_VALUES)
def test_compact_json_is_the_same_value(value: object) -> None:
    read, _ = strict_json.read(json.dumps(value))
    assert json.loads(strict_json.compact(read)) == value
