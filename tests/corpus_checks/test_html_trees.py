"""No document has another tree once it is tracked, but for its links and pixels, however broken it is.

Judged by two tree builders that are not ours. The documents are grown from real ones and broken with a seed
(`tests/html_mutants.py`); the long run takes 200,000 of them through each.
"""

import itertools
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import pytest

from html_mutants import documents
from html_trees import Html5lib, Lexbor, differences, tracked
from smtpapi.find import html

EVERYDAY, SLOWLY = 2000, 300
ALL = 200_000
BATCH = 2500
SEED = 12


def faults(reader: Any, wanted: Iterable[tuple[int, bytes]]) -> list[str]:
    """What the reader sees changed, with each document's number."""
    found = []
    for number, data in wanted:
        text = data.decode("latin-1").encode()
        # lexbor makes a comment of what it read before from a "<!" or "<?" that ends the document
        if reader is Lexbor and text.rstrip().endswith((b"<!", b"<?")):
            continue
        after, links = tracked(text, initial=number % 2 == 0)
        found += [f"{number}: {what} {text!r}" for what in differences(text, after, links, reader)]
    return found


def batch(reader: Any, seed: int, count: int) -> list[str]:
    return faults(reader, enumerate(documents(seed, count)))


def test_h12_trees_by_lexbor_are_the_same_but_for_links_and_pixels() -> None:
    assert batch(Lexbor, SEED, EVERYDAY) == []


def test_h12_trees_by_html5lib_are_the_same_but_for_links_and_pixels() -> None:
    assert batch(Html5lib, SEED + 1, SLOWLY) == []


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("reader", "count"), [(Lexbor, ALL), (Html5lib, ALL)])
def test_h12_trees_of_all_documents_are_the_same(reader: Any, count: int) -> None:
    seeds = range(1000, 1000 + count // BATCH)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(partial(batch, reader, count=BATCH), seeds)
        assert [*itertools.chain.from_iterable(found)] == []


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
