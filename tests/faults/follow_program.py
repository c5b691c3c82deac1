"""`smtpapi follow --once`, killed at a step: python follow_program.py CONFIG STEP:N…

Each STEP:N is a life of its own, which kills itself (SIGKILL) when it comes to that step the N-th time. A
last life meets no fault. One line is printed of each: what it was, and the signal or status it ended with.

append, appended: before and after a record is written to the spool. safe: after the spool is synced. commit,
committed: before and after the transaction of cursor and memory. half: within it.
"""

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from typing import Any

from engagement.maillogs import files, memory
from engagement.maillogs.memory import QueueMemory
from engagement.spool.write import SpoolWriter
from smtpapi.commands import main

_left = 0
_step = ""


def _die_at(step: str) -> None:
    global _left
    if step == _step:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class _Half(sqlite3.Connection):
    """Dies within a transaction, when a part of it is written and not committed."""

    def executemany(self, *words: Any) -> sqlite3.Cursor:
        done = super().executemany(*words)
        _die_at("half")
        return done


def _around(before: str, work: Callable[..., Any], after: str) -> Callable[..., Any]:
    def doing(*words: Any, **named: Any) -> Any:
        _die_at(before)
        done = work(*words, **named)
        _die_at(after)
        return done

    return doing


def _connect(*words: Any, **named: Any) -> sqlite3.Connection:
    return sqlite3.Connection(*words, **named) if _step != "half" else _Half(*words, **named)


class _Sqlite:
    """The module, with connections that can die."""

    connect = staticmethod(_connect)
    Error = sqlite3.Error


def _live(config: str, step: str, number: int) -> int:
    """One life in a process of its own; give the status or signal it ended with."""
    global _left, _step
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    _step, _left = step, number
    files.PORTION = 2000  # type: ignore[misc] # so that there are many steps
    memory.sqlite3 = _Sqlite  # type: ignore[assignment] # a fault put in: the real thing, cut
    SpoolWriter.append = _around("append", SpoolWriter.append, "appended")  # type: ignore[method-assign] # as above
    SpoolWriter.make_safe = _around("syncing", SpoolWriter.make_safe, "safe")  # type: ignore[method-assign] # as above
    QueueMemory.commit = _around("commit", QueueMemory.commit, "committed")  # type: ignore[method-assign] # as above
    main(["follow", "--once", "--config", config])
    os._exit(0)


if __name__ == "__main__":
    for life in [*sys.argv[2:], ":1"]:
        step, _, number = life.partition(":")
        status = _live(sys.argv[1], step, int(number))
        print(f"{life} {os.waitstatus_to_exitcode(status)}", flush=True)
