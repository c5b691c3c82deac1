"""The filter's parent process: binds the socket, forks workers, keeps them alive, reloads and stops.

It handles no mail. Python runs one thread at a time, so cores are used by processes; what libmilter and
pymilter do to forking programs, and what is done about it here, stands in docs/decisions/0009-prefork.md.

SIGTERM, SIGINT: no new sessions, messages under way finish. SIGHUP: read configuration, policy and key ring
anew; if all is well, new workers start first and the old ones then end with their last session, so no
connection is dropped; if not, everything stays and the log says why. Of reloads that follow each other faster
than sessions end, only so many workers wait for their sessions: the oldest cut theirs. The signals are taken
with sigtimedwait: no handler ever interrupts anything.

Invariant: nothing but SIGTERM, SIGINT and an end of its own process ends a parent that serves; what a worker
cannot be started for is told, and tried again.
"""

import contextlib
import grp
import os
import pwd
import signal
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from engagement import extensions
from engagement.links.keys import Ring, RingError
from engagement.links.ring_file import load_ring
from engagement.settings import Settings, SettingsError, load_file
from smtpapi.mta.body_memory import Rooms
from smtpapi.policy import hooks
from smtpapi.policy.files import load_named
from smtpapi.process import listener, worker
from smtpapi.process.systemd import notify
from smtpapi.telemetry import maillog
from smtpapi.telemetry.counters import Counters

_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD})
_DRAINING = 64  # workers that wait for their sessions to end after reloads, at most
# Of the counters, one for each worker alive: 64 that serve, 64 new ones, those that drain, and those that
# were told to stop and have not yet.
_ROWS = 512
_ROOM_SECONDS = 60.0  # for rows to become free; each worker that was told to stop is gone sooner
_READY_SECONDS = 20.0
_SHORT_LIFE = 1.0  # a worker that lived shorter is restarted only after a wait
_LONGEST_WAIT = 30.0


class StartError(Exception):
    """The filter cannot start, or not with the new configuration. One line a problem, for the operator."""


@dataclass(frozen=True, slots=True)
class LoadedConfiguration:
    """All that a worker is made from; read and checked as a whole."""

    settings: Settings
    policy: hooks.Policy | None
    ring: Ring


def load(path: Path) -> LoadedConfiguration:
    """Read configuration, policy and key ring. Raises StartError."""
    try:
        settings = load_file(path)
        policy = load_named(path, settings)
        ring = load_ring(Path(settings.keys.ring))
    except (SettingsError, hooks.PolicyError, RingError) as error:
        raise StartError(str(error)) from error
    except OSError as error:
        raise StartError(f"{error.filename or path}: {error.strerror or error}") from error
    except Exception as error:  # ours or a policy's: it must not end a parent that serves
        raise StartError(f"{path}: {type(error).__name__}: {error}") from error
    return LoadedConfiguration(settings, policy, ring)


@dataclass(slots=True)
class _Child:
    pid: int
    row: int
    control: socket.socket
    born: float
    ready: bool = False
    leaving: float | None = None  # when it is killed at the latest, once it was told to go
    stopping: bool = False  # it was told to cut its sessions


def account_of(settings: Settings) -> pwd.struct_passwd | None:
    """Whom to become after binding; None: stay who we are. Raises StartError.

    Root stays root only where the configuration says so (`user = "root"`): mail is strangers' bytes.
    """
    if os.geteuid() != 0:
        return None
    name = settings.milter.user
    if not name:
        raise StartError(
            "milter.user is not set, and the filter does not work as root: name the user it shall become in "
            'milter { user = "…" } (or "root" if you must)'
        )
    try:
        account = pwd.getpwnam(name)
        group = grp.getgrnam(settings.milter.group).gr_gid if settings.milter.group else account.pw_gid
    except KeyError as error:
        raise StartError(f"milter.user, milter.group: {error.args[0]}; make it, or name another") from error
    return pwd.struct_passwd((*account[:3], group, *account[4:]))


def become(account: pwd.struct_passwd | None) -> None:
    """Drop root's rights for good."""
    if account is not None and account.pw_uid != 0:
        os.initgroups(account.pw_name, account.pw_gid)
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)


