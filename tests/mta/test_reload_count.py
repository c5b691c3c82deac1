"""A reload is counted once no new session can reach a worker of the configuration before it."""

import os
import signal
import time
from pathlib import Path

from milter_client import MilterClient
from mta.mta_site import Filter, until

_MAIL = b"Subject: x\r\nContent-Type: text/html\r\n\r\n<a href=https://shop.example/>x</a>\r\n"
_WHILE_STOPPED = 0.5  # seconds; 25 times the step in which the parent looks at its workers


def test_it_is_counted_when_the_old_worker_has_given_up_the_socket(tmp_path: Path) -> None:
    """Who waits for the number and then sends mail gets the new configuration."""
    with Filter(tmp_path) as site:
        (old,) = site.workers()
        os.kill(old, signal.SIGSTOP)
        try:
            site.hup()
            until(lambda: site.counts()["workers-started"] == 2, what="the new worker")
            client = MilterClient(site.socket)
            client.connect()
            assert client.message(b"a@s.test", [b"b@r.test"], _MAIL).verdict == "accept"
            client.quit()
            time.sleep(_WHILE_STOPPED)
            assert site.counts()["reloads"] == 0
        finally:
            os.kill(old, signal.SIGCONT)
        until(lambda: site.counts()["reloads"] == 1, 20, "the reload")
