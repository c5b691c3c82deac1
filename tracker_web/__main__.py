"""Serve the tracker in the foreground: `python -m tracker_web --config FILE`.

SIGTERM or Ctrl-C stop it cleanly; at SIGHUP new workers read the configuration. Not a daemon: that is the
supervisor's job. Exit status 2 for what must be corrected in the configuration.
"""

import os
import sys
from pathlib import Path

import click

from engagement import terminal
from tracker_web.server import log
from tracker_web.server.build import CONFIG_VARIABLE, DEFAULT_CONFIG
from tracker_web.server.last_good import remember
from tracker_web.server.listening import CannotServe
from tracker_web.server.serve import prepare, serve


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path),
    default=Path(DEFAULT_CONFIG),
    envvar=CONFIG_VARIABLE,
    show_default=True,
    help="The configuration file.",
)
@click.option("--join", is_flag=True, help="Listen beside another tracker.")
def main(config: Path, join: bool) -> None:
    """Answer tracked links and pixels, in the foreground."""
    terminal.guard()
    log.to_stderr()
    try:
        settings = prepare(config, join=join)
    except CannotServe as error:
        click.echo(f"smtpapi tracker: {error}", err=True)
        sys.exit(2)
    remember(settings)
    os.environ[CONFIG_VARIABLE] = str(config.resolve())
    serve(settings, config.resolve())


if __name__ == "__main__":
    main(prog_name="smtpapi tracker")
