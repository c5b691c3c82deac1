"""One worker process of the filter: made by fork, it serves sessions until it is stopped, and exits.

Spool writer and key ring file are opened here, after the fork, since they have threads and locks that two
processes must not share. The parent sends orders over a socket pair. DRAIN: new workers already serve, so
exit after the last session. STOP or end of file: finish the messages under way, then exit.
"""

import contextlib
import gc
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from engagement.links.keys import Ring
from engagement.links.ring_file import RingFile
from engagement.settings import Settings
from smtpapi.mta import heap, milter_loop
from smtpapi.mta.body_memory import BodyMemory
from smtpapi.mta.services import SessionServices
from smtpapi.policy.hooks import AnyPolicy
from smtpapi.process.listener import BorrowedListener
from smtpapi.process.worker_services import WorkerServices, no_customer
from smtpapi.telemetry import maillog
from smtpapi.telemetry.counters import WorkerCounters

READY = b"r"
LISTENS_NO_MORE = b"l"  # the answer to either order: new sessions go to others from now on
DRAIN = b"d"
STOP = b"s"

DRAIN_SECONDS = 300.0  # a client may idle so long (RFC 5321 4.5.3.2.7); after that its next mail gets 451
STOP_SECONDS = 20.0  # for the messages under way; below systemd's 90 s and Postfix's 300 s content timeout
# A connection that libmilter has accepted becomes a session with its first callback, which may have to wait
# for a thread. The number is a guess.
_SETTLE_SECONDS = 1.0
_CALLBACK_SECONDS = 30.0  # for callbacks under way when libmilter stops; far above limits.time_budget
_RETURN_SECONDS = 10.0  # for libmilter to return after it was stopped; its loop turns at least every 5 s


def run(
    settings: Settings,
    policy: AnyPolicy | None,
    ring: Ring,
    listener: socket.socket,
    control: socket.socket,
    counters: WorkerCounters,
    body_memory: Callable[[int], BodyMemory] = BodyMemory,
    customer_of: Callable[[str], str] = no_customer,
) -> NoReturn:
    """Serve in this process, made by fork, until the parent orders to stop or ends, then exit.

    ring: used while its file cannot be read. control: our end of the socket pair for orders. body_memory:
    makes from the limit this process's share of the memory for messages. customer_of: returns the customer
    of a login.

    Signals stay blocked: libmilter receives them with sigwait. If the parent is killed, control reaches its
    end of file, so messages under way finish then too.
    """
    status = 1
    try:
        _serve(settings, policy, ring, listener, control, counters, body_memory, customer_of)
        status = 0
    except BaseException:  # noqa: BLE001 - after any fault this process ends, and the parent starts another
        maillog.worker_failed()
    os._exit(status)


def _serve(
    settings: Settings,
    policy: AnyPolicy | None,
    known: Ring,
    listener: socket.socket,
    control: socket.socket,
    counters: WorkerCounters,
    body_memory: Callable[[int], BodyMemory],
    customer_of: Callable[[str], str],
) -> None:
    ring = RingFile(
        Path(settings.keys.ring), report=lambda error: maillog.ring_trouble(str(error)), known=known
    )
    worker_services = WorkerServices(settings, policy, ring, counters, body_memory, customer_of)
    services = worker_services.for_sessions()
    heap.few_arenas()
    gc.collect()
    gc.freeze()  # what is loaded stays for good, so collections need not scan it again
    returned = threading.Event()
    with tempfile.TemporaryDirectory(prefix="smtpapi-") as directory:
        borrowed = BorrowedListener(listener, Path(directory))

        def leave() -> None:
            # Do not wait for messages whose end has not come: their clients get 451 when we exit.
            _wait_until(lambda: not services.at_end_of_message, _CALLBACK_SECONDS)
            worker_services.close()

        def finish_sessions() -> None:
            _watch(control, borrowed, services)
            if not returned.wait(_RETURN_SECONDS):
                # When libmilter stops, it destroys the lock of its thread pool. If a thread holds that lock,
                # all of them wait for ever.
                maillog.never_returned()
                leave()
                shutil.rmtree(directory, ignore_errors=True)
                os._exit(0)

        watch = threading.Thread(target=finish_sessions, daemon=True)

        def around_open(open_dummy: Callable[[], None]) -> None:
            borrowed.around_open(open_dummy)
            watch.start()
            control.send(READY)

        milter_loop.serve(services, borrowed.dummy(), around_open)
        returned.set()
        leave()


def _watch(control: socket.socket, borrowed: BorrowedListener, services: SessionServices) -> None:
    """Wait for the parent's order or its end, let the sessions finish, and stop libmilter."""
    order = _order(control)
    borrowed.take_back()
    with contextlib.suppress(OSError):  # the parent may have ended
        control.send(LISTENS_NO_MORE)
    if order == DRAIN:
        control.settimeout(0.1)
        end = time.monotonic() + DRAIN_SECONDS
        quiet = time.monotonic() + _SETTLE_SECONDS
        while (now := time.monotonic()) < end and (services.sessions or now < quiet):
            if services.sessions:
                quiet = now + _SETTLE_SECONDS
            with contextlib.suppress(TimeoutError):
                _order(control)  # STOP, or the parent's end
                break
    _wait_until(lambda: not services.in_transaction, STOP_SECONDS)
    stopping = threading.Thread(target=milter_loop.stop, daemon=True)
    stopping.start()
    end = time.monotonic() + _RETURN_SECONDS
    while stopping.is_alive() and time.monotonic() < end:  # `stop` waits for libmilter's loop to turn
        borrowed.wake()
        stopping.join(0.05)


def _order(control: socket.socket) -> bytes:
    """Return the parent's order; b"" if it has ended. Before it has read READY its end is a reset."""
    try:
        return control.recv(1)
    except ConnectionError:
        return b""


def _wait_until(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.02)
