"""`smtpapi tracker`: become the web tracker.

The filter imports nothing of the tracker. So this process turns into `python -m tracker_web`.
"""

import os
import sys
from pathlib import Path

import click

from engagement.extras import need
from smtpapi.commands.options import config_option


@click.command()
@config_option
@click.option(
    "--join", is_flag=True, help="Listen beside a tracker of the same user that listens there already."
)
def command(config: Path, join: bool) -> None:
    """Answer tracked links and pixels, in the foreground.

    With --join it also starts where another one listens; both answer until one ends. So an upgrade starts the
    new one before the old one stops, and no reader notices.
    """
    need("tracker", "babel", "granian")
    sys.stdout.flush()
    sys.stderr.flush()
    arguments = [sys.executable, "-P", "-m", "tracker_web", "--config", str(config)] + ["--join"] * join
    os.execv(sys.executable, arguments)  # noqa: S606 - no shell
