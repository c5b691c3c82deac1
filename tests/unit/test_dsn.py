import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtpapi.mta import dsn


@settings(max_examples=100)
@given(st.text(st.characters(min_codepoint=0, max_codepoint=127)))
def test_xtext_comes_back(text: str) -> None:
    encoded = dsn.to_xtext(text)
    assert dsn.from_xtext(encoded) == text
    assert " " not in encoded


@pytest.mark.parametrize("text", ["a b", "a+zz", "a+2", "a=b", "caf\xe9", "+FF"])
def test_what_is_no_xtext_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - two kinds of it
        dsn.from_xtext(text)


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ((b"ORCPT=rfc822;ann@r.test",), "ann@r.test"),
        ((b"NOTIFY=NEVER", b"orcpt=RFC822;a+2Bb@r.test"), "a+b@r.test"),
        ((b"ORCPT=x400;something",), ""),
        ((b"ORCPT=rfc822;a+zz",), ""),
        ((b"ORCPT=rfc822;\xff",), ""),
        ((), ""),
    ],
)
def test_the_original_recipient_is_read(options: tuple[bytes, ...], address: str) -> None:
    assert dsn.original(options) == address


def test_a_recipient_in_anothers_place_takes_over_what_reports_need() -> None:
    options = (b"NOTIFY=SUCCESS,FAILURE", b"ORCPT=rfc822;ann+2Bx@r.test", b"X-OTHER=1")
    assert dsn.inherited(options, "bob@r.test") == "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;ann+2Bx@r.test"
    assert dsn.inherited((b"NOTIFY=NEVER",), "a+b@r.test") == "NOTIFY=NEVER ORCPT=rfc822;a+2Bb@r.test"
    assert dsn.inherited((), "b\xfc@r.test") == ""
    assert dsn.inherited((), "") == ""
