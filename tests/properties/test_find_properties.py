"""What holds for any bytes handed to the finders."""

from typing import Final

from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus_checks.html5lib_links import as_html5lib_reads, hrefs
from smtpapi.find import amp, html, macros, text
from smtpapi.find.html_syntax.entities import decode
from smtpapi.find.model import WHITE_SPACE

MARKUP: Final = [
    *(
        "<a ",
        "<A HREF=",
        " href=",
        ' href="http://x/?a&amp;b"',
        "http://x",
        "<area href='http://z'>",
        "</a>",
        "<a",
    ),
    *(
        "<",
        ">",
        "/",
        " ",
        "\n",
        "\t",
        "=",
        '"',
        "'",
        "&",
        "&#x3d;",
        "&amp;",
        "é",
        "x",
        "a=b",
        "y='",
        'z="',
        "\x0b",
        "\r",
    ),
    *("<!--", "-->", "--!>", "-", "!", "<!", "<?", "</", "<![CDATA[", "]]>", "<!--[if mso]>", "<![endif]-->"),
    *(
        "<script>",
        "</script>",
        "<script ",
        "<style>",
        "</style>",
        "<title>",
        "</title ",
        "<textarea>",
        "</textarea>",
    ),
    *(
        "<xmp>",
        "</xmp>",
        "<iframe>",
        "</iframe/",
        "<noscript>",
        "<plaintext>",
        "<b x=y>",
        "<td class=",
        "<p>",
        "</p>",
    ),
    *("<html>", "<body>", "</body>", "<svg>", "</svg>", "<path/>"),
]
PROSE: Final = [
    *(
        "http://",
        "https://x.example",
        "HTTP://x.example/a",
        "/b",
        "?c=d&e=",
        "#f",
        "%20",
        ".",
        ",",
        "!",
        "'",
        '"',
        "*",
    ),
    *(
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "<",
        ">",
        " ",
        "\n",
        "\r\n",
        "> ",
        " \r\n",
        "é",
        "\u201d",
        "\\",
        "`",
        "word",
        "+",
    ),
    *("[[", "]]", '[[data-msys-clicktrack="0"]]', '[[data-msys-sublink="s"]]', "data-msys-unsubscribe=1"),
]
markup = st.lists(st.sampled_from(MARKUP), max_size=25).map("".join)
prose = st.lists(st.sampled_from(PROSE), max_size=25).map("".join)
any_bytes = st.binary(max_size=200) | markup.map(str.encode) | prose.map(str.encode)
texts = st.text("abc ,.;\n", max_size=30).map(str.encode)


@settings(max_examples=100)
@given(any_bytes, st.booleans())
def test_anchors_lie_in_the_document_in_order_and_hold_their_targets(data: bytes, vml: bool) -> None:
    page = html.scan(data, vml=vml)
    end = 0
    for anchor in page.anchors:
        assert end <= anchor.start <= anchor.stop <= len(data)
        end = anchor.stop
        assert decode(data[anchor.start : anchor.stop]).strip(WHITE_SPACE) == anchor.target
        if anchor.quote:
            assert anchor.quote in data[: anchor.start]
            assert anchor.quote not in data[anchor.start : anchor.stop]
        for start, stop in anchor.attributes:
            assert b"data-msys-" in data[start:stop].lower()
            assert stop <= anchor.start or start >= anchor.stop
    assert -1 <= page.body_open <= len(data)
    assert 0 <= page.body_close <= len(data)
    assert set(amp.scan(data).anchors) <= set(html.scan(data).anchors)


@settings(max_examples=100)
@given(any_bytes, st.booleans())
def test_text_links_lie_in_the_text_in_order(data: bytes, delsp: bool) -> None:
    end = 0
    for link in text.scan(data, flowed=delsp, delsp=delsp):
        assert end <= link.start < link.stop <= len(data)
        assert data[link.start : link.stop] == link.target
        assert link.target.lower().startswith((b"http://", b"https://"))
        end = link.stop
        if link.notation is not None:
            start, end = link.notation
            assert link.stop <= start < end <= len(data)
            assert data[start:end].startswith(b"[[")
            assert data[start:end].endswith(b"]]")


@settings(max_examples=100)
@given(any_bytes)
def test_macros_and_entities_take_anything(data: bytes) -> None:
    end = 0
    for start, stop, braces in macros.scan(data):
        assert end <= start < stop <= len(data)
        assert braces.strip(b"{") == b"" or braces.strip(b"}") == b""
        end = stop
    assert (decode(data) == data) or b"&" in data


@settings(max_examples=100)
@given(texts, markup.map(str.encode))
def test_plain_text_before_a_document_shifts_its_links_only(before: bytes, data: bytes) -> None:
    shift = len(before)
    page, moved = html.scan(data), html.scan(before + data)
    assert [(a.start + shift, a.stop + shift, a.target, a.name) for a in page.anchors] == [
        (a.start, a.stop, a.target, a.name) for a in moved.anchors
    ]
    assert moved.body_close == page.body_close + shift


@settings(max_examples=100)
@given(prose.map(str.encode))
def test_plain_lines_around_a_text_shift_its_links_only(data: bytes) -> None:
    moved = text.scan(b"Dear reader,\n" + data + b"\n\nYours")
    assert [(link.start + 13, link.stop + 13, link.target) for link in text.scan(data)] == [
        (link.start, link.stop, link.target) for link in moved
    ]


@settings(max_examples=100)
@given(markup)
@example("<a href='http://x' <a href=\"http://y\"><!-- > --!><script><!--<script></script><a href=http://z>")
@example(
    "<svg><title><a href=http://x></title><style><a href=http://y></style></svg><style><a href=http://n>"
)
def test_html5lib_sees_the_same_links(document: str) -> None:
    data = document.encode()
    ours = [as_html5lib_reads(anchor.target) for anchor in html.scan(data).anchors]
    assert list(filter(None, ours)) == list(filter(None, hrefs(document)))
