"""The filter's parent process: it binds the socket, forks workers, replaces dead ones, reloads and stops.

It handles no mail. Python runs one thread at a time, so each core needs a process. The effects of libmilter
and pymilter on forking programs, and how they are handled, are described in docs/decisions/0009-prefork.md.

SIGTERM, SIGINT: no new sessions start, and messages under way finish. SIGHUP: configuration, policy and key
ring are read again. If they are good, new workers start first, and each old one then exits after its last
session, so no connection is dropped; once the log reports it, new sessions reach new workers alone. If not,
nothing changes and the log says why. When reloads follow each other faster than sessions end, the number of
workers that wait for sessions is limited: the oldest end theirs. Signals are received with sigtimedwait, so
no handler ever interrupts anything.

Invariant: only SIGTERM, SIGINT or the death of its process ends a parent that serves. Where a worker cannot
be started, the log says why, and the parent tries again.
"""

import contextlib
import os
import signal
import socket
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from engagement import extensions
from engagement.links.keys import RingError
from engagement.links.ring_file import load_ring
from engagement.metrics.process import MetricsProcess
from engagement.systemd import Heartbeat, notify
from smtpapi.mta.body_memory import BodyMemoryTable
from smtpapi.policy.files import notices
from smtpapi.process import listener, worker
from smtpapi.process.children import Child, Children, dismiss
from smtpapi.process.startup import LoadedConfiguration, StartError, account_of, become, load, report_changes
from smtpapi.telemetry import maillog, metrics
from smtpapi.telemetry.counters import Counters

_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD})
# Workers that may wait for their sessions to end after reloads: as many as milter.workers allows to serve.
_DRAINING = 64
# Rows of counters, one for each living worker: 64 that serve, 64 new ones, those that drain, and those that
# were ordered to stop and have not exited yet.
_ROWS = 512
_FREE_ROWS_SECONDS = 60.0  # for rows to become free; a worker that was ordered to stop exits sooner
_READY_SECONDS = 20.0  # for new workers to serve; below the 90 s that systemd gives a start by default
_DEAF_SECONDS = 20.0  # for old workers to give up the socket, which takes milliseconds
_SHORT_LIFE = 1.0  # a worker that lived shorter is restarted only after a wait; a guess
_LONGEST_WAIT = 30.0  # Postfix's master waits 60 s for a service that fails (service_throttle_time)


