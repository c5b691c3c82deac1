"""A real journald in a mount namespace of its own, followed: unshare --mount python journal_program.py.

Nothing of the machine's own journal is touched: /run is another one here. It prints the lines that were read.
"""

import socket
import subprocess
import sys
import time
from pathlib import Path

from engagement.maillogs.journal import Journal

JOURNALD = "/lib/systemd/systemd-journald"
_SOCKET = "/run/systemd/journal/dev-log"


def _log(text: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.connect(_SOCKET)
        log.send(b"<22>postfix/qmgr[12]: " + text)


def _read(journal: Journal, count: int) -> list[str]:
    found: list[str] = []
    end = time.monotonic() + 20
    while len(found) < count and time.monotonic() < end:
        found += [f"{line.program} {line.text}" for line in journal.read()]
        time.sleep(0.05)
    return found


def main() -> None:
    """Start journald, log, follow, stop following, log, and follow again."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    for folder in ("/run/systemd/journal", "/run/log/journal"):
        Path(folder).mkdir(parents=True)
    journald = subprocess.Popen([JOURNALD], stderr=subprocess.DEVNULL)
    try:
        while not Path(_SOCKET).exists():
            time.sleep(0.05)
        journal = Journal({})
        journal.read()
        time.sleep(1)
        _log(b"AAAA1: removed")
        _log(b"AAAA2: r\xffmoved")
        print(*_read(journal, 2), sep="\n")
        cursor = journal.cursor()
        journal.close()
        _log(b"AAAA3: removed")
        journal = Journal(cursor)
        print(*_read(journal, 1), sep="\n")
        journal.close()
    finally:
        journald.terminate()
        journald.wait()


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr] # a text file here
    main()
