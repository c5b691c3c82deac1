"""A log file that is followed over rotations of every kind (engagement.maillogs.files)."""

import bz2
import gzip
import lzma
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engagement.maillogs.files import PORTION, LogFile


class _Log:
    """A log, who writes it, and who follows it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "mail.log"
        self.written: list[bytes] = []
        self.read: list[bytes] = []
        self.cursor: dict[str, object] = {}
        self.file = LogFile(self.path, {})
        self.clock = 1_700_000_000
        self.to = self.path

    def write(self, count: int = 1, size: int = 20) -> None:
        with self.to.open("ab") as file:
            for _ in range(count):
                line = f"line {len(self.written)} ".encode() + b"x" * size
                self.written.append(line)
                file.write(line + b"\n")
        self.tick(self.to)

    def tick(self, path: Path) -> None:
        self.clock += 10
        os.utime(path, (self.clock, self.clock))

    def follow(self) -> None:
        while lines := self.file.read():
            self.read += lines
            self.cursor = self.file.cursor()

    def restart(self) -> None:
        self.file.close()
        self.file = LogFile(self.path, self.cursor)

    def rename(self) -> Path:
        """As logrotate does: the numbers go up."""
        names = sorted(self.path.parent.glob("mail.log.*"), key=lambda path: -int(path.name.split(".")[2]))
        for path in names:
            _, _, number, *rest = path.name.split(".")
            path.rename(path.with_name(".".join(["mail.log", str(int(number) + 1), *rest])))
        self.path.rename(self.path.with_name("mail.log.1"))
        return self.path.with_name("mail.log.1")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[_Log]:
    made = _Log(tmp_path)
    yield made
    made.file.close()


def compress(path: Path) -> None:
    with path.open("rb") as file, gzip.open(f"{path}.gz", "wb") as packed:
        shutil.copyfileobj(file, packed)
    shutil.copystat(path, f"{path}.gz")
    path.unlink()


def test_nothing_is_read_until_there_is_a_file(log: _Log) -> None:
    log.follow()
    assert log.read == []
    log.write(3)
    log.follow()
    assert log.read == log.written


def test_a_line_is_read_once_it_has_its_end(log: _Log) -> None:
    log.write()
    with log.path.open("ab") as file:
        file.write(b"half")
    log.follow()
    assert log.read == log.written
    with log.path.open("ab") as file:
        file.write(b" and half\n")
    log.follow()
    assert log.read == [*log.written, b"half and half"]


def test_it_goes_on_where_it_was(log: _Log) -> None:
    for _ in range(3):
        log.write(2)
        log.follow()
        log.restart()
    assert log.read == log.written


@pytest.mark.parametrize("running", [True, False], ids=["followed", "not followed meanwhile"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "compressed"])
def test_a_rotated_file_is_read_to_its_end(log: _Log, running: bool, packed: bool) -> None:
    log.write(3)
    log.follow()
    if not running:
        log.file.close()
    log.write(2)
    old = log.rename()
    log.write(2)
    if packed:
        compress(old)
    if not running:
        log.restart()
    log.follow()
    assert log.read == log.written


def test_the_writer_goes_on_with_the_old_file_for_a_while(log: _Log) -> None:
    log.write(3)
    log.follow()
    log.to = log.rename()
    log.write(2)
    log.follow()
    log.path.touch()  # logrotate makes the new one before it tells the writer
    log.write(2)
    log.follow()
    log.restart()
    log.write(2)
    log.follow()
    log.to = log.path
    log.write(2)
    log.follow()
    assert log.read == log.written


def test_several_rotations_while_nobody_followed(log: _Log) -> None:
    log.write(3)
    log.follow()
    for number in range(4):
        log.write(2)
        old = log.rename()
        if number != 2:
            compress(old)
    log.write(2)
    log.restart()
    log.follow()
    assert log.read == log.written


def test_several_rotations_before_the_followers_eyes(log: _Log) -> None:
    log.write(3)
    log.follow()
    for _ in range(3):
        log.write(2)
        log.rename()
        log.write(1)
    log.follow()
    assert log.read == log.written


@pytest.mark.parametrize("running", [True, False], ids=["followed", "not followed meanwhile"])
def test_a_file_that_is_copied_and_emptied(log: _Log, running: bool) -> None:
    """logrotate's copytruncate."""
    log.write(3)
    log.follow()
    log.write(2)
    shutil.copy(log.path, log.path.with_name("mail.log.1"))
    log.tick(log.path.with_name("mail.log.1"))
    os.truncate(log.path, 0)
    if not running:
        log.restart()
    log.write(40)  # longer than it was
    log.follow()
    assert log.read == log.written


def test_a_file_that_is_emptied_begins_anew(log: _Log, caplog: pytest.LogCaptureFixture) -> None:
    log.write(3)
    log.follow()
    os.truncate(log.path, 0)
    log.write(1)
    log.follow()
    assert log.read == log.written
    assert "emptied" in caplog.text


def test_a_file_that_was_removed_is_told(log: _Log, caplog: pytest.LogCaptureFixture) -> None:
    log.write(3)
    log.follow()
    log.file.close()
    log.path.unlink()
    log.write(2)
    log.restart()
    log.follow()
    assert log.read == log.written
    assert "is gone" in caplog.text


