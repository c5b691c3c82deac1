"""Faults that were put into the reading of pages and MIME on purpose, and that no other test noticed."""

import binascii
import re
from collections.abc import Callable
from functools import partial

import pytest

from engagement.links.keys import Key, KeyStatus
from engagement.links.model import Identity
from smtpapi.find import html, text
from smtpapi.find.html_syntax.unclosed import among_skipped
from smtpapi.find.model import Page
from smtpapi.mime import charset, quoted_printable
from smtpapi.mime.edits import line_end
from smtpapi.model.edit import Edit, splice
from smtpapi.model.outcome import Leave, Plan
from smtpapi.request.decision import Decision
from smtpapi.request.strict_json import MAX_DEPTH, NotJSON, compact, read
from smtpapi.rewrite import raw_message
from smtpapi.rewrite.copy_links import CopyLinks
from smtpapi.rewrite.places import last
from smtpapi.rewrite.plan import editable, plan
from smtpapi.rewrite.rules import RewritingRules
from smtpapi.rewrite.verify import same_but_for

HREF = b"<a href='http://a.example/'>"

# find/foreign.py and find/html.py


@pytest.mark.parametrize("scan", [html.scan, html.scan_by_expressions])
@pytest.mark.parametrize(
    ("tag", "links"),
    [
        (b"<g></g>", 1),
        (b"</g>", 1),
        (b"</div>", 0),
        (b"</span>", 0),
        (b"</td>", 0),
        (b"</a>", 0),
        (b"</p>", 0),
    ],
)
def test_end_tags_of_html_leave_svg_and_no_others(
    scan: Callable[[bytes], Page], tag: bytes, links: int
) -> None:
    """Within svg `style` is no raw text (HTML 13.2.6.5)."""
    assert len(scan(b"<svg>" + tag + b"<style>" + HREF + b"</style>").anchors) == links


