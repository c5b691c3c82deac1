"""The problems of a configuration, as values with their place, collected before anything is raised.

Not the checks themselves (`option_types`, `load`). Invariant: every problem names a place in a file and says
what would be right.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in a file. line and column count from 1; line 0 means the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that must be changed. near: the text that Momentum's own syntax message would name."""

    place: Place
    what: str
    expected: str = ""
    near: str | None = None

    def lines(self) -> Iterator[str]:
        """Yield the lines to print: ours, then Momentum's if the problem has one (contract.md 2.3)."""
        yield f"{self.place}: {self.what}" + (f", expected {self.expected}" if self.expected else "")
        if self.near is not None:
            yield f"Syntax error in {self.place.file} at line {self.place.line} near '{self.near}'"


class SettingsError(Exception):
    """A configuration that cannot be used. problems: all that were found, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(line for problem in self.problems for line in problem.lines()))


class NoConfiguration(SettingsError):
    """There is no file of that name."""


class OptionValueError(ValueError):
    """A value is not of its option's type. what: describes the value. expected: describes valid ones."""

    def __init__(self, what: str, expected: str) -> None:
        super().__init__(f"{what}, expected {expected}")
        self.what = what
        self.expected = expected
