"""Lives of a program, each of which kills itself (SIGKILL) at a step it was told of. Not a test."""

import os
import signal
import sqlite3
from collections.abc import Callable
from typing import Any

_step, _left = "", 0


def live(life: str, work: Callable[[], object]) -> int:
    """Run work in a process of its own that dies as STEP:N says, at that step the N-th time.

    Returns its status, minus the signal's number where one ended it. No thread may have been started before.
    """
    global _step, _left
    _step, _, number = life.partition(":")
    _left = int(number)
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def dies_at(step: str) -> bool:
    """Return whether this life has such an end at all."""
    return step == _step


def die_at(step: str) -> None:
    """Die, if this is the step and the time."""
    global _left
    if step == _step:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def around(before: str, work: Callable[..., Any], after: str) -> Callable[..., Any]:
    """Return work with a step before and after it."""

    def doing(*arguments: Any, **named: Any) -> Any:
        die_at(before)
        done = work(*arguments, **named)
        die_at(after)
        return done

    return doing


class Half(sqlite3.Connection):
    """Dies within a transaction, when a part of it is written and not committed: step "half"."""

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        done = super().executemany(*arguments)
        die_at("half")
        return done
