"""The walk in C finds the pages that its twin in Python finds, and a copy without it works the same.

It is built with the rest where there is a compiler, as wherever these tests run: without it they fail here.
"""

import email
import email.policy
import gc
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostile_mail import HOSTILE
from smtpapi.find import _walk, amp, html
from smtpapi.find.model import Anchor, Page
from smtpapi.mime.deadline import OverTimeError
from without_c import passes_without

ROOT = Path(__file__).parents[2]
CORPUS = ROOT.parent / "shared" / "corpus"
GOLDEN = ROOT / "tests" / "golden" / "documents"
Scan = Callable[..., Page]


def both(data: bytes, most: int = sys.maxsize) -> Page:
    """The page, which is the same with all options, to the types."""
    for vml in (False, True):
        for check_text in (False, True):
            swift, in_python = (
                scan(data, vml=vml, check_text=check_text, most=most)
                for scan in (html.scan, html.scan_by_expressions)
            )
            assert swift == in_python
            assert repr(swift) == repr(in_python)  # False is not 0
            assert all(type(anchor) is Anchor for anchor in swift.anchors)
    return swift


def attribute_values(text: str) -> list[str]:
    return text.split("|")


TAGS = attribute_values(
    "<a |<A\n|<a/|<a|<area |</a>|</a |</A/|<b>|<td |</td>|<p|<ab |<x<a |<v:rect href='v'>|<script>|</script>|"
    "<body>|<body |</body>|</BODY >|</bodyx>|<html>|<HTML |</html>|<svg>|<svg/>|</svg>|<math>|</math>|<mi>|"
    "<title>|</title>|<style>|</style>|</style|</STYLE/|<stylex>|<textarea>|</textarea>|<plaintext>|<xmp>|"
    "</xmp>|</xmpx>|<select>|<template>|<FRAMESET |<framesets>|"
    "<iframe |</iframe>|<noembed>|</noembed>|<noframes>|</noframes>"
)
COMMENTS = attribute_values(
    "<!--|-->|--!>|<!-->|<!--->|<!---|<!----|--|<!--[if mso]>|<!--[ IF x]>|<![endif]-->|<![CDATA[|]]>|"
    "<!doctype html>|<?xml|</|</>|</ >|<!|<!-"
)
ATTRIBUTES = attribute_values(
    'href=|HREF=|href| hrefs=|href="|href=\'|href="http://x/" |href=http://y/?a=b&c_d=e&amp;f| =z| x= |'
    ' data-msys-other| DATA-MSYS-SUBLINK=s.1| data-x="y"| class="c d"| title=\'<a href="q">\'| x=y| x|/'
)
TEXTS = attribute_values(
    "&amp;|&amp|&amp=|&copy|&copy;|&copy=|&copy_|&#46;|&#x3a;|&nosuch;|&utm_x=y|&|&lt;|https://|www.x.org|"
    "example.com|http|:|//|.|é|x|a|\x0b|\0|;|#|[|0|1"
)
SIGNS = "<>/=\"' \t\n\f\r-!?<>"
PIECES = st.one_of(*map(st.sampled_from, (TAGS, COMMENTS, ATTRIBUTES, TEXTS, SIGNS)))

# What is nearly well made, so that it comes to anchors and what is said of them.
OURS = ("linkname", "link-name", "sublink", "unsubscribe", "clicktrack", "other", "LINKNAME", "")
OTHERS = ("clicktracking", "autoTrack", "ses:no-track", "data-x-notrack", "mc:disable-tracking", "x-track")
NAMES = st.sampled_from(
    ("href", "href", "HREF", "class", "data-x", *(f"data-msys-{name}" for name in OURS), *OTHERS)
)
VALUES = st.one_of(
    st.lists(st.sampled_from(TEXTS), max_size=4).map("".join),
    st.sampled_from(
        (
            "0",
            "1",
            " 1\n",
            " Off",
            "false",
            "no",
            "s-1",
            "-s",
            "s_.S",
            "s s",
            *map("n".__mul__, (62, 63, 64, 65)),
        )
    ),
)
GAPS = st.sampled_from((*"     \n\f/", "", "  ", " / "))
VALUED = st.builds("{0}{1}={2}{3}{2}".format, GAPS, NAMES, st.sampled_from(("", '"', '"', "'")), VALUES)
ANCHORS = st.builds(
    "<{}{}{}{}".format,
    st.sampled_from(("a", "a", "A", "area", "td")),
    st.lists(st.one_of(VALUED, VALUED, st.sampled_from(ATTRIBUTES)), max_size=5).map("".join),
    st.sampled_from((">", ">", "/>", " >", "")),
    st.lists(st.sampled_from((*TEXTS, "<b>", "<i class='a.b'>", "</a>", "</a >")), max_size=6).map("".join),
)
COMMENTED = st.builds("<!--{}{}{}".format, PIECES, st.lists(PIECES, max_size=4).map("".join), ANCHORS)
MARKUP = st.lists(st.one_of(PIECES, PIECES, ANCHORS, COMMENTED), max_size=20).map(
    lambda pieces: "".join(pieces).encode("latin-1")
)
SPARSE = st.text("<>/ab\"'=- !&;ahref", max_size=60).map(str.encode)


