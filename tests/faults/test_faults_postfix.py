"""Postfix itself is killed under load and started again: what it accepted arrives, each copy whole."""

import os
import signal
import time
from itertools import count
from pathlib import Path

import pytest

from faults.fault_load import Sent, judge, mail, sessions
from faults.fault_site import Site, running, until

pytestmark = pytest.mark.mta


def _processes(site: Site) -> list[int]:
    """Postfix's master and all its children."""
    master = int((site.postfix.queue / "pid" / "master.pid").read_text())
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return [master, *map(int, children)]


def _missing(site: Site, sent: Sent) -> list[str]:
    time.sleep(0.5)
    site.postfix.flush()
    found = judge(site.postfix.delivered(), sent, site.filter.ring)
    return [fault for fault in found.faults if "delivered 0 times" in fault]


def test_postfix_is_killed_three_times_under_load(tmp_path: Path) -> None:
    """SIGKILL may double what Postfix was handing over: its own promise is never to lose."""
    with running(Site(tmp_path, hop=True)) as site:
        site.postfix.log.chmod(0o666)  # what clears the queue up at a start writes to it, and is not root
        sent = Sent()
        stopping: list[bool] = []
        threads = sessions(
            site.ports["in"],
            6,
            lambda client: (mail(f"pk{client}n{number}", 1 + number % 6, 5000) for number in count()),
            sent,
            lambda: bool(stopping),
        )
        for _ in range(3):
            seen = len(sent.accepted)
            until(lambda: len(sent.accepted) > seen + 10, 30, "mail")  # noqa: B023 - called within this turn of the loop
            for pid in _processes(site):
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.3)
            site.postfix.start()
        stopping.append(True)
        for thread in threads:
            thread.join(60)
        until(lambda: not _missing(site, sent), 40, "all that was accepted")
        found = judge(site.postfix.delivered(), sent, site.filter.ring)
    # A client that got no answer may have been accepted: nobody vouched for those mails.
    odd = [fault for fault in found.faults if "delivered 2 times" not in fault]
    assert all(fault.split()[0] in sent.unsure for fault in odd), odd[:10]
    assert found.copies["old"] == 0
    assert found.copies["new"] > 30
