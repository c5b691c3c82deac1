"""Types of several values: lists of texts, choices and regular expressions, and pairs."""

import re
import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

from engagement.settings.errors import OptionValueError
from engagement.settings.option_types.option_type import (
    OptionType,
    quoted_value,
    show_list,
    text_of,
    texts_of,
)
from engagement.settings.syntax_tree import PairsNode, ValueNode, quoted, written

S = TypeVar("S", bound=str)


def text_list(expected: str) -> OptionType[tuple[str, ...]]:
    """Return the type of a list of texts."""
    return OptionType(expected, lambda value: texts_of(value, expected), show_list)


def choices(*values: S) -> OptionType[tuple[S, ...]]:
    """Return the type of a list of texts of a closed list. Letter case in the file does not matter."""
    expected = f"a list of {', '.join(values[:-1])} or {values[-1]}"
    canonical = {value.lower(): value for value in values}

    def read(value: ValueNode) -> tuple[S, ...]:
        found = texts_of(value, expected)
        for each in found:
            if each.lower() not in canonical:
                raise OptionValueError(f"holds '{each}'", expected)
        return tuple(dict.fromkeys(canonical[each.lower()] for each in found))

    return OptionType(expected, read, show_list)


def patterns() -> OptionType[tuple[str, ...]]:
    """Return the type of a list of regular expressions that compile."""
    expected = 'a list of regular expressions, as in ("//login\\.example\\.com/" "[?&]token=")'

    def read(value: ValueNode) -> tuple[str, ...]:
        found = texts_of(value, expected)
        for pattern in found:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter(
                        "ignore", FutureWarning
                    )  # "[[" is valid in this version of Python, with a warning
                    re.compile(pattern.encode())
            except (re.error, OverflowError, RecursionError) as error:
                raise OptionValueError(
                    f"holds '{pattern}', which is no regular expression ({error})", expected
                ) from None
            except UnicodeEncodeError:
                raise OptionValueError(f"holds {pattern!a}, which is no text", expected) from None
        return found

    return OptionType(expected, read, show_list)


def pairs() -> OptionType[Mapping[str, str]]:
    """Return the type of `[ name = "value" … ]`."""
    expected = 'pairs, as in [ name = "value" ]'

    def read(value: ValueNode) -> Mapping[str, str]:
        if not isinstance(value, PairsNode):
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        return MappingProxyType({key.text: text_of(each, expected) for key, each in value.pairs})

    def show(value: Mapping[str, str]) -> str:
        inner = " ".join(f"{written(key)} = {quoted(each)}" for key, each in value.items())
        return f"[ {inner} ]" if inner else "[ ]"

    return OptionType(expected, read, show)
