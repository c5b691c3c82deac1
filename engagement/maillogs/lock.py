"""The lock that allows one follower for each state file: an flock on a file beside it.

Of two at once the one that has seen less of a message could record it last. The system releases the lock
when its holder dies.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engagement.maillogs.memory import MemoryFileError


@contextmanager
def only_follower(state: Path) -> Iterator[None]:
    """Keep the lock of a state file. Raises MemoryFileError where another follower has it, OSError.

    Not on the file itself: SQLite's own locks on it end when any descriptor of it is closed.
    """
    state.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(f"{state}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MemoryFileError(
                f"{state}: another follower uses it. Stop that one, or give this one a file of its own "
                "(follow.state)."
            ) from None
        yield
    finally:
        os.close(descriptor)
