"""URLs in plain text: where they begin, where they end, and when that cannot be told."""

from typing import Any

import pytest

from smtpapi.find import text
from smtpapi.find.model import TextLink


def targets(data: bytes, **form: Any) -> list[bytes]:
    links = text.scan(data, **form)
    assert all(data[link.start : link.stop] == link.target for link in links)
    return [link.target for link in links if not link.broken]


def only(data: bytes, **form: Any) -> TextLink:
    (link,) = text.scan(data, **form)
    return link


@pytest.mark.parametrize(
    ("data", "target"),
    [
        (b"http://x.example", b"http://x.example"),
        (b"see HTTPS://X.example/ now", b"HTTPS://X.example/"),
        (b"a http://x.example/?a=1&b=\n", b"http://x.example/?a=1&b="),
        (b"<http://x.example/reset?key=a&login=b>", b"http://x.example/reset?key=a&login=b"),
        (b"<URL:http://x.example/>", b"http://x.example/"),
        (b'"http://x.example/a"', b"http://x.example/a"),
        (b"'http://x.example/a' b'", b"http://x.example/a"),
        (b"http://x.example/it's/", b"http://x.example/it's/"),
        (b"Go to http://x.example/a.", b"http://x.example/a"),
        (b"http://x.example/a, http", b"http://x.example/a"),
        (b"http://x.example/a?!...", b"http://x.example/a"),
        (b"(http://x.example/a)", b"http://x.example/a"),
        (b"(see http://x.example/a).", b"http://x.example/a"),
        (b"(see http://x.example/a_(b))", b"http://x.example/a_(b)"),
        (b"http://x.example/a_(b)_c", b"http://x.example/a_(b)_c"),
        (b"[http://x.example/a]", b"http://x.example/a"),
        (b"[text](http://x.example/a)more", b"http://x.example/a"),
        (b"[http://x.example/a text]", b"http://x.example/a"),
        (b"{http://x.example/a}", b"http://x.example/a"),
        (b"*http://x.example/a*", b"http://x.example/a"),
        (b"http://x.example/a*", b"http://x.example/a*"),
        (b"http://[2001:db8::1]:80/a", b"http://[2001:db8::1]:80/a"),
        (b"http://x.example/a[1]", b"http://x.example/a[1]"),
        (b"http://x.example/%7Ea%20b+c#d", b"http://x.example/%7Ea%20b+c#d"),
        (b"http://x.example/{{id}}/a|^", b"http://x.example/{{id}}/a"),
        (b"http://x.example/?u=http://y.example/", b"http://x.example/?u=http://y.example/"),
        (b"Link:http://x.example/", b"http://x.example/"),
        (b"link=http://x.example/", b"http://x.example/"),
        (b"see...http://x.example/", b"http://x.example/"),
        (b"`http://x.example/a`", b"http://x.example/a"),
        (b"http://localhost:8080/", b"http://localhost:8080/"),
        ("„http://x.example/a“".encode(), b"http://x.example/a"),
        ("请http://x.example/a。".encode(), b"http://x.example/a"),
        (b"http://x.example/a\xc2\xa0b", b"http://x.example/a"),
    ],
)
def test_a_url_ends_where_the_sentence_takes_over(data: bytes, target: bytes) -> None:
    assert targets(data) == [target]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"http://",
        b"http:// x",
        b"http:///path",
        b"http://?q",
        b"http://.",
        b"http:/x.example",
        b"xhttp://x.example/",
        b"git+http://x.example/",
        b"www.x.example/a",
        b"mailto:a@x.example ftp://x.example/",
        b"web.archive.example/web/http://x.example/",
        b"www.x.example/?u=http://y.example/",
    ],
)
def test_what_is_no_link(data: bytes) -> None:
    assert text.scan(data) == ()


