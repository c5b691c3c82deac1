"""How a program shares busy processors with others: it gives way to them, or it goes first.

Turns: on Linux (6.12 and later) a thread that wakes up gets the processor at once from one that asked for
longer turns than its own, and otherwise after that one's turn, 1 to 3 ms: sched(7), sched_setattr(2).
Weights, which are nice and systemd's CPUWeight, say nothing of it; they divide what is left.

Real time: a thread under SCHED_RR that wakes up has the processor at once, whoever else computes. It takes
root or RLIMIT_RTPRIO (LimitRTPRIO= of a unit).

Where a call is forbidden or unknown, all is as it was.
"""

import ctypes
import os
import platform
import resource
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

_SYSCALLS: Final = {"x86_64": 314, "aarch64": 274, "riscv64": 274, "ppc64le": 355, "s390x": 345}
_SHORTEST: Final = 100_000  # nanoseconds: the least that Linux takes
_PRIORITY: Final = 1  # the lowest: what the system itself runs under real time goes before us
_INTERVAL: Final = 0.1  # seconds over which the share is counted; a flood goes first no longer than that
# Of one processor. Some 3,500 clicks a second need it: far more than readers of a million mails a day make.
_SHARE: Final = 0.25
# Seconds a thread may compute without a pause under real time. After the first Linux sends SIGXCPU, and all
# threads are scheduled as others are: a request takes a five thousandth of it, a list of a million objections
# that is read anew a second. After the second it ends the process, whose parent starts another: that is only
# for what runs no Python any more, which would leave 5 % of a processor to all others.
_LONG: Final = 0.5
_RUNAWAY: Final = 60.0
_TASKS: Final = Path("/proc/self/task")


class _Attributes(ctypes.Structure):
    """What sched_setattr takes, in its first version."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    )


def give_way(nice: int) -> None:
    """Let others have more of the processor, this thread and whatever it starts from now on.

    Not SCHED_IDLE: on a machine whose processors are never idle nothing would be left. Nor long turns:
    whoever comes while one lasts, and has had its share, would wait for its end.
    """
    if os.getpriority(os.PRIO_PROCESS, 0) < nice:
        with suppress(OSError):  # a unit says it with Nice=, and forbids the call
            os.setpriority(os.PRIO_PROCESS, 0, nice)


def go_first() -> None:
    """Ask for the shortest turns, so that a wake-up ends a longer one: this thread, and what it starts.

    Another policy than the default, as a unit may give it (docs/performance.md), stays.
    """
    number = _SYSCALLS.get(platform.machine())
    with suppress(
        OSError
    ):  # a filter of system calls may forbid the question: then it is taken for the default
        if os.sched_getscheduler(0) != os.SCHED_OTHER:
            return
    if number is not None:
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        attributes = _Attributes(ctypes.sizeof(_Attributes), os.SCHED_OTHER, 0, nice, 0, _SHORTEST, 0, 0)
        ctypes.CDLL(None).syscall(ctypes.c_long(number), 0, ctypes.byref(attributes), 0)


class RealTime:
    """Lets a worker answer at once on a busy machine, as long as it needs little (docs/decisions/0041).

    A flood of clicks must not go before mail: a worker that used more than `_SHARE` of a processor lately is
    scheduled as all others are, until it needs less. That is looked at when a request was answered, so no
    thread wakes up for it. clock: steady seconds. used: seconds of the processor so far.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, used: Callable[[], float] = time.process_time
    ) -> None:
        self._clock = clock
        self._used = used
        self._since, self._before = clock(), used()
        self._next = self._since
        self._done: frozenset[int] = frozenset()
        if not _allowed(self._computes_long):
            self._next = float("inf")

    def answered(self) -> None:
        """Look, once in a while, whether this process may go first: after each answer, in one thread."""
        now = self._clock()
        if now < self._next:
            return
        used = self._used()
        little = used - self._before <= _SHARE * max(now - self._since, _INTERVAL)
        self._since, self._before, self._next = now, used, now + _INTERVAL
        try:
            self._set(os.SCHED_RR if little else os.SCHED_OTHER)
        except OSError:  # not allowed after all, by a container or a control group
            self._next = float("inf")

    def _computes_long(self) -> None:
        """Give the processor back; the next answer looks again."""
        with suppress(OSError):
            self._set(os.SCHED_OTHER)

    def _set(self, policy: int) -> None:
        threads = frozenset(_threads())
        if policy == os.SCHED_OTHER:
            for thread in self._done:
                _schedule(thread, policy, 0)
            self._done = frozenset()
            return
        for thread in threads - self._done:
            _schedule(thread, policy, _PRIORITY)
        self._done = threads


def _allowed(computes_long: Callable[[], None]) -> bool:
    """Return whether real time may be tried: the default policy is in force, and a runaway is noticed.

    computes_long: called once a thread has computed for `_LONG` seconds without a pause.
    """
    with suppress(OSError):  # a filter of system calls may forbid the question
        if os.sched_getscheduler(0) != os.SCHED_OTHER:  # what a unit gave stays
            return False
    with suppress(OSError, ValueError):  # ValueError: not the main thread, or a lower limit is there
        signal.signal(signal.SIGXCPU, lambda _number, _frame: computes_long())
        limits = int(_LONG * 1_000_000), int(_RUNAWAY * 1_000_000)
        resource.setrlimit(resource.RLIMIT_RTTIME, limits)
        return True
    return False


def _threads() -> list[int]:
    """Return the threads of this process; 0, the calling one, where /proc does not say."""
    try:
        return [int(each.name) for each in _TASKS.iterdir()]
    except OSError:
        return [0]


def _schedule(thread: int, policy: int, priority: int) -> None:
    with suppress(ProcessLookupError):  # it ended
        os.sched_setscheduler(thread, policy, os.sched_param(priority))
