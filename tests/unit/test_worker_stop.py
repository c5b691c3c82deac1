"""A worker ends when it is told to, whatever libmilter does."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engagement.links.keys import Ring
from engagement.links.ring_file import save_ring
from engagement.settings import load_text
from smtpapi.mta import milter_loop
from smtpapi.process import listener, worker
from smtpapi.telemetry.counters import Counters


@pytest.mark.parametrize("order", [worker.STOP, worker.DRAIN, b""], ids=["stop", "drain", "parent-killed"])
def test_a_worker_whose_libmilter_hangs_ends_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: bytes
) -> None:
    """Stopped, libmilter may wait for ever for a lock that it has destroyed (docs/quirks.md)."""
    sockets: list[socket.socket] = []

    def hangs(worker: object, name: str, around_open: Callable[[Callable[[], None]], None]) -> None:
        around_open(lambda: sockets.append(socket.socket(socket.AF_UNIX)))
        while True:
            time.sleep(1)

    monkeypatch.setattr(milter_loop, "serve", hangs)
    monkeypatch.setattr(milter_loop, "stop", lambda: None)
    monkeypatch.setattr(worker, "_RETURN_SECONDS", 0.3)
    monkeypatch.setattr(worker, "_SETTLE_SECONDS", 0.1)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    ring = Ring().rotated(b"k" * 32, 1)
    save_ring(tmp_path / "keys", ring)
    (tmp_path / "spool").mkdir()
    settings = load_text(f'keys {{ ring = "{tmp_path}/keys" }} spool {{ directory = "{tmp_path}/spool" }}')
    ours, theirs = socket.socketpair()
    listening = listener.bind(f"unix:{tmp_path}/milter.sock")
    counters = Counters.create(2).row(1)
    pid = os.fork()
    if pid == 0:
        ours.close()
        worker.tempfile.tempdir = None  # TMPDIR is looked at anew
        worker.run(settings, None, ring, listening, theirs, counters)
    theirs.close()
    assert ours.recv(1) == worker.READY
    if order:
        ours.send(order)
    else:
        ours.close()
    end = time.monotonic() + 20
    ended, status = 0, -1
    while not ended and time.monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        time.sleep(0.02)
    if not ended:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    ours.close()
    listening.close()
    assert (ended, status) == (pid, 0)
    assert not list((tmp_path / "tmp").iterdir())
