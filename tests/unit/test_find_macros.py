"""The six brace macros (contract.md 5.4), and nothing else in braces."""

import pytest

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
