"""Character references in attribute values, by WHATWG's rules, exactly once."""

import pytest

from smtpapi.find.html_syntax.entities import decode


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        (b"http://x/?a=1&amp;b=2", b"http://x/?a=1&b=2"),
        (b"?a=1&amp;amp;b=2", b"?a=1&amp;b=2"),
        (b"?a&#x3D;1", b"?a=1"),
        (b"?a&#X3d;1", b"?a=1"),
        (b"?a&#61;1", b"?a=1"),
        (b"?a=1&#038;b=2", b"?a=1&b=2"),
        (b"?a=1&#038b=2", b"?a=1&b=2"),
        (b"&amp", b"&"),
        (b"&amp&amp", b"&&"),
        (b"&AMP;&LT;", b"&<"),
        (b"&NotEqualTilde;", "≂̸".encode()),
        (b"&fjlig;&frac12;&there4;", "fj½∴".encode()),
        (b"&CounterClockwiseContourIntegral;", "∳".encode()),
    ],
)
def test_references_become_their_characters(value: bytes, decoded: bytes) -> None:
    assert decode(value) == decoded


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"http://x/?a=1&b=2",
        b"?a=1&copy=2",
        b"?a=1&copyright=2",
        b"?a=1&reg9",
        b"?a=1&notit;",
        b"?x&hellip=1",
        b"&hellip",
        b"&unknown;",
        b"& amp;",
        b"&",
        b"&#",
        b"&#;",
        b"&#x;",
        b"&#xg;",
        b"&;",
        b"%26amp%3B\xff\x80",
    ],
)
def test_what_is_no_reference_in_an_attribute_stays(value: bytes) -> None:
    assert decode(value) == value


def test_without_semicolon_a_name_is_decoded_only_before_what_cannot_continue_it() -> None:
    assert decode(b"&copy/&copy&copy.&copy") == "©/©©.©".encode()
    assert decode(b"&not-&notin;") == "¬-∉".encode()


@pytest.mark.parametrize(
    ("value", "character"),
    [
        (b"&#0;", "\ufffd"),
        (b"&#x110000;", "\ufffd"),
        (b"&#xD800;", "\ufffd"),
        (b"&#xDFFF;", "\ufffd"),
        (b"&#99999999999999999999;", "\ufffd"),
        (b"&#" + b"9" * 5000 + b";", "\ufffd"),
        (b"&#x" + b"0" * 5000 + b"41;", "A"),
        (b"&#x80;", "€"),
        (b"&#150;", "\u2013"),
        (b"&#x81;", "\x81"),
        (b"&#13;", "\r"),
        (b"&#x10FFFF;", "\U0010ffff"),
        (b"&#xFFFF;", "\uffff"),
    ],
)
def test_numbers_outside_the_ordinary(value: bytes, character: str) -> None:
    assert decode(value) == character.encode()


def test_a_value_without_ampersand_is_the_same_object() -> None:
    value = b"http://example.com/"
    assert decode(value) is value
