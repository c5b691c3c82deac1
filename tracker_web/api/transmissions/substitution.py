"""Fills in `{{name}}` in what an application sends from its substitution data. No template engine.

Names are plain or dotted (`{{user.first}}`). In HTML the value is escaped, between three braces it is not. A
name without a value is empty, as with SparkPost. The six macros for braces (contract.md 5.4) stay for the
filter. Anything else between braces is an error: sent on, readers would see it.
"""

import html
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

_NAME: Final = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*", re.ASCII)
_MACRO: Final = re.compile(r"(?:opening|closing)_(?:single|double|triple)_curly\(\)")
_OPEN: Final = "{{"
_SHOWN: Final = 40  # characters of a faulty statement in an error


class StatementError(ValueError):
    """What is no `{{name}}`. The text says where."""


@dataclass(frozen=True, slots=True)
class _Place:
    path: tuple[str, ...]
    raw: bool


@dataclass(frozen=True, slots=True)
class Template:
    """A text with its places. pieces: texts and places in turn. escaped: whether values are for HTML."""

    pieces: tuple[str | _Place, ...]
    escaped: bool = False

    @property
    def has_places(self) -> bool:
        """Return whether it has any place."""
        return any(not isinstance(piece, str) for piece in self.pieces)

    def render(self, values: Mapping[str, Any], written: Callable[[str], str] = str) -> str:
        """Return the text with values in its places. written: how a value is written there."""
        return "".join(
            piece if isinstance(piece, str) else written(self._value(piece, values)) for piece in self.pieces
        )

    def _value(self, place: _Place, values: Mapping[str, Any]) -> str:
        text = _text(_found(values, place.path))
        return html.escape(text) if self.escaped and not place.raw else text


def template(text: str, *, escaped: bool = False, on: bool = True) -> Template:
    """Return a text taken apart at its places. on: whether there are any. Raises StatementError."""
    if not on or _OPEN not in text:
        return Template((text,), escaped)
    pieces: list[str | _Place] = []
    at = 0
    while (start := text.find(_OPEN, at)) >= 0:
        braces = "}}}" if text.startswith("{{{", start) else "}}"
        begin = start + len(braces)
        stop = text.find(braces, begin)
        if stop < 0:
            raise StatementError(f"substitution statement missing ending '{braces}'{_line(text, start)}")
        inner = text[begin:stop].strip()
        end = stop + len(braces)
        if _NAME.fullmatch(inner):
            pieces += [text[at:start], _Place(tuple(inner.split(".")), len(braces) > len(_OPEN))]
        elif _MACRO.fullmatch(inner):
            pieces.append(text[at:end])
        else:
            raise StatementError(
                f"syntax error near '{inner[:_SHOWN]}'{_line(text, start)}: only {{{{name}}}} is replaced "
                "here; options.perform_substitutions = false leaves braces alone"
            )
        at = end
    return Template((*pieces, text[at:]), escaped)


def _line(text: str, at: int) -> str:
    return f" on line {text.count(chr(10), 0, at) + 1}"


def _found(values: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    found: Any = values
    for name in path:
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return found


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
