"""Quoted-printable in C agrees with its twin in Python, and a copy without it works the same.

It is built with the rest where there is a compiler, as wherever these tests run: without it they fail here.
"""

import random
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import fidelity
from smtpapi.mime import _quoted_printable as native
from smtpapi.mime import quoted_printable as qp
from smtpapi.mime.edits import line_end
from smtpapi.model.edit import Edit, splice
from smtpapi.rewrite import raw_message
from smtpapi.rewrite.plan import editable
from smtpapi.rewrite.rules import RewritingRules
from without_c import passes_without

EOLS = (b"\n", b"\r\n")
needs_corpus = pytest.mark.skipif(not fidelity.CORPUS.is_dir(), reason=f"no corpus at {fidelity.CORPUS}")
often = settings(max_examples=200, deadline=None)

SOUND = [
    *(b"=3D", b"=3d", b"=c3=BC", b"=0D=0A", b"=3D=22", b"=\r\n", b"=\n", b"=\n=\r\n", b"\r\n", b"\n", b"\r"),
    *(b"x", b" ", b"\t", b" \r\n", b'"', b"'", b">", b"\xfc", b"href=3D", b"long" * 20, b"w" * 500, b"."),
]
ODD = [b"=", b"==", b"=4", b"=4\n", b"=g0", b"= \r\n", b"=\t\n", b"=\r", b"=\rx", b"=\xff"]
WELL_FORMED = st.lists(st.sampled_from(SOUND), max_size=60).map(b"".join)
BODIES = st.one_of(WELL_FORMED, st.lists(st.sampled_from(SOUND + ODD), max_size=60).map(b"".join))
NEW = st.one_of(
    st.text(alphabet='abc=.-/<>" {}:\n\r\t\0\x7f~', max_size=200).map(str.encode),
    st.builds(bytes.__mul__, st.sampled_from((b"n", b"=", b"\xff", b"n=")), st.integers(70, 160)),
    st.binary(max_size=20),
    st.just(b""),
)


def decoded(encoded: bytes) -> bytes:
    """Quoted-printable read in the plainest way."""
    return re.sub(
        rb"=(?:([0-9A-Fa-f]{2})|[ \t]*(?:\r?\n|\Z))",
        lambda found: bytes.fromhex(found[1].decode()) if found[1] else b"",
        encoded,
    )


@contextmanager
def without_c() -> Iterator[None]:
    qp._IN_C = False
    try:
        yield
    finally:
        qp._IN_C = True


def exact(changes: Sequence[Edit]) -> list[list[Any]]:
    """The changes with the types of all that is in them."""
    return [[type(change), *((type(value), value) for value in change)] for change in changes]


def both_place(encoded: bytes, changes: Sequence[Edit], eol: bytes) -> Sequence[Edit]:
    """What the twin places; C must say the same, and be in no doubt."""
    with without_c():
        twin = qp.quoted_printable(encoded)
        placed = twin.place(changes, eol).edits
    in_c = native.place(encoded, changes, b"=" + line_end(encoded, eol), Edit)
    assert type(in_c) is list
    assert exact(in_c) == exact(placed)
    assert exact(qp.quoted_printable(encoded).place(changes, eol).edits) == exact(placed)
    assert decoded(splice(encoded, in_c)) == splice(twin.data, changes)
    return placed


def both_offsets(encoded: bytes, offsets: Sequence[int]) -> list[int]:
    with without_c():
        found = qp.quoted_printable(encoded).encoded_offsets(offsets)
    assert native.encoded_offsets(encoded, offsets) == found
    assert qp.quoted_printable(encoded).encoded_offsets(offsets) == found
    return found


def both_encode(data: bytes, eol: bytes) -> bytes:
    with without_c():
        encoded = qp.encode_quoted_printable(data, eol)
    assert native.encode(data, b"=" + eol) == encoded == qp.encode_quoted_printable(data, eol)
    assert decoded(encoded) == data
    assert all(len(line.rstrip(b"\r")) <= 76 for line in encoded.split(b"\n"))
    return encoded


@st.composite
def changes_of(draw: st.DrawFn, length: int) -> list[Edit]:
    """Ascending changes that do not overlap; neighbours and empty ones among them."""
    edges = sorted(draw(st.lists(st.integers(0, length), max_size=12)))
    if draw(st.booleans()):
        edges = [edge for edge in edges for _ in range(2)][1:-1]  # each begins where the last one ended
    return [
        Edit(start, stop, draw(NEW), "link", b"https://a.example/", str(start), "1.2", "text/html")
        for start, stop in zip(edges[::2], edges[1::2], strict=False)
    ]


