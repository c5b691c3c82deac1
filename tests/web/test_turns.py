"""Who waits for whom on a busy processor: `smtpapi web` gives way, the tracker asks for short turns."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tracker_web.server import turns
from web.servers import ROOT, TIMEOUT, make_site, own, running, web


def said(process: int) -> tuple[int, int, int]:
    """Policy, nice and length of turns, in nanoseconds, of a process; as Linux says them."""
    text = Path(f"/proc/{process}/sched").read_text()
    turn = re.search(r"se\.slice +: +(\d+)", text)
    if turn is None:
        pytest.skip("this Linux is older than 6.12, or does not show the turns: nothing to be measured")
    return os.sched_getscheduler(process), os.getpriority(os.PRIO_PROCESS, process), int(turn.group(1))


def worker_of(process: int) -> int:
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.05)
    raise AssertionError("no worker")


def test_readers_go_first_in_the_workers_themselves(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    with running(site, web) as pages, running(site, own) as tracker:
        policy, nice, turn = said(worker_of(tracker.pid))
        assert (policy, nice, turn) == (os.SCHED_OTHER, os.getpriority(os.PRIO_PROCESS, 0), 100_000)
        policy, nice, longer = said(worker_of(pages.pid))
        assert (policy, nice) == (os.SCHED_OTHER, max(10, os.getpriority(os.PRIO_PROCESS, 0)))
        assert longer > turn


def test_where_the_call_is_unknown_or_forbidden_nothing_happens() -> None:
    code = (
        "import ctypes, os, platform; from tracker_web.server import turns\n"
        "ctypes.CDLL = lambda _: type('', (), {'syscall': staticmethod(lambda *_: -1)})\n"
        "turns.give_way(10); turns.go_first()\n"
        "platform.machine = lambda: 'another'\n"
        "turns.give_way(10); turns.go_first(); print(os.getpriority(os.PRIO_PROCESS, 0))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) >= 10


def test_another_policy_that_a_unit_gave_stays() -> None:
    code = (
        "import os; from tracker_web.server import turns\n"
        "os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)); turns.go_first()\n"
        "assert os.sched_getscheduler(0) == os.SCHED_BATCH"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=TIMEOUT)


def test_where_the_question_is_forbidden_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a unit's filter of system calls may have it: the tracker would end at each start."""

    def forbidden(_process: int) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "sched_getscheduler", forbidden)
    monkeypatch.setattr(turns, "_SYSCALLS", {})
    turns.go_first()