@settings(max_examples=800, deadline=None)
@given(
    data=MARKUP | MARKUP | SPARSE | st.binary(max_size=200),
    most=st.sampled_from((sys.maxsize, sys.maxsize, 0, 1, 3, -1)),
)
def test_the_walk_finds_what_the_expressions_find(data: bytes, most: int) -> None:
    both(data, most)
    assert amp.scan(data) == Page(
        tuple(a for a in html.scan_by_expressions(data).anchors if a.tag == "a" and b"{{" not in a.target),
        *html.scan_by_expressions(data)[1:],
    )


@settings(max_examples=60, deadline=None)
@given(
    start=MARKUP,
    unit=st.lists(PIECES, min_size=1, max_size=3).map(lambda pieces: "".join(pieces).encode()),
    times=st.sampled_from((39, 41, 199, 201, 999, 1001, 2047, 2049)),
    end=MARKUP,
)
def test_the_walk_finds_the_same_after_many(start: bytes, unit: bytes, times: int, end: bytes) -> None:
    """More tags, attributes or bytes than either reads at once."""
    both(start + unit * times + end)


NASTY = [
    b"""<!DOCTYPE html "><a href=n>"><html><head><title><a href="n"></title ><style>a{}</styl></STYLE/><body
    class='>'><body><a href="http://a/?b=c&amp;d&e=f" title='"'>www.x.org</a><A HREF = 'b' href=c>.</A
    ><a href=d/><a href><a href=""><a href="\n "><a =href="n" href="e">x</a></body></html></body ><p""",
    b"""<a href="a"><!--><a href="b"><!---><a href="c"><!----><a href="d"><!-- -- --!><a href="e"><!-- <a>
    --!-->x<!--[if mso]><a href="v"><v:rect href='w'/><style></a></style><a href="u"><![endif]-->
    <a href="f"><!--[x --><!-[if mso]><a href="g"><![CDATA[<a href="n">]]><a href="h"><?<a href="n">?>
    </><a href="i"></ a<a href=n>""",
    b"""<a data-msys-linkname=" one " href="a" data-msys-link-name=two data-msys-x data-msys-sublink="s-1"
    /><a data-msys-unsubscribe='1'  data-msys-clicktrack = 0 href=b data-msys-sublink=/><a href='c'
    /data-msys-sublink=" "x=y/data-msys-linkname data-msys-link-name="\xc3\xa9"/><a data-msys-clicktrack
    ="0" href=d data-msys-linkname="&lt;" ><a href="e"data-msys-linkname="n"class=x
    data-msys-linkname="m">https://x<b>.</b>org</a >""",
    b"""<svg><title><a href="a"></title><style><a href="b"></style><![CDATA[<a href="n">]]></svg><svg/>
    <style><a href="n"></style><math><mi><a href="c"></mi><annotation-xml encoding=text/html><a href="d">
    </math><a href="e"><script><!--<script></script><a href="n"></script>--></script><a href="f">
    <textarea></textare<a href="n"></textarea><xmp></xm></xmp/><iframe><a href="n"></iframe><a href="g">
    <plaintext/><a href="n"></plaintext>""",
    b"""<area href="a" shape=rect><a href="&#104;ttp&colon;//b?&copy=1&copy_=2&ampx=3&amp=4&amp">
    <a href=' &#32;c&Tab;' ><a href="&amp;amp;&amp;&"><a href="?&utm_source=a&x;&amp;#&#"><x<a href="n">
    <a"href="n"><a href="d"href=n>.</a>""",
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(NASTY)))
def test_the_walk_ends_where_the_document_does(number: int) -> None:
    whole = NASTY[number]
    assert len(both(whole).anchors) >= 5
    for length in range(len(whole)):
        both(whole[:length])


