"""What goes wrong with files and stores is told: where, why, and no more often than somebody can read it."""

import logging
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from engagement.classify.followed import FollowedRules
from engagement.events.ids import reported_id
from engagement.events.model import MessageEvent, recipient_mark
from engagement.events.record import encode
from engagement.events.rows import EventRow
from engagement.links.domains_file import NAME, DomainsFile
from engagement.settings.schema import ClassifyStanza
from engagement.shipper.loop import Shipper
from engagement.shipper.messages import MessageMatcher
from engagement.spool import read
from engagement.spool.format import MAGIC, frame
from engagement.spool.read import CORRUPT, CURSOR, SpoolReader
from engagement.stores.memory import MemoryStore
from engagement.stores.port import StoreError
from tracker_web.links.stop_list import StopListFollower
from unit.event_samples import AT, injection

DAY_MS = 86_400_000


def event(queue_id: str = "AAAA1", at_ms: int = AT) -> MessageEvent:
    node = "mail.example.org"
    mark = recipient_mark(node, queue_id, "ida@example.net")
    return MessageEvent(reported_id(at_ms, queue_id), at_ms, "delivery", node, queue_id, mark)


def segment(folder: Path, data: bytes) -> Path:
    path = folder / "host-7-1000-000000.ready"
    path.write_bytes(MAGIC + data)
    return path


# the spool


def test_what_is_set_aside_is_told_with_its_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    segment(tmp_path, frame(b"good") + b"no frame")
    reader = SpoolReader(tmp_path)
    (entry,) = reader.read()
    reader.set_aside(entry, "no event")
    reader.read()
    reader.commit()
    place = len(MAGIC) + len(frame(b"good"))
    aside = f"spool {tmp_path}: set aside as {CORRUPT}/host-7-1000-000000"
    assert caplog.record_tuples == [
        ("engagement.spool", logging.ERROR, f"{aside}.{len(MAGIC)}.record: no event"),
        ("engagement.spool", logging.ERROR, f"{aside}.{place}.rest: 8 bytes that are no whole record"),
    ]
    assert reader.set_aside_count == 2


def test_a_rest_for_which_there_is_no_room_is_told_with_its_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    segment(tmp_path, frame(b"good") + b"no frame")
    (tmp_path / CORRUPT).mkdir()
    reader = SpoolReader(tmp_path)
    reader.read()

    def full(_path: Path, _data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reader, "_write_aside", full)
    reader.read()
    reader.commit()
    assert reader.set_aside_count == 1
    assert caplog.messages[-1].endswith(".rest: damaged")


def test_a_segment_that_cannot_be_read_is_told_of_once_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = segment(tmp_path, frame(b"good"))

    def raising(_descriptor: int, _size: int, _offset: int) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(read.os, "pread", raising)
    reader = SpoolReader(tmp_path)
    now = time.monotonic()
    for later, lines in ((0, 1), (59, 1), (61, 2), (90, 2)):
        monkeypatch.setattr(read.time, "monotonic", lambda at=now + later: at)
        assert reader.read() == ()
        assert (
            caplog.messages
            == [
                f"spool: {path} cannot be read: Input/output error. It stays where it is, and is tried again."
            ]
            * lines
        )
    assert reader.trouble == f"{path}: Input/output error"


@pytest.mark.parametrize(
    ("cursor", "why"),
    [
        (b"{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (b'{"version": 99, "positions": {}}', "its version is 99, this program knows 1"),
        (b'{"version": 1}', "'positions'"),
    ],
)
def test_a_cursor_that_is_not_usable_is_told_with_the_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cursor: bytes, why: str
) -> None:
    (tmp_path / CURSOR).write_bytes(cursor)
    SpoolReader(tmp_path)
    assert caplog.messages == [
        f"spool: {tmp_path / CURSOR} is not usable ({why}); every segment is read from its start."
    ]


# the shipper


def test_a_store_that_fails_is_told_once_with_where_the_events_wait(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(MemoryStore):
        def add(self, events: Iterable[EventRow]) -> int:
            raise StoreError("events.db: the disk is full.")

    segment(tmp_path, frame(encode(injection())))
    shipper = Shipper(tmp_path, Broken())
    for _ in range(2):
        assert not shipper.drain(5)
    assert caplog.messages == [f"not shipping: events.db: the disk is full. Events wait in {tmp_path}."]


def test_events_of_logs_that_are_given_up_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    store.put_waiting([event(), event("BBBB2"), event("CCCC3", at_ms=AT + 2 * DAY_MS)])
    with caplog.at_level(logging.INFO):
        MessageMatcher(store, b"", lambda: AT / 1000 + 8 * 86_400).look_again()
        assert caplog.messages == ["2 event(s) of logs given up: no message of theirs came in a week"]
        MessageMatcher(store, b"", lambda: AT / 1000 + 8 * 86_400).look_again()
        assert len(caplog.messages) == 1


# files that are followed


def test_a_domain_that_cannot_be_noted_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file")
    reports: list[str] = []
    file = DomainsFile(tmp_path / "var", reports.append, lambda: 1000.0)
    for _ in range(2):
        file.used("t.example", 60)
    (line,) = reports
    assert line.startswith(f"{tmp_path / 'var' / NAME}: cannot note that links name t.example: ")
    assert line.endswith("check-config will not warn when that domain is left out of the configuration")


def test_rules_in_no_folder_are_told_of_once_with_what_is_in_force(tmp_path: Path) -> None:
    reports: list[str] = []
    now = [0.0]
    rules = FollowedRules(ClassifyStanza(rules=str(tmp_path / "rules")), reports.append, lambda: now[0])
    for _ in range(3):
        assert rules.current().rules
        now[0] += 2
    assert reports == [
        f"{tmp_path / 'rules'}: No such file or directory; the program's own rules are in force"
    ]


def test_a_check_of_stopped_links_that_fails_is_told_and_the_next_comes(tmp_path: Path) -> None:
    reports: list[str] = []
    twice = threading.Event()

    class Faulty(StopListFollower):
        checks = 0

        def check(self) -> None:
            self.checks += 1
            if self.checks > 3:
                threading.Event().wait()  # the thread is a daemon: it must not spin
            if self.checks > 1:
                raise KeyError("odd")

    def report(text: str) -> None:
        reports.append(text)
        if len(reports) == 2:
            twice.set()

    Faulty(tmp_path / "stopped", report, every=0.01).start()
    assert twice.wait(60)
    assert reports == [f"{tmp_path / 'stopped'}: KeyError: 'odd'"] * 2
    assert not os.path.exists(tmp_path / "stopped")
