"""The loop over a log: what a step tells, what it makes durable, and what it leaves as it was."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engagement.events.record import decode
from engagement.maillogs.facts import Line
from engagement.maillogs.files import LogFile
from engagement.maillogs.follower import FileLines, Follower, FollowError
from engagement.maillogs.memory import QueueMemory
from engagement.maillogs.outcomes import Outcomes
from engagement.spool.write import SpoolWriter

NOW = 1_795_946_400.0
HEAD = "2026-11-29T10:00:0{}+00:00 mx postfix/{}[1]: "
MESSAGE = (
    HEAD.format(1, "smtpd") + "AAAA1: client=x[192.0.2.1]\n"
    + HEAD.format(2, "cleanup") + "AAAA1: message-id=<1@example.org>\n"
    + HEAD.format(3, "smtp") + "AAAA1: to=<a@x.example>, relay=x[203.0.113.9]:25, delay=1, delays=0/0/0/1, "
    "dsn=2.0.0, status=sent (250 ok)\n"
)  # fmt: skip


class Spool(SpoolWriter):
    """Remembers records instead of writing them; refuses what it is told to."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.safe = 0
        self.takes_any = self.makes_safe = True

    def append(self, record: bytes, events: int = 1) -> bool:
        if self.takes_any:
            self.records.append(record)
        return self.takes_any

    def make_safe(self) -> bool:
        self.safe += self.makes_safe
        return self.makes_safe


class Followed:
    """A follower of a log file, with what it stands on."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "mail.log"
        self.log.touch()
        self.memory = QueueMemory(folder / "follow.db")
        self.spool = Spool()
        self.source = FileLines(LogFile(self.log, {}), lambda: NOW)
        self.follower = Follower(
            "log", self.source, self.memory, Outcomes("mx", self.memory), self.spool, lambda: NOW
        )

    def write(self, text: str) -> None:
        with self.log.open("a") as file:
            file.write(text)

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.follower.lines, self.follower.recorded, self.follower.newest_ms


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[Followed]:
    made = Followed(tmp_path)
    yield made
    made.source.close()
    made.memory.close()


def test_a_source_gives_lines_with_a_head_and_none_where_there_are_none(followed: Followed) -> None:
    assert followed.source.read() == []
    followed.write("no head\n" + HEAD.format(1, "qmgr") + "AAAA1: removed\nneither\n")
    assert [line.text for line in followed.source.read()] == ["AAAA1: removed"]
    followed.write("no head\n")
    assert followed.source.read() == []


def test_a_log_of_a_form_that_is_not_known_is_said_once(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    followed.write("some lines without a head\n" * 99)
    assert followed.source.read() == []
    assert caplog.text == ""
    for _ in range(3):
        followed.write('{"message": "of ida@example.net"}\n' * 100)
        assert followed.source.read() == []
    assert caplog.text.count("None of the first 199 lines has a stamp that is known") == 1
    assert "ida" not in caplog.text
    followed.write(HEAD.format(1, "qmgr") + "AAAA1: removed\n" + "no head\n" * 500)
    assert len(followed.source.read()) == 1
    followed.write("no head\n" * 500)
    assert followed.source.read() == []
    assert len(caplog.records) == 1


def test_a_step_tells_what_the_lines_say_and_then_keeps_its_place(followed: Followed) -> None:
    assert followed.follower.step() == 0
    assert followed.memory.cursor("log") == {}
    followed.write(MESSAGE)
    assert followed.follower.step() == 3
    (event,) = map(decode, followed.spool.records)
    assert event is not None
    assert followed.counts == (3, 1, 1_795_946_403_000)
    assert dict(followed.follower.recorded_by_type) == {"delivery": 1}
    assert followed.spool.safe == 1
    assert followed.memory.cursor("log") == followed.source.cursor() != {}
    assert followed.follower.step() == 0
    assert followed.counts == (3, 1, 1_795_946_403_000)


def test_lines_that_tell_nothing_need_no_safe_spool(followed: Followed) -> None:
    followed.write(HEAD.format(1, "qmgr") + "AAAA9: removed\n")
    followed.spool.makes_safe = False
    assert followed.follower.step() == 1
    assert followed.memory.cursor("log") == followed.source.cursor()


@pytest.mark.parametrize("fault", ["takes_any", "makes_safe"])
def test_a_step_that_failed_is_done_again(followed: Followed, fault: str) -> None:
    followed.write(MESSAGE)
    setattr(followed.spool, fault, False)
    with pytest.raises(FollowError):
        followed.follower.step()
    assert followed.memory.cursor("log") == {}
    assert followed.counts == (0, 0, 0)
    followed.follower.rewind()
    setattr(followed.spool, fault, True)
    followed.spool.records.clear()
    followed.follower.drain()
    assert (len(followed.spool.records), followed.counts) == (1, (3, 1, 1_795_946_403_000))


def test_the_loop_goes_on_after_a_fault_and_tells_of_it_once(
    followed: Followed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stop, waited, broken = threading.Event(), list[float](), list[bool]()

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        broken.append(followed.follower.blocked)
        if len(waited) == 7:
            followed.spool.takes_any = True
        if len(waited) == 8:
            stop.set()
        return True

    monkeypatch.setattr(stop, "wait", wait)
    monkeypatch.setattr(logging.getLogger("engagement"), "propagate", True)
    followed.spool.takes_any = False
    followed.write(MESSAGE)
    followed.follower.run(stop)
    assert waited == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 0.1]
    assert broken == [True] * 7 + [False]
    assert [record.getMessage() for record in caplog.records] == [
        "not following log: the spool takes no events",
        "following log again",
    ]
    assert len(followed.spool.records) == 1


def test_a_line_without_a_year_is_of_the_clock_s(tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_text("Nov 29 10:00:02 mx postfix/qmgr[1]: AAAA1: removed\n")
    source = FileLines(LogFile(log, {}), lambda: NOW)
    (line,) = source.read()
    source.close()
    assert isinstance(line, Line)
    assert abs(line.at_ms / 1000 - NOW) < 2 * 86_400
