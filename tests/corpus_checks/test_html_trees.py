"""No document has another tree once it is tracked, but for its links and pixels, however broken it is.

Judged by two tree builders that are not ours. The documents are grown from real ones and broken with a seed
(`tests/html_mutants.py`), or strung from odd pieces alone; the long run takes 200,000 of them through each,
in as many processes as there are processors, and ends with a line of counts for each. DOCUMENTS: another
number; DOCUMENTS_SEED: others.

    pytest -m long -s tests/corpus_checks
"""

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import pytest

from html_mutants import documents, strung
from html_trees import Html5lib, Lexbor, differences, tracked
from smtpapi.find import html

EVERYDAY, SLOWLY = 2000, 300
ALL = int(os.environ.get("DOCUMENTS", "200000"))
BATCH = 2500
SEED = 12
FIRST = int(os.environ.get("DOCUMENTS_SEED", "1000"))  # each batch has the next


class Compared(NamedTuple):
    """What a reader saw changed, and of how many documents, how many of them with links or pixels."""

    faults: list[str]
    read: int
    tracked: int


def compared(reader: Any, documents: Iterable[tuple[int, bytes]]) -> Compared:
    """Have numbered documents judged by the reader."""
    found: list[str] = []
    read = edited = 0
    for number, data in documents:
        text = data.decode("latin-1").encode()
        # lexbor makes a comment of what it read before from a "<!" or "<?" that ends the document
        if reader is Lexbor and text.rstrip().endswith((b"<!", b"<?")):
            continue
        after, links = tracked(text, initial=number % 2 == 0)
        different = differences(text, after, links, reader)
        if different is not None:
            read += 1
            edited += after != text
            found += [f"{number}: {what} {text!r}" for what in different]
    return Compared(found, read, edited)


Maker = Callable[[int, int], Iterator[bytes]]


def batch(reader: Any, seed: int, count: int, maker: Maker = documents) -> Compared:
    return compared(reader, enumerate(maker(seed, count)))


def test_h12_trees_by_lexbor_are_the_same_but_for_links_and_pixels() -> None:
    assert batch(Lexbor, SEED, EVERYDAY).faults == []


def test_h12_trees_by_html5lib_are_the_same_but_for_links_and_pixels() -> None:
    assert batch(Html5lib, SEED + 1, SLOWLY).faults == []


def test_h12_trees_of_pages_strung_from_odd_pieces_are_the_same() -> None:
    assert batch(Lexbor, SEED, EVERYDAY, strung).faults == []


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("reader", "maker"), [(Lexbor, documents), (Lexbor, strung), (Html5lib, documents)])
def test_h12_trees_of_all_documents_are_the_same(reader: Any, maker: Maker) -> None:
    began = time.monotonic()
    judge = partial(batch, reader, count=BATCH, maker=maker)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        shares = list(pool.map(judge, range(FIRST, FIRST + ALL // BATCH)))
    faults = [*itertools.chain.from_iterable(share.faults for share in shares)]
    read, edited = sum(share.read for share in shares), sum(share.tracked for share in shares)
    print(
        f"\n{len(shares) * BATCH:,} {maker.__name__} of seeds from {FIRST}: {read:,} read by"
        f" {reader.__name__} before and after, {edited:,} of them with links or a pixel,"
        f" {len(faults)} differences, {time.monotonic() - began:.0f} s"
    )
    assert faults == []


def test_documents_are_the_same_for_the_same_seed() -> None:
    assert [*documents(5, 40)] == [*documents(5, 40)]
    assert len({*documents(5, 40)}) > 30


def test_both_walks_find_the_same_in_broken_documents() -> None:
    for data in documents(SEED + 2, EVERYDAY):
        for vml in (False, True):
            assert html.scan(data, vml=vml) == html.scan_by_expressions(data, vml=vml)


CUT = [
    b'<p>Hello</p><a href="https://a.example/cut',
    b"<p>Hello</p><style>p { color: red }</body></html>",
    b"<p>Hello</p><style>p { color: red }</style ",
    b"<p>Hello</p><script>var a = '</body>'",
    b"<p>Hello</p><!-- campaign </body>",
    b"<p>Hello</p><textarea>",
    b"<p>Hello</p></",
    b"<p>Hello</p><svg><g>",
    b"<table><tr><td>Hello</td><td><b",
]


@pytest.mark.parametrize("reader", [Lexbor, Html5lib])
@pytest.mark.parametrize("data", CUT)
def test_h12_documents_that_end_inside_something_have_a_pixel_that_is_an_image(
    data: bytes, reader: Any
) -> None:
    after, links = tracked(data, initial=False)
    assert links.pixels == 1
    assert differences(data, after, links, reader) == []


HIDDEN = [
    b"<html><head><style>p { color: red }",
    b"<!doctype html><html><head><title>t</title></head>\r\n",
    b"<p><b>Hello</p><style>p { color: red }",
    b"<frameset><frame src=a>",
    b"<form><select><option>one</body>",
    b"<template><p>Hello",
]


@pytest.mark.parametrize("reader", [Lexbor, Html5lib])
@pytest.mark.parametrize("data", HIDDEN)
def test_h12_documents_that_show_no_image_have_none(data: bytes, reader: Any) -> None:
    after, links = tracked(data, initial=False)
    assert (after, links.pixels) == (data, 0)


FAR_FROM_A_TABLE = [
    b"<!--%s-->" % (b"x" * 500),
    b"<form action='x'>" * 40,
    b"<!-- </table> -->",
    b"<!-- </table> --!>",
    b"<?</table>",
    b"</ </table>",
    b"<tr title='</table>'>",
    b"<style>.x { } </table></style>",
    b"<!--[if mso]></td></tr></table><![endif]-->",
]


@pytest.mark.parametrize("between", FAR_FROM_A_TABLE)
def test_h12_white_space_stays_in_a_table_whatever_stands_between(between: bytes) -> None:
    data = b"<body><p>x<i></p><table>" + between + b"</body> \n"
    after, links = tracked(data, initial=False)
    assert links.pixels == 1
    assert differences(data, after, links, Lexbor) == []


OPEN_SVG = [
    b"<svg><style><desc></style></body>\n",
    b"<p>a<svg><style><title></style></body>\n",
    b"<p>a<svg><style><foreignObject></style></body>\n",
    b"<font color=red><svg></font><title><a href='https://a.example/'>",
    b"<ins>a<svg></ins><title><a href='https://a.example/'>",
]


@pytest.mark.parametrize("reader", [Lexbor, Html5lib])
@pytest.mark.parametrize("data", OPEN_SVG)
def test_h12_svg_that_is_open_or_closed_by_what_is_around_it_keeps_its_text(data: bytes, reader: Any) -> None:
    for initial in (False, True):
        after, links = tracked(data, initial=initial)
        assert differences(data, after, links, reader) == []


@pytest.mark.parametrize("cell", [b"td", b"th", b"caption"])
def test_h12_an_element_that_is_not_closed_from_within_a_cell_is_not_opened_again(cell: bytes) -> None:
    data = (
        b"<body><table><tr><a href='http://a.example/'><" + cell + b">x</a></tr></table></body></html><table>"
    )
    after, links = tracked(data, initial=False)
    assert differences(data, after, links, Lexbor) == []
