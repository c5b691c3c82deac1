"""Where the parts are, and which of them are the top ones."""

import pytest

from smtpapi.mime.locate import locate
from smtpapi.mime.parts import Part, top_parts
from smtpapi.model.message import Message
from smtpapi.model.outcome import Leave, Why
from smtpapi.rewrite.raw_message import split


def message(*lines: str, eol: str = "\n") -> Message:
    return split(eol.join(lines).encode()).message


def parts_of(found: Message, max_parts: int = 1000) -> tuple[Part, ...]:
    parts = locate(found, max_parts)
    assert not isinstance(parts, Leave)
    return parts


def bodies(found: Message) -> list[tuple[str, str, bytes]]:
    return [(p.section, p.content.type, found.body[p.start : p.stop]) for p in parts_of(found)]


def why(*lines: str) -> Why:
    found = locate(message(*lines))
    assert isinstance(found, Leave)
    return found.why


ALTERNATIVE = (
    "Content-Type: multipart/alternative; boundary=b",
    "",
    "preamble",
    "--b",
    "",
    "text",
    "--b",
    "Content-Type: text/html",
    "",
    "<p>",
    "",
    "--b--",
    "epilogue",
)


@pytest.mark.parametrize("eol", ["\n", "\r\n"])
def test_line_end_before_a_delimiter_is_the_delimiters(eol: str) -> None:
    assert bodies(message(*ALTERNATIVE, eol=eol)) == [
        ("1", "text/plain", b"text"),
        ("2", "text/html", b"<p>" + eol.encode()),
    ]


def test_message_without_parts_is_one_part() -> None:
    found = message("Content-Type: text/html", "", "<p>")
    assert bodies(found) == [("1", "text/html", b"<p>")]
    assert parts_of(found)[0].fields_stop == -1


def test_missing_closing_boundary_ends_with_the_body() -> None:
    assert bodies(message(*ALTERNATIVE[:-2]))[-1] == ("2", "text/html", b"<p>\n")


def test_outer_boundary_closes_inner_parts() -> None:
    found = message(
        "Content-Type: multipart/mixed; boundary=out",
        "",
        "--out",
        "Content-Type: multipart/related; boundary=in",
        "",
        "--in",
        "",
        "one",
        "--out",
        "",
        "two",
        "--out--",
    )
    assert bodies(found) == [("1.1", "text/plain", b"one"), ("2", "text/plain", b"two")]


def test_inner_boundary_after_its_close_is_text() -> None:
    found = message(
        "Content-Type: multipart/mixed; boundary=out",
        "",
        "--out",
        "Content-Type: multipart/related; boundary=in",
        "",
        "--in",
        "",
        "one",
        "--in--",
        "--in",
        "",
        "no part",
        "--out--",
    )
    assert [section for section, _, _ in bodies(found)] == ["1.1"]


def test_boundary_with_padding_and_without_final_line_end() -> None:
    found = message("Content-Type: multipart/mixed; boundary=b", "", "--b \t", "", "x", "--b--")
    assert bodies(found) == [("1", "text/plain", b"x")]


def test_part_without_fields_or_body() -> None:
    found = message("Content-Type: multipart/mixed; boundary=b", "", "--b", "", "--b", "A: 1", "", "--b--")
    assert [body for _, _, body in bodies(found)] == [b"", b""]


@pytest.mark.parametrize("part", [["--b"], ["--b", "A: 1"]])
def test_part_without_an_empty_line_is_ambiguous(part: list[str]) -> None:
    """mailsplit reads on in such a header, over the next delimiter."""
    lines = ["Content-Type: multipart/mixed; boundary=b", "", *part, "--b", "", "x", "--b--"]
    assert why(*lines) is Why.AMBIGUOUS_MIME


@pytest.mark.parametrize(
    "kind", ["message/rfc822", "multipart/signed; boundary=s", "multipart/encrypted", "multipart/report"]
)
def test_closed_parts_are_not_entered(kind: str) -> None:
    found = message(
        "Content-Type: multipart/mixed; boundary=b",
        "",
        "--b",
        f"Content-Type: {kind}",
        "",
        "--s",
        "Content-Type: text/html",
        "",
        "inner",
        "--s--",
        "--b",
        "",
        "footer",
        "--b--",
    )
    assert bodies(found) == [("2", "text/plain", b"footer")]


