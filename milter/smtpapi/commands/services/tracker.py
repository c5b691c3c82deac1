"""`smtpapi tracker`: become the web tracker.

The filter and the tracker are strangers to each other, so nothing of it is imported: this process turns into
`python -m tracker_web`.
"""

import os
import sys
from pathlib import Path

import click

from smtpapi.commands.options import config_option


@click.command()
@config_option
def command(config: Path) -> None:
    """Answer tracked links and pixels, in the foreground."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", "tracker_web", "--config", str(config)])  # noqa: S606 - no shell
