"""`smtpapi store`: make and upgrade the tables of the store, and print its state."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from engagement.settings import Settings, load_file
from engagement.stores import check_store, migrate_store
from smtpapi.commands.options import config_option, exit_on_error

T = TypeVar("T")


@click.group()
def command() -> None:
    """Make, upgrade and check the store that `store { }` names.

    Exit status: 1 when something is wrong with the store, 2 for a broken configuration.
    """


@command.command()
@config_option
def migrate(config: Path) -> None:
    """Make the tables, or bring them to the newest schema; where they are, do nothing.

    May be run at any time, also by two at once and while events come in.
    """
    _with_settings(config, lambda settings: migrate_store(settings, click.echo))


@command.command()
@config_option
def check(config: Path) -> None:
    """Say whether the store can be reached, and how its schema and its copies stand."""
    lines, good = _with_settings(config, check_store)
    for line in lines:
        click.echo(line)
    if not good:
        sys.exit(1)


def _with_settings(config: Path, action: Callable[[Settings], T]) -> T:
    with exit_on_error():
        return action(load_file(config))
