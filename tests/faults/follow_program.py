"""`smtpapi follow --once`, killed at a step: python follow_program.py CONFIG STEP:N…

Each STEP:N is a life of its own, which kills itself (SIGKILL) when it comes to that step the N-th time. A
last life meets no fault. One line is printed of each: what it was, and the signal or status it ended with.

append, appended: before and after a record is written to the spool. safe: after the spool is synced. commit,
committed: before and after the transaction of cursor and memory. half: within it.
"""

import sqlite3
import sys
from typing import Any

from engagement.maillogs import files, memory
from engagement.maillogs.memory import QueueMemory
from engagement.spool.write import SpoolWriter
from faults.deaths import Half, around, dies_at, live
from smtpapi.commands import main


def _connect(*arguments: Any, **named: Any) -> sqlite3.Connection:
    return sqlite3.Connection(*arguments, **named) if not dies_at("half") else Half(*arguments, **named)


class _Sqlite:
    """The module, with connections that can die."""

    connect = staticmethod(_connect)
    Error = sqlite3.Error


def _life(config: str) -> None:
    files.PORTION = 2000  # type: ignore[misc] # so that there are many steps
    memory.sqlite3 = _Sqlite  # type: ignore[assignment] # a fault put in: the real thing, cut
    SpoolWriter.append = around("append", SpoolWriter.append, "appended")  # type: ignore[method-assign] # as above
    SpoolWriter.make_safe = around("syncing", SpoolWriter.make_safe, "safe")  # type: ignore[method-assign] # as above
    QueueMemory.commit = around("commit", QueueMemory.commit, "committed")  # type: ignore[method-assign] # as above
    main(["follow", "--once", "--config", config])


if __name__ == "__main__":
    for life in [*sys.argv[2:], "none:0"]:
        print(life, live(life, lambda: _life(sys.argv[1])), flush=True)
