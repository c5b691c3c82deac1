"""Anchors and pixel places of HTML, by the tokenizer's rules."""

import pytest

from smtpapi.find import html
from smtpapi.find.model import Anchor

HREF = b'<a href="http://x/">'


def targets(data: bytes, *, vml: bool = False) -> list[bytes]:
    return [anchor.target for anchor in html.scan(data, vml=vml).anchors]


def only(data: bytes) -> Anchor:
    (anchor,) = html.scan(data).anchors
    return anchor


@pytest.mark.parametrize(
    ("tag", "value", "quote"),
    [
        (b'<a href="http://x/">', b"http://x/", b'"'),
        (b"<A HREF='http://x/'>", b"http://x/", b"'"),
        (b"<a href=http://x/>", b"http://x/", b""),
        (b"<a href=http://x/ >", b"http://x/", b""),
        (b'<a\nhref\t=\r\n "http://x/">', b"http://x/", b'"'),
        (b'<a href=" http://x/\n">', b"http://x/", b'"'),
        (b'<a/href="http://x/"/>', b"http://x/", b'"'),
        (b'<a title="a>b" href="http://x/">', b"http://x/", b'"'),
        (b'<a title=\'<a href="http://n/">\' href="http://x/">', b"http://x/", b'"'),
        (b'<a class="b"href="http://x/"id=c>', b"http://x/", b'"'),
        (b'<a x=a"b href="http://x/">', b"http://x/", b'"'),
        (b'<a "x" href="http://x/">', b"http://x/", b'"'),
        (b'<a ="x" href="http://x/">', b"http://x/", b'"'),
        (b'<a x= = href="http://x/">', b"http://x/", b'"'),
        (b'<a xlink:href="http://n/" data-href=n href="http://x/">', b"http://x/", b'"'),
        (b'<area shape=rect href="http://x/">', b"http://x/", b'"'),
        (b'<a href="http://x/?q=it\'s">', b"http://x/?q=it's", b'"'),
        (b"<a href='http://x/?q=\"a\"'>", b'http://x/?q="a"', b"'"),
    ],
)
def test_an_href_is_found_however_it_is_written(tag: bytes, value: bytes, quote: bytes) -> None:
    data = b"<p>before " + tag + b"after</a>"
    anchor = only(data)
    assert (data[anchor.start : anchor.stop], anchor.target, anchor.quote) == (value, value, quote)


def test_unquoted_value_may_begin_with_what_other_values_may_not_hold() -> None:
    assert targets(b"<a href==http://x/?a=b'c\"d/>") == [b"=http://x/?a=b'c\"d/"]


def test_a_name_that_ends_like_an_anchor_is_none() -> None:
    for before in range(0, 450, 5):
        assert targets(b"<p>" * before + b'<x<a href="http://x/">' * 5) == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<a>",
        b"<a href>",
        b"<a href=>",
        b'<a href href="http://x/">',
        b"<a name=href>",
        b'<abbr href="http://x/">',
        b'<link href="http://x/"><base href="http://x/">',
        b"< a href=http://x/>",
        b"</a href=http://x/>",
        b"<a href=http://x/",
        b'<a href="http://x/',
        b'<a href="http://x/>',
        b'<a href="http://x/"',
        b'<b title="<a href=http://x/>',
        b'<a\x0bhref="http://x/">',
        b"&lt;a href=http://x/&gt;",
        b'<svg xlink:href="http://x/">',
    ],
)
def test_what_is_no_link_is_not_found(data: bytes) -> None:
    assert targets(data) == []


def test_the_first_of_two_hrefs_counts() -> None:
    assert targets(b'<a href="http://x/" HREF="http://y/">') == [b"http://x/"]


def test_an_empty_href_is_an_anchor_with_an_empty_span() -> None:
    anchor = only(b'<a href="  ">')
    assert (anchor.start, anchor.stop, anchor.target) == (11, 11, b"")


