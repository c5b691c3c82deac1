"""`smtpapi` with one fault put in: python faulty_filter.py FAULT WORDS…

Faults are methods of the session or functions it calls, which then raise; "slow" waits in the judging.
"""

import sys
import time

from smtpapi import serving, session, worker
from smtpapi.commands import main


def _raises(*_: object, **__: object) -> None:
    raise OSError("a fault of the test's")


def _install(fault: str) -> None:
    match fault:
        case "consider" | "record":
            setattr(worker.Desk, fault, _raises)
        case "orders":
            session.orders_of = _raises
        case "chgheader" | "addheader" | "replacebody" | "addrcpt" | "delrcpt":
            setattr(session.Session, fault, _raises)
        case "envfrom":
            session._mailbox = _raises
        case "slow":
            real = worker.Desk.consider

            def consider(self: worker.Desk, *facts: object) -> object:
                time.sleep(1.5)
                return real(self, *facts)

            worker.Desk.consider = consider
        case "start":
            serving.serve = _raises
        case _:
            raise SystemExit(f"no such fault: {fault}")


if __name__ == "__main__":
    _install(sys.argv.pop(1))
    main()
