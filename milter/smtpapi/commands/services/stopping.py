"""Signals that end a program in the foreground, as events that its loop waits for."""

import signal
import threading
from types import FrameType


def setter(*events: threading.Event) -> "signal._HANDLER":
    """Return a handler of signals that sets events."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        for event in events:
            event.set()

    return handle


def stopped_by_signal() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, setter(stop))
    return stop
