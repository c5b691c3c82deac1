"""What several commands share: the option that names the configuration, and an end when it is broken."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

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
    """Write lines for a person: whoever's words are in them, a terminal finds nothing to obey."""
    click.secho(lines(text), err=err, nl=nl, **style)


@contextmanager
def told() -> Iterator[None]:
    """Say what is wrong on standard error, and end: 2 for a broken configuration, 1 for store or disk."""
    try:
        yield
    except SettingsError as error:
        say(str(error), err=True)
        sys.exit(2)
    except BrokenPipeError:
        raise  # the reader has seen enough; nothing is wrong with store or disk
    except (StoreError, OSError) as error:
        say(str(error), err=True)
        sys.exit(1)