def test_digest_parts_are_messages() -> None:
    assert (
        bodies(message("Content-Type: multipart/digest; boundary=b", "", "--b", "", "Subject: x", "--b--"))
        == []
    )


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("multipart/signed; boundary=b", Why.SIGNED),
        ("multipart/encrypted; boundary=b", Why.ENCRYPTED),
        ("multipart/report; boundary=b", Why.REPORT),
        ("application/pkcs7-mime; smime-type=signed-data", Why.SMIME),
        ("application/x-pkcs7-mime", Why.SMIME),
        ("multipart/mixed", Why.AMBIGUOUS_MIME),
        ('multipart/mixed; boundary=""', Why.AMBIGUOUS_MIME),
        ("multipart/mixed; boundary=a; boundary=b", Why.AMBIGUOUS_MIME),
    ],
)
def test_types_that_close_the_whole_message(kind: str, reason: Why) -> None:
    assert why(f"Content-Type: {kind}", "", "--b", "", "x", "--b--") is reason


@pytest.mark.parametrize("inner", ["out", "outer", "ou"])
def test_boundaries_that_begin_alike_are_ambiguous(inner: str) -> None:
    assert (
        why(
            "Content-Type: multipart/mixed; boundary=out",
            "",
            "--out",
            f"Content-Type: multipart/mixed; boundary={inner}",
            "",
            "x",
        )
        is Why.AMBIGUOUS_MIME
    )


def test_boundaries_one_after_the_other_may_be_alike() -> None:
    inner = ["--out", "Content-Type: multipart/mixed; boundary=in", "", "--in", "", "x", "--in--"]
    found = message("Content-Type: multipart/mixed; boundary=out", "", *inner, *inner, "--out--")
    assert [section for section, _, _ in bodies(found)] == ["1.1", "2.1"]


def test_line_that_goes_on_after_the_boundary_is_ambiguous() -> None:
    assert why("Content-Type: multipart/mixed; boundary=b", "", "--b", "", "--bx") is Why.AMBIGUOUS_MIME


def test_field_that_looks_like_a_delimiter_is_ambiguous() -> None:
    lines = ("--b", "--x: y", "Content-Type: text/html", "", "<p>", "--b--")
    assert why("Content-Type: multipart/mixed; boundary=b", "", *lines) is Why.AMBIGUOUS_MIME


@pytest.mark.parametrize(
    "fields",
    [
        ["Content-Type: text/html", "Content-Type: text/plain"],
        ["Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: 7bit"],
        ["Content-Type: multipart/mixed; boundary=c", "Content-Transfer-Encoding: base64"],
    ],
)
def test_contradicting_fields_are_ambiguous(fields: list[str]) -> None:
    assert why(*fields, "", "x") is Why.AMBIGUOUS_MIME
    assert why("Content-Type: multipart/mixed; boundary=b", "", "--b", *fields, "", "x") is Why.AMBIGUOUS_MIME


@pytest.mark.parametrize(
    "kind",
    [
        "multipa\\rt/alternative",
        "te(a)xt/html",
        "t e x t/html",
        "text\x01/plain",
        "mess\\age/rfc822",
        '"text"/html',
    ],
)
def test_a_type_that_some_program_may_read_as_ours_is_ambiguous(kind: str) -> None:
    fields = f"Content-Type: {kind}; boundary=c", "", "x"
    assert why(*fields) is Why.AMBIGUOUS_MIME
    assert why("Content-Type: multipart/mixed; boundary=b", "", "--b", *fields) is Why.AMBIGUOUS_MIME


@pytest.mark.parametrize("end", ["\u2028", "\u2029"])
def test_a_line_end_of_javascript_in_a_header_is_ambiguous(end: str) -> None:
    """mailparser sees no type in this Content-Type, and a field may begin there for a program like it."""
    fields = f"Content-Type: text/html; cha{end}rset=utf-8", "", "x"
    assert why("Content-Type: multipart/mixed; boundary=b", "", "--b", *fields) is Why.AMBIGUOUS_MIME
    assert why(*fields) is Why.AMBIGUOUS_MIME
    assert bodies(message(f"Subject: a{end}b", "Content-Type: text/html", "", "x"))[0][1] == "text/html"


def test_same_content_type_twice_is_clear() -> None:
    assert (
        bodies(message("Content-Type: text/html", "content-type:  TEXT/HTML", "", "x"))[0][1] == "text/html"
    )


def test_too_many_parts() -> None:
    lines = ["Content-Type: multipart/mixed; boundary=b", "", *["--b", "", "x"] * 5]
    assert len(parts_of(message(*lines), 5)) == 5
    found = locate(message(*lines), 4)
    assert isinstance(found, Leave)
    assert found.why is Why.TOO_MANY_PARTS


def tops(*kinds: str, fields: str = "") -> list[str]:
    lines = ["Content-Type: multipart/mixed; boundary=b", ""]
    for kind in kinds:
        lines += ["--b", f"Content-Type: {kind}", *([fields] if fields else []), "", "x"]
    return [f"{p.section} {p.content.type}" for p in top_parts(parts_of(message(*lines, "--b--")))]


