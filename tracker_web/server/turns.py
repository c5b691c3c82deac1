"""How a program shares busy processors with others: it gives way to them, or it goes first.

On Linux (6.12 and later) a thread that wakes up gets the processor at once from one that asked for longer
turns than its own, and otherwise after that one's turn, 1 to 3 ms: sched(7), sched_setattr(2). Weights, which
are nice and systemd's CPUWeight, say nothing of it; they divide what is left. Nothing here needs a privilege;
where a call is forbidden or unknown, all is as it was.
"""

import ctypes
import os
import platform
from contextlib import suppress
from typing import Final

_SYSCALLS: Final = {"x86_64": 314, "aarch64": 274, "riscv64": 274, "ppc64le": 355, "s390x": 345}
_SHORTEST: Final = 100_000  # nanoseconds: the least that Linux takes


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
        asked = _Attributes(ctypes.sizeof(_Attributes), os.SCHED_OTHER, 0, nice, 0, _SHORTEST, 0, 0)
        ctypes.CDLL(None).syscall(ctypes.c_long(number), 0, ctypes.byref(asked), 0)
