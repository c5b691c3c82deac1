"""Charsets: which are worked on as they are, which are decoded, which are left alone."""

import pytest

from smtpapi.mime import charset
from smtpapi.model.edit import Edit, splice


@pytest.mark.parametrize(
    "label",
    ["", "us-ascii", "UTF-8", '"utf-8"', "iso-8859-1", "iso-8859-8-i", "windows-1252", "koi8-r", "euc-jp",
     "gb2312", "ks_c_5601-1987",
     "macintosh", "cp850", "tis-620", "windows-874", "utf8"],
)  # fmt: skip
def test_supersets_of_ascii_are_worked_on_as_they_are(label: str) -> None:
    for html in (False, True):
        assert charset.read(b"\xff\x81 a", label, html=html) == charset.DecodedText(b"\xff\x81 a")


@pytest.mark.parametrize(
    "label",
    ["shift_jis", "x-sjis", "cp932", "windows-31j", "big5", "gbk", "gb2312", "gb18030", "euc-kr", "johab"],
)
def test_ascii_in_second_bytes_is_hidden_in_text(label: str) -> None:
    own = {
        "big5": "big5",
        "gbk": "gbk",
        "gb2312": "gbk",
        "gb18030": "gb18030",
        "euc-kr": "cp949",
        "johab": "johab",
    }
    raw = ("갂 x" if label in ("euc-kr", "johab") else "表 x").encode(own.get(label, "cp932"))
    reading = charset.read(raw, label, html=False)
    assert reading is not None
    assert not reading.codec
    assert len(reading.text) == len(raw)
    assert [byte < 128 for byte in reading.text] == [False, False, True, True]
    html = charset.read(raw, label, html=True)
    assert html is not None
    assert html.text == (reading.text if label == "johab" else raw)


@pytest.mark.parametrize(
    "label", ["x-unknown", "8bit", "base64", "rot13", "idna", "no such\nthing", "\ud800"]
)
def test_unknown_labels_are_harmless_over_plain_ascii_only(label: str) -> None:
    assert charset.read(b"plain", label, html=True) == charset.DecodedText(b"plain")
    for odd in (b"\xe4", b"\x1b$B", b"\x0e"):
        assert charset.read(odd, label, html=True) is None


@pytest.mark.parametrize(
    ("label", "raw"),
    [
        ("utf-16", "a".encode("utf-16") + b"x"),
        ("utf-16le", b"\x00\xd8a\x00"),
        ("utf-16", b"<html>"),
        ("utf-16", "<html>".encode("utf-16-be")),
        ("utf-16be", "\ufeff<html>".encode("utf-16-le")),
        ("utf-8", "\ufeff<html>".encode("utf-16-le")),
        ("utf-32", "<html>".encode("utf-32-le")),
        ("cp037", "<html>".encode("cp037")),
        ("iso-2022-jp", b"\x1b$B$3"),
        ("iso-2022-jp", b"\x1b$B$\x1b(Ba"),
        ("iso-2022-kr", b"\x1b$)C\x0e0!\x0f"),
        ("utf-8", b"\x1b$B$3\x1b(B"),
        ("utf-7", b"+AGE-"),
        ("unicode-1-1-utf-7", b"a"),
        ("utf-7", b"\xe4"),
        ("hz", b"~{"),
    ],
)
def test_bytes_that_readers_take_differently_are_left(label: str, raw: bytes) -> None:
    reading = charset.read(raw, label, html=False)
    assert (
        reading is None
        or charset.place([Edit(len(reading.text), len(reading.text), b"x", "pixel")], reading, raw) is None
    )


@pytest.mark.parametrize(
    ("label", "codec"),
    [("utf-16", "utf-16-le"), ("UTF-16LE", "utf-16-le"), ("utf-16be", "utf-16-be"), ("ucs-2", "utf-16-le")],
)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_byte_order_marks_stay(label: str, codec: str, mark: str) -> None:
    raw = (mark + 'ä "a" ü').encode(codec)
    assert charset.read(raw, label, html=True, encoded=False) is None
    reading = charset.read(raw, label, html=True)
    assert reading is not None
    at = reading.text.index(b"a")
    placed = charset.place([Edit(at, at + 1, b"new", "link")], reading, raw)
    assert placed is not None
    assert splice(raw, placed).decode(codec) == mark + 'ä "new" ü'


def test_iso_2022_jp_is_hidden_but_for_ascii() -> None:
    raw = b"a\x1b$B<a\x1b(B b\x1b(J\\~c\x1b(I12\x1b(B d"
    reading = charset.read(raw, "iso-2022-jp", html=True)
    assert reading is not None
    assert bytes(byte for byte in reading.text if byte < 128) == b"a bc d"
    assert len(reading.text) == len(raw)
    pixel = Edit(raw.index(b"<a"), raw.index(b"<a"), b"x", "pixel")
    assert charset.place([pixel], reading, raw) is None
    behind = Edit(raw.index(b" b"), raw.index(b" b"), b"x", "pixel")
    assert charset.place([behind], reading, raw) == [behind]


def test_offsets_are_those_of_the_part() -> None:
    raw = "<ä>öü<a b>".encode("utf-16-le")
    reading = charset.read(raw, "utf-16le", html=True)
    assert reading is not None
    assert charset.offsets_in_part([0, 1, 3, 4], reading) == [0, 2, 4, 6]
    assert charset.offsets_in_part([1, 5], charset.DecodedText(b"plain")) == [1, 5]


@pytest.mark.parametrize(("label", "codec"), [("utf-16le", "utf-16-le"), ("utf-16be", "utf-16-be")])
@pytest.mark.parametrize(
    ("latin", "others", "read"), [(8, 2, False), (9, 2, True), (40, 10, False), (41, 10, True)]
)
def test_utf_16_is_what_has_most_of_its_zeros_where_they_should_be(
    label: str, codec: str, latin: int, others: int, read: bool
) -> None:
    raw = ("a" * latin + "\u0100" * others).encode(codec)
    assert (charset.read(raw, label, html=True) is not None) is read
