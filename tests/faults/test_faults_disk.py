"""A spool that cannot be written: readers and mail go on, and each lost event is counted."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engagement.spool.read import SpoolReader
from faults.pipeline import Clicker, Pipeline, end, until
from milter_client import MilterClient
from mta.mta_site import Filter

_DROPPED = re.compile(r"spool \S+: (\d+) event\(s\) dropped")
_MAIL = b"Subject: %d\r\nContent-Type: text/html\r\n\r\n<a href=https://shop.example/>x</a>\r\n"


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def click(site: Pipeline, name: str, count: int) -> list[str]:
    """So many clicks and opens by two readers at once; each must be answered rightly."""
    crew = [Clicker(site, f"{name}{number}", most=count // 2) for number in range(2)]
    for each in crew:
        each.start()
    for each in crew:
        each.join(120)
    answered = end(crew)
    assert len(answered) == count
    return answered


def click_until(site: Pipeline, name: str, done: Callable[[], bool]) -> int:
    """Clicks on, as the writer tries again after a pause and not at each event; how many it took."""
    count, deadline = 0, time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, f"{count} clicks, and nothing is kept again"
        count += len(click(site, f"{name}{count}x", 100))
    return count


def waiting(site: Pipeline) -> int:
    return SpoolReader(site.spool).backlog().records


def dropped(site: Pipeline) -> int:
    """What the log says, once the tracker has ended."""
    return sum(map(int, _DROPPED.findall(site.log.read_text())))


@pytest.mark.parametrize("sync", ["group", "always"])
def test_a_full_disk_costs_no_redirect_and_each_event_is_counted(tmp_path: Path, sync: str) -> None:
    site = Pipeline(tmp_path, sync=sync)
    with mounted(site.spool, "size=128k,mode=770"):
        with site.tracker():
            click(site, "full", 1000)
            assert waiting(site) < 1000
            remount(site.spool, "size=1m")
            before = waiting(site)
            clicks = 1000 + click_until(site, "room", lambda: waiting(site) > before)
        assert dropped(site) > 0
        assert waiting(site) + dropped(site) == clicks


def test_a_read_only_disk_costs_no_redirect_and_each_event_is_counted(tmp_path: Path) -> None:
    site = Pipeline(tmp_path)
    with mounted(site.spool, "size=4m,mode=770"):
        remount(site.spool, "ro")
        with site.tracker():
            click(site, "ro", 300)
            assert waiting(site) == 0
            remount(site.spool, "rw")
            clicks = 300 + click_until(site, "rw", lambda: waiting(site) > 0)
        assert waiting(site) + dropped(site) == clicks


def test_a_read_only_disk_costs_no_mail_and_each_event_is_counted(tmp_path: Path) -> None:
    site = Filter(tmp_path, workers=2)
    with mounted(site.spool, "size=4m"):
        remount(site.spool, "ro")
        with site:
            client = MilterClient(site.socket)
            client.connect()
            for number in range(40):
                answer = client.message(b"a@s.test", [b"b@r.test"], _MAIL % number, queue_id=f"q{number}")
                assert answer.verdict == "accept"
                assert len(site.links(answer.body)) == 2
            client.quit()
            until(lambda: site.counts()["tracked"] == 40, 10, "the counters")
            assert site.counts()["events-dropped"] == 40
            assert site.injections() == []
