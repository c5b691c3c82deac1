"""The machine under a benchmark: who used its processors, and at what pace they ran.

A core's pace changes although nothing here does: a virtual core may be one half of a real one whose other
half works for somebody else, and clocks go up and down. Processor times grow by as much. `Pace` tells: it
takes the processor time of the same short work again and again, the least of it in this process being 1.
"""

from __future__ import annotations

import os
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_STEPS = 6000  # of the short work: 0.3 to 0.6 ms
_PAUSE = 0.04  # seconds between two of it: some 1 % of a core


def processor_seconds(pid: int) -> float:
    """Of a process, its children, and those of them that ended and were waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(map(int, fields[11:15])) / _TICK + sum(processor_seconds(int(child)) for child in children)


def busy_seconds() -> float:
    """Of all cores since the start, with what a host above took away."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / _TICK  # without idle and waiting


def client_seconds() -> float:
    """Of this process and those that it has started and waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def free_port() -> int:
    """A TCP port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Pace:
    """How fast the cores were while something ran, from 0 to 1, 1 being the fastest seen so far."""

    def __init__(self) -> None:
        self._best = min(_short_work() for _ in range(200))

    @contextmanager
    def taken(self) -> Iterator[list[float]]:
        """Around what runs; the list holds the pace once it is left."""
        times, found, ended = [_short_work()], list[float](), threading.Event()

        def sample() -> None:
            while not ended.wait(_PAUSE):
                times.append(_short_work())

        sampler = threading.Thread(target=sample)
        sampler.start()
        try:
            yield found
        finally:
            ended.set()
            sampler.join()
            self._best = min(self._best, *times, *times)
            found.append(self._best / statistics.median(times))


def _short_work() -> float:
    started = time.thread_time_ns()
    total = 0
    for number in range(_STEPS):
        total += number * number & 255
    return float(time.thread_time_ns() - started)
