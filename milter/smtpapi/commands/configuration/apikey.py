"""`smtpapi apikey`: make, list and revoke the keys of the HTTP API."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from engagement.access.keys import ApiKeys, NameTakenError
from engagement.registry import open_registry
from engagement.registry.port import RegistryError
from engagement.settings import load_file
from engagement.terminal import printable
from smtpapi.commands.options import config_option, exit_on_error, say


@click.group()
def command() -> None:
    """Make, list and revoke the keys of the HTTP API.

    Exit status: 1 when it could not be done, 2 for a broken configuration or wrong arguments.
    """


@command.command()
@config_option
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    metavar="SCOPE",
    help="What the key may do, such as events/view; may be given again. 'all': everything.",
)
@click.option("--tenant", default="", metavar="NAME", help="Whose data it may see. [default: that without]")
@click.argument("name")
def add(config: Path, scopes: tuple[str, ...], tenant: str, name: str) -> None:
    """Make a key and print it, this once: only its hash is kept.

    NAME tells keys apart in the list. `docs/api.md` names the scopes.
    """
    with _keys(config) as keys:
        say(keys.add(name, scopes, tenant))


@command.command("list")
@config_option
def show(config: Path) -> None:
    """Print the keys, one a line: name, how it begins, tenant, last use, scopes."""
    with _keys(config) as keys:
        for key in keys.all():
            used = f"last used {_time(key.used_ms)}" if key.used_ms else "never used"
            state = f"revoked {_time(key.revoked_ms)}" if key.revoked_ms else used
            tenant = f"  tenant {key.tenant}" if key.tenant else ""
            say(printable(f"{key.name}  {key.hint}…{tenant}  {state}  {' '.join(key.scopes)}"))


@command.command()
@config_option
@click.argument("name")
def revoke(config: Path, name: str) -> None:
    """End a key: from now on it is no key."""
    with _keys(config) as keys:
        if not keys.revoke(name):
            say(printable(f"no key named {name} is in use; `smtpapi apikey list` shows all"), err=True)
            sys.exit(1)
        say(printable(f"revoked: {name}"))


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%MZ")


@contextmanager
def _keys(config: Path) -> Iterator[ApiKeys]:
    with exit_on_error():
        settings = load_file(config)
        try:
            with closing(open_registry(settings)) as registry:
                yield ApiKeys(registry)
        except (RegistryError, NameTakenError) as error:
            say(str(error), err=True)
            sys.exit(1)
        except ValueError as error:
            raise click.UsageError(printable(str(error))) from error
