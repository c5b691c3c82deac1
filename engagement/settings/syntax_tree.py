"""A configuration file as a tree, in the order of the file, each node with its place.

Names have no meaning here, and includes are not read yet. When trees are compared, places and the quoting of
values do not count.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from engagement.settings.errors import Place


@dataclass(frozen=True, slots=True)
class TextNode:
    """A word or a quoted string, escapes translated."""

    text: str
    place: Place = field(compare=False)


@dataclass(frozen=True, slots=True)
class TextListNode:
    """A list: `( a b "c d" )`."""

    items: tuple[TextNode, ...]
    place: Place = field(compare=False)


@dataclass(frozen=True, slots=True)
class PairsNode:
    """A list of pairs: `[ key = value … ]`."""

    pairs: tuple[tuple[TextNode, "ValueNode"], ...]
    place: Place = field(compare=False)


ValueNode: TypeAlias = TextNode | TextListNode | PairsNode


@dataclass(frozen=True, slots=True)
class AssignNode:
    """An assignment: `name = value`. name: as written; its letter case has no meaning."""

    name: str
    value: ValueNode
    place: Place = field(compare=False)


@dataclass(frozen=True, slots=True)
class ScopeNode:
    """A scope: `name instance { … }`. instance: None where there is none."""

    name: str
    instance: TextNode | None
    items: tuple["Item", ...]
    place: Place = field(compare=False)


@dataclass(frozen=True, slots=True)
class IncludeNode:
    """An inclusion: `include "target"`."""

    target: TextNode
    readonly: bool
    place: Place = field(compare=False)


Item: TypeAlias = AssignNode | ScopeNode | IncludeNode

_BARE = re.compile(r"[A-Za-z0-9_.:@*+,-]+")
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def quoted(text: str) -> str:
    """Return a text as a quoted string of the language."""
    return (
        '"'
        + re.sub(r'[\\"\u201c\u201d\n\r\t]', lambda found: _ESCAPES.get(found[0], "\\" + found[0]), text)
        + '"'
    )


def written(text: str) -> str:
    """Return a text as it can be written in a file: without quotes where that is safe."""
    return text if _BARE.fullmatch(text) else quoted(text)


def written_value(value: ValueNode) -> str:
    """Return a value on one line, as it can be written in a file."""
    match value:
        case TextNode(text):
            return written(text)
        case TextListNode(items):
            return f"({' '.join(written(item.text) for item in items)})"
        case PairsNode(pairs):
            inner = " ".join(f"{written(key.text)} = {written_value(each)}" for key, each in pairs)
            return f"[ {inner} ]"


def lines(items: tuple[Item, ...], depth: int = 0) -> Iterator[str]:
    """Yield a tree as the lines of a file; parsing them gives an equal tree."""
    indent = "  " * depth
    for item in items:
        match item:
            case AssignNode(name, value):
                yield f"{indent}{name} = {written_value(value)}"
            case IncludeNode(target, readonly):
                yield f"{indent}{'readonly_' if readonly else ''}include {quoted(target.text)}"
            case ScopeNode(name, instance, inner):
                yield f"{indent}{name}{'' if instance is None else ' ' + quoted(instance.text)} {{"
                yield from lines(inner, depth + 1)
                yield f"{indent}}}"
