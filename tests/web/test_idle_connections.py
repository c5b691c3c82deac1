"""Idle and slow connections straight at the tracker cost no reader anything, without nginx in front."""

import resource
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from web.servers import fetch, make_site, running
from web.web_cases import token


def _slowest(port: int, idle: int) -> float:
    """Hold so many connections, half of them with half a request; seconds of the slowest of 40 readers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, idle + 1000)), hard))
    with ExitStack() as stack:
        for number in range(idle):
            held = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            if number % 2:
                held.sendall(b"GET /f/a/x HTTP/1.1\r\nHost: track.exa")
        times = []
        for _ in range(40):
            began = time.monotonic()
            assert fetch(port, f"/f/a/{token()}").status == 302
            times.append(time.monotonic() - began)
        return max(times)


def test_h21_readers_are_answered_beside_eleven_hundred_idle_connections(tmp_path: Path) -> None:
    """At 1,024 of them no reader was answered for 8 to 10 s."""
    site = make_site(tmp_path, tracker="workers = 1")
    with running(site):
        assert _slowest(site.port, 1100) < 1.0


@pytest.mark.long
@pytest.mark.parametrize("idle", [1_024, 10_000])
def test_h21_ten_thousand_idle_connections_measured(tmp_path: Path, idle: int) -> None:
    site = make_site(tmp_path, tracker="workers = 1")
    with running(site):
        slowest = _slowest(site.port, idle)
        print(f"\n{idle} idle or slow connections: the slowest of 40 readers waited {slowest * 1000:.1f} ms")
        assert slowest < 0.1
