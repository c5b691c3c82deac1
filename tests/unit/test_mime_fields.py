"""Header blocks and MIME field values."""

import pytest

from smtpapi.mime.fields import parse_content_type, parse_header, parse_token


def names(data: bytes, **options: bool) -> list[tuple[str, bytes]]:
    return [(f.name, data[f.value_start : f.value_stop]) for f in parse_header(data, **options).fields]


@pytest.mark.parametrize("eol", [b"\n", b"\r\n"])
def test_block_ends_at_its_empty_line(eol: bytes) -> None:
    data = eol.join([b"A: 1", b"B:2", b"", b"C: 3"])
    header = parse_header(data)
    assert names(data) == [("A", b" 1"), ("B", b"2")]
    assert data[header.body :] == b"C: 3"
    assert data[header.stop : header.body] == eol


def test_folds_stay_in_the_value() -> None:
    assert names(b"A: 1\r\n  2\r\n\t3\r\n \r\nB: x\r\n\r\n") == [
        ("A", b" 1\r\n  2\r\n\t3\r\n "),
        ("B", b" x"),
    ]


def test_mixed_line_ends() -> None:
    assert names(b"A: 1\nB: 2\r\nC: 3\n\r\nbody") == [("A", b" 1"), ("B", b" 2"), ("C", b" 3")]


def test_blanks_before_the_colon_are_obsolete_and_read() -> None:
    assert names(b"From \t: a\n\n") == [("From", b" a")]


@pytest.mark.parametrize("line", [b"no field here", b"X-\xe9: 1", b": empty", b"With Blank: x"])
def test_a_line_that_is_no_field_ends_the_block(line: bytes) -> None:
    data = b"A: 1\n" + line + b"\n\nB: 2\n"
    header = parse_header(data)
    assert len(header.fields) == 1
    assert header.stop == header.body == 5


def test_block_may_end_with_the_data() -> None:
    assert names(b"A: 1") == [("A", b" 1")]
    assert names(b"A: 1\r") == [("A", b" 1\r")]
    assert names(b"") == []


def test_no_delimiter_is_a_field_of_a_part() -> None:
    assert names(b"--b:x: 1\n\n", part=True) == []
    assert len(names(b"--b:x: 1\n\n")) == 1


@pytest.mark.parametrize(
    ("value", "kind", "parameters"),
    [
        (b" text/html", "text/html", {}),
        (b'TEXT/Html; CharSet="UTF-8"', "text/html", {"charset": "UTF-8"}),
        (b"text/plain; charset=us-ascii (a comment)", "text/plain", {"charset": "us-ascii"}),
        (b"(first) text/plain (mid) ; (x) format = flowed", "text/plain", {"format": "flowed"}),
        (b'multipart/mixed;\r\n\tboundary="a \\"b\\" ;c"', "multipart/mixed", {"boundary": 'a "b" ;c'}),
        (b"multipart/mixed; boundary=----=_Part_1.2", "multipart/mixed", {"boundary": "----=_Part_1.2"}),
        (b'multipart/mixed; boundary*0=ab; boundary*1="cd"', "multipart/mixed", None),
        (b"text/html; ; charset=x;", "text/html", {"charset": "x"}),
        (b"text/html; junk; charset=x", "text/html", {"charset": "x"}),
        (b"text", "", {}),
        (b"text/html charset=x", "", {}),
        (b"", "", {}),
    ],
)
def test_content_type(value: bytes, kind: str, parameters: dict[str, str] | None) -> None:
    content = parse_content_type(value)
    assert content.type == kind
    assert not content.ambiguous
    if parameters is not None:
        assert content.parameters == parameters


def test_boundary_in_pieces_is_joined() -> None:
    assert (
        parse_content_type(b"multipart/mixed; boundary*0=ab; boundary*1=cd").parameters["boundary"] == "abcd"
    )
    assert parse_content_type(b"multipart/mixed; boundary*=utf-8''a%20b").parameters["boundary"] == "a b"
    assert (
        parse_content_type(b"multipart/mixed; boundary*0*=''a%2d; boundary*1=cd").parameters["boundary"]
        == "a-cd"
    )


@pytest.mark.parametrize(
    "value",
    [
        b"multipart/mixed; boundary=a; boundary=b",
        b"multipart/mixed; boundary=a; boundary*0=a",
        b"multipart/mixed; boundary*0=a; boundary*2=c",
        b"multipart/mixed; boundary=a b",
        b'multipart/mixed; boundary="a"b',
        b"multipart; boundary=a",
        b"text/html; charset=a; charset=b",
    ],
)
def test_what_readers_see_differently_is_ambiguous(value: bytes) -> None:
    assert parse_content_type(value).ambiguous


def test_same_parameter_twice_alike_is_clear() -> None:
    assert not parse_content_type(b"text/html; charset=a; charset=a").ambiguous


@pytest.mark.parametrize(
    ("value", "token"),
    [
        (b" 7BIT", "7bit"),
        (b"\r\n\tbase64 (yes)\r\n", "base64"),
        (b'"quoted-printable"', "quoted-printable"),
        (b" attachment; filename=x", "attachment"),
        (b"", ""),
    ],
)
def test_leading_token(value: bytes, token: str) -> None:
    assert parse_token(value) == token
