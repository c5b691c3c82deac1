"""Kept copies on their way from the filter to the registry: a file each, in the spool's folder.

Invariants: a file is whole or not there; there are no more than `MOST_FILES`, however long nobody takes
them, but for one of each of the filter's workers.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from engagement.html_copies.model import BadCopyError, HtmlCopy, as_file, of_file
from engagement.spool.names import replace_durably

ENDING: Final = ".kept"
MOST_FILES: Final = 50  # with limits.max_kept_html's default some 3 MB as packed
LARGEST: Final = 1_048_576  # octets of a file; the registry takes no larger document
_UNFINISHED: Final = f"{ENDING}.new"
_ABANDONED: Final = 60.0  # seconds: such a file is made in a moment, so its writer has died


class CopyFolder:
    """The files of one spool folder."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, copy: HtmlCopy) -> bool:
        """Write a copy unless its file is there; return whether that was done.

        False also where the folder is full, or the copy too large. Raises OSError if it cannot be written.
        """
        path = self._directory / f"{copy.key.replace('/', '-')}{ENDING}"
        data = as_file(copy)
        if len(data) > LARGEST or path.exists() or len(self._names()) >= MOST_FILES:
            return False
        self._directory.mkdir(mode=0o770, parents=True, exist_ok=True)
        replace_durably(path, data)
        return True

    def copies(self) -> Iterator[tuple[Path, HtmlCopy | None]]:
        """Yield each file with its copy; None for one that holds none and never will. Raises OSError."""
        for name in self._names():
            path = self._directory / name
            try:
                if not name.endswith(_UNFINISHED):
                    yield path, of_file(path.read_bytes())
                elif time.time() - path.stat().st_mtime > _ABANDONED:
                    yield path, None
            except BadCopyError:
                yield path, None
            except FileNotFoundError:
                continue

    def erase(self, recipient: str, tenant: str = "") -> int:
        """Remove the copies of a recipient's mail; return how many. tenant: only its own, "" for all.

        Raises OSError if one cannot be removed.
        """
        theirs = [path for path, copy in self.copies() if copy is not None and is_of(copy, recipient, tenant)]
        for path in theirs:
            path.unlink(missing_ok=True)
        return len(theirs)

    def _names(self) -> list[str]:
        found: list[str] = []
        with suppress(FileNotFoundError):
            found = sorted(n for n in os.listdir(self._directory) if n.endswith((ENDING, _UNFINISHED)))
        return found


def is_of(copy: HtmlCopy, recipient: str, tenant: str = "") -> bool:
    """Return whether a copy is of a recipient's mail. tenant: whose alone counts, "" for everybody's."""
    return copy.recipient.lower() == recipient.lower() and tenant in ("", copy.tenant)