class Supervisor:
    """Made with a loaded configuration; `run` returns when all workers are gone."""

    def __init__(self, config: Path, loaded: LoadedConfiguration) -> None:
        self._config = config
        self._loaded = loaded
        self._children: dict[int, _Child] = {}
        self._stopping = False
        self._wait = 0.0
        self._not_before = 0.0

    def run(self) -> None:
        """Bind, drop privileges, serve. Raises StartError or ListenError before the first worker runs."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        settings = self._loaded.settings
        account = account_of(settings)
        self._listener = listener.bind(settings.milter.socket)
        try:
            become(account)
            # Once more, now as the user that has to do it at each reload.
            self._loaded = load(self._config)
            directory = settings.milter.counters_directory
            self._counters = Counters.create(_ROWS, Path(directory) if directory else None)
            self._tally = self._counters.row(0)
            self._rooms = Rooms(_ROWS)
            for text in (*settings.notices, *settings.warnings, extensions.notice("smtpapi")):
                if text:
                    maillog.notice(text)
            self._serve()
        except OSError as error:
            raise StartError(f"{error.filename or self._config}: {error.strerror or error}") from error
        finally:
            self._listener.close()
            path = listener.path_of(settings.milter.socket)
            if path is not None:
                with contextlib.suppress(OSError):  # the folder may be root's; the next start replaces it
                    path.unlink()

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
            self._step(0.2 if self._busy() else None)
        maillog.stopped()

    # -- one turn of the loop

    def _busy(self) -> bool:
        """Whether something is due without a signal: a worker to start, or one that is to be gone by then."""
        return any(child.leaving is not None for child in self._children.values()) or self._missing() > 0

    def _missing(self) -> int:
        serving = sum(child.leaving is None for child in self._children.values())
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
        self._kill_late()
        if time.monotonic() >= self._not_before:
            self._replace()

    def _replace(self) -> None:
        """Start what is missing; what the system or full counters refuse is tried again later."""
        try:
            for _ in range(self._missing()):
                self._fork()
        except StartError as error:
            self._wait = min(max(0.5, self._wait * 2), _LONGEST_WAIT)
            self._not_before = time.monotonic() + self._wait
            maillog.worker_not_started(str(error), self._wait)

    def _reap(self) -> None:
        while self._children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child is None:
                continue
            self._rooms.end(child.row)
            child.control.close()
            if child.leaving is None and not self._stopping:
                self._mourn(child, status)

    def _mourn(self, child: _Child, status: int) -> None:
        """A worker died by itself: the next one at once if it had lived, else after a growing wait."""
        lived = time.monotonic() - child.born
        self._wait = 0.0 if lived >= _SHORT_LIFE else min(max(0.5, self._wait * 2), _LONGEST_WAIT)
        self._not_before = time.monotonic() + self._wait
        code = os.waitstatus_to_exitcode(status)
        self._tally.add("workers-died")
        maillog.worker_died(
            child.pid, f"was killed by signal {-code}" if code < 0 else f"exited {code}", self._wait
        )

    def _kill_late(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            if child.leaving is not None and now > child.leaving:
                child.leaving = now + 5
                maillog.killed(child.pid)
                os.kill(child.pid, signal.SIGKILL)

    # -- workers

    def _fork_all(self) -> list[_Child]:
        """Raises StartError; then none of them stays."""
        made: list[_Child] = []
        try:
            for _ in range(self._loaded.settings.milter.workers):
                made.append(self._fork())  # noqa: PERF401 - those made before one that fails are known
        except StartError:
            self._dismiss(made, worker.STOP, 5)
            raise
        return made

    def _free_rows(self) -> list[int]:
        used = {child.row for child in self._children.values()}
        return [number for number in range(1, _ROWS) if number not in used]

    def _fork(self) -> _Child:
        """Raises StartError."""
        if not (rows := self._free_rows()):
            raise StartError("too many workers of earlier reloads have not ended yet")
        row = rows[0]
        self._rooms.begin(row)
        self._look_at_ring()
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            raise StartError(f"a worker cannot be started: {error.strerror or error}") from error
        try:
            pid = os.fork()
        except OSError as error:
            ours.close()
            theirs.close()
            raise StartError(f"a worker cannot be started: {error.strerror or error}") from error
        if pid == 0:
            ours.close()
            for other in self._children.values():
                other.control.close()
            loaded, tally, room = self._loaded, self._counters.row(row), partial(self._rooms.room, row)
            worker.run(loaded.settings, loaded.policy, loaded.ring, self._listener, theirs, tally, room)
        theirs.close()
        ours.setblocking(False)
        self._tally.add("workers-started")
        child = _Child(pid, row, ours, time.monotonic())
        self._children[pid] = child
        return child

    def _look_at_ring(self) -> None:
        """Keep the newest ring that could be read, for a worker that is started when it cannot be."""
        with contextlib.suppress(RingError):
            ring = load_ring(Path(self._loaded.settings.keys.ring))
            self._loaded = replace(self._loaded, ring=ring)

    def _started(self, children: list[_Child]) -> bool:
        """Wait until all of them serve. False if one dies, none says so in time, or we are to stop."""
        end = time.monotonic() + _READY_SECONDS
        while not all(child.ready for child in children):
            self._reap()
            if any(child.pid not in self._children for child in children) or time.monotonic() > end:
                return False
            for child in children:
                with contextlib.suppress(BlockingIOError):
                    child.ready = child.ready or child.control.recv(1) == worker.READY
            came = signal.sigtimedwait({signal.SIGTERM, signal.SIGINT}, 0.02)
            if came is not None:
                self._stop()
                return True
        return True

    def _dismiss(self, children: Iterable[_Child], order: bytes, seconds: float) -> None:
        for child in children:
            if child.leaving is None or (order == worker.STOP and not child.stopping):
                child.leaving = time.monotonic() + seconds
                child.stopping = order == worker.STOP
                with contextlib.suppress(OSError):  # it may be dying already
                    child.control.send(order)

    # -- signals

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            maillog.stopping()
            notify("STOPPING=1")
            self._dismiss(self._children.values(), worker.STOP, worker.STOP_SECONDS + 10)

    def _reload(self) -> None:
        notify("RELOADING=1")
        old = self._loaded
        serving = [child for child in self._children.values() if child.leaving is None]
        try:
            self._loaded = load(self._config)
            self._make_room()
            if self._stopping:
                return
            fresh = self._fork_all()
            if not self._started(fresh):
                self._dismiss((c for c in fresh if c.pid in self._children), worker.STOP, 5)
                raise StartError("the workers do not start with it; the log above says why")
        except StartError as error:
            self._loaded = old
            self._tally.add("reloads-refused")
            maillog.reconfigure_failed(str(error))
        else:
            self._tally.add("reloads")
            self._tell_what_stays(old.settings, self._loaded.settings)
            self._dismiss(
                (c for c in serving if c.pid in self._children), worker.DRAIN, worker.DRAIN_SECONDS + 60
            )
            if not self._stopping:
                maillog.reconfigured()
        notify("READY=1")

    def _make_room(self) -> None:
        """Before new workers start: have the oldest of those that drain end. Raises StartError."""
        serving = sum(child.leaving is None for child in self._children.values())
        draining = [c for c in self._children.values() if c.leaving is not None and not c.stopping]
        draining.sort(key=lambda child: child.born)
        excess = draining[: max(0, len(draining) + serving - max(_DRAINING, serving))]
        if excess:
            maillog.cut_short(len(excess))
            self._dismiss(excess, worker.STOP, worker.STOP_SECONDS + 10)
        end = time.monotonic() + _ROOM_SECONDS
        while len(self._free_rows()) < self._loaded.settings.milter.workers:
            if time.monotonic() > end:
                raise StartError("too many workers of earlier reloads have not ended yet; try again")
            if signal.sigtimedwait({signal.SIGTERM, signal.SIGINT}, 0.05) is not None:
                self._stop()
                return
            self._reap()
            self._kill_late()

    @staticmethod
    def _tell_what_stays(old: Settings, new: Settings) -> None:
        for name in ("socket", "user", "group", "counters_directory"):
            if getattr(old.milter, name) != getattr(new.milter, name):
                maillog.needs_restart(f"milter.{name}")
        maillog.set_level(new.smtpapi.debug_level if new.smtpapi else "ERROR")
        for text in (*new.notices, *new.warnings):
            maillog.notice(text)
