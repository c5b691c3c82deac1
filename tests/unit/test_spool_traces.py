"""A recipient's records among damage: what is found there, and that looking for it takes bounded work."""

from pathlib import Path

import pytest

from engagement.events.model import Hit
from engagement.events.record import encode
from engagement.links.model import Identity, Kind, Link
from engagement.links.payload import pack_identity, pack_link, payload
from engagement.spool import erasure
from engagement.spool.erasure import RecipientTraces
from engagement.spool.format import MAGIC, MAX_RECORD, ScanResult, frame, scan
from engagement.spool.read import CORRUPT

IDA, OLE = "ida@example.net", "ole@example.net"
DAMAGE = {
    "zeros": bytes(300_000),
    "small lengths": b"\x01\x00\x00\x00" * 50_000,
    "long lengths": b"\x00\x00\x08\x00" * 50_000,
    "lengths before what could be a record": b"\x90\x00\x08\x00" * 500_000,
    "shorter and shorter ones": b"".join(
        (400_000 - 9 * step).to_bytes(4, "little") + b"crc!\x9e" for step in range(40_000)
    ),
    "whole frames before long lengths": (frame(b"x") + b"\x00\x00\x08\x00crc!") * 60_000,
    "text": b"no record at all, and nothing that could be a length\n" * 5_000,
}


def hit(recipient: str) -> bytes:
    whose = Identity(bytes(16), 7, recipient, 1_790_000_000, 1_790_000_060)
    packed = payload(pack_identity(whose), pack_link(Link(b"https://example.org/")), filler=False)
    values = ("01234567-89ab-7def-8123-456789abcdef", Kind.CLICK, 1_790_000_000_123, packed, "", "", "", "")
    return frame(encode(Hit(*values, "GET", "h", spoiled=False, expired=False)))


@pytest.fixture
def aside(tmp_path: Path) -> Path:
    folder = tmp_path / CORRUPT
    folder.mkdir()
    return folder / "a.8.rest"


@pytest.mark.parametrize("damage", DAMAGE)
def test_work_over_damage_grows_with_its_size_alone(
    aside: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted: bytes that are summed up for a try, and tries."""
    sums, tries = 0, 0

    def counted(data: bytes, start: int = 0, limit: int | None = None) -> ScanResult:
        nonlocal sums, tries
        tries += 1
        length = int.from_bytes(data[start : start + 4], "little")
        if length <= min(MAX_RECORD, len(data) - start - 8):
            sums += length
        return scan(data, start, limit)

    monkeypatch.setattr(erasure, "scan", counted)
    data = DAMAGE[damage] + IDA.encode()
    aside.write_bytes(data)
    assert RecipientTraces(aside.parent.parent, IDA).blank() == 1
    assert not aside.exists() or IDA.encode() not in aside.read_bytes()
    assert sums <= 64 * len(data) + 2 * MAX_RECORD
    assert tries <= len(data) // 4


def test_zeros_and_text_are_passed_without_a_try(aside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = []

    def counted(data: bytes, start: int = 0, limit: int | None = None) -> ScanResult:
        starts.append(start)
        return scan(data, start, limit)

    monkeypatch.setattr(erasure, "scan", counted)
    damage = DAMAGE["zeros"] + DAMAGE["text"]
    aside.write_bytes(damage + hit(OLE) + hit(IDA))
    assert RecipientTraces(aside.parent.parent, IDA).blank() == 1
    assert [start for start in starts if start] == [len(damage), len(damage) + len(hit(OLE))]


@pytest.mark.parametrize("damage", DAMAGE)
def test_records_of_others_behind_damage_stay(aside: Path, damage: str) -> None:
    others = hit(OLE)
    aside.write_bytes(DAMAGE[damage] + others + hit(IDA) + others)
    assert RecipientTraces(aside.parent.parent, IDA).blank() == 1
    assert aside.read_bytes() == DAMAGE[damage] + others + bytes(len(hit(IDA))) + others


def test_long_whole_records_are_found_however_many(tmp_path: Path) -> None:
    long = frame(b"\x91" + bytes(MAX_RECORD - 1))
    (tmp_path / "a-1-0.ready").write_bytes(MAGIC + long * 3 + hit(IDA))
    assert [stop - start for start, stop, _ in erasure._frames(long * 3)] == [len(long)] * 3
    assert RecipientTraces(tmp_path, IDA).segments() == {"a-1-0"}


@pytest.mark.parametrize("before", [b"", b"x", b"\0"])
def test_an_address_at_the_very_begin_is_found(aside: Path, before: bytes) -> None:
    aside.write_bytes(before + IDA.encode() + b" " + hit(OLE))
    (aside.parent / "b.8.rest").write_bytes(hit(OLE))
    (aside.parent / "c.8.rest").write_bytes(hit(IDA) + hit(OLE))
    assert RecipientTraces(aside.parent.parent, IDA).blank() == 2
    remaining = aside.read_bytes()
    assert IDA.encode() not in remaining
    assert remaining.endswith(hit(OLE))
    assert len(remaining) == len(before) + len(IDA) + 1 + len(hit(OLE))
    assert RecipientTraces(aside.parent.parent, IDA).blank() == 0