@pytest.mark.parametrize(
    "data",
    [
        "http://bücher.example/".encode(),
        "http://x.example/straße".encode(),
        "http://x.example/a.ä".encode(),
        b"http://x.example/stra\xdfe",
        b"http://x.example/a\x94",
        b"http://x.example/a)b",
        b"http://x.example/a\\b",
        b"http://x.example[1]",
        b"<http://x.example/a\r\nb>",
        b"> <http://x.example/a\r\n> b/c\r\n> d>",
        b"<URL:http://x.example/a\n  b>",
    ],
)
def test_a_url_whose_end_cannot_be_told_is_broken(data: bytes) -> None:
    link = only(data)
    assert link.broken
    assert data[link.start : link.stop] == link.target


def test_what_goes_on_in_other_characters_belongs_to_the_broken_link() -> None:
    assert only("http://bücher.example/ä, x".encode()).target == "http://bücher.example/ä,".encode()


def test_an_angle_bracket_that_closes_on_another_line_without_a_break_in_the_url_is_no_wrap() -> None:
    assert targets(b"<http://x.example/a b>") == [b"http://x.example/a"]
    assert targets(b"< http://x.example/a\nb>") == [b"http://x.example/a"]


def test_nothing_inside_a_wrapped_url_is_a_link_of_its_own() -> None:
    link, after = text.scan(b"<http://x.example/?a=1\n&u=http://y.example/> http://z.example/")
    assert link.broken
    assert (after.target, after.broken) == (b"http://z.example/", False)


def test_reading_stops_once_there_are_more_links_than_wanted() -> None:
    data = b"http://x.example/ " * 9
    assert len(text.scan(data, most=5)) == 6
    assert len(text.scan(data, most=9)) == 9


class TestSoftBreaks:
    """RFC 3676 4.1: with DelSp the space before a soft break goes, and the URL may go on."""

    DATA = b"http://x.example/a \r\nb"

    def test_delsp_may_join_what_the_break_parts(self) -> None:
        assert only(self.DATA, flowed=True, delsp=True).broken
        assert only(b"> http://x.example/a \r\n> b", flowed=True, delsp=True).broken

    def test_flowed_alone_keeps_the_space(self) -> None:
        assert targets(self.DATA, flowed=True) == [b"http://x.example/a"]
        assert targets(self.DATA, delsp=True) == [b"http://x.example/a"]

    def test_a_second_space_stays(self) -> None:
        assert targets(b"http://x.example/a  \r\nb", flowed=True, delsp=True) == [b"http://x.example/a"]

    def test_a_hard_break_ends_the_url(self) -> None:
        assert targets(b"http://x.example/a\r\nb", flowed=True, delsp=True) == [b"http://x.example/a"]


def test_lines_of_quoted_replies_are_flagged() -> None:
    data = b"> http://1.example/\n>> (http://2.example/\nhttp://3.example/ > http://4.example/\r\n>http://5.example/"
    assert [link.quoted for link in text.scan(data)] == [True, True, False, False, True]


