"""Edits under a transfer encoding: decoding what was spliced gives what would have been spliced decoded."""

import binascii
import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtpapi.mime import charset, transfer
from smtpapi.mime.quoted_printable import encode_quoted_printable, loose_quoted_printable, quoted_printable
from smtpapi.model.edit import Edit, splice

modest = settings(max_examples=100, deadline=None)

NEW = st.text(alphabet='abc=._-/<>" {}:', max_size=200).map(str.encode)
_SOUND = [b"=3D", b"=3d", b"=\r\n", b"\r\n", b"x", b" ", b"=C3=BC", b"href=3D", b"."]
_ODD = [
    b"=",
    b"==",
    b"=4",
    b"= \r\n",
    b"=\t\n",
    b"=\r",
    b"=\n",
    b"\n",
    b"\r",
    b"=0D=0A",
    b"=zz",
    b"long" * 20,
]
PIECES = st.sampled_from(_SOUND + _ODD)
ENCODED = st.lists(PIECES, max_size=60).map(b"".join)
WELL_FORMED = st.lists(st.sampled_from(_SOUND), max_size=60).map(b"".join)


def decoded(encoded: bytes) -> bytes:
    """Quoted-printable read in the plainest way."""
    return re.sub(
        rb"=(?:([0-9A-Fa-f]{2})|[ \t]*(?:\r?\n|\Z))",
        lambda found: bytes.fromhex(found[1].decode()) if found[1] else b"",
        encoded,
    )


@st.composite
def changes_of(draw: st.DrawFn, length: int) -> list[Edit]:
    """Ascending changes that do not overlap."""
    edges = sorted(draw(st.lists(st.integers(0, length), max_size=8)))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    return [Edit(start, stop, draw(NEW), "link") for start, stop in pairs]


@modest
@given(ENCODED)
def test_quoted_printable_is_read_as_the_plainest_reader_does(encoded: bytes) -> None:
    assert quoted_printable(encoded).data == decoded(encoded)
    assert loose_quoted_printable(encoded).data == decoded(encoded)


@modest
@given(WELL_FORMED, st.data())
def test_changes_of_quoted_printable_come_out_where_they_were_meant(
    encoded: bytes, data: st.DataObject
) -> None:
    view = quoted_printable(encoded)
    changes = data.draw(changes_of(len(view.data)))
    placed = view.place(changes, b"\r\n")
    assert decoded(splice(encoded, placed.edits)) == splice(view.data, changes)


@modest
@given(WELL_FORMED, st.data())
def test_both_ways_back_agree(encoded: bytes, data: st.DataObject) -> None:
    strict, loose = quoted_printable(encoded), loose_quoted_printable(encoded)
    changes = data.draw(changes_of(len(strict.data)))
    assert strict.place(changes, b"\n") == loose.place(changes, b"\n")
    offsets = sorted(data.draw(st.lists(st.integers(0, len(strict.data)), max_size=5)))
    assert strict.encoded_offsets(offsets) == loose.encoded_offsets(offsets)


@modest
@given(ENCODED, st.data())
def test_changes_of_loose_quoted_printable_come_out_where_they_were_meant(
    encoded: bytes, data: st.DataObject
) -> None:
    view = loose_quoted_printable(encoded)
    changes = data.draw(changes_of(len(view.data)))
    placed = view.place(changes, b"\r\n")
    pieces = [encoded[a:b] for a, b in _gaps(encoded, placed.edits)]
    if any(
        piece.endswith((b"=", b"=\r")) or re.search(rb"=[ \t]+\Z|=[0-9A-Fa-f]\Z", piece) for piece in pieces
    ):
        return  # a malformed escape right before the edit takes the edit's first bytes for its own
    assert decoded(splice(encoded, placed.edits)) == splice(view.data, changes)


def _gaps(encoded: bytes, changes: Sequence[Edit]) -> list[tuple[int, int]]:
    starts = [0, *(change.stop for change in changes)]
    return list(zip(starts, [change.start for change in changes], strict=False))


