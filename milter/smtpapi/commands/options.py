"""What several commands share: the option that names the configuration, and an end when it is broken."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from engagement.settings import SettingsError
from engagement.stores.port import StoreError

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=Path("/etc/smtpapi/smtpapi.conf"),
    envvar="SMTPAPI_CONFIG",
    show_default=True,
    help="The configuration file.",
)


@contextmanager
def told() -> Iterator[None]:
    """Say what is wrong on standard error, and end: 2 for a broken configuration, 1 for store or disk."""
    try:
        yield
    except SettingsError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except BrokenPipeError:
        raise  # the reader has seen enough; nothing is wrong with store or disk
    except (StoreError, OSError) as error:
        click.echo(str(error), err=True)
        sys.exit(1)
