"""`smtpapi user`: make, list and remove people who may sign in to the pages, and change their passwords."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click

from engagement.extras import need
from engagement.registry import open_registry
from engagement.registry.port import Registry, RegistryError
from engagement.settings import load_file
from engagement.terminal import printable
from smtpapi.commands.options import config_option, exit_on_error, say

_ROLES = ("looks", "manages", "administers")
_stdin_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input, its first line."
)


@click.group()
def command() -> None:
    """Make, list and remove people who may sign in to the pages.

    Exit status: 1 when it could not be done, 2 for a broken configuration or wrong arguments.
    """


@command.command()
@config_option
@click.option(
    "--role",
    type=click.Choice(_ROLES),
    default="looks",
    show_default=True,
    help="looks: sees everything. manages: changes lists, webhooks. administers: users and keys, too.",
)
@click.option("--tenant", default="", metavar="NAME", help="Whose data is shown. [default: that without]")
@_stdin_option
@click.argument("name")
def add(config: Path, role: str, tenant: str, password_stdin: bool, name: str) -> None:
    """Make a user; asks for the password."""
    from engagement.access.users import Role, Users

    with _registry(config) as registry:
        Users(registry).add(name, _password(password_stdin), Role(role), tenant)
        say(printable(f"{name} may sign in"))


@command.command("list")
@config_option
def show(config: Path) -> None:
    """Print the users, one a line: name, role, tenant."""
    from engagement.access.users import Users

    with _registry(config) as registry:
        for user in Users(registry).all():
            say(printable(f"{user.name}  {user.role}{f'  tenant {user.tenant}' if user.tenant else ''}"))


@command.command()
@config_option
@_stdin_option
@click.argument("name")
def password(config: Path, password_stdin: bool, name: str) -> None:
    """Give a user another password, and end all their sessions."""
    from engagement.access.sessions import Sessions
    from engagement.access.users import Users

    with _registry(config) as registry:
        Users(registry).set_password(name, _password(password_stdin))
        ended = Sessions(registry).end_of(name)
        say(printable(f"{name} has a new password; {ended} session(s) ended"))


@command.command()
@config_option
@click.argument("name")
def remove(config: Path, name: str) -> None:
    """Remove a user, and end all their sessions."""
    from engagement.access.sessions import Sessions
    from engagement.access.users import Users

    with _registry(config) as registry:
        if not Users(registry).remove(name):
            say(printable(f"there is no user named {name}; `smtpapi user list` shows all"), err=True)
            sys.exit(1)
        Sessions(registry).end_of(name)
        say(printable(f"removed: {name}"))


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    found: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return found


@contextmanager
def _registry(config: Path) -> Iterator[Registry]:
    """Give the registry, and say what goes wrong. Imported late: argon2 comes with the extra `tracker`."""
    with exit_on_error():
        need("tracker", "argon2")
        from engagement.access.users import UserError

        settings = load_file(config)
        try:
            with closing(open_registry(settings)) as registry:
                yield registry
        except (RegistryError, UserError) as error:
            say(printable(str(error)), err=True)
            sys.exit(1)