@modest
@given(st.lists(st.sampled_from([b"word ", b"=3D", b"x" * 30, b"."]), max_size=40), st.data())
def test_edited_lines_of_quoted_printable_stay_short(texts: list[bytes], data: st.DataObject) -> None:
    encoded = encode_quoted_printable(decoded(b"".join(texts)), b"\r\n")
    view = quoted_printable(encoded)
    changes = data.draw(changes_of(len(view.data)))
    after = splice(encoded, view.place(changes, b"\r\n").edits)
    assert max(map(len, after.split(b"\r\n"))) <= 76
    assert decoded(after) == splice(view.data, changes)


@modest
@given(st.binary(max_size=600), st.sampled_from([b"\r\n", b"\n"]))
def test_quoted_printable_encoding_comes_back_exactly(data: bytes, eol: bytes) -> None:
    encoded = encode_quoted_printable(data, eol)
    assert decoded(encoded) == data
    assert all(len(line.rstrip(b"\r")) <= 76 for line in encoded.split(b"\n"))
    assert not re.search(rb"[^\t\r\n -~]|[ \t]\r?\n", encoded)


@modest
@given(
    st.binary(max_size=600), st.sampled_from([4, 60, 64, 76]), st.sampled_from([b"\r\n", b"\n"]), st.data()
)
def test_base64_keeps_its_shape(raw: bytes, length: int, eol: bytes, data: st.DataObject) -> None:
    code = binascii.b2a_base64(raw, newline=False)
    tail = data.draw(st.sampled_from([b"", eol, eol * 2]))
    encoded = eol.join(code[at : at + length] for at in range(0, len(code), length)) + tail
    view = transfer.view(encoded, "base64")
    assert view is not None
    assert view.data == raw
    changes = data.draw(changes_of(len(raw)))
    placed = view.place(changes, eol)
    after = splice(encoded, placed.edits)
    assert binascii.a2b_base64(after) == splice(raw, changes)
    if changes and len(code) > length:
        lines = after.removesuffix(tail).split(eol) if tail else after.split(eol)
        assert {len(line) for line in lines[:-1]} <= {length}
        assert placed.inner == changes


@modest
@given(st.binary(max_size=300), st.data())
def test_identity_lines_never_pass_the_limit_by_an_edit(raw: bytes, data: st.DataObject) -> None:
    raw += b"\n" + b"y" * data.draw(st.integers(0, 1100)) + b"\n"
    view = transfer.view(raw, "8bit")
    assert view is not None
    changes = data.draw(changes_of(len(raw)))
    placed = view.place(changes, b"\n")
    after = splice(raw, placed.edits)
    if placed.encoding:
        assert decoded(after) == splice(raw, changes)
        assert max(map(len, after.split(b"\n"))) <= 77
    else:
        assert after == splice(raw, changes)
        untouched = set(raw.split(b"\n"))
        assert all(len(line) <= 991 or line in untouched for line in after.split(b"\n"))


TEXT = st.text(alphabet='abc <>"=äß日本語かな한€\n', max_size=80)


@pytest.mark.parametrize(
    "label",
    [
        "utf-16",
        "utf-16le",
        "utf-16be",
        "utf-32",
        "iso-2022-jp",
        "utf-7",
        "cp037",
        "hz",
        "shift_jis",
        "gb18030",
    ],
)
@modest
@given(text=TEXT, data=st.data())
def test_changes_of_other_charsets_come_out_where_they_were_meant(
    label: str, text: str, data: st.DataObject
) -> None:
    raw = text.encode(label, "replace")
    reading = charset.read(raw, label, html=False)
    if reading is None:
        return  # such bytes have no exact way back, and are left alone
    marks = [m.start() for m in re.finditer(rb"[a-c <>\"=\n]", reading.text)]
    if not marks:
        return
    at = data.draw(st.sampled_from(marks))
    change = Edit(at, at + 1, b"https://x/", "link")
    placed = charset.place([change], reading, raw)
    if placed is None:
        return
    after = splice(raw, placed)
    codec = reading.codec or label
    start, stop = placed[0].start, placed[0].stop
    assert after.decode(codec) == raw[:start].decode(codec) + "https://x/" + raw[stop:].decode(codec)