@pytest.mark.parametrize("kind", HOSTILE)
def test_the_walk_through_hostile_mail_is_the_same(kind: str) -> None:
    body = HOSTILE[kind](100_000).body
    both(body)
    both(body, 100)


def test_long_targets_are_the_same() -> None:
    for unit in (b"x", b"&amp;", b"&x;", b"&lt;", b"&"):
        for size in (4076, 4077, 4078, 65_535, 65_540, 131_072):
            both(b'<a href="http://x/?' + (unit * size)[:size] + b'">www.x.org</a>')


@pytest.mark.parametrize(
    "data",
    [
        b'<a href="x">http://localhost</a><a href="y">localhost</a>',
        b'<area href="x">http://localhost</a>',
        b"<a href=x data-msys-linkname='\xe9'><a href=y data-msys-linkname='\xc3\xa9'>",
        b"<a href=x data-msys-sublink=s._-9><a href=y data-msys-sublink=.s><a href=z data-msys-sublink=!>",
        *(b"<a href=x data-msys-sublink=" + b"s" * size + b">" for size in (63, 64, 65)),
        b"<xmp></xmpx><a href=n></xmp><a href=y>",
        b"<xmp><-xmp><a href=n></xmp><a href=y>",
        b"<title></title\f><a href=x></titl",
        b"<!-- -- -> - > --> <a href=x><!-- --!<a href=n>",
    ],
)
def test_a_rare_shape_is_the_same(data: bytes) -> None:
    both(data)


def test_text_is_judged_as_far_as_it_is_seen() -> None:
    for size in range(1000, 1030):
        both(b'<a href="http://x/">www.x.org' + b" " * size + b"</a>")


def test_many_attributes_of_ours_are_the_same() -> None:
    for count in (15, 16, 17, 998, 999, 1000, 1001):
        both(b'<a href="x"' + b" data-msys-sublink=s" * count + b">")
        both(b"<a" + b" data-msys-x" * count + b' href="x"' + b"\t\f/data-msys-linkname=n" * count)


def html_parts(raw: bytes) -> Iterator[bytes]:
    for part in email.message_from_bytes(raw, policy=email.policy.compat32).walk():
        if part.get_content_type() == "text/html" and not part.is_multipart():
            payload = part.get_payload(decode=True)
            if isinstance(payload, bytes):
                yield payload


def test_the_walk_through_real_documents_is_the_same() -> None:
    """Those of the repository, and of the developers' corpus beside the checkout where there is one."""
    paths = [*GOLDEN.glob("*/in.html"), *CORPUS.glob("html/*/*.html"), *CORPUS.glob("amp/*/*.html")]
    documents = [path.read_bytes() for path in paths]
    for path in CORPUS.glob("mail/*/*.eml"):
        documents += html_parts(path.read_bytes())
    assert sum(len(both(document).anchors) for document in documents) > len(documents) > 5


def ways(data: bytes) -> set[int]:
    """What the walk in C comes back for."""
    position, seen = 0, set()
    while position < len(data):
        position, what, *_ = _walk.walk(data, position, len(data), [], sys.maxsize, True, True)
        seen.add(what)
    return seen


def test_common_anchors_need_no_python() -> None:
    """What this is for: it must not quietly hand everything over."""
    common = b"""<html><head><title>x</title><style>a>b{}</style></head><body class="x"><!-- y --><![if z]>
        <A CLASS="b" HREF="https://x.example/?a=b&amp;c=d&utm_e=f&#61;g">Read</A><a href=z>z</a>
        <a href='x'>y</a><a href="x" data-msys-linkname="n" data-msys-unsubscribe=1>Unsubscribe
        <b class="a.b">here</b></a></body>"""
    assert ways(common) == {_walk.MORE}
    assert len(both(common).anchors) == 4
    for handed, what in (
        (b"<svg>", _walk.TAG),
        (b'<a href=x data-msys-linkname="&lt;">', _walk.TAG),
        (b'<a href="' + b"&lt;" * 1025 + b'">', _walk.TAG),
        (b"<!--[if mso]>", _walk.COMMENT),
        (b'<a href="x">x.example</a>', _walk.CHECK_TEXT),
    ):
        assert what in ways(handed)