def test_a_file_that_is_removed_under_its_follower_is_read_to_the_end(log: _Log) -> None:
    log.write(3)
    log.follow()
    log.write(2)
    log.path.unlink()
    log.write(2)
    log.follow()
    assert log.read == log.written


def cut(packed: bytes) -> bytes:
    return packed[:-20]


def other_sum(packed: bytes) -> bytes:
    return packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:]


def other_middle(packed: bytes) -> bytes:
    return packed[: len(packed) // 2] + b"\xff" * 40 + packed[len(packed) // 2 + 40 :]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("damage", [cut, other_sum, other_middle])
@pytest.mark.parametrize("read", [200, 8000], ids=["little was read", "much was read"])
def test_a_compressed_file_that_is_damaged_stops_nothing(
    log: _Log,
    caplog: pytest.LogCaptureFixture,
    pack: Callable[[bytes], bytes],
    damage: Callable[[bytes], bytes],
    read: int,
) -> None:
    log.write(read)
    log.follow()
    log.file.close()
    log.write(8000 - read)
    old = log.rename()
    ending = {gzip.compress: ".gz", bz2.compress: ".bz2", lzma.compress: ".xz"}[pack]
    packed = Path(f"{old}{ending}")
    packed.write_bytes(damage(pack(old.read_bytes())))
    shutil.copystat(old, packed)
    old.unlink()
    log.write(3)
    log.restart()
    log.follow()
    assert log.read[:read] == log.written[:read]
    assert log.read[-3:] == log.written[-3:]
    if damage is not other_middle:  # gzip gives what it makes of other octets, and only then looks at the sum
        assert set(log.read[:-4]) <= set(log.written)  # the last line before the damage may be a piece
    assert "damaged" in caplog.text or "is gone" in caplog.text
    log.restart()
    log.write(1)
    log.follow()
    assert log.read[-1] == log.written[-1]


def test_a_damage_is_told_once_while_there_is_no_other_log(
    log: _Log, caplog: pytest.LogCaptureFixture
) -> None:
    """The MTA was stopped: the file is looked at ten times in a second."""
    log.write(200)
    log.follow()
    old = log.rename()
    old.with_name("mail.log.1.gz").write_bytes(gzip.compress(old.read_bytes())[:-20])
    old.unlink()
    log.restart()
    for _ in range(5):
        assert log.file.read() == []
    assert caplog.text.count("is damaged") == 1


def test_an_unrelated_file_beside_it_is_not_read(log: _Log) -> None:
    log.path.with_name("mail.log.other").write_bytes(b"other\n")
    log.write(2)
    log.follow()
    assert log.read == log.written


def test_going_back_reads_the_same_again(log: _Log) -> None:
    log.write(3)
    log.follow()
    before = log.cursor
    log.write(2)
    log.follow()
    log.file.rewind(before)
    again = log.file.read()
    assert again == log.written[3:]


def test_long_lines_and_many(log: _Log) -> None:
    log.write(2, PORTION)
    log.write(1, 3 * PORTION)
    log.write(20_000)
    log.follow()
    assert log.read == log.written


def test_a_line_without_end_is_given_up(log: _Log) -> None:
    with log.path.open("ab") as file:
        file.write(b"x" * 3_000_000)
    log.follow()
    assert sum(map(len, log.read)) > 1_000_000
    log.write(1)
    log.follow()
    assert log.read[-1].endswith(log.written[-1])


@pytest.mark.parametrize(
    "cursor",
    [
        {},
        {"inode": "x"},
        {"inode": 1, "offset": 5, "head": 5, "digest": "none"},
        {"inode": 1, "offset": 10**30, "head": 10**30, "digest": "none"},
        {"inode": 1, "offset": -5, "head": -1, "digest": "none"},
    ],
)
def test_a_cursor_that_is_none_begins_anew(tmp_path: Path, cursor: dict[str, object]) -> None:
    (tmp_path / "mail.log").write_bytes(b"one\ntwo\n")
    file = LogFile(tmp_path / "mail.log", cursor)
    assert file.read() == [b"one", b"two"]
    file.close()


ACTIONS = st.lists(
    st.sampled_from(["write", "follow", "restart", "rename", "compress", "copytruncate"]), max_size=25
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(actions=ACTIONS)
def test_any_life_of_a_log_loses_no_line_and_tells_none_twice(
    tmp_path_factory: pytest.TempPathFactory, actions: list[str]
) -> None:
    log = _Log(tmp_path_factory.mktemp("log"))
    for action in ["write", "follow", *actions]:
        if action == "write":
            log.write(2)
        elif action == "follow":
            log.follow()
        elif action == "restart":
            log.restart()
        elif action == "rename" and log.path.exists() and log.path.stat().st_size:
            log.rename()
        elif action == "compress":
            for path in log.path.parent.glob("mail.log.[0-9]"):
                compress(path)
        elif action == "copytruncate" and log.path.exists() and log.path.stat().st_size:
            log.follow()  # what is written between copy and emptying is lost with any reader
            data = log.path.read_bytes()
            log.rename()
            log.path.write_bytes(data)
            os.truncate(log.path, 0)
    log.write(1)
    log.follow()
    log.follow()
    log.file.close()
    assert log.read == log.written
