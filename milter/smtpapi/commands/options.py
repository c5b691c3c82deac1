"""What several commands share: the option for the configuration, output, and the exit after an error."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from engagement.registry.port import RegistryError
from engagement.settings import SettingsError
from engagement.stores.port import StoreError
from engagement.terminal import lines

CONFIG_VARIABLE = "SMTPAPI_CONFIG"
DEFAULT_CONFIG = Path("/etc/smtpapi/smtpapi.conf")

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    envvar=CONFIG_VARIABLE,
    show_default=True,
    help="The configuration file.",
)

# For commands that need no configuration: they show what the product does.
optional_config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar=CONFIG_VARIABLE,
    help="The configuration; without it (and without SMTPAPI_CONFIG), tracking is on.",
)


def say(text: str = "", *, err: bool = False, nl: bool = True, **style: Any) -> None:
    """Write lines for a person, without control sequences that a terminal would obey."""
    click.secho(lines(text), err=err, nl=nl, **style)


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Print an error on standard error and exit: 2 for a broken configuration, 1 for store or disk.

    Raises BrokenPipeError unchanged, and SystemExit for the others.
    """
    try:
        yield
    except SettingsError as error:
        say(str(error), err=True)
        sys.exit(2)
    except BrokenPipeError:
        raise  # the reader has seen enough; nothing is wrong with store or disk
    except (StoreError, RegistryError, OSError) as error:
        say(str(error), err=True)
        sys.exit(1)