class TestNotation:
    """contract.md 5.3: double square brackets directly after the URL."""

    URL = b"http://www.example.com"

    def link(self, notation: bytes) -> TextLink:
        return only(b"at " + self.URL + notation + b" end")

    @pytest.mark.parametrize(
        ("notation", "clicktrack", "unsubscribe", "sublink"),
        [
            (b'[[data-msys-clicktrack="0"]]', False, False, ""),
            (b'[[data-msys-unsubscribe="1"]]', True, True, ""),
            (b'[[data-msys-sublink="shop"]]', True, False, "shop"),
            (b'[[data-msys-unsubscribe="1" data-msys-sublink="shop"]]', True, True, "shop"),
            (b'[[data-msys-unsubscribe="1"]][[data-msys-sublink="shop"]]', True, True, "shop"),
            (b"[[ Data-Msys-Clicktrack='0' ]]", False, False, ""),
            (b"[[data-msys-clicktrack=0]]", False, False, ""),
            (b'[[data-msys-clicktrack="1"]][[data-msys-unsubscribe="0"]]', True, False, ""),
        ],
    )
    def test_it_is_read(self, notation: bytes, clicktrack: bool, unsubscribe: bool, sublink: str) -> None:
        link = self.link(notation)
        assert link.target == self.URL
        assert link.notation == (link.stop, link.stop + len(notation))
        assert (link.clicktrack, link.unsubscribe, link.sublink) == (clicktrack, unsubscribe, sublink)

    @pytest.mark.parametrize(
        "notation",
        [
            b'[[data-msys-linkname="n"]]',
            b'[[data-msys-clicktrack="0" data-msys-linkname="n"]]',
            b'[[data-msys-clicktrack="0"]',
            b"[[data-msys-clicktrack]]",
            b"[[]]",
            b"[[note]]",
            b' [[data-msys-clicktrack="0"]]',
        ],
    )
    def test_anything_else_is_the_authors_text(self, notation: bytes) -> None:
        link = self.link(notation)
        assert (link.target, link.notation, link.clicktrack) == (self.URL, None, True)

    def test_a_sublink_that_is_no_path_segment_is_ignored_and_said(self) -> None:
        link = self.link(b'[[data-msys-sublink="a/b"]]')
        assert (link.sublink, link.sublink_ignored) == ("", True)
        assert link.notation is not None

    def test_punctuation_before_it_belongs_to_the_url(self) -> None:
        assert only(b'http://x.example/a.[[data-msys-unsubscribe="1"]].').target == b"http://x.example/a."

    def test_a_closing_bracket_before_it_does_not(self) -> None:
        link = only(b'(http://x.example/a)[[data-msys-unsubscribe="1"]]')
        assert (link.target, link.notation, link.unsubscribe) == (b"http://x.example/a", (20, 49), True)

    def test_it_belongs_to_the_last_url_before_it(self) -> None:
        first, second = text.scan(b'(http://x.example/a)http://y.example/[[data-msys-unsubscribe="1"]]')
        assert (first.notation, first.unsubscribe) == (None, False)
        assert second.unsubscribe

    def test_all_are_reported_for_taking_out(self) -> None:
        data = b'http://x.example[[data-msys-clicktrack="0"]] http://y.example[[data-msys-sublink="a"]][[x]]'
        (a, b), (c, d) = (link.notation or (0, 0) for link in text.scan(data))
        assert data[:a] + data[b:c] + data[d:] == b"http://x.example http://y.example[[x]]"


@pytest.mark.parametrize(("before", "whole"), [(43, True), (44, False), (200, False)])
def test_a_url_may_be_wrapped_where_its_line_is_long(before: int, whole: bool) -> None:
    for above in (b"", b"a line above\n", b"x" * 90 + b"\n"):
        url = b"http://x.example/abc"
        link = only(above + b"-" * (before - 1) + b" " + url + b"\nmore-of-it\n")
        assert (link.broken, link.target) == (not whole, url)


@pytest.mark.parametrize("code", [0x80, 0x81, 0xC0, 0xE9, 0xFE, 0xFF])
def test_any_octet_beyond_ascii_may_belong_to_the_url_before_it(code: int) -> None:
    link = only(b"http://x.example/a%cb c" % code, charset="windows-1252")
    assert (link.broken, link.target) == (True, b"http://x.example/a%cb" % code)


@pytest.mark.parametrize(
    "around",
    [
        b"(%s)b\xe9",
        b"[%s]b\xe9",
        b"{%s}b\xe9",
        b"[url=%s]b[/url]\xe9",
        b"x (%s)b\\\\c",
        b"[%s]b`c",
        b"x=%s).\xe9",
    ],
)
def test_what_comes_behind_a_closed_bracket_is_no_matter(around: bytes) -> None:
    link = only(around % b"http://x.example/a", charset="windows-1252")
    assert (link.broken, link.target) == (False, b"http://x.example/a")
