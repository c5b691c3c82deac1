"""Copies of one mail in mailboxes on this host: Maildir folders and mbox files."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

_RECENT = 64 * 1024 * 1024  # bytes at the end of an mbox that are read: the probe is among the last


def copies(mailboxes: Sequence[Path], message_id: str) -> list[bytes]:
    """Return the mails with this Message-ID. Raises OSError for a mailbox that cannot be read."""
    encoded_id = message_id.encode()
    return [mail for path in mailboxes for mail in _mails(path) if encoded_id in mail.partition(b"\n\n")[0]]


def _mails(path: Path) -> Iterator[bytes]:
    if path.is_dir():
        for folder in (path / "new", path / "cur"):
            for file in sorted(folder.iterdir()) if folder.is_dir() else ():
                try:
                    yield file.read_bytes().replace(b"\r\n", b"\n")
                except FileNotFoundError:  # moved by a mail program at this moment
                    continue
    elif path.exists():
        with path.open("rb") as box:
            size = box.seek(0, 2)
            box.seek(max(0, size - _RECENT))
            text = box.read().replace(b"\r\n", b"\n")
        for mail in (b"\n\n" + text).split(b"\n\nFrom ")[1:]:
            yield mail.partition(b"\n")[2]


def wait(look: Callable[[], list[bytes]], expected: int, seconds: float) -> list[bytes]:
    """Return what `look` finds once it is as many mails as expected, or the time is over.

    Raises what `look` raises.
    """
    end = time.monotonic() + seconds
    while len(found := look()) < expected and time.monotonic() < end:
        time.sleep(0.2)
    return found
