"""`smtpapi` with one fault put in: python fault_program.py FAULT WORDS…

die-after-headers, die-in-body, die-after-body: the process kills itself there, in mail whose subject says so.
clock: time.time() is a day back while the file `clock-back` lies beside the program's configuration.
"""

import os
import signal
import sys
import time
from pathlib import Path

from smtpapi.commands import main
from smtpapi.mta import session


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _install(fault: str) -> None:
    replace = session.Session.replacebody

    def replacebody(self: session.Session, body: bytes) -> None:
        if not any(value.endswith(b"-dies") for value in (each.value for each in self._incoming.fields)):
            replace(self, body)
            return
        if fault == "die-after-headers":
            _die()
        replace(self, body[: len(body) // 2] if fault == "die-in-body" else body)
        _die()

    if fault.startswith("die-"):
        setattr(session.Session, replace.__name__, replacebody)
        return
    assert fault == "clock"
    real, flag = time.time, Path(sys.argv[-1]).with_name("clock-back")
    time.time = lambda: real() - (86_400 if flag.exists() else 0)


if __name__ == "__main__":
    _install(sys.argv.pop(1))
    main()
