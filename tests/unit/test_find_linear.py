"""Hostile input costs no more than its length: four times the bytes, not sixteen times the time."""

import time
from collections.abc import Callable
from typing import Final

import pytest

from smtpapi.find import html, macros, text
from smtpapi.find.html_syntax.entities import decode

SIZE: Final = 50_000  # and four times that
RATIO: Final = 9.0  # 4 if linear, 16 if quadratic; between them, for a busy machine
TRIES: Final = 4  # what grows by its square does so each time, what other programs disturb does not
AT_ONCE: Final = 0.01  # seconds: below this a ratio says nothing

MARKUP: Final = [
    *(
        "<",
        "<a",
        "<a ",
        "</",
        "<!",
        "<!--",
        "<!---",
        "<!--->--!",
        "<!--[--!>",
        "<![CDATA[",
        "</body",
        "</body>",
        "<script",
    ),
    *("<script>", "<script><!--<script>", "<script><!-->", "<style></", "<style></style", "<title></title>"),
    *(
        '<a href="',
        "<a href='\"<b x='\"",
        "<a href=x>",
        "<a href=&amp;>",
        "<a =",
        "<a/",
        '<b ="',
        '<td x="y" ',
    ),
    *(
        "<svg>",
        "<svg",
        "<svg><p>",
        "<svg></mi>",
        "<svg><![CDATA[",
        "<svg></a><a href=x><![CDATA[",
        "<math><mi>",
        "<svg><font ",
        "<p>",
        '"',
        "=",
    ),
    *(
        "<!--[if mso]><a href=x>",
        "<!--[if ",
        "<a href=x>.<b<b<b<b</a>",
        "<a href=x>.<!--<!--</a>",
        "<a href=x>a.a.",
    ),
]
ONE_TAG: Final = ["x=1 ", "x ", " ", "data-msys-x=1 ", "x='", "=", "/", "href ", "x = "]
PROSE: Final = [
    *(
        "http://",
        "http://a",
        "(http://a)",
        "'http://a",
        "<http://a ",
        "<http://a\n",
        "<http://a\n\t",
        "http://a)))",
    ),
    *(
        "http://a[[",
        'http://a[[data-msys-clicktrack="0"]]',
        "http://a\u00e4",
        "/http://",
        "a.b/http://",
        "http://a\\",
    ),
    *(
        "\n> http://a",
        "http://a \r\n",
        "*http://a*",
        "http://a.....",
        "[[",
        "(",
        "a.",
        "http://a((",
        "http://a'",
    ),
]


def seconds(scan: Callable[[bytes], object], data: bytes) -> float:
    best = float("inf")
    for _ in range(2):
        start = time.process_time()
        scan(data)
        best = min(best, time.process_time() - start)
    return best


def assert_linear(scan: Callable[[bytes], object], begin: str, unit: str, end: str = "") -> None:
    def document(size: int) -> bytes:
        return (begin + unit * (size // len(unit)) + end).encode()

    ratios = []
    for _ in range(TRIES):
        large = seconds(scan, document(4 * SIZE))
        ratios.append(large / seconds(scan, document(SIZE)) if large > AT_ONCE else 0.0)
        if ratios[-1] < RATIO:
            return
    raise AssertionError(f"four times the bytes took {ratios} times the time")


@pytest.mark.parametrize("unit", MARKUP)
def test_markup(unit: str) -> None:
    assert_linear(lambda data: html.scan(data, vml=True), "", unit)


@pytest.mark.parametrize("unit", ONE_TAG)
def test_one_tag(unit: str) -> None:
    assert_linear(html.scan, "<a href=http://x ", unit, ">")
    assert_linear(html.scan, "<a href=http://x ", unit)
    assert_linear(html.scan, "<td ", unit)


@pytest.mark.parametrize("unit", PROSE)
def test_prose(unit: str) -> None:
    assert_linear(lambda data: text.scan(data, flowed=True, delsp=True), "", unit)
    assert_linear(lambda data: text.scan(data, flowed=True, delsp=True), "http://a", unit)


@pytest.mark.parametrize("unit", ["&", "&#", "&a", "&#1", "1", "a", "&amp", "&#x"])
def test_references(unit: str) -> None:
    assert_linear(decode, "&#", unit)
    assert_linear(decode, "&", unit)


def test_macros() -> None:
    for unit in ("{{", "{{ ", "{{opening_", "{{opening_single_curly()"):
        assert_linear(macros.scan, "_curly()", unit)