def test_top_parts_are_the_first_of_each_kind() -> None:
    assert tops("text/html", "text/plain", "text/html", "image/png", "text/plain") == [
        "1 text/html",
        "2 text/plain",
    ]


def test_attachments_are_no_top_parts() -> None:
    assert tops("text/html", fields="Content-Disposition: attachment") == []
    assert tops("text/html", fields="Content-Disposition: x-odd; filename=a") == []
    assert tops("text/html", fields="Content-Disposition: inline; filename=a") == ["1 text/html"]


def test_amp_counts_only_in_an_alternative() -> None:
    assert tops("text/plain", "text/x-amp-html") == ["1 text/plain"]


def test_amp_in_an_alternative_with_html_deeper_down() -> None:
    found = message(
        "Content-Type: multipart/alternative; boundary=b",
        "",
        "--b",
        "Content-Type: text/x-amp-html",
        "",
        "x",
        "--b",
        "Content-Type: multipart/related; boundary=r",
        "",
        "--r",
        "Content-Type: text/html",
        "",
        "y",
        "--r--",
        "--b--",
    )
    assert [p.content.type for p in top_parts(parts_of(found))] == ["text/x-amp-html", "text/html"]


def test_amp_alone_in_an_alternative_does_not_count() -> None:
    found = message(
        "Content-Type: multipart/mixed; boundary=m",
        "",
        "--m",
        "",
        "text",
        "--m",
        "Content-Type: multipart/alternative; boundary=b",
        "",
        "--b",
        "Content-Type: text/x-amp-html",
        "",
        "x",
        "--b--",
        "--m--",
    )
    assert [p.content.type for p in top_parts(parts_of(found))] == ["text/plain"]


def test_time_is_watched_while_parts_are_looked_for() -> None:
    inner = ["--b", "Content-Type: multipart/mixed; boundary=c", ""]
    found = locate(
        message("Content-Type: multipart/mixed; boundary=b", "", *inner, *["--"] * 10_000), late=lambda: True
    )
    assert found == Leave(Why.OVER_TIME, "while its parts were looked for")


def test_fields_of_a_part_are_bounded() -> None:
    lines = ["Content-Type: multipart/mixed; boundary=b", "", "--b", *["A: b"] * 1000, "", "x"]
    assert why(*lines) is Why.TOO_MANY_PARTS


def test_time_is_watched_between_parts() -> None:
    part = ["--b", *["A: b"] * 900, "", "x"]
    found = locate(message("Content-Type: multipart/mixed; boundary=b", "", *part * 3), late=lambda: True)
    assert found == Leave(Why.OVER_TIME, "while its parts were looked for")


@pytest.mark.parametrize("field", ["Content-Description", "Content-ID", "Content-Location"])
def test_long_field_that_says_nothing_of_the_structure_is_no_doubt(field: str) -> None:
    long = f"{field}: " + "x " * 9000
    assert bodies(message(long, "Content-Type: text/html", "", "<p>")) == [("1", "text/html", b"<p>")]
    found = bodies(message("Content-Type: multipart/mixed; boundary=b", "", "--b", long, "", "text", "--b--"))
    assert found == [("1", "text/plain", b"text")]


@pytest.mark.parametrize("field", ["Content-Type", "CONTENT-Transfer-Encoding", "Content-Disposition"])
def test_long_field_that_tells_the_structure_is_a_doubt(field: str) -> None:
    long = f"{field}: 7bit; a=" + "x" * 9000
    assert why(long, "", "text") is Why.AMBIGUOUS_MIME
    assert why("Content-Type: multipart/mixed; boundary=b", "", "--b", long, "", "text") is Why.AMBIGUOUS_MIME


@pytest.mark.parametrize(("kind", "versions"), [("related", [True, False]), ("mixed", [False, False])])
def test_the_root_of_a_version_alone_is_shown_whatever_its_name(kind: str, versions: list[bool]) -> None:
    found = message(
        "Content-Type: multipart/alternative; boundary=a", "", "--a", "", "text", "--a",
        f"Content-Type: multipart/{kind}; boundary=r", "", "--r",
        "Content-Type: text/html; name=a.html", "", "<p>a", "--r",
        "Content-Type: text/html; name=b.html", "", "<p>b", "--r--", "--a--",
    )  # fmt: skip
    assert [part.version for part in parts_of(found) if part.named] == versions
    outside = message(
        f"Content-Type: multipart/{kind}; boundary=r", "", "--r",
        "Content-Type: text/html; name=a.html", "", "<p>a", "--r--",
    )  # fmt: skip
    assert [part.version for part in parts_of(outside)] == [False]