@often
@given(BODIES)
@example(b"")
@example(b"=")
@example(b"=\r")
@example(b"=\n")
@example(b"x=A")
def test_native_decodes_what_the_twin_does(encoded: bytes) -> None:
    data = native.decode(encoded)
    with without_c():
        twin = qp.quoted_printable(encoded)
    assert (data is None) == isinstance(twin, qp.LooseQuotedPrintable)
    assert type(qp.quoted_printable(encoded)) is type(twin)
    assert qp.quoted_printable(encoded).data == twin.data == decoded(encoded)
    if data is not None:
        assert data == twin.data
        assert type(data) is bytes


def test_native_knows_every_escape() -> None:
    for high in range(256):
        for low in range(256):
            encoded = bytes((61, high, low))
            data = native.decode(encoded)
            assert (data is None) == (qp._MALFORMED.search(encoded) is not None)
            assert data is None or data == decoded(encoded)


@often
@given(WELL_FORMED, st.sampled_from(EOLS), st.data())
def test_native_places_what_the_twin_does(encoded: bytes, eol: bytes, data: st.DataObject) -> None:
    changes = data.draw(changes_of(len(decoded(encoded))))
    for given_as in (changes, tuple(changes)):
        both_place(encoded, given_as, eol)


@often
@given(WELL_FORMED, st.data())
def test_native_finds_the_offsets_that_the_twin_does(encoded: bytes, data: st.DataObject) -> None:
    offsets = sorted(data.draw(st.lists(st.integers(0, len(decoded(encoded))), max_size=8)))
    both_offsets(encoded, offsets)
    both_offsets(encoded, tuple(offsets))


@often
@given(BODIES | st.binary(max_size=400), st.sampled_from(EOLS))
def test_native_encodes_what_the_twin_does(data: bytes, eol: bytes) -> None:
    both_encode(data, eol)


@pytest.mark.parametrize("eol", EOLS)
@pytest.mark.parametrize("byte", [b"x", b"=", b"\xff", b"\t", b" ", b"\r", b"\n"])
def test_native_breaks_lines_of_every_length_where_the_twin_does(byte: bytes, eol: bytes) -> None:
    for length in range(240):
        for data in (byte * length, b"a" + byte * length, b"x" * length + byte, b"x" * length + byte + eol):
            both_encode(data, eol)
    for column in range(80):
        for rest in (0, 1, 2, 60, 74, 75, 76, 77, 989, 990, 991, 992, 993):
            for new in (b"", byte, byte * 30, byte * 75, byte * 151):
                body = b"a\n" + b"b" * column + b"c" * rest + b"\n"
                both_place(body, [Edit(2 + column, 2 + column, new, "link")], eol)


def test_native_passes_every_soft_break_before_an_edit_but_the_last() -> None:
    for breaks in (0, 1, 2, 999, 1000, 1001, 2001):
        for soft in (b"=\n", b"=\r\n"):
            for tail in (b"", b"y", b'"', b"=3D", b"\n"):
                encoded = b"x" + soft * breaks + tail
                at = len(encoded) - len(tail) - (len(soft) if breaks and not tail else 0)
                changes = [Edit(1, 1, b"n", "link")] * 2 + [Edit(1, 1 + bool(tail), b"m", "link")]
                assert [change.start for change in both_place(encoded, changes, b"\n")] == [at] * 3
                assert both_offsets(encoded, [0, 1, 1]) == [0, at, at]


@pytest.mark.parametrize("body", [b"ab=\r\ncd" * 9, b"abcd=\n", b"", b"=3D" * 9])
def test_changes_that_are_out_of_order_or_past_the_end_are_the_twins(body: bytes) -> None:
    length = len(decoded(body))
    for spans in (
        *([(0, length + 1)], [(length + 1, length + 1)], [(length, length + 9)], [(-1, 0)], [(-5, -4)]),
        *([(3, 2)], [(4, 4), (2, 4)], [(0, 3), (2, 4)], [(2**70, 2**70)], [(0, 2**63)]),
    ):
        changes = [Edit(start, stop, b"n", "link") for start, stop in spans]
        assert native.place(body, changes, b"=\n", Edit) is None
        assert native.encoded_offsets(body, [stop for span in spans for stop in span]) is None or all(
            0 <= start <= stop <= length for start, stop in spans
        )


