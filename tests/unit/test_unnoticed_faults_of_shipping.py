"""Faults that were put into the shipper, the spool and small files, and that no other test noticed."""

import math
import os
import threading
import time
from pathlib import Path

import pytest

from engagement.links.domains_file import DomainsFile, read
from engagement.shipper.loop import Shipper
from engagement.spool import retention
from engagement.spool.write import SpoolWriter
from engagement.stores.memory import MemoryStore
from smtpapi.telemetry import maillog
from tracker_web.links.stop_list import StopListFollower


@pytest.mark.parametrize(("age", "expected"), [(10, []), (1000, ["1 old file(s) removed from corrupt/"])])
def test_what_was_set_aside_and_is_outdated_goes_with_a_word_and_nothing_else(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    age: int,
    expected: list[str],
) -> None:
    monkeypatch.setattr(retention, "GRACE", 0)
    aside = tmp_path / "corrupt"
    aside.mkdir()
    (aside / "a.0.record").write_bytes(b"x")
    os.utime(aside / "a.0.record", (time.time() - age, time.time() - age))
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    Shipper(tmp_path, MemoryStore(), retention=100).run(stop)
    messages = [record.getMessage().partition(": ")[2] for record in caplog.records]
    assert messages == expected
    assert len(list(aside.iterdir())) == 1 - len(expected)


def test_a_writer_notices_within_seconds_that_others_have_filled_the_spool(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, max_size=100_000)
    assert writer.append(b"x")
    (tmp_path / "other-1-1.0.ready").write_bytes(bytes(100_000))
    limit = time.monotonic() + 60
    while writer.append(b"x") and time.monotonic() < limit:
        time.sleep(0.05)
    assert time.monotonic() < limit
    writer.close()


def test_figures_are_brought_up_to_date_at_the_end_however_short_ago_they_were(tmp_path: Path) -> None:
    made: list[float] = []

    class Counted(MemoryStore):
        def roll_up(self, seconds: float = math.inf) -> int:
            made.append(seconds)
            return super().roll_up(seconds)

    shipper = Shipper(tmp_path, Counted())
    assert shipper.drain(5)
    assert shipper.drain(5)
    assert len(made) == 2


# small files beside the spool


def test_the_list_of_stopped_links_is_looked_at_now_and_then_and_not_all_the_time(tmp_path: Path) -> None:
    looks: list[float] = []
    over = threading.Event()

    class Counted(StopListFollower):
        def check(self) -> None:
            looks.append(time.monotonic())
            if over.is_set() or len(looks) > 100:
                threading.Event().wait()  # the thread is a daemon: it must not spin, nor outlive this test
            super().check()

    began = time.monotonic()
    Counted(tmp_path / "stopped", lambda _: None, every=0.1).start()
    while len(looks) < 6 and time.monotonic() < began + 60:
        time.sleep(0.02)
    over.set()
    assert 6 <= len(looks) <= 3 + (time.monotonic() - began) / 0.1


def test_domains_are_noted_where_no_folder_was_yet(tmp_path: Path) -> None:
    directory = tmp_path / "var" / "lib" / "smtpapi"
    reports: list[str] = []
    DomainsFile(directory, reports.append, lambda: 1000.0).used("t.example", 60)
    assert reports == []
    assert [(each.domain, each.until) for each in read(directory)] == [("t.example", 1060)]


# maillog.py


def test_a_setting_that_waits_for_a_restart_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING"):
        maillog.needs_restart("milter.listen")
    assert [
        "milter.listen was changed: restart to use it" in each.getMessage() for each in caplog.records
    ] == [True]
