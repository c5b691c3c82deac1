"""`smtpapi check-config`: whether a configuration is right, and which value is in force where."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

import click

from engagement import objections
from engagement.links import domains_file
from engagement.links.keys import RingError
from engagement.links.ring_file import load_ring
from engagement.settings import (
    NoConfiguration,
    Scoped,
    Settings,
    SettingsError,
    Value,
    Where,
    load_file,
)
from engagement.settings.lint import ScopeView, views
from engagement.settings.option import Option, options_of
from engagement.settings.schema import SCOPED, STANZAS
from engagement.settings.scopes import DEFAULT_SCOPE, address_of, listen_of
from engagement.terminal import json_line
from smtpapi.commands.configuration import postfix_advice
from smtpapi.commands.options import CONFIG_VARIABLE, DEFAULT_CONFIG, say
from smtpapi.policy import files as policies
from smtpapi.policy import hooks

_VALID, _ERRORS, _NOT_FOUND = 0, 1, 2  # contract.md 2.3
_LEFT = frozenset({"enable"})  # says whether a scope counts, which its heading says
_WIDEST = 36  # a longer value does not push its neighbours' origins out of the window


def _local(_context: click.Context, _parameter: click.Parameter, text: str) -> tuple[str, int | None]:
    if not text:
        return "", None
    listen = listen_of(text)
    if listen is None or listen.address == "[*]":
        raise click.BadParameter("expected ADDRESS:PORT, [IPv6]:PORT, :PORT or the path of a socket")
    return str(listen.address), listen.port


def _client(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    if text and address_of(text) is None:
        raise click.BadParameter(f"'{text}' is no address")
    return text


@click.command()
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a file, on one line.")
@click.option(
    "--local", metavar="ADDRESS:PORT", default="", callback=_local, help="The MTA's side of a connection."
)
@click.option("--client", metavar="ADDRESS", default="", callback=_client, help="The client's address.")
@click.option("--pathway", metavar="NAME", default="", help="The pathway that policy would set.")
@click.option(
    "--base",
    type=click.Path(path_type=Path, file_okay=False),
    help="Momentum's etc/conf folder, for includes from it.",
)
@click.option("--node", metavar="NAME", default="", help="The node whose folder below --base is searched.")
@click.option(
    "--postfix",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Postfix's configuration folder, to see whether its filters let mail reach this one.",
)
@click.pass_context
def command(
    context: click.Context,
    files: tuple[Path, ...],
    as_json: bool,
    local: tuple[str, int | None],
    client: str,
    pathway: str,
    base: Path | None,
    node: str,
    postfix: Path | None,
) -> None:
    """Read configuration files and print what is in force in each scope.

    Without a FILE: the one that SMTPAPI_CONFIG names, else /etc/smtpapi/smtpapi.conf.

    With --local, --client or --pathway: what is in force for that one connection. Errors and warnings go to
    standard error; a key ring or policy that the file names and that cannot be used is a warning. Exit
    status 0: all valid, 1: errors, 2: no configuration found.
    """
    where = Where(local[0], local[1], client, pathway)
    paths = files or (Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG),)
    worst = _VALID
    for number, path in enumerate(paths):
        if number and not as_json:
            say()
        try:
            settings = load_file(path, base=base, node=node)
        except SettingsError as error:
            missing = isinstance(error, NoConfiguration)
            _failed(path, error, missing, as_json)
            worst = _ERRORS if not missing or worst == _ERRORS else _NOT_FOUND
            continue
        told = (*_files(path, settings), *_left_domains(settings), *_of_postfix(postfix, settings))
        settings = replace(settings, warnings=(*settings.warnings, *told))
        chosen = (
            [ScopeView(_asked(where), settings.scoped(where))]
            if where != Where()
            else list(views(settings.table))
        )
        if as_json:
            click.echo(json_line(_document(path, settings, chosen)))
        else:
            _print(path if len(paths) > 1 else None, settings, chosen, whole=where == Where())
    context.exit(worst)


def _failed(path: Path, error: SettingsError, missing: bool, as_json: bool) -> None:
    if as_json:
        problems = [
            {
                "file": problem.place.file,
                "line": problem.place.line,
                "column": problem.place.column,
                "what": problem.what,
                "expected": problem.expected,
            }
            for problem in error.problems
        ]
        click.echo(json_line({"file": str(path), "valid": False, "errors": problems}))
    if missing:
        say(f"No configuration found: {path}", err=True)
        return
    for line in str(error).split("\n"):
        say(line, err=True)
    count = len(error.problems)
    summary = f"{path}: {count} error{'s' if count > 1 else ''}"
    say(summary, err=True, fg="red", bold=True)


def _naming(settings: Settings) -> Iterator[Path]:
    """The file that names the policy."""
    origin = settings.origins.get(("policy", "file"))
    if origin is not None and origin.file:
        yield Path(origin.file)


def _files(config: Path, settings: Settings) -> Iterator[str]:
    """What keeps the files that this configuration names itself from being used, as this user sees them."""
    readers: tuple[tuple[str, str, Callable[[Path], object]], ...] = (
        ("keys", "ring", load_ring),
        ("policy", "file", lambda path: policies.load(path, named_in=(config, *_naming(settings)))),
        ("privacy", "objections", objections.load),
        ("tracker", "apple_app_site_association", Path.read_bytes),
        ("tracker", "assetlinks", Path.read_bytes),
    )
    for stanza, option, read in readers:
        named = settings.origins.get((stanza, option))
        if named is None or not named.value:
            continue
        try:
            read(Path(str(named.value)))
        except (RingError, hooks.PolicyError, objections.ObjectionsError) as error:
            yield f"{named.file}:{named.line}: {option}: {error}"
        except OSError as error:
            yield f"{named.file}:{named.line}: {option}: {named.value}: {error.strerror}"


def _of_postfix(folder: Path | None, settings: Settings) -> Iterator[str]:
    if folder is None:
        return
    hop = listen_of(settings.rewriting.split_listener)
    try:
        yield from postfix_advice.advice(postfix_advice.smtpds(folder), hop.port if hop else None)
    except postfix_advice.Unreadable as error:
        yield f"--postfix: {error}"


def _left_domains(settings: Settings) -> Iterator[str]:
    """Domains that stand in links still alive and that this configuration no longer names."""
    directory = Path(settings.spool.directory)
    try:
        used = domains_file.read(directory)
    except (OSError, ValueError) as error:
        yield f"{directory}: which domains stand in links sent before cannot be read: {error}"
        return
    named = {domains_file.host_of(each) for each in (*settings.tracking_domains(), *settings.tracker.hosts)}
    now = time.time()
    for each in used:
        name = domains_file.host_of(each.domain)
        if each.until > now and name not in named and not settings.tracker.any_host:
            last, until = (_day(moment) for moment in (each.last, each.until))
            yield (
                f"tracker.hosts: links to {name} were sent until {last} and live until {until}, and nothing "
                f'here names it any more: add "{name}" to hosts in tracker {{ }}, and keep its DNS record, '
                "its certificate and its place in the proxy in front"
            )


def _day(moment: int) -> str:
    try:
        return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError):
        return "for ever"


def _asked(where: Where) -> str:
    address = f"[{where.local_address}]" if ":" in where.local_address else where.local_address or "*"
    parts = [
        f"local {address}" + ("" if where.local_port is None else f":{where.local_port}")
        if where.local_address or where.local_port is not None
        else "",
        f"client {where.client_address}" if where.client_address else "",
        f"pathway {where.pathway}" if where.pathway else "",
    ]
    return "Connection: " + ", ".join(part for part in parts if part)


def _print(path: Path | None, settings: Settings, chosen: list[ScopeView], *, whole: bool) -> None:
    for warning in settings.warnings:
        say("warning: ", err=True, nl=False, fg="yellow", bold=True)
        say(warning, err=True)
    say("Configuration valid" + (f": {path}" if path else ""), fg="green", bold=True)
    if not settings.active:
        say(
            "Nothing is tracked: " + ("smtpapi { } is off." if settings.smtpapi else "no smtpapi { } stanza.")
        )
    for view in chosen:
        _table(
            view.label + ("" if view.served else "  (off: Enable = false)"), list(_scope_rows(view.scoped))
        )
    if not whole:
        return
    for name, stanza in STANZAS.items():
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
        elif name not in _LEFT:
            yield option, scoped.value(name)


def _stanza_rows(settings: Settings, name: str, stanza: type) -> Iterator[tuple[Option, Value]]:
    for option in options_of(stanza):
        yield option, settings.origins.get((name, option.name)) or Value(option.default)


def _table(title: str, rows: list[tuple[Option, Value]]) -> None:
    """One scope or stanza: names, values and origins in columns."""
    shown = [(option.title, option.kind.show(value.value), value) for option, value in rows]
    names = max(len(name) for name, _, _ in shown)
    values = max(len(text) for _, text, _ in shown if len(text) <= _WIDEST or text == shown[0][1])
    say()
    say(title, bold=True)
    for name, text, value in shown:
        plain = value.scope == DEFAULT_SCOPE
        origin = value.scope if not value.line else f"{value.file}:{value.line}"
        if value.line and value.scope not in (title, title.removesuffix(" { }")):
            origin += f"  {value.scope}"
        say(f"  {name.ljust(names)}  {text.ljust(values)}  {origin}", dim=plain)


def _document(path: Path, settings: Settings, chosen: list[ScopeView]) -> dict[str, Any]:
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
            for view in chosen
        ],
        "stanzas": {
            name: {option.name: _entry(value) for option, value in _stanza_rows(settings, name, stanza)}
            for name, stanza in STANZAS.items()
            if getattr(settings, name) is not None
        },
    }


def _entry(value: Value) -> dict[str, Any]:
    entry: dict[str, Any] = {"value": _plain(value.value), "scope": value.scope}
    return entry | ({"file": value.file, "line": value.line} if value.line else {})


def _plain(value: object) -> object:
    """A value as JSON has it."""
    match value:
        case tuple():
            return [_plain(each) for each in value]
        case IPv4Network() | IPv6Network():
            return str(value)
        case Mapping():
            return dict(value)
        case _:
            return value
