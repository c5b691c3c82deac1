"""Read JSON strictly by RFC 8259, with error texts for people, and write it compactly.

It is no general JSON library: numbers keep the text that their author wrote, so that a value that is read and
written again is the same to the last digit.

Invariants: a value that was read can always be written, encodes as UTF-8, is nested at most `MAX_DEPTH` deep,
and holds no NaN, no Infinity and no number that a double cannot hold.
"""

import json
import re
from collections import Counter
from typing import NoReturn

MAX_DEPTH = 64  # deeper than any label needs, and far below Python's recursion limit of 1,000 frames

_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)

# Our error texts for those of Python's json. None quotes the value, which may hold addresses.
_ERROR_TEXTS = (
    ("Expecting property name", "expected a name in double quotes"),
    ("Expecting ':'", "expected a colon"),
    ("Expecting ','", "expected a comma or the end of the object or array"),
    ("Expecting value", "expected a value"),
    ("Extra data", "expected nothing after the value"),
    ("Unterminated string", "string without an end"),
    ("Invalid control character", "control character in a string"),
    ("Invalid \\escape", "unknown escape in a string"),
    ("Invalid \\uXXXX", "malformed \\u escape in a string"),
    # CPython 3.13 and later:
    ("Illegal trailing comma before end of object", "expected a name in double quotes"),
    ("Illegal trailing comma before end of array", "expected a value"),
)


class NotJSON(ValueError):
    """Raised for a text that is not JSON. str(error) is one ASCII line that quotes nothing of the text.

    position: offset of the fault in characters, -1 if it has none.
    """

    def __init__(self, fault: str, position: int = -1) -> None:
        super().__init__(fault if position < 0 else f"{fault} at character {position + 1}")
        self.position = position


class Number(str):
    """A number, as its author wrote it."""

    __slots__ = ()


Value = None | bool | str | Number | list["Value"] | dict[str, "Value"]


def read(text: str) -> tuple[Value, tuple[str, ...]]:
    """Return the value of a JSON text, and the names that an object of it has twice (the last one counts).

    Objects are dicts in the order of the text. Numbers are `Number`, a str: test for it before str. Raises
    `NotJSON`.
    """
    _check_depth(text)
    repeated: list[str] = []

    def object_of(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
        members = dict(pairs)
        if len(members) != len(pairs):
            repeated.extend(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        return members

    try:
        value: Value = json.loads(
            text,
            parse_int=_number,
            parse_float=_number,
            parse_constant=_no_constant,
            object_pairs_hook=object_of,
        )
    except json.JSONDecodeError as error:
        fault = next((ours for theirs, ours in _ERROR_TEXTS if error.msg.startswith(theirs)), "not JSON")
        raise NotJSON(fault, _place(error)) from None
    if "\\u" in text:
        try:
            compact(value).encode()
        except UnicodeEncodeError:
            raise NotJSON("half of a surrogate pair in a \\u escape") from None
    return value, tuple(repeated)


def _place(error: json.JSONDecodeError) -> int:
    """Return where the fault is. CPython from 3.13 on names a comma too many, before that what follows it."""
    if not error.msg.startswith("Illegal trailing comma"):
        return error.pos
    rest = error.doc[error.pos + 1 :]
    return error.pos + 1 + len(rest) - len(rest.lstrip(" \t\n\r"))


def compact(value: Value) -> str:
    """Return JSON text without spaces. Characters beyond ASCII are not escaped: sizes count UTF-8 bytes."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, list):
        return f"[{','.join(map(compact, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(members(value))}}}"
    return json.dumps(value, ensure_ascii=False)


def members(value: dict[str, Value]) -> tuple[str, ...]:
    """Return the pairs of an object, each as compact text `"name":value`, in order."""
    return tuple(
        f"{json.dumps(name, ensure_ascii=False)}:{compact(member)}" for name, member in value.items()
    )


def _check_depth(text: str) -> None:
    """Check the nesting before the recursive reader runs. Raises `NotJSON` if it is too deep."""
    depth = 0
    for token in _STRUCTURE.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise NotJSON(f"nested deeper than {MAX_DEPTH}", token.start())
        elif token[0] in "]}":
            depth -= 1


def _number(text: str) -> Number:
    if abs(float(text)) == float("inf"):
        raise NotJSON("number out of range")
    return Number(text)


def _no_constant(_: str) -> NoReturn:
    raise NotJSON("NaN and Infinity are no JSON values")
