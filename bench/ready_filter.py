"""A pymilter filter with no work: it puts ready bytes in place of each body, and adds one header field.

    python bench/ready_filter.py SOCKET WORKERS BODY_FILE FIELD_NAME FIELD_VALUE

The bar for our own: what any filter in Python pays that collects a message and replaces its body, libmilter,
pymilter and the MTA's side included. It takes what ours takes (no-reply flags, raw header values, the whole
message in memory) and is run as ours is: forked workers that share one listening socket.
"""

import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import Milter

import milter
from smtpapi.process import listener


@Milter.header_leading_space
class Ready(Milter.Base):
    """One session. The three class attributes are set before the first."""

    ready = b""
    name = ""
    value = ""

    def __init__(self) -> None:
        self.fields: list[tuple[str, bytes]] = []
        self.chunks: list[bytes] = []

    @Milter.noreply
    def connect(self, hostname: str, family: int, hostaddr: object) -> int:
        return Milter.CONTINUE

    @Milter.noreply
    def hello(self, hostname: str) -> int:
        return Milter.CONTINUE

    @Milter.noreply
    @Milter.decode("bytes")
    def envfrom(self, sender: bytes, *params: bytes) -> int:
        self.fields, self.chunks = [], []
        return Milter.CONTINUE

    @Milter.noreply
    @Milter.decode("bytes")
    def envrcpt(self, recipient: bytes, *params: bytes) -> int:
        return Milter.CONTINUE

    @Milter.noreply
    @Milter.decode("bytes")
    def header(self, name: str, value: bytes) -> int:
        self.fields.append((name, value))
        return Milter.CONTINUE

    @Milter.noreply
    def body(self, chunk: bytes) -> int:
        self.chunks.append(chunk)
        return Milter.CONTINUE

    envfrom_bytes, envrcpt_bytes, header_bytes = envfrom, envrcpt, header

    def eom(self) -> int:
        self.addheader(self.name, self.value)
        self.replacebody(self.ready)
        return Milter.ACCEPT


def serve(listening: socket.socket, folder: Path) -> None:
    """One worker, until SIGTERM. Our listener takes libmilter's place, as in `smtpapi.process.worker`."""
    borrowed = listener.BorrowedListener(listening, folder)
    real: Callable[[bool], None] = milter.opensocket
    milter.opensocket = lambda rmsock: borrowed.around_open(lambda: real(rmsock))
    Milter.factory = Ready
    Milter.runmilter("ready", borrowed.dummy(), 7200)


def main() -> None:
    path, workers, body, Ready.name, Ready.value = sys.argv[1:]
    Ready.ready = Path(body).read_bytes()
    listening = listener.bind(f"unix:{path}")
    children: list[int] = []
    for _ in range(int(workers)):
        pid = os.fork()
        if pid == 0:
            threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
            with tempfile.TemporaryDirectory() as folder:
                serve(listening, Path(folder))
            os._exit(0)
        children.append(pid)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    for pid in children:
        os.kill(pid, signal.SIGKILL)  # libmilter would take its five seconds to notice
        os.waitpid(pid, 0)
    Path(path).unlink(missing_ok=True)


def _end_with(parent: int) -> None:
    """Leave nothing running behind a parent that was killed."""
    stopped = threading.Event()
    while not stopped.wait(1.0):
        if os.getppid() != parent:
            os._exit(1)


if __name__ == "__main__":
    main()
