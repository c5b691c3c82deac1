"""Transfer encodings: what is refused, and how edited lines are broken."""

import pytest

from smtpapi.mime import transfer
from smtpapi.mime.quoted_printable import (
    LooseQuotedPrintable,
    QuotedPrintable,
    encode_quoted_printable,
    quoted_printable,
)
from smtpapi.model.edit import Edit, splice


def edited(encoded: bytes, encoding: str, *changes: tuple[int, int, bytes]) -> bytes:
    view = transfer.view(encoded, encoding)
    assert view is not None
    return splice(encoded, view.place([Edit(*change, "link") for change in changes], b"\r\n").edits)


@pytest.mark.parametrize("encoding", ["x-uuencode", "gzip", "8 bit", "text/html", "quotedprintable"])
def test_unknown_encodings_have_no_view(encoding: str) -> None:
    assert transfer.view(b"x", encoding) is None


@pytest.mark.parametrize("body", [b"YQ=", b"YQ", b"Y!Q=", b"YQ==\r\n-- \r\nfooter", b"YQ==YQ==", b"\xff"])
def test_base64_with_anything_foreign_has_no_view(body: bytes) -> None:
    assert transfer.view(body, "base64") is None


@pytest.mark.parametrize("body", [b"", b"\r\n", b" \n"])
@pytest.mark.parametrize("encoding", ["", "7bit", "quoted-printable", "base64"])
def test_empty_bodies_are_fine(body: bytes, encoding: str) -> None:
    view = transfer.view(body, encoding)
    assert view is not None
    assert splice(body, view.place([], b"\n").edits) == body


def test_sound_quoted_printable_takes_the_fast_way() -> None:
    assert isinstance(quoted_printable(b"a=3D=\r\n=c3"), QuotedPrintable)
    for odd in (b"=", b"a=\rb\n", b"==", b"=3", b"= \r\n", b"=G0"):
        assert isinstance(quoted_printable(odd), LooseQuotedPrintable)


def test_soft_breaks_beside_an_edit_stay() -> None:
    assert edited(b'"=\r\nabc=\r\n"', "quoted-printable", (1, 4, b"X")) == b'"=\r\nX=\r\n"'


def test_soft_breaks_inside_an_edit_go() -> None:
    assert edited(b'"a=\r\nb=\r\nc"', "quoted-printable", (1, 4, b"X")) == b'"X"'


def test_escapes_at_the_edges_go_whole() -> None:
    assert edited(b"=22=3Dx=3D=22", "quoted-printable", (1, 4, b"=")) == b"=22=3D=22"


def test_untouched_lower_case_escapes_stay() -> None:
    assert edited(b"=c3=bc a", "quoted-printable", (3, 4, b"b")) == b"=c3=bc b"


def test_line_is_broken_inside_and_after_the_new_value() -> None:
    after = edited(b"x" * 50 + b"ab" + b"y" * 20, "quoted-printable", (50, 52, b"n" * 100))
    assert after.split(b"=\r\n") == [b"x" * 50 + b"n" * 25, b"n" * 75, b"y" * 20]


def test_no_break_where_the_line_still_fits() -> None:
    assert edited(b"x" * 40 + b"a" + b"y" * 30, "quoted-printable", (40, 41, b"n" * 6)) == (
        b"x" * 40 + b"n" * 6 + b"y" * 30
    )


def test_break_before_a_value_on_an_over_long_line() -> None:
    after = edited(b"x" * 5000 + b"a" + b"y" * 5000, "quoted-printable", (5000, 5001, b"n"))
    assert after == b"x" * 5000 + b"=\r\nn=\r\n" + b"y" * 5000


def test_no_escape_is_cut_by_a_break() -> None:
    for column in range(60, 76):
        after = edited(b"x" * column, "quoted-printable", (column, column, b"=" * 60))
        assert after.replace(b"=\r\n", b"") == b"x" * column + b"=3D" * 60
        assert max(map(len, after.split(b"\r\n"))) <= 76


def test_breaks_are_what_the_body_has() -> None:
    assert b"\r" not in edited(b"a\n" + b"x" * 70, "quoted-printable", (2, 3, b"n" * 80))
    assert edited(b"x" * 70, "quoted-printable", (2, 3, b"n" * 80)).count(b"=\r\n") == 1


def test_two_edits_on_one_line_are_measured_together() -> None:
    after = edited(
        b"a" * 10 + b"\r\n" + b"a" * 10, "quoted-printable", (12, 14, b"n" * 60), (15, 17, b"m" * 60)
    )
    assert max(map(len, after.split(b"\r\n"))) <= 76


@pytest.mark.parametrize("length", [4, 60, 64, 76])
def test_base64_line_length_is_kept(length: int) -> None:
    raw = b"0123456789" * 30
    code = transfer.binascii.b2a_base64(raw, newline=False)
    body = b"".join(code[at : at + length] + b"\r\n" for at in range(0, len(code), length)) + b"\r\n"
    after = edited(body, "base64", (0, 0, b"new"))
    assert after.endswith(b"\r\n\r\n")
    assert {len(line) for line in after.split(b"\r\n")[:-3]} == {length}


def test_base64_on_one_line_gets_lines() -> None:
    body = transfer.binascii.b2a_base64(b"x" * 300, newline=False)
    assert max(map(len, edited(body, "base64", (0, 0, b"new")).split(b"\r\n"))) == 76


def test_identity_turns_to_quoted_printable_only_past_the_limit() -> None:
    line = b"x" * 980 + b"a\n"
    view = transfer.view(line, "7bit")
    assert view is not None
    assert view.place([Edit(980, 981, b"n" * 10, "link")], b"\n").encoding == ""
    placed = view.place([Edit(980, 981, b"n" * 11, "link")], b"\n")
    assert placed.encoding == "quoted-printable"
    assert [change.kind for change in placed.edits] == [transfer.REENCODED]
    assert len(placed.inner) == 1


def test_long_lines_without_an_edit_do_not_matter() -> None:
    view = transfer.view(b"x" * 2000 + b"\na", "8bit")
    assert view is not None
    assert view.place([Edit(2001, 2002, b"n", "link")], b"\n").encoding == ""


@pytest.mark.parametrize(
    ("data", "encoded"),
    [
        (b"a=b", b"a=3Db"),
        (b"blank \nx", b"blank=20\nx"),
        (b"tab\t\r\n", b"tab=09\r\n"),
        (b"\xfc\0", b"=FC=00"),
        (b"a\rb", b"a=0Db"),
        (b"a\r", b"a=0D"),
        (b"a \r", b"a =0D"),
        (b"x" * 76 + b"\r\n", b"x" * 76 + b"\r\n"),
        (b"x" * 76 + b"\r", b"x" * 75 + b"=\r\nx=0D"),
        (b"\r\n\r\n", b"\r\n\r\n"),
        (b".\r\n..", b".\r\n.."),
        (b"", b""),
    ],
)
def test_quoted_printable_encoding(data: bytes, encoded: bytes) -> None:
    assert encode_quoted_printable(data, b"\r\n") == encoded
