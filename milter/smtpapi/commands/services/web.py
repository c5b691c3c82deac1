"""`smtpapi web`: become the program that shows the events.

The filter imports nothing of the pages. So this process turns into `python -m tracker_web.web`.
"""

import os
import sys
from pathlib import Path

import click

from engagement.extras import need
from smtpapi.commands.options import config_option


@click.command()
@config_option
@click.option("--url", is_flag=True, help="Print the URL that opens the page signed in, and end.")
@click.option("--new-token", is_flag=True, help="Replace the token, which ends all sessions, and end.")
def command(config: Path, url: bool, new_token: bool) -> None:
    """Show the events on a page for whoever has the token, in the foreground."""
    need("tracker", "babel", "flask", "granian")
    sys.stdout.flush()
    sys.stderr.flush()
    arguments = [sys.executable, "-P", "-m", "tracker_web.web", "--config", str(config)]
    arguments += ["--url"] * url + ["--new-token"] * new_token
    os.execv(sys.executable, arguments)  # noqa: S606 - no shell
