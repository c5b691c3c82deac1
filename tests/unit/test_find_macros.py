"""The six brace macros (contract.md 5.4), and nothing else in braces."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtpapi.find import macros


@pytest.mark.parametrize(
    ("call", "braces"),
    [
        (b"{{opening_single_curly()}}", b"{"),
        (b"{{closing_single_curly()}}", b"}"),
        (b"{{opening_double_curly()}}", b"{{"),
        (b"{{closing_double_curly()}}", b"}}"),
        (b"{{opening_triple_curly()}}", b"{{{"),
        (b"{{closing_triple_curly()}}", b"}}}"),
        (b"{{  opening_double_curly()\t}}", b"{{"),
    ],
)
def test_each_macro_has_its_braces(call: bytes, braces: bytes) -> None:
    assert macros.scan(b"x" + call + b"y") == ((1, 1 + len(call), braces),)
    assert macros.scan(call + call) == ((0, len(call), braces), (len(call), 2 * len(call), braces))


@pytest.mark.parametrize(
    "text",
    [
        b"{{name}}",
        b"{{{html}}}",
        b"{{ opening_double_curly }}",
        b"{{opening_double_curly ()}}",
        b"{{opening_double_curly(1)}}",
        b"{{Opening_double_curly()}}",
        b"{{opening_quad_curly()}}",
        b"{ {opening_single_curly()}}",
        b"{{{opening_single_curly()}}}",
        b"opening_single_curly()",
    ],
)
def test_other_braces_are_the_authors(text: bytes) -> None:
    assert macros.scan(text) == ()


def test_a_brace_on_one_side_alone_does_not_hide_a_macro() -> None:
    assert macros.scan(b"{{{opening_single_curly()}} x") == ((1, 27, b"{"),)


PIECES = (
    b"{",
    b"}",
    b"{{",
    b"}}",
    b"y()",
    b"x",
    b"\n",
    b"opening_single_curly()",
    b"{{closing_triple_curly()}}",
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=9).map(b"".join))
def test_no_macro_is_missed_for_what_stands_around_it(text: bytes) -> None:
    found = {(one.start(), one.end()) for one in macros._MACRO.finditer(text)}
    hidden = {
        (start, stop) for start, stop in found if text[:start].endswith(b"{") and text[stop:][:1] == b"}"
    }
    assert {(start, stop) for start, stop, _ in macros.scan(text)} == found - hidden
