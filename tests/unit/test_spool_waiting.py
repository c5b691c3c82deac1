"""What waits in a spool (engagement.spool.waiting), and how much of a disk it may take."""

import os
from pathlib import Path

import pytest

from engagement.events.record import encode
from engagement.spool.format import MAGIC, frame
from engagement.spool.names import READY, REPEATS, room
from engagement.spool.read import SpoolReader
from engagement.spool.waiting import Waiting, waiting
from engagement.spool.write import SpoolWriter
from unit.event_samples import AT, hit


def segment(folder: Path, name: str, at_ms: int) -> int:
    data = frame(encode(hit(at_ms=at_ms)))
    (folder / f"{name}{READY}").write_bytes(MAGIC + data)
    return len(data)


def test_segments_alone_wait_whatever_else_lies_there(tmp_path: Path) -> None:
    size = 0
    for number in range(8):
        size += segment(tmp_path, f"h-1-{number}-000000", AT + number)
        (tmp_path / f"h-1-{number}-000000{REPEATS}").write_bytes(bytes(100))
        (tmp_path / f"{number}.txt").write_text("a note")
        (tmp_path / f"h-2-{number}-000000{READY}").write_bytes(MAGIC)
        (tmp_path / f"h-3-{number}-000000{READY}").symlink_to("nowhere")
    assert waiting(tmp_path) == Waiting(size, 8, AT)


def test_nothing_waits_where_there_is_no_spool(tmp_path: Path) -> None:
    assert waiting(tmp_path / "none") == Waiting(0, 0, None)


def test_a_record_that_cannot_be_read_is_as_old_as_its_file(tmp_path: Path) -> None:
    path = tmp_path / f"h-1-1-000000{READY}"
    path.write_bytes(MAGIC + frame(b"no event"))
    os.utime(path, ns=(5_000_000_000, 5_000_000_000))
    assert waiting(tmp_path) == Waiting(len(frame(b"no event")), 1, 5000)


@pytest.mark.parametrize("share", [1, 33, 100])
def test_a_share_of_a_disk(tmp_path: Path, share: int) -> None:
    disk = os.statvfs(tmp_path)
    assert room(tmp_path / "not" / "there", share) == disk.f_blocks * disk.f_frsize * share // 100


def test_a_writer_s_segment_waits_from_its_first_record(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    for number in range(3):
        writer.append(encode(hit(at_ms=AT + number)))
    assert (waiting(tmp_path).segments, waiting(tmp_path).oldest_ms) == (1, AT)
    writer.close()


def test_what_is_no_segment_is_no_backlog(tmp_path: Path) -> None:
    (tmp_path / f"h-1-1-000000{READY}").write_bytes(bytes(len(MAGIC)) + frame(b"a record"))
    (tmp_path / f"h-1-2-000000{READY}").write_bytes(MAGIC + frame(b"a record"))
    found = SpoolReader(tmp_path).backlog()
    assert (found.records, found.firsts) == (1, (b"a record",))