def test_what_lies_past_the_end_is_put_where_the_twin_puts_it() -> None:
    for body in (b"ab=\r\ncd" * 300, b"abcd=\n", b"=3D" * 500):
        length = len(decoded(body))
        for changes in (
            [Edit(length + 1, length + 2, b"n", "link")],
            [Edit(1, 2, b"n", "link"), Edit(length - 1, length + 3, b"n", "link")],
        ):
            with without_c():
                placed = qp.quoted_printable(body).place(changes, b"\n")
            assert qp.quoted_printable(body).place(changes, b"\n") == placed


class Offset(int):
    pass


class Value(bytes):
    pass


class Kind(Edit):
    pass


@pytest.mark.parametrize(
    "change",
    [
        Kind(0, 1, b"n", "link"),
        (0, 1, b"n", "link", b"", ""),
        Edit(Offset(0), 1, b"n", "link"),
        Edit(False, True, b"n", "link"),
        Edit(0, 1.0, b"n", "link"),  # type: ignore[arg-type] # a wrong value on purpose
        Edit(0, 1, Value(b"n"), "link"),
        Edit(0, 1, bytearray(b"n"), "link"),  # type: ignore[arg-type] # a wrong value on purpose
        Edit(0, 1, None, "link"),  # type: ignore[arg-type] # a wrong value on purpose
        tuple.__new__(Edit, (0, 1, b"n")),
        tuple.__new__(Edit, ()),
        None,
    ],
)
def test_native_is_in_doubt_about_odd_changes(change: Any) -> None:
    good = Edit(0, 0, b"n", "link")
    assert native.place(b"abc", [good, change], b"=\n", Edit) is None
    assert native.place(b"abc", [good], b"=\n", Edit) == [good]


@pytest.mark.parametrize("odd", ODD)
def test_native_is_in_doubt_about_malformed_escapes(odd: bytes) -> None:
    if native.decode(odd + b"!") is None:
        assert native.place(odd + b"!", [Edit(1, 1, b"", "link")], b"=\n", Edit) is None
        assert native.place(odd + b"!", [Edit(0, 0, b"", "link")], b"=\n", Edit) is None
        assert native.encoded_offsets(odd + b"!", [0]) is None


@pytest.mark.parametrize("soft", [b"", b"=", b"\n", b"=\r", b"=\n\n", b"\n=", b"=\r\n ", b"=" * 400 + b"\n"])
def test_native_is_in_doubt_about_other_line_ends(soft: bytes) -> None:
    assert native.place(b"abc", [], soft, Edit) is None
    assert native.encode(b"abc", soft) is None
    assert native.place(b"abc", iter([]), b"=\n", Edit) is None  # type: ignore[arg-type] # a wrong value on purpose
    assert native.encoded_offsets(b"abc", iter([0])) is None  # type: ignore[arg-type] # a wrong value on purpose
    assert native.encoded_offsets(b"abc", [0, None]) is None  # type: ignore[list-item] # a wrong value on purpose


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (native.decode, [b""]),
        (native.encode, [b"", b"=\n"]),
        (native.encoded_offsets, [b""]),
        (native.place, [b"", [], b"=\n", Edit]),
    ],
)
def test_native_takes_no_value_of_another_type(function: Any, arguments: list[Any]) -> None:
    for place, value in enumerate(arguments):
        if isinstance(value, list):
            continue
        for wrong in (None, "text", bytearray(b""), 1, int, object()):
            with pytest.raises(TypeError):
                function(*arguments[:place], wrong, *arguments[place + 1 :])
    with pytest.raises(TypeError):
        function(*arguments[:-1])
    with pytest.raises(TypeError):
        function(*arguments, *[[]] * 4)


def test_native_takes_very_many_changes() -> None:
    encoded = b"=3D=\r\nx" * 10_000
    changes = [Edit(at, at + at % 2, b"=" * (at % 9), "link") for at in range(20_000)]
    both_place(encoded, changes, b"\n")
    both_place(encoded, changes[:1] * 20_000, b"\n")
    both_place(b"=\n" * 2_000, [Edit(0, 0, b"n", "link")] * 1_000, b"\n")
    both_place(b"x" * 20_000, changes, b"\n")
    both_offsets(encoded, ())
    both_offsets(encoded, list(range(20_000)))