def test_the_walk_lets_look_at_the_clock() -> None:
    for unit in (b"<p>", b'<a href="x">', b"x" * 1000, b"<td class='a'>text</td>", b"<"):
        data = unit * (1_000_000 // len(unit))
        position = calls = 0
        while position < len(data):
            before = position
            position, *_ = _walk.walk(data, position, len(data), [], sys.maxsize, False, False)
            assert before < position
            assert data.count(b"<", before, position) <= 2048
            calls += 1
        assert calls >= (7 if unit[:1] == b"<" else 1)
        looks = 0

        def late() -> None:
            nonlocal looks
            looks += 1
            if looks == 3:
                raise OverTimeError

        if unit[:1] == b"<":
            with pytest.raises(OverTimeError):
                html.scan(data, check_time=late)


def test_the_walk_takes_no_value_of_another_type() -> None:
    good: list[Any] = [b"<p>", 0, 3, [], 9, False, False]
    assert _walk.walk(*good) == (3, _walk.MORE, 0, -1, -1, -1, False, False)
    for place in range(len(good)):
        for wrong in (None, "<p>", bytearray(b"<p>"), 1.0, ()):
            with pytest.raises(TypeError):
                _walk.walk(*[*good[:place], wrong, *good[place + 1 :]])
        with pytest.raises(TypeError):
            _walk.walk(*good[:place])
    with pytest.raises(TypeError):
        _walk.walk(*[*good, 1])


@pytest.mark.parametrize(("position", "limit"), [(-1, 3), (0, 4), (3, 2), (4, 4), (0, -1)])
def test_the_walk_stays_in_the_document(position: int, limit: int) -> None:
    with pytest.raises(ValueError, match="outside of the document"):
        _walk.walk(b"<p>", position, limit, [], 9, False, False)
    with pytest.raises(OverflowError):
        _walk.walk(b"<p>", position, 1 << 70, [], 9, False, False)


def test_the_walk_reads_nothing_behind_its_limit() -> None:
    for whole in NASTY:
        for limit in range(0, len(whole), 3):
            for data in (whole, whole[:limit], whole[:limit] + b'>">' * 9):
                assert list(_walked(data, limit)) == list(_walked(whole[:limit], limit))


def _walked(data: bytes, limit: int) -> Iterator[Any]:
    position, anchors = 0, list[Anchor]()
    while position < limit:
        found = _walk.walk(data, position, limit, anchors, sys.maxsize, True, False)
        position = found[0]
        yield found
    yield anchors


def test_the_walk_leaves_nothing_behind() -> None:
    """Each way out of it, over and over: what it took is given back."""
    before = 0
    for turn in range(300):
        if turn == 100:
            gc.collect()  # clears the lists of freed tuples, too
            before = sys.getallocatedblocks()
        for data in NASTY:
            html.scan(data, vml=True)
            html.scan(data[: turn * 3], most=2)
        with suppress(ValueError):
            _walk.walk(b"<p>", 9, 3, [], 9, False, False)
    gc.collect()
    assert sys.getallocatedblocks() - before < 500


def test_links_are_found_the_same_without_the_part_in_c() -> None:
    """The tests of HTML and AMP."""
    files = [f"tests/unit/test_find_{about}.py" for about in ("html", "amp", "documents")]
    passes_without("smtpapi.find._walk", *files, "tests/properties/test_find_properties.py")


SECOND = """
try:
    import _interpreters as interpreters  # from Python 3.13 on
except ImportError:
    import _xxsubinterpreters as interpreters
from smtpapi.find import _walk, html
data = b'<a href="&lt;x">'
page = html.scan(data)
second = interpreters.create()
interpreters.run_string(second, "from smtpapi.find.html import scan; assert scan(b'<a href=x>').anchors")
interpreters.destroy(second)
again = html.scan(data)
assert again == page
assert type(again.anchors[0]) is type(page.anchors[0])
"""


def test_the_walk_survives_a_second_interpreter() -> None:
    """It keeps a type and a function of the one that loaded it, which must not become another's."""
    run = subprocess.run(
        [sys.executable, "-c", SECOND],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'milter'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_anchors_hash_as_their_values_do() -> None:
    """From Python 3.14 on a tuple keeps its hash, which must not be one that nobody computed."""
    anchors: list[Anchor] = []
    data = b'<a href="http://x/"><area href=y data-msys-linkname="n" data-msys-unsubscribe="1">'
    _walk.walk(data, 0, len(data), anchors, sys.maxsize, False, False)
    assert len(anchors) == 2
    assert [hash(anchor) for anchor in anchors] == [hash((*anchor,)) for anchor in anchors]
    assert {Anchor(*anchor) for anchor in anchors} == set(anchors)
