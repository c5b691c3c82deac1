"""Charsets: which are worked on as they are, which are decoded, which are left alone."""

import pytest

from smtpapi.mime import charset
from smtpapi.mime.transfer import Change, splice


@pytest.mark.parametrize(
    "label",
    ["", "us-ascii", "UTF-8", '"utf-8"', "iso-8859-1", "iso-8859-8-i", "windows-1252", "koi8-r", "euc-jp",
     "gb2312", "ks_c_5601-1987",
     "macintosh", "cp850", "tis-620", "windows-874", "utf8"],
)  # fmt: skip
def test_supersets_of_ascii_are_worked_on_as_they_are(label: str) -> None:
    for html in (False, True):
        assert charset.read(b"\xff\x81 a", label, html=html) == charset.Reading(b"\xff\x81 a")


@pytest.mark.parametrize(
    "label", ["shift_jis", "x-sjis", "cp932", "windows-31j", "big5", "gbk", "gb18030", "johab"]
)
def test_ascii_in_second_bytes_matters_to_text_only(label: str) -> None:
    own = ("big5", "gbk", "gb18030", "johab")
    raw = "表 x".encode(label if label in own else "cp932")
    assert charset.read(raw, label, html=True) == charset.Reading(raw)
    reading = charset.read(raw, label, html=False)
    assert reading is not None
    assert reading.text == "表 x".encode()


@pytest.mark.parametrize(
    "label", ["x-unknown", "8bit", "base64", "rot13", "idna", "no such\nthing", "\ud800"]
)
def test_unknown_labels_are_harmless_over_plain_ascii_only(label: str) -> None:
    assert charset.read(b"plain", label, html=True) == charset.Reading(b"plain")
    for odd in (b"\xe4", b"\x1b$B", b"\x0e"):
        assert charset.read(odd, label, html=True) is None


@pytest.mark.parametrize(
    ("label", "raw"),
    [
        ("utf-16", "a".encode("utf-16") + b"x"),
        ("utf-16le", b"\x00\xd8a\x00"),
        ("iso-2022-jp", b"\x1b$B\x1b(Ba"),
        ("utf-7", b"+AGE-"),
        ("utf-7", b"\xe4"),
        ("hz", b"~{"),
    ],
)
def test_bytes_that_do_not_come_back_exactly_are_left(label: str, raw: bytes) -> None:
    reading = charset.read(raw, label, html=False)
    assert reading is None or charset.place([Change(0, 0, b"x", "pixel")], reading, raw) is None


@pytest.mark.parametrize("codec", ["utf-16-be", "utf-16-le"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_byte_order_marks_stay(codec: str, mark: str) -> None:
    raw = (mark + 'ä "a" ü').encode(codec)
    label = "utf-16" if mark or codec.endswith("be") else "utf-16le"
    reading = charset.read(raw, label, html=True)
    assert reading is not None
    at = reading.text.index(b"a")
    placed = charset.place([Change(at, at + 1, b"new", "link")], reading, raw)
    assert placed is not None
    assert splice(raw, placed).decode(codec) == mark + 'ä "new" ü'


def test_unicode_1_1_utf_7_is_utf_7() -> None:
    reading = charset.read(b"+APw a", "UNICODE-1-1-UTF-7", html=False)
    assert reading is not None
    assert reading.text == "ü a".encode()


def test_offsets_are_those_of_the_part() -> None:
    raw = "äöü".encode("utf-16-le")
    reading = charset.read(raw, "utf-16le", html=True)
    assert reading is not None
    assert charset.offsets_in_part([0, 2, 6], reading) == [0, 2, 6]
    assert charset.offsets_in_part([1, 5], charset.Reading(b"plain")) == [1, 5]
