"""Who waits for whom on a busy processor: `smtpapi web` gives way, the tracker goes first."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tracker_web.server import scheduling
from web.servers import ROOT, TIMEOUT, make_site, own, running, web


def read_scheduling(process: int) -> tuple[int, int, int]:
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
        policy, nice, turn = read_scheduling(tracker.pid)
        assert (policy, nice, turn) == (os.SCHED_OTHER, os.getpriority(os.PRIO_PROCESS, 0), 100_000)
        policy, nice, longer = read_scheduling(worker_of(pages.pid))
        assert (policy, nice) == (os.SCHED_OTHER, max(10, os.getpriority(os.PRIO_PROCESS, 0)))
        assert longer > turn


def test_where_the_call_is_unknown_or_forbidden_nothing_happens() -> None:
    code = (
        "import ctypes, os, platform; from tracker_web.server import scheduling\n"
        "ctypes.CDLL = lambda _: type('', (), {'syscall': staticmethod(lambda *_: -1)})\n"
        "scheduling.give_way(10); scheduling.go_first()\n"
        "platform.machine = lambda: 'another'\n"
        "scheduling.give_way(10); scheduling.go_first(); print(os.getpriority(os.PRIO_PROCESS, 0))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) >= 10


def test_another_policy_that_a_unit_gave_stays() -> None:
    code = (
        "import os; from tracker_web.server import scheduling\n"
        "os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)); scheduling.go_first()\n"
        "assert os.sched_getscheduler(0) == os.SCHED_BATCH"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=TIMEOUT)


def test_where_the_question_is_forbidden_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a unit's filter of system calls may have it: the tracker would end at each start."""

    def forbidden(_process: int) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "sched_getscheduler", forbidden)
    monkeypatch.setattr(scheduling, "_SYSCALLS", {})
    scheduling.go_first()


_ALLOWED = subprocess.run(["chrt", "--rr", "1", "true"], capture_output=True, check=False).returncode == 0
needs_real_time = pytest.mark.skipif(not _ALLOWED, reason="nobody may ask for real time here")


class Threads:
    """Stands for the policies of this process's threads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.cpu = 0.0
        self.there = [1, 2]
        self.policy: dict[int, int] = {}
        self.forbidden = False
        monkeypatch.setattr(scheduling, "_allowed", lambda _computes_long: True)
        monkeypatch.setattr(scheduling, "_threads", lambda: self.there)
        monkeypatch.setattr(scheduling, "_schedule", self.schedule)
        self.made = scheduling.RealTime(lambda: self.now, lambda: self.cpu)

    def schedule(self, thread: int, policy: int, _priority: int) -> None:
        if self.forbidden:
            raise PermissionError
        self.policy[thread] = policy

    def answer(self, after: float, used: float) -> None:
        self.now += after
        self.cpu += used
        self.made.answered()


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Threads:
    return Threads(monkeypatch)


def test_all_threads_go_first_from_the_first_answer_on_and_later_ones_too(threads: Threads) -> None:
    threads.answer(0, 0.001)
    assert threads.policy == {1: os.SCHED_RR, 2: os.SCHED_RR}
    threads.there = [1, 2, 3]
    threads.answer(0.2, 0.001)
    assert threads.policy[3] == os.SCHED_RR


def test_a_flood_of_clicks_does_not_go_before_mail(threads: Threads) -> None:
    threads.answer(0, 0.0001)
    for _ in range(2000):
        threads.answer(0.0001, 0.0001)
    assert set(threads.policy.values()) == {os.SCHED_OTHER}
    threads.answer(5, 0.0001)  # and after it, at once
    assert set(threads.policy.values()) == {os.SCHED_RR}


def test_a_thousand_clicks_a_second_are_no_flood(threads: Threads) -> None:
    for _ in range(2000):
        threads.answer(0.001, 0.000_07)
        assert set(threads.policy.values()) == {os.SCHED_RR}


def test_where_it_is_forbidden_nobody_asks_again(threads: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    threads.forbidden = True
    threads.answer(0, 0.001)
    threads.forbidden = False
    threads.answer(10, 0.001)
    assert not threads.policy


@contextmanager
def answering(folder: Path) -> Iterator[tuple[int, int]]:
    """Yield a tracker's process and its worker, which answers ten times a second."""
    site = make_site(folder)
    with running(site, own) as tracker:
        process = worker_of(tracker.pid)
        url = f"http://127.0.0.1:{site.port}/q/x"
        readers = subprocess.Popen(["sh", "-c", f"while curl -s -o /dev/null {url}; do sleep 0.1; done"])
        try:
            yield tracker.pid, process
        finally:
            readers.kill()
            readers.wait()


def policies(process: int) -> set[int]:
    return {os.sched_getscheduler(int(each.name)) for each in Path(f"/proc/{process}/task").iterdir()}


@needs_real_time
def test_a_worker_that_answered_has_the_lowest_real_time_priority(tmp_path: Path) -> None:
    with answering(tmp_path) as (parent, worker):
        end = time.monotonic() + TIMEOUT
        while policies(worker) != {os.SCHED_RR} and time.monotonic() < end:
            time.sleep(0.1)
        assert policies(worker) == {os.SCHED_RR}
        assert os.sched_getparam(worker).sched_priority == 1
        assert policies(parent) == {os.SCHED_OTHER}


def _run(code: str) -> int:
    """Run a program that has real time at the beginning; return how it ended."""
    begin = "import os, time\nfrom tracker_web.server import scheduling\n"
    program = subprocess.run(
        [sys.executable, "-c", begin + code], cwd=ROOT, timeout=TIMEOUT, check=False, capture_output=True
    )
    return program.returncode


FIRST = "scheduling.RealTime().answered()\nassert os.sched_getscheduler(0) == os.SCHED_RR\n"


@needs_real_time
def test_who_computes_long_goes_on_as_others_do() -> None:
    """A list that is read anew: the worker must not end of it."""
    long = "end = time.process_time() + 3\nwhile time.process_time() < end: pass\n"
    assert _run(FIRST + long + "assert os.sched_getscheduler(0) == os.SCHED_OTHER") == 0


@needs_real_time
def test_what_never_comes_back_to_python_ends_itself_instead_of_the_machine() -> None:
    assert _run("scheduling._RUNAWAY = 2.0\n" + FIRST + "sum(range(10**12))") == -signal.SIGKILL


def test_no_real_time_where_a_unit_gave_another_policy() -> None:
    code = (
        "import os; from tracker_web.server.scheduling import RealTime\n"
        "os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)); RealTime().answered()\n"
        "assert os.sched_getscheduler(0) == os.SCHED_BATCH"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=TIMEOUT)