@pytest.mark.parametrize(
    ("before", "found"),
    [
        (b"<!-- %s -->", False),
        (b"<!-->%s", True),
        (b"<!--->%s", True),
        (b"<!---->%s", True),
        (b"<!-- --!>%s", True),
        (b"<!----!>%s", True),
        (b"<!-- --! -->%s", True),
        (b"<!-- -- > %s -->", False),
        (b"<!--[if mso]>%s<![endif]-->", False),
        (b"<!--[if !mso]><!-->%s<!--<![endif]-->", True),
        (b"<![if !mso]>%s<![endif]>", True),
        (b"<!doctype html>%s", True),
        (b'<!doctype html public "a>%s', True),
        (b'<?xml a="b>"?>%s', True),
        (b"</ >%s", True),
        (b"</>%s", True),
        (b"<!>%s", True),
        (b"<![CDATA[%s]]>", False),
        (b"<![CDATA[>%s]]>", True),
        (b"<3 %s", True),
        (b"<<%s", True),
    ],
)
def test_comments_hide_links_and_bogus_ones_end_early(before: bytes, found: bool) -> None:
    assert targets(before % HREF) == [b"http://x/"] * found


@pytest.mark.parametrize(
    "name", [b"script", b"style", b"xmp", b"iframe", b"noembed", b"noframes", b"title", b"textarea"]
)
def test_raw_text_holds_no_links(name: bytes) -> None:
    data = b"<%s>%s</%sx></%s %s></%s a='>'>" % (name, HREF, name, name.upper(), HREF, name)
    assert targets(data + b"<a href=http://y/>") == [b"http://y/"]


def test_plaintext_never_ends() -> None:
    assert targets(b"<plaintext>" + HREF + b"</plaintext>" + HREF) == []


def test_noscript_holds_markup_since_mail_runs_no_script() -> None:
    assert targets(b"<noscript>" + HREF + b"</noscript>") == [b"http://x/"]


@pytest.mark.parametrize(
    ("script", "ended"),
    [
        (b"<!-- <script> </script>", False),
        (b"<!-- <script> </script> </script>", True),
        (b"<!-- <script> --> </script>", True),
        (b"<!--> <script> </script>", True),
        (b"<!-- <scriptx> </script>", True),
        (b"<!-- </script>", True),
        (b"</scrip></script/>", True),
        (b"</script", False),
    ],
)
def test_a_script_ends_where_its_escaped_states_let_it(script: bytes, ended: bool) -> None:
    assert targets(b"<script>" + script + HREF) == [b"http://x/"] * ended


def test_foreign_content_has_no_raw_text_and_true_cdata() -> None:
    assert targets(b"<svg><style>" + HREF + b"</style></svg>") == [b"http://x/"]
    assert targets(b"<svg><title><style>" + HREF + b"</style></title></svg>") == []
    assert targets(b"<svg><![CDATA[>" + HREF + b"]]></svg>") == []
    assert targets(b"<svg/><style>" + HREF + b"</style>") == []
    assert targets(b"<svg><p><style>" + HREF + b"</style>") == []
    assert targets(b"<math><annotation-xml encoding='text/html'><title>" + HREF) == []
    assert targets(b"<svg><area href=http://x/><font color=red><title>" + HREF) == []


@pytest.mark.parametrize("point", [b"mi", b"mo", b"mn", b"ms", b"mtext"])
def test_in_the_texts_of_formulas_the_rules_of_html_apply(point: bytes) -> None:
    assert targets(b"<math><" + point + b"><title>" + HREF + b"</title></math>") == []
    assert targets(b"<math><mrow><title>" + HREF + b"</title></math>") == [b"http://x/"]