class Supervisor:
    """The parent process, with its loaded configuration. `run` returns when all workers are gone.

    join: take the unix socket over from a filter that answers there.
    """

    def __init__(self, config: Path, loaded: LoadedConfiguration, *, join: bool = False) -> None:
        self._config = config
        self._join = join
        self._loaded = loaded
        self._children = Children()
        self._heart = Heartbeat()
        self._stopping = False
        self._wait = 0.0
        self._not_before = 0.0

    def run(self) -> None:
        """Bind, drop privileges, and serve until SIGTERM or SIGINT.

        Raises StartError or ListenError where the filter cannot start.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        settings = self._loaded.settings
        account = account_of(settings)
        self._listener = listener.bind(settings.milter.socket, join=self._join)
        bound = listener.identity(settings.milter.socket)
        try:
            become(account)
            # Load again, now as the user that must be able to do it at each reload.
            self._loaded = load(self._config)
            directory = settings.milter.counters_directory
            self._counters = Counters.create(_ROWS, Path(directory) if directory else None)
            self._own_counters = self._counters.row(0)
            self._body_memory = BodyMemoryTable(_ROWS)
            sources = (self._counters, self._body_memory.taken, settings.limits.max_memory)
            self._metrics = MetricsProcess(settings.metrics.milter, metrics.reader(*sources), maillog.notice)
            lines = (*settings.notices, *settings.warnings, *notices(self._loaded.policy))
            for text in (*lines, extensions.notice("smtpapi")):
                if text:
                    maillog.notice(text)
            with self._metrics:
                self._serve()
        except OSError as error:
            raise StartError(f"{error.filename or self._config}: {error.strerror or error}") from error
        finally:
            listener.remove(settings.milter.socket, bound)
            self._listener.close()

    def _serve(self) -> None:
        if not self._started(self._fork_all()):
            self._stop()
            while self._children:
                self._step(0.1)
            raise StartError("the workers do not start; the log above says why")
        if not self._stopping:
            maillog.ready(self._loaded.settings.milter.socket, len(self._children))
            notify("READY=1")
        while not (self._stopping and not self._children):
            self._step(0.2 if self._busy() else self._heart.interval)
            self._heart.beat()
        maillog.stopped()

    # -- one turn of the loop

    def _busy(self) -> bool:
        """Return whether something is due without a signal: a worker to start, or one that has to exit."""
        serving = len(self._children.serving())
        return serving < len(self._children) or self._missing() > 0 or self._metrics.is_due()

    def _missing(self) -> int:
        """Return how many workers have to be started."""
        serving = len(self._children.serving())
        return 0 if self._stopping else max(0, self._loaded.settings.milter.workers - serving)

    def _step(self, seconds: float | None) -> None:
        """Wait for a signal at most that long (None: for ever), and do what is due."""
        came = signal.sigtimedwait(_SIGNALS, seconds) if seconds is not None else signal.sigwaitinfo(_SIGNALS)
        match came.si_signo if came is not None else None:
            case signal.SIGTERM | signal.SIGINT:
                self._stop()
            case signal.SIGHUP if not self._stopping:
                self._reload()
        self._reap()
        self._children.kill_late()
        if not self._stopping:
            self._metrics.keep()
        if time.monotonic() >= self._not_before:
            self._replace()

    def _replace(self) -> None:
        """Start missing workers. If the system or the number of rows does not allow it, try again later."""
        try:
            for _ in range(self._missing()):
                self._fork()
        except StartError as error:
            self._wait = min(max(0.5, self._wait * 2), _LONGEST_WAIT)
            self._not_before = time.monotonic() + self._wait
            maillog.worker_not_started(str(error), self._wait)

    def _reap(self) -> None:
        for child, status in self._children.ended():
            self._body_memory.end(child.number)
            if child.leaving is None and not self._stopping:
                self._note_death(child, status)

    def _note_death(self, child: Child, status: int) -> None:
        """Log a worker that died by itself. The next starts at once; after a wait if this one died early."""
        lived = time.monotonic() - child.born
        self._wait = 0.0 if lived >= _SHORT_LIFE else min(max(0.5, self._wait * 2), _LONGEST_WAIT)
        self._not_before = time.monotonic() + self._wait
        code = os.waitstatus_to_exitcode(status)
        self._own_counters.add("workers-died")
        maillog.worker_died(
            child.pid, f"was killed by signal {-code}" if code < 0 else f"exited {code}", self._wait
        )

    # -- workers

    def _fork_all(self) -> list[Child]:
        """Start all workers. Raises StartError if one cannot be started, after ending the others."""
        started: list[Child] = []
        try:
            for _ in range(self._loaded.settings.milter.workers):
                started.append(self._fork())  # noqa: PERF401 - after a failure, the others must be known
        except StartError:
            dismiss(started, worker.STOP, 5)
            raise
        return started

    def _fork(self) -> Child:
        """Start one worker. Raises StartError where the system or the number of rows does not allow it."""
        if not (numbers := self._children.free_numbers(_ROWS)):
            raise StartError("too many workers of earlier reloads have not ended yet")
        number = numbers[0]
        self._body_memory.begin(number)
        self._read_ring()
        ends: tuple[socket.socket, ...] = ()
        try:
            ours, theirs = ends = socket.socketpair()
            pid = os.fork()
        except OSError as error:
            for end in ends:
                end.close()
            raise StartError(f"a worker cannot be started: {error.strerror or error}") from error
        if pid == 0:
            ours.close()
            for other in self._children:
                other.control.close()
            loaded, counters = self._loaded, self._counters.row(number)
            memory = partial(self._body_memory.share, number)
            made_of = loaded.settings, loaded.policy, loaded.ring
            worker.run(*made_of, self._listener, theirs, counters, memory, loaded.customer_of)
        theirs.close()
        ours.setblocking(False)
        self._own_counters.add("workers-started")
        child = Child(pid, number, ours, time.monotonic())
        self._children.add(child)
        return child

    def _read_ring(self) -> None:
        """Replace the ring by the one on disk, if that can be read. New workers begin with it."""
        with contextlib.suppress(RingError):
            ring = load_ring(Path(self._loaded.settings.keys.ring))
            self._loaded = replace(self._loaded, ring=ring)

    def _started(self, children: list[Child]) -> bool:
        """Wait until all of them serve. Return False where one dies or is not ready in time.

        On a signal to stop, stop and return True.
        """
        end = time.monotonic() + _READY_SECONDS
        while not all(child.ready for child in children):
            self._reap()
            if any(child not in self._children for child in children) or time.monotonic() > end:
                return False
            for child in children:
                with contextlib.suppress(BlockingIOError):
                    child.ready = child.ready or child.control.recv(1) == worker.READY
            came = signal.sigtimedwait({signal.SIGTERM, signal.SIGINT}, 0.02)
            if came is not None:
                self._stop()
                return True
        return True

    # -- signals

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            maillog.stopping()
            notify("STOPPING=1")
            dismiss(self._children, worker.STOP, worker.STOP_SECONDS + 10)

    def _reload(self) -> None:
        notify("RELOADING=1")
        old = self._loaded
        serving = self._children.serving()
        try:
            self._loaded = load(self._config)
            self._end_oldest_draining()
            if self._stopping:
                return
            fresh = self._fork_all()
            if not self._started(fresh):
                dismiss((c for c in fresh if c in self._children), worker.STOP, 5)
                raise StartError("the workers do not start with it; the log above says why")
        except StartError as error:
            self._loaded = old
            self._own_counters.add("reloads-refused")
            maillog.reconfigure_failed(str(error))
        else:
            report_changes(old.settings, self._loaded.settings)
            for text in notices(self._loaded.policy):
                maillog.notice(text)
            old_ones = [child for child in serving if child in self._children]
            dismiss(old_ones, worker.DRAIN, worker.DRAIN_SECONDS + 60)
            self._wait_for_deaf(old_ones)
            self._own_counters.add("reloads")  # only now the new configuration has all
            if not self._stopping:
                maillog.reconfigured()
        notify("READY=1")

    def _wait_for_deaf(self, old: list[Child]) -> None:
        """Wait until new sessions reach none of them, or too long. On a signal to stop, stop and return."""
        end = time.monotonic() + _DEAF_SECONDS
        while (old := [child for child in old if child.takes_sessions()]) and time.monotonic() < end:
            if signal.sigtimedwait({signal.SIGTERM, signal.SIGINT}, 0.02) is not None:
                self._stop()
                return
            self._reap()

    def _end_oldest_draining(self) -> None:
        """Stop the oldest workers that drain, and wait until there are enough free numbers for new ones.

        Raises StartError if that takes too long. On a signal to stop, stop and return.
        """
        serving, draining = len(self._children.serving()), self._children.draining()
        excess = draining[: max(0, len(draining) + serving - max(_DRAINING, serving))]
        if excess:
            maillog.cut_short(len(excess))
            dismiss(excess, worker.STOP, worker.STOP_SECONDS + 10)
        end = time.monotonic() + _FREE_ROWS_SECONDS
        while len(self._children.free_numbers(_ROWS)) < self._loaded.settings.milter.workers:
            if time.monotonic() > end:
                raise StartError("too many workers of earlier reloads have not ended yet; try again")
            if signal.sigtimedwait({signal.SIGTERM, signal.SIGINT}, 0.05) is not None:
                self._stop()
                return
            self._reap()
            self._children.kill_late()
