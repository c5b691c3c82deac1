"""A process that serves a prefork program's metrics, made by a fork of its parent.

The workers of such a program count into memory that all its processes share, so one more process can add
them up. It is no thread of the parent: a program that forks should have no others. It ends within a second
after the parent.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, NoReturn, Self

from engagement.extras import NotInstalledError, need

if TYPE_CHECKING:
    from engagement.metrics.exposition import Read

_PARENT_SECONDS: Final = 1.0  # between two looks whether the parent lives
_NOT_BEFORE: Final = 60.0  # seconds from one start to the next, so that a fault here makes no storm of forks


class MetricsProcess:
    """The process, for its parent. address, read, report: as `listener.MetricsListener` takes them.

    address: "" for none; then nothing happens.
    """

    def __init__(self, address: str, read: "Read", report: Callable[[str], None]) -> None:
        self._address = address
        self._read = read
        self._report = report
        self._pid = 0
        self._end = -1  # reads the end of file when the process is gone
        self._started = float("-inf")

    def __enter__(self) -> Self:
        """Start the process."""
        self.keep()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        self.stop()

    def keep(self) -> None:
        """Start the process if it does not run. Raises nothing: without it the program goes on."""
        if not self._address or self._lives() or time.monotonic() - self._started < _NOT_BEFORE:
            return
        self._started = time.monotonic()
        try:
            self._fork()
        except OSError as error:
            self._report(f"metrics are not served: {error.strerror or error}")

    def is_due(self) -> bool:
        """Return whether the process has to be started."""
        return bool(self._address) and not self._lives()

    def stop(self) -> None:
        """End the process."""
        if self._lives():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGTERM)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            os.close(self._end)
            self._end = -1
            if self._address.startswith("unix:"):
                with contextlib.suppress(OSError):  # the folder may be another's; the next start replaces it
                    Path(self._address.removeprefix("unix:")).unlink()

    def _lives(self) -> bool:
        if self._end < 0:
            return False
        if not select.select([self._end], [], [], 0)[0]:
            return True
        os.close(self._end)
        self._end = -1
        with contextlib.suppress(ChildProcessError):  # the program's own wait may have met it
            os.waitpid(self._pid, 0)
        return False

    def _fork(self) -> None:
        parent = os.getpid()
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            _serve(parent, theirs, self._address, self._read, self._report)
        os.close(theirs)
        self._pid, self._end = pid, ours


def _serve(parent: int, pipe: int, address: str, read: "Read", report: Callable[[str], None]) -> NoReturn:
    try:
        for number in (signal.SIGINT, signal.SIGHUP):  # meant for the parent, which ends this process
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        _let_go(keep=pipe)
        need("metrics", "prometheus_client")
        # Imported here: the parent and its workers do without the library.
        from engagement.metrics.listener import MetricsListener

        listener = MetricsListener(address, read, report).start()
        while os.getppid() == parent:
            time.sleep(_PARENT_SECONDS)
        listener.stop()
    except NotInstalledError as error:
        report(f"metrics are not served: {error}")
        while os.getppid() == parent:  # reported once
            time.sleep(_PARENT_SECONDS)
    except BaseException as error:  # noqa: BLE001 - whatever it was, the parent's code must not go on here
        report(f"metrics are not served: {type(error).__name__}: {error}")
    finally:
        os._exit(0)


def _let_go(keep: int) -> None:
    """Close what the parent has open, such as its listeners, but for the standard streams.

    The numbers stay taken: an object of the parent's that is collected here would close them.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        if number > 2 and number not in (keep, nothing):
            with contextlib.suppress(OSError):
                os.dup2(nothing, number, inheritable=False)