@pytest.mark.parametrize("before", [b"<math></a>", b"<math><mi>", b"<svg><desc>", b"<svg></table>"])
def test_h12_what_may_be_the_text_of_a_cdata_section_holds_no_links(before: bytes) -> None:
    data = HREF + before + HREF + b"<![CDATA[>" + HREF + HREF + b"]]>" + HREF + b"<![CDATA[>" + HREF
    assert targets(data) == [b"http://x/"] * 3
    assert targets(HREF + before + b"<![CDATA[>" + HREF) == [b"http://x/"]


def test_links_in_conditional_comments_are_an_option() -> None:
    data = (
        b'<a href=http://1/><!--[if mso]><v:roundrect href="http://2/"><a href=http://3/></a><b></v:roundrect>'
        b"<style><a href=http://n/></style><![endif]--><!-- <a href=http://n/> --><a href=http://4/>"
    )
    assert targets(data) == [b"http://1/", b"http://4/"]
    anchors = html.scan(data, vml=True).anchors
    assert [anchor.target for anchor in anchors] == [b"http://1/", b"http://2/", b"http://3/", b"http://4/"]
    assert [anchor.tag for anchor in anchors] == ["a", "v:roundrect", "a", "a"]
    assert [anchor.conditional for anchor in anchors] == [False, True, True, False]


def test_entities_are_decoded_once_and_the_result_trimmed() -> None:
    assert targets(b'<a href="&#32;http://x/?a=1&amp;amp;b&#x3d;2&copy=3 ">') == [
        b"http://x/?a=1&amp;b=2&copy=3"
    ]


def test_what_follows_many_tags_is_found_too() -> None:
    assert targets((b'<td a="b">x</td><' * 1000) + HREF) == [b"http://x/"]
    assert targets((b'<td a="b">x</td>< ' * 1000) + HREF) == [b"http://x/"]


def test_reading_stops_once_there_are_more_anchors_than_wanted() -> None:
    for data in (HREF * 9, b"<svg>" + HREF * 9, b"<!--[if mso]>" + HREF * 9 + b"<![endif]-->"):
        assert len(html.scan(data, vml=True, most=5).anchors) == 6
        assert len(html.scan(data, vml=True, most=9).anchors) == 9


class TestAttributes:
    """contract.md 5.3."""

    def test_all_four_are_read(self) -> None:
        anchor = only(
            b'<a data-msys-linkname="Fish &amp; Chips" data-msys-unsubscribe="1" '
            b'DATA-MSYS-SUBLINK=shop data-msys-clicktrack="0" href="http://x/">'
        )
        assert (anchor.name, anchor.unsubscribe, anchor.sublink, anchor.clicktrack) == (
            "Fish & Chips",
            True,
            "shop",
            False,
        )

    def test_other_values_mean_the_default(self) -> None:
        anchor = only(b'<a data-msys-unsubscribe="0" data-msys-clicktrack="1" href="http://x/">')
        assert (anchor.unsubscribe, anchor.clicktrack) == (False, True)

    def test_a_sublink_that_is_no_path_segment_is_ignored_and_said(self) -> None:
        for path in (b"", b"a/b", b"-a", b"a b", b"a" * 65, b"\xc3\xa4"):
            anchor = only(b'<a data-msys-sublink="%s" href="http://x/">' % path)
            assert (anchor.sublink, anchor.sublink_ignored) == ("", True)

    def test_the_alias_of_linkname(self) -> None:
        assert only(b'<a data-msys-link-name="n" href="http://x/">').name == "n"
        assert only(b'<a data-msys-link-name="n" data-msys-linkname="m" href="http://x/">').name == "m"

    def test_a_name_is_cut_to_63_bytes_but_never_inside_a_character(self) -> None:
        assert only(b'<a data-msys-linkname="%s" href=x>' % (b"a" * 70)).name == "a" * 63
        assert (
            only('<a data-msys-linkname="{}" href=x>'.format("a" + "ä" * 40).encode()).name == "a" + "ä" * 31
        )
        assert only('<a data-msys-linkname="{}" href=x>'.format("ä" * 40).encode()).name == "ä" * 31

    def test_a_name_that_is_no_utf8_is_windows_1252(self) -> None:
        assert only(b'<a data-msys-linkname="Men\xfc \x80" href=x>').name == "Menü €"

    @pytest.mark.parametrize(
        ("tag", "left"),
        [
            (b'<a data-msys-linkname="n" href="http://x/">', b'<a href="http://x/">'),
            (b'<a href="http://x/" data-msys-linkname="n">', b'<a href="http://x/">'),
            (b'<a href="http://x/"  data-msys-linkname=n\n class=c>', b'<a href="http://x/"\n class=c>'),
            (b'<a data-msys-linkname="n"href="http://x/">', b'<a href="http://x/">'),
            (b'<a href=http://x/ data-msys-linkname="n"/>', b"<a href=http://x/ />"),
            (b'<a href="http://x/"data-msys-linkname="n"class=c>', b'<a href="http://x/"class=c>'),
            (b'<a data-msys-x data-msys-clicktrack="1" href="http://x/">', b'<a href="http://x/">'),
        ],
    )
    def test_taking_them_out_leaves_the_others_as_they_were(self, tag: bytes, left: bytes) -> None:
        anchor = only(tag)
        for start, stop in reversed(anchor.attributes):
            tag = tag[:start] + tag[stop:]
        assert tag == left
        assert only(tag).target == b"http://x/"


