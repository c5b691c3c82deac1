"""Follows the journal of systemd, by its own program `journalctl`: what has the facility `mail`.

The cursor is the journal's. Where it names an entry that is gone, journalctl goes on with the next one.
"""

import json
import os
import select
import subprocess
import time
from collections.abc import Sequence
from typing import Final

from engagement.maillogs.facts import Line

PROGRAM: Final = "journalctl"
_FIELDS: Final = (
    "__CURSOR,__REALTIME_TIMESTAMP,_SOURCE_REALTIME_TIMESTAMP,SYSLOG_IDENTIFIER,SYSLOG_PID,MESSAGE"
)
_PORTION: Final = 256 * 1024  # bytes of one read: some 500 entries
_MAX_MS: Final = 1 << 48  # what an event's id can hold


class Journal:
    """The journal of this machine.

    cursor: what `cursor` returned, {} for never: then from now on. options: more arguments of journalctl, as
    `--directory`.
    """

    def __init__(self, cursor: dict[str, object], options: Sequence[str] = ()) -> None:
        self._options = tuple(options)
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""
        self._cursor = str(cursor.get("journal", ""))

    def cursor(self) -> dict[str, object]:
        """Return the cursor of the last line that was given."""
        return {"journal": self._cursor} if self._cursor else {}

    def rewind(self, cursor: dict[str, object]) -> None:
        """Go back to a cursor."""
        self.close()
        self._cursor = str(cursor.get("journal", ""))

    def close(self) -> None:
        """End journalctl."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
        self._process, self._rest = None, b""

    def read(self) -> list[Line]:
        """Return the next lines, [] where there are none yet.

        Raises OSError where journalctl cannot be run or ends.
        """
        if self._process is None:
            self._process = self._started()
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        if not select.select([descriptor], [], [], 0)[0]:
            return []
        data = os.read(descriptor, _PORTION)
        if not data:
            status = self._process.wait()
            self.close()
            raise OSError(f"{PROGRAM} ended with status {status}. May this user read the journal?")
        *whole, self._rest = (self._rest + data).split(b"\n")
        lines = []
        for each in whole:
            cursor, line = parsed(each)
            self._cursor = cursor or self._cursor
            if line is not None:
                lines.append(line)
        return lines

    def _started(self) -> "subprocess.Popen[bytes]":
        # Not --lines=0: where nothing is there yet, that leaves out the first entry that comes.
        where = f"--after-cursor={self._cursor}" if self._cursor else f"--since=@{int(time.time())}"
        return subprocess.Popen(  # noqa: S603 - our own arguments, and the operator's
            [
                *(
                    PROGRAM,
                    "--follow",
                    "--merge",  # else it shows this boot alone
                    "--no-pager",
                    "--quiet",
                    "--output=json",
                    f"--output-fields={_FIELDS}",
                ),
                *("--no-tail", where, *self._options, "SYSLOG_FACILITY=2"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
        )


def parsed(data: bytes) -> tuple[str, Line | None]:
    """Return the cursor of an entry, and its line; "" and None for what has none.

    Text that is no UTF-8 comes as a list of its octets (systemd.journal-fields).
    """
    try:
        entry = json.loads(data)
        assert isinstance(entry, dict)
        text = entry["MESSAGE"]
        if isinstance(text, list):
            text = bytes(text).decode("utf-8", "replace")
        moment = entry.get("_SOURCE_REALTIME_TIMESTAMP") or entry["__REALTIME_TIMESTAMP"]
        at_ms = int(moment) // 1000
        line = Line(at_ms, str(entry["SYSLOG_IDENTIFIER"]), str(text), str(entry.get("SYSLOG_PID", "")))
        return str(entry["__CURSOR"]), line if 0 <= at_ms < _MAX_MS else None
    except (ValueError, KeyError, TypeError, AssertionError, RecursionError):
        return "", None
