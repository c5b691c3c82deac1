"""The milter's listening socket, which the parent binds and libmilter uses in each worker.

libmilter cannot use an inherited socket. It would also unlink the path of a unix socket when one worker
stops, and take over a socket that another program still uses. So the parent binds. Each worker lets libmilter
open a dummy of the same family, and then puts our socket on the descriptor of the dummy (`around_open`). To
end a worker, an unused socket is put there (`take_back`): no new sessions come, and those it has go on.
"""

import contextlib
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path


class ListenError(Exception):
    """The socket cannot be bound. The text says what to do."""


def bind(name: str, *, join: bool = False) -> socket.socket:
    """Return a listening socket.

    name: "unix:PATH" (also "local:PATH" or a bare path), "inet:PORT@ADDRESS" or "inet6:…". The socket does
    not block: several workers wake up for one connection and only one gets it, and the others must not hang
    in accept. join: take a unix socket's path over from a filter that answers there, which goes on with the
    sessions it has. Raises ListenError for a malformed name, and where the socket cannot be bound.
    """
    kind, _, rest = name.partition(":")
    if kind in ("inet", "inet6"):
        return _bind_inet(kind, rest)
    path = Path(rest if kind in ("unix", "local") else name)
    return _bind_beside(path) if join else _bind_unix(path)


def path_of(name: str) -> Path | None:
    """Return the file that a socket name stands for, or None for inet."""
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


def _bind_beside(path: Path) -> socket.socket:
    """Bind at a name of this process's own, which then becomes the path, in one step.

    So whoever connects to the path meets one filter or the other. The other one's socket keeps a name, by
    which `take_back` wakes libmilter. Each has one name only, but for the moment between the two steps:
    Sendmail does not take a socket with two ("unsafe: Hard links not allowed"). What killed processes left
    is removed.
    """
    for left in _beside(path):
        if not _answers(left):
            left.unlink(missing_ok=True)
    own = path.with_name(f"{path.name}.{os.getpid()}")
    listener = _bind_unix(own)
    before = path.with_name(f"{own.name}.before")
    try:
        before.unlink(missing_ok=True)
        if _answers(path):
            with contextlib.suppress(FileNotFoundError):
                os.link(path, before)
        own.replace(path)
    except OSError as error:
        listener.close()
        raise ListenError(f"{path}: cannot take the socket over: {error.strerror or error}") from error
    return listener


def _beside(path: Path) -> list[Path]:
    """Return the names that filters which were or are there have given their sockets."""
    return list(path.parent.glob(f"{path.name}.*"))


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError as error:
            return not isinstance(error, ConnectionRefusedError)
    return True


def identity(name: str) -> tuple[int, int]:
    """Return device and inode of a unix socket's file; zeros where there is none."""
    path = path_of(name)
    try:
        status = os.stat(path) if path is not None else None
    except OSError:
        status = None
    return (status.st_dev, status.st_ino) if status is not None else (0, 0)


def remove(name: str, bound: tuple[int, int]) -> None:
    """Remove the path of a unix socket, whichever it has now; not one that another filter has taken over.

    bound: its identity after it was bound.
    """
    path = path_of(name)
    if path is None:
        return
    for each in (path, *_beside(path)):
        with contextlib.suppress(OSError):  # the folder may be root's; the next start replaces them
            if identity(f"unix:{each}") == bound:
                each.unlink()


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
    """Our listener, as libmilter uses it in one worker. directory: private to this worker."""

    def __init__(self, listener: socket.socket, directory: Path) -> None:
        self._listener = listener
        self._directory = directory
        self._handle = -1
        self._unused_listener: socket.socket | None = None

    def dummy(self) -> str:
        """Return an unused socket name for libmilter, of our listener's family, which libmilter checks."""
        if self._listener.family == socket.AF_UNIX:
            return f"unix:{self._directory / 'dummy'}"
        with self._unused() as free:
            address, port = free.getsockname()[:2]
        return f"{'inet6' if ':' in address else 'inet'}:{port}@{address}"

    def around_open(self, open_dummy: Callable[[], None]) -> None:
        """Let libmilter open the dummy, then put our listener on its descriptor.

        open_dummy: opens it. Raises ValueError where that opened no socket, and what open_dummy raises.
        """
        before = _sockets()
        open_dummy()
        (self._handle,) = _sockets() - before
        os.dup2(self._listener.fileno(), self._handle, inheritable=False)

    def take_back(self) -> None:
        """Stop new sessions from reaching this worker. Those it has go on."""
        if self._unused_listener is None and self._handle >= 0:
            self._unused_listener = _listen(self._unused())
            os.dup2(self._unused_listener.fileno(), self._handle, inheritable=False)
            # A poll(2) under way waits on the old socket, but examines the new one when it wakes up. So
            # connect to both: else this would take effect up to 5 s later.
            _call(self._unused_listener)
            _call(self._listener)
            # Once no process has it open any more, connections are refused, and a new parent can bind.
            self._listener.close()

    def wake(self) -> None:
        """Wake libmilter's loop by a connection. By itself it checks only every 5 s whether to stop."""
        if self._unused_listener is not None:
            _call(self._unused_listener)

    def _unused(self) -> socket.socket:
        unused = socket.socket(self._listener.family)
        if unused.family == socket.AF_UNIX:
            unused.bind(str(self._directory / "deaf"))
        else:
            unused.bind(("::1" if unused.family == socket.AF_INET6 else "127.0.0.1", 0))
        return unused


def _call(listener: socket.socket) -> None:
    """Connect and close. Whoever else accepts that sees a session that ends at once.

    A unix socket that was bound beside another has another name by now: the path, or what the next filter
    has given it. So all of them are called.
    """
    addresses = [listener.getsockname()]
    if listener.family == socket.AF_UNIX and (own := Path(addresses[0])).suffix[1:].isdecimal():
        path = own.with_suffix("")
        addresses = [str(each) for each in (path, *_beside(path))]
    for address in addresses:
        with socket.socket(listener.family) as caller:
            caller.setblocking(False)
            with contextlib.suppress(OSError):
                caller.connect(address)


def _sockets() -> set[int]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                found.add(int(name))
        except OSError:
            continue
    return found
