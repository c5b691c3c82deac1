"""Faults that were put into the shipper, the ring's file and the mark, and that no other test noticed."""

import threading
import time
from pathlib import Path

import pytest

from engagement.links.keys import Ring, RingError
from engagement.links.ring_file import RingFile, save_ring
from engagement.links.types import Identity
from engagement.shipper.loop import Shipper
from engagement.stores.memory import MemoryStore
from hop_mail import TO, api, identities, mail, site
from smtpapi.decide import Decision
from smtpapi.injection import decoded
from smtpapi.rewrite.choose import Chooser
from smtpapi.rewrite.links import CopyLinks
from smtpapi.rewrite.rules import Rules

# shipper/loop.py


def test_a_shipper_with_nothing_to_carry_looks_ten_times_a_second_and_no_more(tmp_path: Path) -> None:
    tmp_path.joinpath("spool").mkdir()
    steps: list[float] = []

    class Counted(Shipper):
        def step(self) -> int:
            steps.append(time.monotonic())
            return super().step()

    stop = threading.Event()
    running = threading.Thread(target=Counted(tmp_path / "spool", MemoryStore()).run, args=(stop,))
    began = time.monotonic()
    running.start()
    time.sleep(0.5)
    stop.set()
    running.join(10)
    assert 1 <= len(steps) <= 2 + (time.monotonic() - began) / 0.1


# links/ring_file.py


def test_each_fault_of_the_ring_is_told_once_also_when_it_follows_another(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    save_ring(path, Ring().rotated(bytes(32), 1))
    reports: list[RingError] = []
    now = 100.0
    file = RingFile(path, reports.append, lambda: now)
    for spoil in (lambda: path.write_text("7 what\n"), lambda: path.chmod(0o644), path.unlink):
        spoil()
        for _ in range(3):
            now += 2
            assert file.current().get(1) is not None
    told = [str(report) for report in reports]
    assert len(told) == len(set(told)) == 3
    assert "no such file" in told[-1]


# split.py


@pytest.mark.parametrize("key_id", [1, 9_999, 10_000, 65_535])
def test_a_key_of_any_id_carries_mail_over_the_hop(key_id: int) -> None:
    ring = Ring().rotated(bytes(32), 1, key_id)
    there = mail(site(ring=ring), api(campaign_id="c")).queued()
    for recipient in TO:
        found = identities(there.hop(recipient).queued().message.body, ring)
        assert {(each.recipient, each.campaign) for each in found} == {(recipient, "c")}


# rewrite/choose.py


@pytest.mark.parametrize("skip", [False, True])
def test_a_link_in_amp_whose_text_is_a_url_stays_where_that_is_asked_for(skip: bool) -> None:
    decision = Decision(True, False, False, "https", "https", "t.example", 31_536_000)
    key = Ring().rotated(bytes(32), 1).signing
    links = CopyLinks.build(key, Identity(bytes(16), 1, "", 0, 1), decision)
    chooser = Chooser(decision, links, Rules(skip_url_text=skip), lambda: 0.0, 1.0)
    page = b"<!doctype html><html amp4email><body><a href='https://a.example/'>https://a.example/</a></body></html>"
    assert [change.kind for change in chooser.amp(page)] == ([] if skip else ["link"])


# injection.py


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_subject_is_written_down_in_one_line(end: bytes) -> None:
    assert decoded(b" a" + end + b" b" + end) == "a b"