class TestTextIsUrl:
    @pytest.mark.parametrize(
        "text",
        [
            b"http://x.example/a",
            b" https://x.example ",
            b"www.x.example/path",
            b"x.example",
            b"<b>www.x<wbr>.example</b>",
            b"http://x.example/?a=1&amp;b=2",
            b"&nbsp;WWW.X.EXAMPLE:8080",
        ],
    )
    def test_a_url_or_bare_host(self, text: bytes) -> None:
        assert only(HREF + text + b"</A >").text_is_url

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"Click here",
            b"Visit www.x.example now",
            b"<img src=http://x.example/a.png>",
            b"v1.2",
            b"Hello.",
        ],
    )
    def test_other_text(self, text: bytes) -> None:
        assert not only(HREF + text + b"</a>").text_is_url

    def test_text_without_an_end_near_by_is_not_judged(self) -> None:
        assert not only(HREF + b"www.x.example").text_is_url
        assert not only(HREF + b"www.x.example" + b" " * 2000 + b"</a>").text_is_url


class TestPixelPlaces:
    def test_after_the_first_body_and_before_the_last_end_of_body(self) -> None:
        data = b'<html><body bgcolor="a>b">x</body>y</BODY ><!-- </body> --></html>'
        page = html.scan(data)
        assert (page.body_open, page.body_close, page.has_html) == (26, data.index(b"</BODY"), True)

    def test_none_of_them(self) -> None:
        page = html.scan(b"<p>x")
        assert (page.body_open, page.body_close, page.has_html) == (-1, 4, False)

    @pytest.mark.parametrize(
        "hidden", [b"<!-- %s -->", b"<script>'%s'</script>", b"<textarea>%s</textarea>", b'<b title="%s">']
    )
    def test_a_body_tag_that_is_no_tag_is_no_place(self, hidden: bytes) -> None:
        page = html.scan(hidden % b"<html><body></body>")
        assert (page.body_open, page.body_close, page.has_html) == (-1, len(hidden) - 2 + 19, False)

    def test_other_names_that_begin_alike(self) -> None:
        page = html.scan(b"<bodyx></bodyx></body")
        assert (page.body_open, page.body_close) == (-1, 21)


def test_the_text_of_links_is_judged_on_demand() -> None:
    data = HREF + b"http://x/</a>" + b"<a data-msys-linkname=n href=http://x/>http://x/</a>"
    assert [anchor.text_is_url for anchor in html.scan(data).anchors] == [True, True]
    assert [anchor.text_is_url for anchor in html.scan(data, check_text=False).anchors] == [False, False]
