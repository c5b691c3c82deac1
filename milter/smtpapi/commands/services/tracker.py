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
def command(config: Path) -> None:
    """Answer tracked links and pixels, in the foreground."""
    need("tracker", "granian")
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", "tracker_web", "--config", str(config)])  # noqa: S606 - no shell
