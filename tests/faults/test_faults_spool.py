"""Events that cannot be written cost no mail, and are counted to the last one."""

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from milter_client import MilterClient
from mta.mta_site import Filter, until

_MAIL = b"Subject: %d\r\nContent-Type: text/html\r\n\r\n<a href=https://shop.example/>x</a>\r\n"


def _send(site: Filter, count: int, first: int = 0) -> None:
    """So many mails; each must be accepted and tracked."""
    client = MilterClient(site.socket)
    client.connect()
    for number in range(first, first + count):
        answer = client.message(b"a@s.test", [b"b@r.test"], _MAIL % number, queue_id=f"q{number}")
        assert answer.verdict == "accept"
        assert len(site.links(answer.body)) == 2
    client.quit()


def _balance(site: Filter, sent: int) -> int:
    """How many were dropped; they and those that were kept are all there were."""
    dropped = site.counts()["events-dropped"]
    assert len(site.injections()) + dropped == sent
    return dropped


@contextmanager
def _small_disk(folder: Path, size: str) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_costs_events_and_no_mail(tmp_path: Path) -> None:
    site = Filter(tmp_path, workers=2)
    with _small_disk(site.spool, "32k"), site:
        senders = [threading.Thread(target=_send, args=(site, 150, 1000 * n)) for n in range(3)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        assert site.counts()["tracked"] == 450
        assert _balance(site, 450) > 0
        assert re.search(r"ERROR: spool \S+: \d+ event\(s\) dropped.* Make room", site.log_text())
        recorded = len(site.injections())
        subprocess.run(["mount", "-o", "remount,size=1m", str(site.spool)], check=True)
        until(lambda: _recorded_more_than(site, recorded), 15, "events to be kept again")
        _balance(site, site.counts()["tracked"])


def _recorded_more_than(site: Filter, recorded: int) -> bool:
    _send(site, 1, 9000 + site.counts()["messages"])
    return len(site.injections()) > recorded


def test_a_spool_of_its_largest_size_drops_and_counts(tmp_path: Path) -> None:
    site = Filter(tmp_path)
    text = site.config.read_text().replace(
        f'directory = "{site.spool}"', f'directory = "{site.spool}" segment_size = 65536 max_size = 1048576'
    )
    site.configure("", text)
    with site:
        _send(site, 1)
        (segment,) = site.spool.glob("*.open")
        (site.spool / "old.ready").write_bytes(b"\0" * 1_100_000)
        until(lambda: _dropped_more(site), 10, "the measuring of the directory")
        assert site.counts()["tracked"] == site.counts()["messages"]
        (site.spool / "old.ready").unlink()
        assert segment.exists()
        assert _balance(site, site.counts()["messages"]) > 0


def _dropped_more(site: Filter) -> bool:
    _send(site, 1, site.counts()["messages"])
    return site.counts()["events-dropped"] > 0
