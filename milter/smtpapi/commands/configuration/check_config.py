"""`smtpapi check-config`: check a configuration, and print which value is in force where."""

import os
from dataclasses import replace
from pathlib import Path

import click

from engagement.settings import NoConfiguration, Scoped, Settings, SettingsError, Where, load_file
from engagement.settings.lint import ScopeView, views
from engagement.settings.schema import SCOPED
from engagement.settings.scopes import address_of, listen_of
from engagement.terminal import json_line
from smtpapi.commands.configuration import config_values, config_warnings
from smtpapi.commands.options import CONFIG_VARIABLE, DEFAULT_CONFIG, say
from smtpapi.model.envelope import Client
from smtpapi.request import trust

_VALID, _ERRORS, _NOT_FOUND = 0, 1, 2  # contract.md 2.3


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

    With --local, --client or --pathway: what is in force for that one connection; with --client also whether
    that client is trusted. Errors and warnings go to standard error; a key ring or policy that the file names
    and that cannot be used is a warning. Exit status 0: all valid, 1: errors, 2: no configuration found.
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
            _print_errors(path, error, missing, as_json)
            worst = _ERRORS if not missing or worst == _ERRORS else _NOT_FOUND
            continue
        queried = _queried_pathway(pathway, settings)
        settings = replace(
            settings, warnings=(*settings.warnings, *queried, *_found(path, settings, postfix))
        )
        shown = (
            [ScopeView(_connection(where), _in_force(settings, where))]
            if where != Where()
            else list(views(settings.table))
        )
        if as_json:
            document = config_values.as_document(path, settings, shown)
            if client:
                document |= {"trusted": trust.is_trusted(Client(client), settings.scoped(where).relay_hosts)}
            click.echo(json_line(document))
        else:
            named = path if len(paths) > 1 else None
            config_values.print_text(named, settings, shown, whole=where == Where())
            if client:
                say()
                say(_trust(client, settings.scoped(where)))
    context.exit(worst)


def _in_force(settings: Settings, where: Where) -> Scoped:
    """Return what is in force for a connection; a pathway in its context counts as one that policy names.

    Whether the client is trusted is decided before.
    """
    scoped = settings.scoped(where)
    named = scoped.options.context.get("pathway", "")
    return settings.scoped(replace(where, pathway=named)) if named and not where.pathway else scoped


def _queried_pathway(name: str, settings: Settings) -> tuple[str, ...]:
    """Return a warning where the pathway that was asked for is not there."""
    if name in ("", SCOPED["pathway"].default, *settings.table.pathways()):
        return ()
    return (f"there is no pathway '{name}'; a policy that names it names it to no effect",)


def _found(path: Path, settings: Settings, postfix: Path | None) -> tuple[str, ...]:
    """Return the warnings about files, domains and Postfix."""
    return (
        *config_warnings.of_files(path, settings),
        *config_warnings.of_domains(settings),
        *config_warnings.of_postfix(postfix, settings),
    )


def _print_errors(path: Path, error: SettingsError, missing: bool, as_json: bool) -> None:
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


def _trust(client: str, scoped: Scoped) -> str:
    """Return whether the client is trusted without a login, and by what."""
    if trust.is_trusted(Client(client), scoped.options.relay_hosts):
        by = scoped.value("relay_hosts")
        option = "Relay_Hosts"
    elif trust.is_trusted(Client(client), scoped.relay_hosts):
        by = scoped.value("open_relay")
        option = "Open_Relay"
    else:
        return (
            f"The client {client} is not trusted: its mail is tracked only if it logs in, else it passes "
            "untouched, X-MSYS-API included."
        )
    origin = f"{by.file}:{by.line}" if by.line else by.scope
    return f"The client {client} is trusted by {option} ({origin}), for mail that did not come from outside."


def _connection(where: Where) -> str:
    """Return the heading for the one connection that was asked for."""
    address = f"[{where.local_address}]" if ":" in where.local_address else where.local_address or "*"
    parts = [
        f"local {address}" + ("" if where.local_port is None else f":{where.local_port}")
        if where.local_address or where.local_port is not None
        else "",
        f"client {where.client_address}" if where.client_address else "",
        f"pathway {where.pathway}" if where.pathway else "",
    ]
    return "Connection: " + ", ".join(part for part in parts if part)
