"""The values in force in each scope and stanza, as tables for a person and as JSON."""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

from engagement.settings import Scoped, Settings, Value
from engagement.settings.lint import ScopeView
from engagement.settings.option import Option, options_of
from engagement.settings.schema import SCOPED, STANZAS
from engagement.settings.scopes import DEFAULT_SCOPE
from smtpapi.commands.options import say

_NOT_SHOWN = frozenset({"enable"})  # says whether a scope counts, as its heading does
_WIDEST = 36  # columns of a value; a longer one must not push the origins of the others off the screen


def print_text(path: Path | None, settings: Settings, shown: list[ScopeView], *, whole: bool) -> None:
    """Print the scopes as tables; warnings go to standard error.

    path: named in the first line, None to leave it out. whole: the stanzas, too.
    """
    for warning in settings.warnings:
        say("warning: ", err=True, nl=False, fg="yellow", bold=True)
        say(warning, err=True)
    say("Configuration valid" + (f": {path}" if path else ""), fg="green", bold=True)
    if not settings.active:
        say(
            "Nothing is tracked: " + ("smtpapi { } is off." if settings.smtpapi else "no smtpapi { } stanza.")
        )
    for view in shown:
        _table(
            view.label + ("" if view.served else "  (off: Enable = false)"), list(_scope_rows(view.scoped))
        )
    for name, stanza in STANZAS.items() if whole else ():
        if getattr(settings, name) is not None:
            _table(f"{name} {{ }}", list(_stanza_rows(settings, name, stanza)))
    if settings.notices:
        say()
        say("Notices", bold=True)
        for notice in settings.notices:
            say(f"  {notice}")


def _scope_rows(scoped: Scoped) -> Iterator[tuple[Option, Value]]:
    for name, option in SCOPED.items():
        if name == "pathway":
            found = scoped.value(name)
            yield option, found if found.value == scoped.pathway else Value(scoped.pathway, "its name")
        elif name not in _NOT_SHOWN:
            yield option, scoped.value(name)


def _stanza_rows(settings: Settings, name: str, stanza: type) -> Iterator[tuple[Option, Value]]:
    for option in options_of(stanza):
        yield option, settings.origins.get((name, option.name)) or Value(option.default)


def _table(title: str, rows: list[tuple[Option, Value]]) -> None:
    """Print one scope or stanza: names, values and origins in columns."""
    cells = [(option.title, option.kind.show(value.value), value) for option, value in rows]
    names = max(len(name) for name, _, _ in cells)
    values = max(len(text) for _, text, _ in cells if len(text) <= _WIDEST or text == cells[0][1])
    say()
    say(title, bold=True)
    for name, text, value in cells:
        origin = value.scope if not value.line else f"{value.file}:{value.line}"
        if value.line and value.scope not in (title, title.removesuffix(" { }")):
            origin += f"  {value.scope}"
        say(f"  {name.ljust(names)}  {text.ljust(values)}  {origin}", dim=value.scope == DEFAULT_SCOPE)


def as_document(path: Path, settings: Settings, shown: list[ScopeView]) -> dict[str, Any]:
    """Return a valid configuration and its scopes as one JSON object."""
    return {
        "file": str(path),
        "valid": True,
        "active": settings.active,
        "warnings": settings.warnings,
        "notices": settings.notices,
        "scopes": [
            {
                "scope": view.label,
                "served": view.served,
                "pathway": view.scoped.pathway,
                "options": {option.name: _entry(value) for option, value in _scope_rows(view.scoped)},
            }
            for view in shown
        ],
        "stanzas": {
            name: {option.name: _entry(value) for option, value in _stanza_rows(settings, name, stanza)}
            for name, stanza in STANZAS.items()
            if getattr(settings, name) is not None
        },
    }


def _entry(value: Value) -> dict[str, Any]:
    entry: dict[str, Any] = {"value": _as_json(value.value), "scope": value.scope}
    return entry | ({"file": value.file, "line": value.line} if value.line else {})


def _as_json(value: object) -> object:
    """Return a value in a form that JSON has."""
    match value:
        case tuple():
            return [_as_json(each) for each in value]
        case IPv4Network() | IPv6Network():
            return str(value)
        case Mapping():
            return dict(value)
        case _:
            return value
