"""The segment format: what goes in comes out, and damage costs what is damaged and no more."""

from hypothesis import given, settings
from hypothesis import strategies as st

from engagement.spool.format import HEADER, MAGIC, MAX_RECORD, ScanEnd, frame, magic_end, scan

RECORDS = st.lists(st.binary(max_size=60), max_size=8)


def body(records: list[bytes]) -> bytes:
    return b"".join(map(frame, records))


@settings(max_examples=60)
@given(RECORDS)
def test_what_was_framed_is_scanned(records: list[bytes]) -> None:
    data = body(records)
    found = scan(data)
    assert [record for record, _ in found.records] == records
    assert (found.stop, found.end) == (len(data), ScanEnd.WHOLE)


@settings(max_examples=30)
@given(RECORDS)
def test_a_tail_torn_anywhere_costs_its_record_alone(records: list[bytes]) -> None:
    data = body(records)
    ends = [0]
    for record in records:
        ends.append(ends[-1] + HEADER.size + len(record))
    for cut in range(len(data) + 1):
        found = scan(data[:cut])
        whole = sum(1 for end in ends[1:] if end <= cut)
        assert [record for record, _ in found.records] == records[:whole]
        assert found.stop == ends[whole]
        assert found.end is (ScanEnd.WHOLE if cut in ends else ScanEnd.TORN)


@settings(max_examples=30)
@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4), st.integers(1, 255))
def test_a_changed_byte_anywhere_leaves_what_stands_before_it(records: list[bytes], change: int) -> None:
    data = body(records)
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= change
        found = scan(bytes(damaged))
        before, offset = 0, 0
        for record in records:
            offset += HEADER.size + len(record)
            if offset > place:
                break
            before += 1
        assert [record for record, _ in found.records] == records[:before]
        assert found.end is not ScanEnd.WHOLE


@settings(max_examples=60)
@given(st.binary(max_size=200))
def test_chance_bytes_are_no_records(data: bytes) -> None:
    assert scan(data).records == ()


def test_zeros_are_no_records() -> None:
    """A power cut may leave a file longer than what was written."""
    assert scan(bytes(64)).end is ScanEnd.CORRUPT


def test_a_limit_stops_at_a_frame() -> None:
    found = scan(body([b"a", b"b", b"c"]), 0, 2)
    assert [record for record, _ in found.records] == [b"a", b"b"]
    assert found.stop == 2 * (HEADER.size + 1)


def test_a_length_beyond_the_bound_is_damage() -> None:
    data = (MAX_RECORD + 1).to_bytes(4, "little") + bytes(100)
    assert scan(data).end is ScanEnd.CORRUPT


def test_the_beginning_is_checked() -> None:
    assert magic_end(MAGIC + b"x") is ScanEnd.WHOLE
    assert all(magic_end(MAGIC[:n]) is ScanEnd.TORN for n in range(len(MAGIC)))
    assert magic_end(b"smtpspl2") is ScanEnd.CORRUPT
