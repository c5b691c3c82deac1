"""What a check found, as values, and the exit status that follows."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Level(StrEnum):
    """How much it matters."""

    OK = "ok"
    NOTE = "note"  # worth knowing; nothing is wrong
    SKIPPED = "skipped"  # could not be checked, and why
    WARNING = "warning"  # works, but not as well or as long as it should
    ERROR = "error"  # mail, links or events suffer


# Exit statuses. 2 is a wrong command line or a configuration that cannot be read.
GOOD: Final = 0
ERRORS: Final = 1
WARNINGS: Final = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check.

    check: its name, as in docs/doctor.md. what: what is so, with the name of the thing. why: why it matters.
    change: the line to change or the command to run.
    """

    check: str
    level: Level
    what: str
    why: str = ""
    change: str = ""


def status(findings: Iterable[Finding]) -> int:
    """Return the exit status: 1 for errors, 3 for warnings alone, 0 for neither."""
    levels = {each.level for each in findings}
    if Level.ERROR in levels:
        return ERRORS
    return WARNINGS if Level.WARNING in levels else GOOD
