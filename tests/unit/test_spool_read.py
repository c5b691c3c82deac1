"""The reader: everything whole is read, nothing is removed before the cursor says so, damage is set aside."""

import fcntl
import json
import os
from itertools import permutations
from pathlib import Path

import pytest

from engagement.spool import read
from engagement.spool.format import HEADER, MAGIC, frame
from engagement.spool.names import replace_durably
from engagement.spool.read import CORRUPT, CURSOR, SpoolReader

NAMES = [b"alpha", b"beta", b"", b"delta", b"epsilon"]
SEGMENT = MAGIC + b"".join(map(frame, NAMES))


def put(directory: Path, data: bytes, number: int = 0, ending: str = "ready") -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / f"host-7-1000-{number:06d}.{ending}"
    path.write_bytes(data)
    return path


def drain(reader: SpoolReader) -> list[bytes]:
    found: list[bytes] = []
    while entries := reader.read():
        found += [entry.record for entry in entries]
    return found


def set_aside(directory: Path) -> list[str]:
    folder = directory / CORRUPT
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_nothing_is_read_where_nothing_is(tmp_path: Path) -> None:
    reader = SpoolReader(tmp_path / "not there yet")
    assert reader.read() == ()
    assert reader.backlog().records == 0


def test_a_segment_goes_when_all_of_it_is_committed(tmp_path: Path) -> None:
    path = put(tmp_path, SEGMENT)
    reader = SpoolReader(tmp_path)
    assert drain(reader) == NAMES
    assert path.exists()
    reader.commit()
    assert not path.exists()
    assert set_aside(tmp_path) == []


def test_the_cursor_is_on_the_disk_before_a_segment_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path, SEGMENT)
    reader = SpoolReader(tmp_path)
    drain(reader)
    order: list[str] = []

    def replacing(target: Path, data: bytes) -> None:
        order.append(f"cursor, segment {'there' if path.exists() else 'gone'}")
        replace_durably(target, data)

    monkeypatch.setattr(read, "replace_durably", replacing)
    reader.commit()
    assert order == ["cursor, segment there"]
    assert json.loads((tmp_path / CURSOR).read_bytes())["positions"] == {"host-7-1000-000000": len(SEGMENT)}


def test_what_was_not_committed_is_read_again(tmp_path: Path) -> None:
    put(tmp_path, SEGMENT)
    reader = SpoolReader(tmp_path)
    assert drain(reader) == NAMES
    reader.rewind()
    assert drain(reader) == NAMES
    assert drain(SpoolReader(tmp_path)) == NAMES


def test_a_reader_goes_on_where_the_last_one_committed(tmp_path: Path) -> None:
    path = put(tmp_path, SEGMENT, ending="open")
    with path.open("rb+") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        reader = SpoolReader(tmp_path)
        assert drain(reader) == NAMES
        reader.commit()
        assert path.exists()  # its writer lives
        writer.seek(0, os.SEEK_END)
        writer.write(frame(b"later"))
        writer.flush()
        assert drain(SpoolReader(tmp_path)) == [b"later"]


def test_a_dead_writers_segment_is_finished(tmp_path: Path) -> None:
    path = put(tmp_path, SEGMENT, ending="open")
    reader = SpoolReader(tmp_path)
    assert drain(reader) == NAMES
    reader.commit()
    assert not path.exists()


def test_a_segment_that_is_gone_is_no_trouble(tmp_path: Path) -> None:
    """A cursor may name what was removed, and a segment may go between two steps."""
    first, second = put(tmp_path, SEGMENT, 0), put(tmp_path, MAGIC + frame(b"second"), 1)
    reader = SpoolReader(tmp_path)
    assert len(reader.read(1)) > 0
    reader.commit()
    first.unlink(missing_ok=True)
    assert b"second" in drain(reader) or not second.exists()
    second.unlink(missing_ok=True)
    reader.commit()
    assert SpoolReader(tmp_path).read() == ()


def test_a_cursor_that_cannot_be_read_means_from_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, SEGMENT)
    for broken in (b"", b"{", b"[]", b'{"positions": 3}', b"\xff\xfe", b'{"positions": {"a": "b"}}'):
        (tmp_path / CURSOR).write_bytes(broken)
        assert drain(SpoolReader(tmp_path)) == NAMES
    assert "not usable" in caplog.text


@pytest.mark.parametrize("live", [False, True])
def test_a_tail_torn_at_any_offset_keeps_every_whole_record(tmp_path: Path, live: bool) -> None:
    ends = [len(MAGIC)]
    for record in NAMES:
        ends.append(ends[-1] + HEADER.size + len(record))
    for cut in range(len(SEGMENT)):
        directory = tmp_path / f"{cut}"
        path = put(directory, SEGMENT[:cut], ending="open")
        whole = NAMES[: sum(1 for end in ends[1:] if end <= cut)]
        reader = SpoolReader(directory)
        if live:
            with path.open("rb+") as writer:
                fcntl.flock(writer, fcntl.LOCK_EX)
                assert drain(reader) == whole
                reader.commit()
                writer.seek(0, os.SEEK_END)
                writer.write(SEGMENT[cut:])
                writer.flush()
                assert drain(reader) == NAMES[len(whole) :]
        else:
            assert drain(reader) == whole
            reader.commit()
            assert not path.exists()
            assert len(set_aside(directory)) == (0 if cut in (0, *ends) else 1)


