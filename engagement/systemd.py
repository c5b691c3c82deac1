"""What a service reports to systemd: its state, and that it is alive.

The protocol is that of sd_notify(3), spoken without the library.

Invariant: nothing here raises, or stops a service, where systemd is not there or does not listen.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_SHARE: Final = 3  # beats in the time systemd waits; sd_watchdog_enabled(3) advises two or more
_LONGEST: Final = 30.0  # seconds between two beats, also where systemd waits for longer


def notify(state: str) -> None:
    """Send a state such as "READY=1"; do nothing without NOTIFY_SOCKET, or where sending fails."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if state == "RELOADING=1":  # sd_notify(3) wants the monotonic time with it
        state += f"\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
        except OSError:
            return  # the service matters more than the notice


def is_supervised() -> bool:
    """Return whether somebody waits for the states of this process."""
    return os.environ.get("NOTIFY_SOCKET", "").startswith(("/", "@"))


def beat_interval() -> float | None:
    """Return the seconds between two beats (WatchdogSec= of the unit), None where nobody waits for them."""
    try:
        seconds = int(os.environ["WATCHDOG_USEC"]) / 1_000_000
        for_us = int(os.environ.get("WATCHDOG_PID", os.getpid())) == os.getpid()
    except (KeyError, ValueError):
        return None
    return min(seconds / _SHARE, _LONGEST) if for_us and seconds > 0 else None


class Heartbeat:
    """Says that a loop turns. The loop calls `beat` in each turn; what is sent is no more than is needed."""

    def __init__(self) -> None:
        self.interval = beat_interval()
        self._last = float("-inf")

    def beat(self) -> None:
        """Send a beat, if it is time: the loop turned."""
        if self.interval is None or time.monotonic() - self._last < self.interval:
            return
        self._last = time.monotonic()
        notify("WATCHDOG=1")

    @contextmanager
    def keep_beating(self) -> Iterator[None]:
        """Send beats by a thread while something is done that may take its time, such as a migration."""
        done = threading.Event()

        def go_on() -> None:
            while not done.is_set():
                self.beat()
                done.wait(self.interval)

        thread = threading.Thread(target=go_on, daemon=True)
        if self.interval is not None:
            thread.start()
        try:
            yield
        finally:
            done.set()
            if thread.ident is not None:
                thread.join()
