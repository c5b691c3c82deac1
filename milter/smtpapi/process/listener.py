"""The milter's listening socket, made by us and lent to libmilter.

libmilter cannot take an inherited socket, unlinks a unix socket's path when one of its workers stops, and
takes a live socket away from another program. So the parent binds, and each worker lets libmilter open a
dummy of the same family, over whose descriptor ours is put (`lend`). Putting the dummy's kind of socket back
(`take_back`) makes a worker deaf while its sessions go on.
"""

import contextlib
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path


class ListenError(Exception):
    """The socket cannot be had. The text says what to do."""


def bind(name: str) -> socket.socket:
    """Bind and listen: "unix:PATH" (also "local:PATH", a bare path) or "inet:PORT@ADDRESS", "inet6:…".

    The socket does not block, since of several workers woken for one connection only one gets it and the
    others must not hang in accept. Raises ListenError.
    """
    kind, _, rest = name.partition(":")
    if kind in ("inet", "inet6"):
        return _bind_inet(kind, rest)
    return _bind_unix(Path(rest if kind in ("unix", "local") else name))


def path_of(name: str) -> Path | None:
    """The file a socket name stands for, or None for inet."""
    kind, _, rest = name.partition(":")
    if kind in ("inet", "inet6"):
        return None
    return Path(rest if kind in ("unix", "local") else name)


def _bind_unix(path: Path) -> socket.socket:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.settimeout(2)
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            pass
        except OSError as error:
            raise ListenError(f"{path}: {error.strerror or error}; is the path right?") from error
        else:
            raise ListenError(f"{path}: another milter answers there; stop it first, or change milter.socket")
    listener = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o007)  # the MTA reaches it by group (docs/postfix.md)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise ListenError(
            f"{path}: cannot make the socket: {error.strerror or error}; "
            "its folder must exist and be writable, see docs/postfix.md"
        ) from error
    finally:
        os.umask(mask)
    return _listen(listener)


def _bind_inet(kind: str, rest: str) -> socket.socket:
    match = re.fullmatch(r"(\d+)(?:@\[?([^\]]*)\]?)?", rest)
    if match is None:
        raise ListenError(f"{kind}:{rest}: expected {kind}:PORT@ADDRESS")
    family = socket.AF_INET6 if kind == "inet6" else socket.AF_INET
    address = match[2] or ("::1" if kind == "inet6" else "127.0.0.1")
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(
        socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
    )  # else 44 ms a message (docs/performance.md)
    try:
        listener.bind((address, int(match[1])))
    except (OSError, OverflowError) as error:
        listener.close()
        raise ListenError(f"{kind}:{rest}: cannot listen: {error}; is another program there?") from error
    return _listen(listener)


def _listen(listener: socket.socket) -> socket.socket:
    listener.listen(socket.SOMAXCONN)
    listener.setblocking(False)
    return listener


class BorrowedListener:
    """Our listener in libmilter's hands, in one worker. directory: private to this worker."""

    def __init__(self, listener: socket.socket, directory: Path) -> None:
        self._listener = listener
        self._directory = directory
        self._handle = -1
        self._deaf: socket.socket | None = None

    def dummy(self) -> str:
        """A socket name for libmilter to open: unused, of our listener's family (libmilter checks that)."""
        if self._listener.family == socket.AF_UNIX:
            return f"unix:{self._directory / 'dummy'}"
        with self._unused() as free:
            address, port = free.getsockname()[:2]
        return f"{'inet6' if ':' in address else 'inet'}:{port}@{address}"

    def around_open(self, open_dummy: Callable[[], None]) -> None:
        """Let libmilter open the dummy, then put our listener over its descriptor."""
        before = _sockets()
        open_dummy()
        (self._handle,) = _sockets() - before
        os.dup2(self._listener.fileno(), self._handle, inheritable=False)

    def take_back(self) -> None:
        """From now on no new session reaches this worker; those it has are not touched."""
        if self._deaf is None and self._handle >= 0:
            self._deaf = _listen(self._unused())
            os.dup2(self._deaf.fileno(), self._handle, inheritable=False)
            # A poll(2) under way sleeps on what was there before, but looks at what is there now when it is
            # woken: so something to find here, and a knock there. Else it would turn deaf 5 s late.
            _call(self._deaf)
            _call(self._listener)
            # When no process holds it any more, callers are refused at once, and a new parent may bind.
            self._listener.close()

    def wake(self) -> None:
        """Let libmilter's loop turn once, by a call: by itself it looks only every 5 s whether to stop."""
        if self._deaf is not None:
            _call(self._deaf)

    def _unused(self) -> socket.socket:
        unused = socket.socket(self._listener.family)
        if unused.family == socket.AF_UNIX:
            unused.bind(str(self._directory / "deaf"))
        else:
            unused.bind(("::1" if unused.family == socket.AF_INET6 else "127.0.0.1", 0))
        return unused


def _call(listener: socket.socket) -> None:
    """Connect and hang up. Another worker may take the call; it sees a session that ends at once."""
    with socket.socket(listener.family) as caller:
        caller.setblocking(False)
        with contextlib.suppress(OSError):
            caller.connect(listener.getsockname())


def _sockets() -> set[int]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                found.add(int(name))
        except OSError:
            continue
    return found
