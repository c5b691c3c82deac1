"""The ring on disk: who may read it, whole replacement, and following changes while running."""

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engagement.links import ring_file
from engagement.links.keys import Ring, RingError
from engagement.links.ring_file import RingFile, edit_ring, load_ring, save_ring

NOW = 1_764_000_000
FIRST = Ring().rotated(bytes(32), NOW)
SECOND = FIRST.rotated(bytes([1]) * 32, NOW + 1)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    save_ring(path, FIRST)
    return path


def test_saved_ring_is_private_and_comes_back(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_ring(path) == FIRST


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o660, 0o620, 0o610, 0o650, 0o777])
def test_ring_that_others_may_reach_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(RingError, match=f"chmod 600 {path}"):
        load_ring(path)


def test_ring_that_a_group_may_read_is_read_where_it_is_roots(path: Path) -> None:
    path.chmod(0o640)
    assert load_ring(path) == FIRST
    os.chown(path, 65534, -1)
    with pytest.raises(RingError, match=f"chmod 600 {path}"):
        load_ring(path)


def test_rotation_leaves_the_group_its_right_to_read(path: Path) -> None:
    os.chown(path, 0, 65534)
    path.chmod(0o640)
    ring_file.edit_ring(path, lambda ring: ring.rotated(b"\1" * 32, 1, 9))
    found = path.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o640, 0, 65534)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_private_ring_is_read(path: Path, mode: int) -> None:
    path.chmod(mode)
    assert load_ring(path) == FIRST


def test_missing_ring_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(RingError, match="smtpapi keys init"):
        load_ring(tmp_path / "none")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"7 what", b"", b"#" * (ring_file._MAX_SIZE + 1)])
def test_file_that_is_no_ring_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(RingError, match=str(path)):
        load_ring(path)


def test_directory_and_fifo_are_refused_without_hanging(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    for what in (tmp_path, tmp_path / "fifo"):
        with pytest.raises(RingError, match="not a regular file"):
            load_ring(what)


def test_symbolic_link_stays_one(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    save_ring(link, SECOND)
    assert link.is_symlink()
    assert load_ring(path) == load_ring(link) == SECOND


def test_new_ring_never_replaces_one(path: Path) -> None:
    with pytest.raises(RingError, match="already"):
        save_ring(path, SECOND, new=True)
    assert load_ring(path) == FIRST
    assert [name.name for name in path.parent.iterdir()] == ["keys"]


@pytest.mark.parametrize("step", ["fsync", "replace", "fstat"])
def test_failed_save_leaves_the_old_ring_and_no_litter(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ring_file.os, step, fail)
    with pytest.raises(RingError, match="No space left"):
        save_ring(path, SECOND)
    monkeypatch.undo()
    assert load_ring(path) == FIRST
    assert [name.name for name in path.parent.iterdir()] == ["keys"]


def test_owner_stays_the_owner_when_root_saves(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(ring_file.os, "fchown", lambda descriptor, *owner: given.append(owner))
    save_ring(path, SECOND)
    assert given == []

    theirs: Any = SimpleNamespace(stat=lambda: SimpleNamespace(st_uid=12345, st_gid=23456))
    ring_file._write(os.open(path, os.O_WRONLY), b"", theirs)
    assert given == [(12345, 23456)]


def test_edits_at_once_follow_each_other(path: Path) -> None:
    def rotate(number: int) -> None:
        edit_ring(path, lambda ring: ring.rotated(bytes([number]) * 32, NOW))

    threads = [threading.Thread(target=rotate, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [key.id for key in load_ring(path).keys] == list(range(1, 10))


def test_change_is_seen_after_a_second_and_not_looked_for_before(path: Path) -> None:
    clock = Clock()
    file = RingFile(path, clock=clock)
    save_ring(path, SECOND)
    clock.now += 0.9
    assert file.current() == FIRST
    clock.now += 0.2
    assert file.current() == SECOND


def test_refreshed_sees_a_change_at_once(path: Path) -> None:
    file = RingFile(path, clock=Clock())
    save_ring(path, SECOND)
    assert file.refreshed() == SECOND
    assert file.current() == SECOND


def test_unchanged_file_is_not_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    file = RingFile(path, clock=clock)

    def fail(path: Path) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(ring_file, "_load", fail)
    for _ in range(3):
        clock.now += 2
        assert file.current() == FIRST


@pytest.mark.parametrize(
    "breaking",
    [
        lambda path: path.write_bytes(b"7 what"),
        lambda path: path.unlink(),
        lambda path: (path.write_text(SECOND.dump()), path.chmod(0o644)),
    ],
    ids=["broken", "missing", "readable by all"],
)
def test_broken_file_keeps_the_ring_and_is_reported_once(
    path: Path, breaking: Callable[[Path], object]
) -> None:
    reports: list[RingError] = []
    clock = Clock()
    file = RingFile(path, reports.append, clock)
    breaking(path)
    for _ in range(3):
        clock.now += 2
        assert file.current() == FIRST
    assert len(reports) == 1
    assert file.last_error is reports[0] or str(file.last_error) == str(reports[0])
    save_ring(path, SECOND)
    clock.now += 2
    assert file.current() == SECOND
    assert file.last_error is None


def test_mended_mode_is_noticed_although_the_content_is_the_same(path: Path) -> None:
    clock = Clock()
    file = RingFile(path, clock=clock)
    path.write_text(SECOND.dump())
    path.chmod(0o644)
    clock.now += 2
    assert file.current() == FIRST
    path.chmod(0o600)
    clock.now += 2
    assert file.current() == SECOND


def test_broken_file_is_not_read_for_each_unknown_key(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    file = RingFile(path, clock=clock)
    path.write_bytes(b"7 what")
    loads: list[Path] = []
    load = ring_file._load
    monkeypatch.setattr(ring_file, "_load", lambda path: loads.append(path) or load(path))
    for _ in range(5):
        assert file.refreshed() == FIRST
    assert len(loads) == 1
    clock.now += 2
    file.current()
    assert len(loads) == 2  # the fault may have been a passing one


def test_fault_that_passes_without_a_change_of_the_file_is_retried(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    file = RingFile(path, clock=clock)
    save_ring(path, SECOND)

    def fail(path: Path) -> None:
        raise RingError("Too many open files")

    monkeypatch.setattr(ring_file, "_load", fail)
    assert file.refreshed() == FIRST
    monkeypatch.undo()
    clock.now += 2
    assert file.current() == SECOND


def test_ring_that_lost_a_key_is_taken_and_reported(path: Path) -> None:
    save_ring(path, SECOND)
    reports: list[RingError] = []
    file = RingFile(path, reports.append, Clock())
    save_ring(path, FIRST)
    assert file.refreshed() == FIRST
    assert "gone: 2" in str(reports[0])


def test_first_load_must_succeed(tmp_path: Path) -> None:
    with pytest.raises(RingError):
        RingFile(tmp_path / "none")
