"""What of a mail's HTML is in its kept copy, case by case (smtpapi.rewrite.mail_copy)."""

import re

import pytest

from smtpapi.model.edit import Edit
from smtpapi.rewrite.mail_copy import HIDDEN, copy_of, hidden, personal_terms, tracked_links, tracked_urls


def inside(html: str, terms: frozenset[str] = frozenset()) -> str:
    """The copy of a body's content, without the box around it."""
    return copy_of(f"<body>{html}</body>", {"U": 7}, terms).removeprefix("<div>").removesuffix("</div>")


def link(new: bytes, target: bytes = b"https://a.example/", name: str = "") -> Edit:
    return Edit(0, 1, new, "link", target, name, "1", "text/html")


STYLES = [
    ("color:red", "color:red"),
    ("color:red;width:1px", "color:red;width:1px"),
    ("background:url(x)", "background:none"),
    ("background:URL( 'x' ) no-repeat", "background:none no-repeat"),
    ("a:url(x);b:url(y);c:d", "a:none;b:none;c:d"),
    ("a:url(x", "a:none"),
    ("color:red;a:image-set('x')", "color:red"),
    ("color:red;a:IMAGE-SET('x');b:c", "color:red;b:c"),
    ("color:red;a:expression(x)", "color:red"),
    ("color:red;a:src(x)", "color:red"),
    ("color:red;@import 'x'", "color:red"),
    ("color:red;a:u\\rl(x)", "color:red"),
    ("a/* c */:b", "a:b"),
    ("a/* c */:/* */b", "a:b"),
    ("a:ur/**/l(x)", "a:none"),
    ("a:b/* no end", "a:b"),
]


@pytest.mark.parametrize(("style", "left"), STYLES)
def test_a_style_loses_what_loads(style: str, left: str) -> None:
    assert inside(f'<p style="{style}">x</p>') == f'<p style="{left}">x</p>'


SHEETS = [
    ("a{color:red}", "a{color:red}"),
    ("@import 'x';a{b:c}", "a{b:c}"),
    ("@IMPORT 'x'", ""),
    ("a{b:url(x)}", "a{b:none}"),
    ("a{b:c}/* d */e{f:g}", "a{b:c}e{f:g}"),
    ("a{b:image-set('x')}", ""),
    ("a{b:expression(x)}", ""),
    ("a{b:src(x)}", ""),
    ("a{b:u\\rl(x)}", ""),
    ("a<b{c:d}", "ab{c:d}"),
]


@pytest.mark.parametrize(("sheet", "left"), SHEETS)
def test_a_style_sheet_without_what_loads_comes_first_or_not_at_all(sheet: str, left: str) -> None:
    copy = copy_of(f"<style>{sheet}</style><body>x</body>", {})
    assert copy == (f"<style>{left}</style>" if left else "") + "<div>x</div>"


PICTURES = [
    ('width="120" height="40" alt="A lamp"', "width:120px;height:40px;", "A lamp"),
    ('height="40" width="50%"', "width:50%;height:40px;", ""),
    ('width="12.5" alt="a<b"', "width:12.5px;", "a&lt;b"),
    ('width="12345" height="123456"', "width:12345px;", ""),
    ('width="1em" height=""', "", ""),
    ('width="4" height="4"', "width:4px;height:4px;", ""),
    ('alt="for Ann"', "", f"for {HIDDEN}"),
]


@pytest.mark.parametrize(("attributes", "style", "text"), PICTURES)
def test_a_picture_is_a_box_of_its_size(attributes: str, style: str, text: str) -> None:
    box = f'<span class="smtpapi-picture" style="{style}">{text}</span>'
    assert inside(f"<img src=x {attributes}>", frozenset({"Ann"})) == box


@pytest.mark.parametrize("attributes", ['width="3"', 'width="300" height="3"', 'width="0" height="9"'])
def test_a_picture_that_nobody_sees_is_left_out(attributes: str) -> None:
    assert inside(f"a<img src=x {attributes}>b") == "ab"