@pytest.mark.parametrize("scan", [html.scan, html.scan_by_expressions])
@pytest.mark.parametrize("piece", [b"<p>x</p>", b"<a href=http://a.e/>", b"<!-- x -->", b"<i title='>'>"])
def test_the_clock_is_looked_at_throughout_a_long_page(scan: Callable[..., Page], piece: bytes) -> None:
    looks = []
    scan(piece * (2_000_000 // len(piece)), check_time=lambda: looks.append(1))
    assert len(looks) >= 10


# mime/changes.py


@pytest.mark.parametrize(
    ("data", "end"),
    [(b"\nx\r\n", b"\n"), (b"\r\nx\n", b"\r\n"), (b"x\ny\r\n", b"\n"), (b"x", b"\r\n"), (b"", b"\r\n")],
)
def test_a_line_end_is_that_of_the_first_line_even_an_empty_one(data: bytes, end: bytes) -> None:
    assert line_end(data, b"\r\n") == end


# rewrite/verify.py


def test_the_second_opinion_lets_notation_go() -> None:
    data = b'<a data-msys-sublink="x" href="http://a.example/">a</a>'
    gone = Edit(2, 24, b"", "attribute")
    assert same_but_for(data, [gone])
    assert not same_but_for(data.replace(b"msys", b"else"), [gone])


# mime/charset.py: labels of the WHATWG's Encoding Standard, and what mail has besides


@pytest.mark.parametrize(
    "label",
    ["ascii-us", "cp-850", "utf8mb4", "unicode-1-1-utf-8", "iso-8859-6-i", "iso-8859-8-e", "x-euc-jp",
     "x-mac-roman", "iso-8859-16", "koi8-u", "windows-1258", "ibm866", "l9"],
)  # fmt: skip
def test_labels_of_supersets_of_ascii_are_known(label: str) -> None:
    assert charset.read(b"\xff\x81 a", label, html=False) == charset.DecodedText(b"\xff\x81 a")


@pytest.mark.parametrize("label", ["x-gbk", "gbk", "chinese", "gb18030", "iso-ir-58"])
def test_labels_of_chinese_are_known(label: str) -> None:
    text = "表示 http://a.example/ 镕z"
    raw = text.encode("gbk")
    assert raw.count(b"F") == 1  # the sign's second octet
    reading = charset.read(raw, label, html=False)
    assert reading is not None
    assert bytes(octet for octet in reading.text if octet < 128) == b" http://a.example/ z"


@pytest.mark.parametrize("label", ["x-sjis", "windows-31j", "ms932", "ms_kanji", "shift-jis", "sjis"])
def test_labels_of_japanese_are_known(label: str) -> None:
    raw = "表ソ http://a.example/ ①".encode("cp932")
    reading = charset.read(raw, label, html=False)
    assert reading is not None
    assert b" http://a.example/ " in reading.text


@pytest.mark.parametrize(
    ("codec", "labels"),
    [
        (
            "utf-16-le",
            (
                "utf-16",
                "utf-16le",
                "csunicode",
                "iso-10646-ucs-2",
                "ucs-2",
                "unicode",
                "unicodefeff",
                "UTF-16",
            ),
        ),
        ("utf-16-be", ("utf-16be", "unicodefffe", "UTF-16BE")),
    ],
)
def test_labels_of_utf_16_are_read_in_their_order_of_octets(codec: str, labels: tuple[str, ...]) -> None:
    raw = "表 http://a.example/ x".encode(codec)
    for label in labels:
        reading = charset.read(raw, label, html=False)
        assert reading is not None, label
        assert b" http://a.example/ " in reading.text


# rewrite/places.py


def test_a_document_that_ends_in_the_first_signs_of_an_end_tag_gets_no_pixel_in_a_table() -> None:
    for data, place in ((b"<p>x<b>y</", 8), (b"<p>x<table><tr><td>y</", -1)):
        assert last(data, html.scan(data), lambda: None) == place


def test_no_pixel_before_a_comment_that_is_deeper_than_any_author_nests() -> None:
    for depth, place in ((10, 51), (600, -1)):
        data = b"<div>" * depth + b"x<!-- comment"
        assert last(data, html.scan(data), lambda: None) == place


# find/ends.py


def test_a_tilde_before_a_second_url_is_of_the_first() -> None:
    (link,) = text.scan(b"see ~http://a.example/x~y now")
    assert (link.target, link.broken) == (b"http://a.example/x~y", False)


# mime/quoted_printable.py


@pytest.mark.parametrize("in_c", [True, False])
def test_links_in_quoted_printable_are_exchanged_and_nothing_else(
    in_c: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quoted_printable, "_IN_C", in_c and quoted_printable._IN_C)
    encoded = b'<a href=3D"http://a.example/=3Fx=3D1">\xe4=E4</a>=\n<a href=3D"http://b.example/">b</a>\n' * 3
    view = quoted_printable.quoted_printable(encoded)
    changes = [
        Edit(found.start(), found.end(), b"http://t.example/=%d" % found.start(), "link")
        for found in re.finditer(rb'http[^"]+', view.data)
    ]
    placed = view.place(changes, b"\n").edits
    assert len(placed) == 6
    assert binascii.a2b_qp(splice(encoded, placed)) == splice(view.data, changes)
    assert splice(encoded, placed).count(b"=E4") == 3


# mime/describe.py


@pytest.mark.parametrize(
    ("kind", "textual"),
    [(b"image/x(y)", True), (b'"image/png"', True), (b"foo", True),
     (b"text/x(y)", False), (b"text", False), (b"multipart", False), (b"html", False)],
)  # fmt: skip
def test_a_type_that_is_no_token_is_ambiguous_where_a_reader_may_take_it_for_text(
    kind: bytes, textual: bool
) -> None:
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>x</p>\r\n"
        b"--b\r\nContent-Type: %b\r\n\r\nx\r\n--b--\r\n" % kind
    )
    parts = editable(raw_message.split(raw).message, RewritingRules(), lambda: False)
    assert isinstance(parts, Leave) is not textual


# find/markup.py


@pytest.mark.parametrize("scan", [html.scan, html.scan_by_expressions])
def test_tags_are_known_in_any_letter_case(scan: Callable[[bytes], Page]) -> None:
    data = (
        b'<html><body><a href="http://a.example/">x</a><map><area href="http://b.example/"></map>'
        b'<style><a href="http://c.example/"></style><svg><title><a href="http://d.example/"></a></title></svg>'
        b'<textarea><a href="http://e.example/"></textarea><select></select></body></html>'
    )
    names = re.compile(rb"(</?)([a-z]+)")

    def written(found: re.Match[bytes], case: Callable[[bytes], bytes]) -> bytes:
        return found[1] + case(found[2])

    for case in (bytes.upper, bytes.title):
        other = names.sub(partial(written, case=case), data)
        assert scan(other)._replace(anchors=()) == scan(data)._replace(anchors=())
        targets = [anchor.target for anchor in scan(other).anchors]
        assert targets == [b"http://a.example/", b"http://b.example/", b"http://d.example/"]


def test_a_pixel_stands_before_an_unclosed_comment_also_if_a_tag_s_end_is_in_it() -> None:
    for comment in (b"<!-- campaign", b"<!-- a > b", b"<!-- <p> -- >", b"<!-- <!-- a -> >"):
        data = b"<html><body>text" + comment
        for scan in (html.scan, html.scan_by_expressions):
            assert last(data, scan(data), lambda: None) == 16


# find/text.py


@pytest.mark.parametrize(("opener", "closer"), [("(", ")"), ("[", "]"), ("{", "}"), ("'", "'")])
def test_a_long_url_in_brackets_ends_with_them_and_not_on_the_next_line(opener: str, closer: str) -> None:
    url = b"https://a.example/" + b"x" * 60
    (link,) = text.scan(b"see %b%b%b\nnext/part=1\nand on\n" % (opener.encode(), url, closer.encode()))
    assert (link.target, link.broken) == (url, False)


@pytest.mark.parametrize("before", [b"", b"\n", b"hello,\r\n"])
@pytest.mark.parametrize(("columns", "broken"), [(63, False), (64, True), (78, True)])
def test_a_url_may_go_on_where_its_line_has_64_columns(before: bytes, columns: int, broken: bool) -> None:
    url = b"https://a.example/".ljust(columns, b"x")
    (link,) = text.scan(before + url + b"\nnext/part=1\n")
    assert link.broken is broken


# strict_json.py


def test_many_brackets_beside_each_other_are_not_deep() -> None:
    for piece in ("{}", "[]", '{"a":[1]}'):
        assert compact(read(f"[{','.join([piece] * 3 * MAX_DEPTH)}]")[0]).count(piece) == 3 * MAX_DEPTH
    with pytest.raises(NotJSON, match="nested deeper"):
        read("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))


def test_declarations_and_comments_before_the_end_show_nothing() -> None:
    for nothing in (
        b"<!doctype html>",
        b'<?xml version="1.0"?>',
        b"</ x>",
        b"<!-- x -->",
        b"<!doctype html>\n<!>",
    ):
        assert last(nothing + b"<!-- c", html.scan(nothing + b"<!-- c"), lambda: None) == -1


# rewrite/plan.py


@pytest.mark.parametrize(("delsp", "links"), [(b"yes", 0), (b"YES", 0), (b"no", 1)])
def test_a_url_that_delsp_lets_go_on_in_the_next_line_stays(delsp: bytes, links: int) -> None:
    """RFC 3676 4.1: with DelSp=yes the blank before the line's end is no part of the text."""
    raw = b"Content-Type: text/plain; format=flowed; delsp=%b\r\n\r\nhttp://a.example/abc \r\ndef\r\n" % delsp
    decision = Decision(True, False, False, "https", "https", "t.example", 31_536_000)
    copy = CopyLinks.build(
        Key(1, KeyStatus.SIGNING, 0, bytes(32)), Identity(bytes(16), 1, "", 0, 1), decision
    )
    found = plan(raw_message.split(raw).message, decision, copy, RewritingRules(), lambda: 0.0)
    assert len(found.edits if isinstance(found, Plan) else ()) == links


# find/unclosed.py


def test_a_document_may_end_inside_a_comment_that_holds_a_tag_s_end() -> None:
    for data, place in ((b"x<!-- a > b", 1), (b"x<!-- a > <b y='--> <i", 20), (b"x<!-- a > -->b", -1)):
        assert among_skipped(data, 0, len(data), lambda: None) == place
