"""The workers that the parent has started and that have not ended yet.

Not when one is started or stopped (`supervisor`). Each child has a number, which selects its row of
counters and its share of the memory for messages.
"""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from smtpapi.process import worker
from smtpapi.telemetry import maillog


@dataclass(slots=True)
class Child:
    """One worker process.

    control: our end of the socket pair for orders. born: by the monotonic clock. leaving: when it is killed
    at the latest, set once it was ordered to exit. stopping: it was ordered to end its sessions.
    """

    pid: int
    number: int
    control: socket.socket
    born: float
    ready: bool = False
    leaving: float | None = None
    stopping: bool = False

    def takes_sessions(self) -> bool:
        """Return whether new sessions may still reach it: it has not said otherwise, and has not ended.

        To be asked once it was ordered to exit.
        """
        try:
            received = self.control.recv(16)  # READY, too, of one that was started instead of another
        except BlockingIOError:
            return True
        except OSError:
            return False
        return bool(received) and worker.LISTENS_NO_MORE not in received


class Children:
    """All living workers, those that are about to exit included."""

    def __init__(self) -> None:
        self._by_pid: dict[int, Child] = {}

    def __len__(self) -> int:
        return len(self._by_pid)

    def __iter__(self) -> Iterator[Child]:
        return iter(self._by_pid.values())

    def __contains__(self, child: object) -> bool:
        return isinstance(child, Child) and child.pid in self._by_pid

    def add(self, child: Child) -> None:
        """Add a worker that was started."""
        self._by_pid[child.pid] = child

    def serving(self) -> list[Child]:
        """Return the workers that were not ordered to exit."""
        return [child for child in self if child.leaving is None]

    def draining(self) -> list[Child]:
        """Return the workers that wait for their sessions to end, the oldest first."""
        found = [child for child in self if child.leaving is not None and not child.stopping]
        return sorted(found, key=lambda child: child.born)

    def free_numbers(self, limit: int) -> list[int]:
        """Return the numbers from 1 to below limit that no worker has."""
        used = {child.number for child in self}
        return [number for number in range(1, limit) if number not in used]

    def ended(self) -> Iterator[tuple[Child, int]]:
        """Yield each worker that has ended, with its wait status, and remove it."""
        while self._by_pid:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._by_pid.pop(pid, None)
            if child is not None:
                child.control.close()
                yield child, status

    def kill_late(self) -> None:
        """Kill the workers that did not exit in time."""
        now = time.monotonic()
        for child in self:
            if child.leaving is not None and now > child.leaving:
                child.leaving = now + 5
                maillog.killed(child.pid)
                os.kill(child.pid, signal.SIGKILL)


def dismiss(children: Iterable[Child], order: bytes, seconds: float) -> None:
    """Order workers to exit, within so many seconds. order: `worker.STOP` or `worker.DRAIN`."""
    for child in children:
        if child.leaving is None or (order == worker.STOP and not child.stopping):
            child.leaving = time.monotonic() + seconds
            child.stopping = order == worker.STOP
            with contextlib.suppress(OSError):  # it may be dying already
                child.control.send(order)
