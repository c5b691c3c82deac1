"""Types of one value: switches, whole numbers, texts, choices, paths."""

import posixpath
import re
from enum import StrEnum
from typing import TypeVar

from engagement.settings.errors import OptionValueError
from engagement.settings.option_types.option_type import OptionType, quoted_value, text_of
from engagement.settings.syntax_tree import ValueNode, quoted, written

S = TypeVar("S", bound=str)
E = TypeVar("E", bound=StrEnum)
# How a switch may be written (contract.md 2.1).
_TRUE = frozenset({"true", "on", "enabled", "1", "yes"})
_FALSE = frozenset({"false", "off", "disabled", "0", "no"})
_INTEGER = re.compile(r"(-?)(?:0[xX]([0-9a-fA-F]{1,16})|0([0-7]{1,22})|(0|[1-9][0-9]{0,18}))")


def truth_of(text: str) -> bool | None:
    """Return the truth value of a text in one of Momentum's spellings, else None (contract.md 2.1)."""
    lower = text.lower()
    return True if lower in _TRUE else False if lower in _FALSE else None


def boolean() -> OptionType[bool]:
    """Return the type of a switch, true or false in all of Momentum's spellings (contract.md 2.1)."""
    expected = "true or false (or on/off, yes/no, enabled/disabled, 1/0)"

    def read(value: ValueNode) -> bool:
        found = truth_of(text_of(value, expected))
        if found is None:
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        return found

    return OptionType(expected, read, lambda value: "true" if value else "false")


def integer_of(text: str) -> int | None:
    """Return a whole number as Momentum reads it: octal after a 0, hexadecimal after 0x (contract.md 2.1)."""
    if not (found := _INTEGER.fullmatch(text)):
        return None
    sign, hexadecimal, octal, decimal = found.groups()
    number = int(hexadecimal, 16) if hexadecimal else int(octal, 8) if octal else int(decimal)
    return -number if sign else number


def integer(low: int, high: int, unit: str = "", *, expected: str = "") -> OptionType[int]:
    """Return the type of a whole number from low to high, without a suffix."""
    of_unit = f" of {unit}" if unit else ""
    expected = expected or f"a whole number{of_unit} from {low} to {high}"

    def read(value: ValueNode) -> int:
        found = integer_of(text_of(value, expected))
        if found is None or not low <= found <= high:
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        return found

    return OptionType(expected, read, str)


def text(expected: str = "text", *, empty: bool = True) -> OptionType[str]:
    """Return the type of any text on one line."""

    def read(value: ValueNode) -> str:
        found = text_of(value, expected)
        if not found and not empty:
            raise OptionValueError("is empty", expected)
        return found

    return OptionType(expected, read, quoted)


def choice(*values: S) -> OptionType[S]:
    """Return the type of one of a closed list of texts. Letter case in the file does not matter."""
    expected = " or ".join(values)
    canonical = {value.lower(): value for value in values}

    def read(value: ValueNode) -> S:
        found = canonical.get(text_of(value, expected).lower())
        if found is None:
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        return found

    return OptionType(expected, read, quoted)


def member(values: type[E]) -> OptionType[E]:
    """Return the type of one member of an enumeration, written as its text."""
    return choice(*values)


_LEVELS = ("DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL")


def debug_level() -> OptionType[str]:
    """Return the type of a log level: its name, or its number from 0 (contract.md 1.4)."""
    expected = f"{', '.join(_LEVELS[:-1])} or {_LEVELS[-1]} (or 0 to 5)"

    def read(value: ValueNode) -> str:
        found = text_of(value, expected).upper()
        if found in tuple("012345"):
            return _LEVELS[int(found)]
        if found not in _LEVELS:
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        return found

    return OptionType(expected, read, written)


def path() -> OptionType[str]:
    """Return the type of a path; a relative one counts from the folder of the file that names it."""
    expected = "a path"

    def read(value: ValueNode) -> str:
        found = text_of(value, expected)
        if not found or value.place.file.startswith("<"):  # a text without a file has no folder
            return found
        return posixpath.abspath(posixpath.join(posixpath.dirname(value.place.file), found))

    return OptionType(expected, read, quoted)


def scheme() -> OptionType[str]:
    """Return the type of a URL scheme, http or https in lower case (contract.md 1.1)."""
    return choice("http", "https")