def test_damage_at_any_offset_keeps_every_whole_record_before_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ends = [len(MAGIC)]
    for record in NAMES:
        ends.append(ends[-1] + HEADER.size + len(record))
    for place in range(len(SEGMENT)):
        damaged = bytearray(SEGMENT)
        damaged[place] ^= 0x5A
        directory = tmp_path / f"{place}"
        path = put(directory, bytes(damaged))
        put(directory, MAGIC + frame(b"the next segment"), 1)
        reader = SpoolReader(directory)
        whole = NAMES[: sum(1 for end in ends[1:] if end <= place)] if place >= len(MAGIC) else []
        assert drain(reader) == [*whole, b"the next segment"]
        reader.commit()
        assert not path.exists()
        (set_aside_file,) = set_aside(directory)
        start = max((end for end in ends if end <= place), default=0)
        assert set_aside_file == f"host-7-1000-000000.{start}.rest"
        assert (directory / CORRUPT / set_aside_file).read_bytes() == bytes(damaged[start:])
        assert reader.set_aside_count == 1
    assert "set aside" in caplog.text


def test_damage_in_a_live_segment_waits_for_its_writer(tmp_path: Path) -> None:
    """A reader may look at a write half way; only a finished segment is judged."""
    path = put(tmp_path, SEGMENT + b"\x01\x00\x00\x00badcrc", ending="open")
    with path.open("rb+") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        reader = SpoolReader(tmp_path)
        assert drain(reader) == NAMES
        reader.commit()
        assert set_aside(tmp_path) == []
        writer.truncate(len(SEGMENT))
        writer.seek(0, os.SEEK_END)
        writer.write(frame(b"mended"))
        writer.flush()
        assert drain(reader) == [b"mended"]


def test_a_record_nobody_can_use_is_kept_for_a_person(tmp_path: Path) -> None:
    put(tmp_path, SEGMENT)
    reader = SpoolReader(tmp_path)
    entry = reader.read()[1]
    reader.set_aside(entry, "no event")
    reader.set_aside(entry, "no event")
    (name,) = set_aside(tmp_path)
    assert (tmp_path / CORRUPT / name).read_bytes() == frame(b"beta")


def test_a_rest_that_cannot_be_copied_takes_its_segment_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: moving needs no room."""
    put(tmp_path, SEGMENT[:-1])
    (tmp_path / CORRUPT).mkdir()
    reader = SpoolReader(tmp_path)
    assert drain(reader) == NAMES[:-1]
    real = replace_durably

    def full(path: Path, data: bytes) -> None:
        if path.name != CURSOR:
            raise OSError(28, "No space left on device")
        real(path, data)

    monkeypatch.setattr(read, "replace_durably", full)
    reader.commit()
    (name,) = set_aside(tmp_path)
    assert name.endswith(".segment")
    assert (tmp_path / CORRUPT / name).read_bytes() == SEGMENT[:-1]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_segments_are_read_oldest_first_whatever_order_they_came_in(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    for number in order:
        put(tmp_path, MAGIC + frame(b"%d" % number), number)
    assert drain(SpoolReader(tmp_path)) == [b"0", b"1", b"2"]


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    for name in ("notes.txt", "host-7-1000-000000.fresh", "x.ready", "host-7-1000-000001.open.bak"):
        (tmp_path / name).write_bytes(SEGMENT)
    reader = SpoolReader(tmp_path)
    assert drain(reader) == []
    reader.commit()
    assert len(list(tmp_path.iterdir())) == 4


def test_what_a_writer_left_that_died_at_birth_is_tidied(tmp_path: Path) -> None:
    old = tmp_path / "host-7-1000-000000.fresh"
    old.write_bytes(b"")
    os.utime(old, (1, 1))
    new = tmp_path / "host-7-1000-000001.fresh"
    new.write_bytes(b"")
    SpoolReader(tmp_path)
    assert not old.exists()
    assert new.exists()


def test_a_read_error_loses_nothing_and_holds_up_no_other_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bad = put(tmp_path, SEGMENT, 0)
    put(tmp_path, MAGIC + frame(b"good"), 1)
    real, broken = os.pread, [True]

    def raising(descriptor: int, size: int, offset: int) -> bytes:
        if broken and os.readlink(f"/proc/self/fd/{descriptor}") == str(bad):
            raise OSError(5, "Input/output error")
        return real(descriptor, size, offset)

    monkeypatch.setattr(read.os, "pread", raising)
    reader = SpoolReader(tmp_path)
    assert drain(reader) == [b"good"]
    reader.commit()
    assert bad.exists()
    assert "Input/output error" in reader.trouble
    broken.clear()
    assert drain(reader) == NAMES


def test_large_backlogs_come_in_portions(tmp_path: Path) -> None:
    put(tmp_path, MAGIC + b"".join(frame(b"%01000d" % number) for number in range(5000)))
    reader = SpoolReader(tmp_path)
    portions = []
    while entries := reader.read(100_000):
        portions.append(len(entries))
        reader.commit()
    assert sum(portions) == 5000
    assert max(portions) < 2000
    assert list(tmp_path.glob("*.ready")) == []


def test_the_backlog_is_what_is_not_committed(tmp_path: Path) -> None:
    put(tmp_path, SEGMENT, 0)
    put(tmp_path, MAGIC + frame(b"other"), 1)
    reader = SpoolReader(tmp_path)
    waiting = reader.backlog()
    assert (waiting.records, waiting.segments, waiting.firsts) == (6, 2, (b"alpha", b"other"))
    assert waiting.size == len(SEGMENT) - len(MAGIC) + HEADER.size + 5
    drain(reader)
    assert reader.backlog() == waiting
    reader.commit()
    assert reader.backlog().records == 0
