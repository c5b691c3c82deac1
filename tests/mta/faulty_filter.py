"""`smtpapi` with one fault put in: python faulty_filter.py FAULT WORDS…

Faults are methods of the session or functions it calls, which then raise; "slow" waits in the judging,
"slow-to-give-up" before new sessions reach it no more; "few-rows" leaves the parent little room for workers,
"no-fork" none for processes after its first two.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from smtpapi.commands import main
from smtpapi.mta import message_end, milter_loop, session
from smtpapi.process import listener, supervisor, worker


def _raises(*_: object, **__: object) -> Any:
    raise OSError("a fault of the test's")


def _install(fault: str) -> None:
    match fault:
        case "consider" | "record":
            setattr(worker.WorkerServices, fault, _raises)
        case "orders":
            message_end.modifications_of = _raises
        case "chgheader" | "addheader" | "replacebody" | "addrcpt" | "delrcpt":
            setattr(session.Session, fault, _raises)
        case "envfrom":
            session._mailbox = _raises
        case "slow":
            real = worker.WorkerServices.consider

            def consider(*facts: Any) -> object:
                time.sleep(1.5)
                return real(*facts)

            setattr(worker.WorkerServices, real.__name__, consider)
        case "slow-to-give-up":
            take_back = listener.BorrowedListener.take_back

            def take_back_later(borrowed: listener.BorrowedListener) -> None:
                time.sleep(1.5)
                take_back(borrowed)

            setattr(listener.BorrowedListener, take_back.__name__, take_back_later)
        case "few-rows":
            supervisor._ROWS, supervisor._DRAINING = 10, 3
        case "no-fork":
            left, real_fork = [2], os.fork

            def fork() -> int:
                left[0] -= 1
                if left[0] < 0:
                    raise BlockingIOError(11, "Resource temporarily unavailable")
                return real_fork()

            os.fork = fork
        case _ if fault.startswith("dies-while:"):
            flag, served = Path(fault.partition(":")[2]), milter_loop.serve

            def serve(*arguments: Any) -> None:
                if flag.exists():
                    raise OSError("a fault of the test's")
                served(*arguments)

            setattr(milter_loop, served.__name__, serve)
        case "start":
            setattr(milter_loop, milter_loop.serve.__name__, _raises)
        case _:
            raise SystemExit(f"no such fault: {fault}")


if __name__ == "__main__":
    _install(sys.argv.pop(1))
    main()