def test_native_writes_a_value_of_any_size() -> None:
    for new in (b"x" * 300_000, b"=" * 100_000, b"x=" * 100_001):
        both_place(b"a" * 40 + b"\n", [Edit(20, 21, new, "link"), Edit(21, 22, new, "link")], b"\n")
    both_encode(b"x=\t" * 200_000 + b" ", b"\r\n")


@needs_corpus
def test_native_agrees_on_real_mail() -> None:
    """The quoted-printable parts of a sample, with changes at random places."""
    chance = random.Random(5)
    parts = 0
    for name, raw in list(fidelity.mails())[::6]:
        message = raw_message.split(raw).message
        found = editable(message, RewritingRules())
        for part in found if isinstance(found, tuple) else ():
            encoded = message.body[part.start : part.stop]
            view = qp.quoted_printable(encoded)
            with without_c():
                twin = qp.quoted_printable(encoded)
            assert (type(view), view.data) == (type(twin), twin.data), name
            both_encode(view.data, b"\r\n")
            if part.encoding != "quoted-printable" or isinstance(view, qp.LooseQuotedPrintable):
                continue
            edges = sorted(chance.choices(range(len(view.data) + 1), k=40))
            spans = zip(edges[::2], edges[1::2], strict=True)
            changes = [Edit(start, stop, b"https://a/=" * 15, "link") for start, stop in spans]
            both_place(encoded, changes, b"\r\n")
            both_offsets(encoded, edges)
            parts += 1
    assert parts > 50


def test_native_leaves_nothing_behind() -> None:
    """Each way out of it, over and over: what it took is given back."""
    body = b"=3D=\r\nx\n" * 9
    changes = [Edit(at, at + 1, b"=" * at * 9, "link", b"t", "n") for at in range(18)]
    late = [*changes, Edit(999, 999, b"", "link")]
    before = 0
    for turn in range(3000):
        if turn == 1000:
            before = sys.getallocatedblocks()
        for encoded in (body, b"", body + b"=", b"x" * 600, b"=\n" * 20):
            native.decode(encoded)
            native.encode(encoded, b"=\n")
        assert native.place(body, changes, b"=\n", Edit) is not None
        assert native.place(body, late, b"=\n", Edit) is None
        assert native.encoded_offsets(body, [0, 5, 1000]) is None
        native.encoded_offsets(body, (0, 5))
        for wrong in (None, int):
            with suppress(TypeError):
                native.place(body, changes, b"=\n", wrong)  # type: ignore[arg-type] # a wrong value on purpose
    assert sys.getallocatedblocks() - before < 500


def test_native_keeps_the_count_of_what_it_passes_on() -> None:
    kind, target, name, new = "".join(("li", "nk")), bytes(b"t" * 40), "n" * 40, b"n" * 40
    counted = (kind, target, name, new, Edit)
    before = [sys.getrefcount(one) for one in counted]
    changes = [Edit(at, at + 1, new, kind, target, name) for at in range(50)]
    placed = native.place(b"abc\n" * 20, changes, b"=\n", Edit)
    assert placed is not None
    assert all(one.target is target and one.name is name for one in placed)
    del placed, changes
    assert [sys.getrefcount(one) for one in counted] == before


def test_quoted_printable_is_the_same_without_the_part_in_c() -> None:
    """Its tests and those of the clock with such parts."""
    passes_without(
        "smtpapi.mime._quoted_printable",
        "tests/unit/test_mime_transfer.py",
        "tests/properties/test_rewrite_transfer_properties.py",
        "tests/unit/test_rewrite_deadline.py",
        *("-k", "transfer or quoted or soft or encode or base64"),
    )


def test_placed_edits_hash_as_their_values_do() -> None:
    """From Python 3.14 on a tuple keeps its hash, which must not be one that nobody computed."""
    edits = [Edit(0, 1, b"n", "link", b"t", "name"), Edit(2, 2, b"p" * 90, "pixel")]
    placed = native.place(b"abc", edits, b"=\n", Edit)
    assert placed is not None
    assert len(placed) == 2
    assert [hash(edit) for edit in placed] == [hash((*edit,)) for edit in placed]
    assert {Edit(*edit) for edit in placed} == set(placed)
