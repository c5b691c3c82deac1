"""Whole raw messages: cut, changed, reported."""

import pytest

from smtpapi.model.edit import Edit
from smtpapi.model.outcome import HeaderChange, Leave, Plan, Refuse, Skip, Skipped, Why
from smtpapi.rewrite.raw_message import split

RAW = b"A: 1\nX-MSYS-API: {}\nB: 2\nx-msys-api:\n {}\n\nbody\n"


def test_line_ends_are_those_of_the_first_line() -> None:
    assert split(b"A: 1\nB: 2\r\n\r\n").message.eol == b"\n"
    assert split(b"A: 1\r\nB: 2\n\n").message.eol == b"\r\n"
    assert split(b"A: 1").message.eol == b"\r\n"


def test_mbox_line_is_no_field() -> None:
    found = split(b"From a@example.com Tue Nov 24\nA: 1\n\nbody")
    assert [field.name for field in found.message.fields] == ["A"]
    assert found.message.body == b"body"
    assert split(b"From alone").message.fields == ()


def test_fields_are_deleted_by_their_number() -> None:
    changes = (HeaderChange("X-MSYS-API", 2, None), HeaderChange("X-MSYS-API", 1, None))
    assert split(RAW).apply(Plan(headers=changes)) == b"A: 1\nB: 2\n\nbody\n"


def test_fields_are_replaced_and_added() -> None:
    changes = (HeaderChange("b", 1, "new"), HeaderChange("C", 0, "3"))
    assert split(b"A: 1\nB:\n 2\n\nbody").apply(Plan(headers=changes)) == b"A: 1\nB: new\nC: 3\n\nbody"


@pytest.mark.parametrize(
    ("raw", "out"),
    [
        (b"A: 1\r\n\r\nbody", b"A: 1\r\nC: 3\r\n\r\nbody"),
        (b"A: 1\nno field", b"A: 1\nC: 3\nno field"),
        (b"A: 1", b"A: 1\r\nC: 3\r\n"),
        (b"", b"C: 3\r\n"),
        (b"\r\nbody", b"C: 3\r\n\r\nbody"),
    ],
)
def test_added_field_stands_last(raw: bytes, out: bytes) -> None:
    assert split(raw).apply(Plan(headers=(HeaderChange("C", 0, "3"),))) == out


def test_report_counts_from_the_start_of_the_file() -> None:
    plan = Plan(
        headers=(HeaderChange("X-MSYS-API", 1, None),),
        edits=(Edit(0, 4, b"new", "link", b"https://x.example/", "n", "1", "text/plain"),),
        skipped=(Skipped("1", 4, "mailto:a", Skip.NOT_HTTP), Skipped("2", -1, "", Skip.PART_CHARSET)),
    )
    report = split(RAW).report(plan, "a.eml")
    assert report["file"] == "a.eml"
    assert report["action"] == "rewritten"
    assert [(e["kind"], RAW[e["start"] : e["end"]], e["length"]) for e in report["edits"]] == [
        ("header", b"X-MSYS-API: {}\n", 0),
        ("link", b"body", 3),
    ]
    assert [(s["offset"], s["reason"]) for s in report["skipped"]] == [
        (RAW.index(b"body") + 4, "not-http"),
        (-1, "part-charset"),
    ]


def test_report_of_what_was_left() -> None:
    whole = split(RAW)
    assert whole.report(Leave(Why.SIGNED, "n"), "x")["reason"] == "signed"
    assert whole.report(Plan(why=Why.NO_LINK), "x")["action"] == "untouched"
    assert whole.report(Refuse("550", "5.6.0", "text"), "x")["reason"] == "550 5.6.0 text"
