"""A power cut, by the truncated-tail model: what was last synced is there, and any part of what followed.

The disk keeps what fdatasync returned for. Of the bytes after it any number may be there, as they were
written, as zeros, or as rubbish. A segment whose name was never synced may be gone as a whole.
"""

import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engagement.spool import write
from engagement.spool.format import MAGIC, frame
from engagement.spool.names import replace_durably
from engagement.spool.read import CURSOR, SpoolReader
from engagement.spool.write import SpoolWriter

TAILS: dict[str, Callable[[bytes], bytes]] = {
    "as written": lambda tail: tail,
    "zeros": lambda tail: bytes(len(tail)),
    "rubbish": lambda tail: random.Random(len(tail)).randbytes(len(tail)),
}


@dataclass
class Disk:
    """What is known to be on the disk: of each file so many bytes, and whether its name is."""

    bytes_of: dict[str, int] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fdatasync, sync_directory = os.fdatasync, write.sync_directory

        def synced(descriptor: int) -> None:
            fdatasync(descriptor)
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            self.bytes_of[path.stem] = os.fstat(descriptor).st_size

        def named(directory: Path) -> None:
            sync_directory(directory)
            self.named |= {path.stem for path in directory.iterdir()}

        monkeypatch.setattr(write.os, "fdatasync", synced)
        monkeypatch.setattr(write, "sync_directory", named)

    def safe(self, stem: str) -> int:
        """How many bytes of a segment a power cut leaves for sure."""
        return self.bytes_of.get(stem, 0) if stem in self.named else 0


def after_the_cut(folder: Path, directory: Path, stem: str, data: bytes) -> list[bytes]:
    """The records a reader finds where this is all that is left of the segment, whose writer is dead."""
    directory = folder / directory
    directory.mkdir(parents=True)
    (directory / f"{stem}.open").write_bytes(data)
    reader = SpoolReader(directory)
    found: list[bytes] = []
    while entries := reader.read():
        found += [entry.record for entry in entries]
    reader.commit()
    assert not list(directory.glob("*.open"))
    return found


def records(count: int) -> list[bytes]:
    return [b"%d " % number * (number % 5 + 1) for number in range(count)]


@pytest.mark.parametrize("tail", TAILS)
def test_always_keeps_all_that_append_said_yes_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tail: str
) -> None:
    """The cut comes after each record, and within the next one's write."""
    disk = Disk()
    disk.watch(monkeypatch)
    writer = SpoolWriter(tmp_path / "spool", sync="always")
    answered: list[bytes] = []
    for number, record in enumerate(records(12)):
        assert writer.append(record)
        answered.append(record)
        (path,) = (tmp_path / "spool").iterdir()
        data, safe = path.read_bytes(), disk.safe(path.stem)
        assert safe == len(data)
        coming = frame(b"written and not answered")
        for length in range(len(coming) + 1):
            left = data[:safe] + TAILS[tail](coming[:length])
            found = after_the_cut(tmp_path, Path(f"{number}.{length}"), path.stem, left)
            assert found[: len(answered)] == answered
            assert found[len(answered) :] in ([], [b"written and not answered"])
    writer.close()


@pytest.mark.parametrize("tail", TAILS)
def test_group_keeps_all_before_the_last_sync_and_no_half_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tail: str
) -> None:
    disk = Disk()
    disk.watch(monkeypatch)
    writer = SpoolWriter(tmp_path / "spool", group_ms=1)
    early, late = records(10), [b"late %d" % number for number in range(6)]
    for record in early:
        assert writer.append(record)
    (path,) = (tmp_path / "spool").iterdir()
    deadline = time.monotonic() + 10
    while disk.safe(path.stem) < path.stat().st_size and time.monotonic() < deadline:
        time.sleep(0.005)
    writer._group = 3600.0  # no sync any more, until the light goes out
    for record in late:
        assert writer.append(record)
    data, safe = path.read_bytes(), disk.safe(path.stem)
    assert safe == len(MAGIC) + sum(len(frame(record)) for record in early)
    whole = [len(MAGIC)]
    for record in early + late:
        whole.append(whole[-1] + len(frame(record)))
    for length in range(safe, len(data) + 1):
        left = data[:safe] + TAILS[tail](data[safe:length])
        found = after_the_cut(tmp_path, Path(f"{length}"), path.stem, left)
        assert found[: len(early)] == early
        assert found == (early + late)[: len(found)]
        if tail == "as written":
            assert len(found) == sum(1 for end in whole[1:] if end <= length)
    writer._group = 0.0


def test_the_window_of_a_group_is_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under load, a cut at moments of chance: what is lost is of the last group, or being synced."""
    disk, lock = Disk(), threading.Lock()
    disk.watch(monkeypatch)
    group = 0.1
    writer = SpoolWriter(tmp_path / "spool", group_ms=int(group * 1000))
    written: list[tuple[float, int]] = []  # when, and where in the file it ends
    over = threading.Event()

    def load() -> None:
        end = len(MAGIC)
        while not over.is_set():
            assert writer.append(b"x" * 200)
            end += len(frame(b"x" * 200))
            with lock:
                written.append((time.monotonic(), end))
            time.sleep(0.001)

    thread = threading.Thread(target=load)
    thread.start()
    lost: list[float] = []
    for _ in range(30):
        time.sleep(0.05)
        with lock:
            now = time.monotonic()
            (path,) = (tmp_path / "spool").iterdir()
            safe = disk.safe(path.stem)
            lost += [now - at for at, end in written if end > safe]
    over.set()
    thread.join()
    writer.close()
    assert lost
    assert sorted(lost)[len(lost) // 2] < 2 * group  # a busy machine oversleeps; the middle is the promise
    assert max(lost) < group + 2.0


def test_a_segment_whose_name_is_not_safe_holds_no_answered_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is synced before the first record of a segment counts as kept."""
    disk = Disk()
    disk.watch(monkeypatch)
    writer = SpoolWriter(tmp_path / "spool", sync="always", segment_size=100)
    for record in records(20):
        assert writer.append(record)
        newest = max((tmp_path / "spool").glob("*.open"), key=lambda path: path.name)
        assert newest.stem in disk.named
        assert disk.safe(newest.stem) == newest.stat().st_size
    writer.close()


def test_a_cursor_ahead_of_what_the_cut_left_reads_nothing_twice_and_stops_nothing(tmp_path: Path) -> None:
    """The reader may have shipped what the disk had not kept yet: then it is in the store already."""
    data = MAGIC + b"".join(frame(record) for record in records(9))
    for length in range(len(data)):
        directory = tmp_path / f"{length}"
        directory.mkdir()
        (directory / "h-1-1-000000.open").write_bytes(data[:length])
        (directory / "h-1-2-000000.ready").write_bytes(MAGIC + frame(b"of the next life"))
        replace_durably(directory / CURSOR, b'{"version": 1, "positions": {"h-1-1-000000": %d}}' % len(data))
        reader = SpoolReader(directory)
        assert [entry.record for entry in reader.read()] == [b"of the next life"]
        reader.commit()
        assert not list(directory.glob("h-*"))
