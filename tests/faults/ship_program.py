"""`smtpapi ship --once`, killed at a step: python ship_program.py CONFIG STEP:N…

Each STEP:N is a life of its own, which kills itself (SIGKILL) when it comes to that step the N-th time. A
last life meets no fault. One line is printed of each: what it was, and the signal or status it ended with.

add, half, added: before, in the middle of and after the writing of a portion. cursor, replaced: before and
after the cursor's file is put in its place. unlink, unlinked: before and after a segment is removed.
"""

import os
import sqlite3
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engagement.settings import Settings, load_file
from engagement.shipper import step
from engagement.shipper.metrics import ShipperView
from engagement.spool import read
from engagement.stores.cassandra.connection import Connection
from engagement.stores.cassandra.store import CassandraStore
from engagement.stores.sqlite.store import SqliteStore
from faults.deaths import Half, around, die_at, live
from smtpapi.commands.services import ship, ship_build

PORTION = 3000  # bytes: some ten events
TOGETHER = 15  # records: two portions in one transaction, so that no life ships all that waits


def _install() -> None:
    for engine in (SqliteStore, CassandraStore):
        engine.add = around("add", engine.add, "added")  # type: ignore[method-assign] # a fault put in: the real thing, cut or watched
    connect, write = sqlite3.connect, Connection.write_batches
    sqlite3.connect = lambda *arguments, **named: connect(*arguments, factory=Half, **named)  # type: ignore[assignment] # a fault put in: the real thing, cut or watched

    def in_halves(self: Connection, several: Sequence[Any]) -> None:
        write(self, several[: len(several) // 2])
        die_at("half")
        write(self, several[len(several) // 2 :])

    Connection.write_batches = in_halves  # type: ignore[method-assign] # a fault put in: the real thing, cut or watched
    read.replace_durably = around("cursor", read.replace_durably, "replaced")
    unlink = Path.unlink

    def unlinking(self: Path, missing_ok: bool = False) -> None:
        if self.suffix == ".ready":
            die_at("unlink")
        unlink(self, missing_ok)
        if self.suffix == ".ready":
            die_at("unlinked")

    Path.unlink = unlinking  # type: ignore[method-assign] # a fault put in: the real thing, cut or watched
    step.TOGETHER = TOGETHER  # type: ignore[misc] # a fault put in: the real thing, cut or watched
    ship_build.BUDGET = ship_build.CLUSTER_PORTION = PORTION  # type: ignore[misc] # a fault put in: the real thing, cut or watched


def _life(settings: Settings) -> None:
    whole = ship._ship(
        settings, Path(settings.spool.directory), threading.Event(), ShipperView(settings), once=True
    )
    os._exit(0 if whole else 1)


def main() -> None:
    settings = load_file(Path(sys.argv[1]))
    _install()
    for word in [*sys.argv[2:], "none:0"]:
        status = live(word, lambda: _life(settings))
        print(word, f"signal {-status}" if status < 0 else f"exit {status}", flush=True)


if __name__ == "__main__":
    main()
