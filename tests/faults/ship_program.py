"""`smtpapi ship --once`, killed at a step: python ship_program.py CONFIG STEP:N…

Each STEP:N is a life of its own, which kills itself (SIGKILL) when it comes to that step the N-th time. A
last life meets no fault. One line is printed of each: what it was, and the signal or status it ended with.

add, half, added: before, in the middle of and after the writing of a portion. cursor, replaced: before and
after the cursor's file is put in its place. unlink, unlinked: before and after a segment is removed.
"""

import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engagement.settings import Settings, load_file
from engagement.spool import read
from engagement.stores.cassandra.connection import Connection
from engagement.stores.cassandra.store import CassandraStore
from engagement.stores.sqlite.store import SqliteStore
from smtpapi.commands.services import ship

PORTION = 3000  # bytes: some ten events
_left = 0
_step = ""


def _die_at(step: str) -> None:
    global _left
    if step == _step:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class _Half(sqlite3.Connection):
    """Dies within a transaction, when its first rows are written and not committed."""

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


def _install() -> None:
    for engine in (SqliteStore, CassandraStore):
        engine.add = _around("add", engine.add, "added")  # type: ignore[method-assign] # a fault put in: the real thing, cut or watched
    connect, write = sqlite3.connect, Connection.write_batches
    sqlite3.connect = lambda *words, **named: connect(*words, factory=_Half, **named)  # type: ignore[assignment] # a fault put in: the real thing, cut or watched

    def in_halves(self: Connection, several: Sequence[Any]) -> None:
        write(self, several[: len(several) // 2])
        _die_at("half")
        write(self, several[len(several) // 2 :])

    Connection.write_batches = in_halves  # type: ignore[method-assign] # a fault put in: the real thing, cut or watched
    read.replace_durably = _around("cursor", read.replace_durably, "replaced")
    unlink = Path.unlink

    def unlinking(self: Path, missing_ok: bool = False) -> None:
        if self.suffix == ".ready":
            _die_at("unlink")
        unlink(self, missing_ok)
        if self.suffix == ".ready":
            _die_at("unlinked")

    Path.unlink = unlinking  # type: ignore[method-assign] # a fault put in: the real thing, cut or watched
    ship.BUDGET = ship._CLUSTER_PORTION = PORTION  # type: ignore[misc] # a fault put in: the real thing, cut or watched


def _life(settings: Settings) -> None:
    whole = ship._ship(settings, Path(settings.spool.directory), threading.Event(), once=True)
    os._exit(0 if whole else 1)


def main() -> None:
    global _left, _step
    settings = load_file(Path(sys.argv[1]))
    _install()
    for word in [*sys.argv[2:], "none:0"]:
        _step, _, number = word.partition(":")
        _left = int(number)
        child = os.fork()  # no thread has been started here, and no connection made
        if child == 0:
            _life(settings)
        _, status = os.waitpid(child, 0)
        ended = (
            f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
        )
        print(word, ended, flush=True)


if __name__ == "__main__":
    main()
