"""What each sort of shared file can do.

Invariants: a file that cannot be read, or is not there, is never taken for an empty one; what was changed
between reading and writing is not overwritten.
"""

from collections.abc import Mapping
from typing import Protocol

Values = Mapping[str, str]


class SharedError(ValueError):
    """A file cannot be shared as it is. The text says where, why, and what to do."""


class Shared(Protocol):
    """One sort.

    name: in documents and on pages. parts: over how many documents its entries are spread. own: how the names
    of entries begin that this host may change, "" where all hosts may change all. only_grows: an entry that
    the file lacks was lost, and is put back.
    """

    name: str
    parts: int
    own: str
    only_grows: bool

    def holds(self, name: str) -> bool:
        """Return whether an entry has a place in the file, and is not for later programs alone."""

    def stamp(self) -> object:
        """Return what is another value once the file has changed."""

    def read(self, before: Values) -> Values | None:
        """Return the values, None where the file is not there. before: as they were known last.

        Raises SharedError.
        """

    def write(self, before: Values | None, after: Values) -> bool:
        """Write values in place of those that `read` returned; return whether the file had still those.

        Raises SharedError.
        """

    def clash(self, own: Values, others: Values) -> str:
        """Return why this host cannot have both, and what to do; "" where it can."""
