"""What a type of option values is, and reading the texts that a value is made of.

Invariants of every type: `read` raises only `OptionValueError`; a value that `show` has written is read as
the same value.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from engagement.settings.errors import OptionValueError
from engagement.settings.syntax_tree import PairsNode, TextListNode, TextNode, ValueNode, written

T = TypeVar("T")
_MAX_SHOWN = 60  # characters of a value in a message, which is one line


@dataclass(frozen=True, slots=True)
class OptionType(Generic[T]):
    """A type of value: how it is read from a file and written.

    expected: describes valid values, as messages have it after "expected". read: raises OptionValueError for
    any other value.
    """

    expected: str
    read: Callable[[ValueNode], T]
    show: Callable[[T], str]


def quoted_value(value: ValueNode) -> str:
    """Return a value as messages quote it, cut if it is long."""
    match value:
        case TextNode(text):
            return f"'{text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + '…'}'"
        case TextListNode():
            return "a list ( … )"
        case PairsNode():
            return "a list of pairs [ … ]"


def text_of(value: ValueNode, expected: str) -> str:
    """Return the text of a single value. Raises OptionValueError for a list or a control character."""
    if not isinstance(value, TextNode):
        raise OptionValueError(f"is {quoted_value(value)}", expected)
    if any(ord(character) < 32 or ord(character) == 127 for character in value.text):
        raise OptionValueError("holds a control character", expected)
    return value.text


def texts_of(value: ValueNode, expected: str) -> tuple[str, ...]:
    """Return the texts of a list; a single value is a list of one (contract.md 2.1).

    Raises OptionValueError for pairs or a control character.
    """
    if isinstance(value, PairsNode):
        raise OptionValueError(f"is {quoted_value(value)}", expected)
    items = value.items if isinstance(value, TextListNode) else (value,)
    return tuple(text_of(item, expected) for item in items)


def show_list(values: tuple[str, ...]) -> str:
    """Return a list of texts as a configuration has it."""
    return f"({' '.join(written(value) for value in values)})"
