"""Where the follower of the MTA's log is in it."""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engagement.settings import Settings
from smtpapi.doctor.finding import Finding, Level

CHECK: Final = "follow"
_BEHIND: Final = 4 * 1024 * 1024  # bytes of log; some seconds of a busy MTA's


@dataclass(frozen=True, slots=True)
class Position:
    """Where a follower is. log: the name that is followed.

    begun: it was ever read. behind: bytes not read yet, -1 where another file has the name. trouble: why it
    cannot be known. absent: there is no such log.
    """

    log: str
    begun: bool = False
    absent: bool = False
    behind: int = 0
    trouble: str = ""


def read(settings: Settings) -> Position:
    """Return where the follower is."""
    log, state = settings.follow.log, Path(settings.follow.state)
    absent = log != "journal" and not os.path.lexists(log)
    if not state.exists():
        return Position(log, absent=absent)
    try:
        with closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True, timeout=5)) as file:
            row = file.execute("SELECT cursor FROM place WHERE source = ?", (log,)).fetchone()
        cursor = json.loads(row[0]) if row else {}
        if log == "journal" or not cursor:
            return Position(log, bool(cursor), absent)
        found = os.stat(log)
        same = found.st_ino == cursor["inode"] and found.st_size >= cursor["offset"]
        return Position(log, True, behind=found.st_size - cursor["offset"] if same else -1)
    except (sqlite3.Error, OSError, ValueError, KeyError) as error:
        return Position(log, trouble=str(error))


def check(position: Position, *, runs: bool) -> Iterator[Finding]:
    """Yield what is wrong with the follower. runs: whether it runs here."""
    why = "Deliveries, delays and bounces are not known, nor which opens came before the delivery."
    start = "systemctl enable --now smtpapi-follow"
    if position.trouble:
        yield Finding(
            CHECK, Level.ERROR, f"where the follower is in {position.log} cannot be read: {position.trouble}",
            why, "ls -l follow.log and follow.state of smtpapi.conf; the follower's user must read the log "
            "(group adm)",
        )  # fmt: skip
    elif position.absent and not position.begun:
        yield Finding(
            CHECK,
            Level.WARNING if runs else Level.NOTE,
            f"there is no {position.log}" + (", which the follower waits for" if runs else ""),
            why,
            "follow { log = journal } where Postfix logs to systemd's journal alone, as on Debian 12 without "
            f"rsyslog; else the right file. Then {'systemctl restart smtpapi-follow' if runs else start}",
        )
    elif not position.begun:
        yield Finding(CHECK, Level.NOTE, f"{position.log} was never followed", why, start)
    elif not runs:
        yield Finding(
            CHECK, Level.ERROR, f"{position.log} was followed, and no follower runs now", why, start
        )
    elif position.behind > _BEHIND or position.behind < 0:
        behind = (
            "in a file that was rotated away" if position.behind < 0 else f"{position.behind} bytes behind"
        )
        yield Finding(
            CHECK,
            Level.WARNING,
            f"the follower of {position.log} is {behind}",
            "Deliveries come late; what logrotate removes meanwhile is never known.",
            "journalctl -u smtpapi-follow says what holds it up",
        )
    else:
        yield Finding(CHECK, Level.OK, f"{position.log} is followed")