ELEMENTS = [
    ("<b>x</b>", "<b>x</b>"),
    ("<nobr>x</nobr>", "x"),
    ("a<script>x</script>b", "ab"),
    ("a<br class=c>b", 'a<br class="c">b'),
    ('<a href="U">x</a>', '<a class="smtpapi-tracked">x<i class="smtpapi-link" id="link-7"></i></a>'),
    (
        '<a href=" U " class="c">x</a>',
        '<a class="c smtpapi-tracked">x<i class="smtpapi-link" id="link-7"></i></a>',
    ),
    ('<a href="V" onclick="y">x</a>', "<a>x</a>"),
    ('<nobr href="U">x</nobr>', 'x<i class="smtpapi-link" id="link-7"></i>'),
    ('<map><area href="U"></map>', '<i class="smtpapi-link" id="link-7"></i>'),
    ('<p id="link-7" title="t">x</p>', "<p>x</p>"),
    ('<p id="top" dir="rtl">x</p>', '<p id="top" dir="rtl">x</p>'),
    ('<p class="a:b" align="left">x</p>', '<p align="left">x</p>'),
    ('<p class="">x</p>', "<p>x</p>"),
    ('<p>a &amp; b &lt; "c"</p>', '<p>a &amp; b &lt; "c"</p>'),
    ("<p>for Ann</p>, Ann", f"<p>for {HIDDEN}</p>, {HIDDEN}"),
]


@pytest.mark.parametrize(("markup", "copy"), ELEMENTS)
def test_each_element_stays_goes_or_gives_its_content(markup: str, copy: str) -> None:
    assert inside(markup, frozenset({"Ann"})) == copy


def test_the_body_s_own_looks_are_those_of_the_box() -> None:
    copy = copy_of('<body bgcolor="#fed" onload="x" style="color:red"><p>x</p></body>', {})
    assert copy == '<div bgcolor="#fed" style="color:red"><p>x</p></div>'


@pytest.mark.parametrize(
    ("target", "bare"),
    [
        (b"https://a.example/p?q=1#f", "https://a.example/p"),
        (b"https://a.example/p#f?q", "https://a.example/p"),
        (b"https://a.example/", "https://a.example/"),
        (b"https://a.example/" + b"x" * 400, "https://a.example/" + "x" * 282),
        (b"https://a.example/\xff", "https://a.example/\ufffd"),
    ],
)
def test_a_link_is_kept_without_what_may_name_its_reader(target: bytes, bare: str) -> None:
    edit = link(b"https://t.example/f/a/x", target, "top")
    (tracked,) = tracked_links([edit])
    assert (tracked.ordinal, tracked.name, tracked.target) == (0, "top", bare)


def test_a_link_without_a_name_is_called_raw_url() -> None:
    edit = link(b"https://t.example/f/a/x")
    assert tracked_links([edit])[0].name == "Raw URL"


def test_tracked_urls_are_found_with_soft_breaks_taken_out_and_in_any_width() -> None:
    new = [b"https://t.example/f/=\r\na/x", b"h\0t\0t\0p\0s\0:\0/\0/\0t\0", b"https://t.example/=\nb"]
    edits = [link(each) for each in new]
    edits.insert(1, link(b"https://t.example/q/p")._replace(kind="pixel"))
    assert tracked_urls(edits) == {"https://t.example/f/a/x": 0, "https://t": 1, "https://t.example/b": 2}


def test_words_are_hidden_where_they_stand_as_a_whole_and_the_longest_first() -> None:
    terms = frozenset({"Ann", "Ann Summer", "a.b"})
    assert hidden("Ann Summer, ANN, Anna, Jo-Ann, aXb a.b", terms) == (
        f"{HIDDEN}, {HIDDEN}, Anna, Jo-{HIDDEN}, aXb {HIDDEN}"
    )
    assert hidden("Ann", frozenset()) == "Ann"


def test_the_fifty_longest_words_of_three_characters_are_enough() -> None:
    metadata = ", ".join(f'"k{n}": "{"w" * (n + 3)}"' for n in range(60))
    terms = personal_terms("a@b.example", "<c@d.example>", f"{{{metadata}}}")
    assert len(terms) == 50
    assert min(map(len, terms)) > 10
    few = personal_terms("ida@b.example", "x", '{"a": "abc", "b": "ab", "c": 123, "d": true, "e": 1.5}')
    assert few == {"ida@b.example", "ida", "abc", "123", "True"}


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("Ann Summer", {"Ann", "Summer"}),
        ('"Summer, Ann" <ida@b.example>', {"Ann", "Summer"}),
        ("'Ann' (Summer); IDA@B.EXAMPLE", {"Ann", "Summer", "IDA@B.EXAMPLE"}),
        ("A Club <club@b.example>", set()),
        ("Ann\tSummer", {"Ann", "Summer"}),
    ],
)
def test_names_in_the_to_field_are_the_reader_s_where_it_is_the_reader(to: str, expected: set[str]) -> None:
    assert personal_terms("ida@b.example", to, "") == {"ida@b.example", "ida"} | expected


def test_nothing_is_no_html() -> None:
    with pytest.raises(ValueError, match=re.escape("no HTML: ")):
        copy_of("", {})
