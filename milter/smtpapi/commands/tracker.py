"""`smtpapi tracker`: become the web tracker.

The filter and the tracker are strangers to each other, so nothing of it is imported: this process turns into
`python -m tracker_web`.
"""

import os
import sys
from pathlib import Path

import click


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=Path("/etc/smtpapi/smtpapi.conf"),
    envvar="SMTPAPI_CONFIG",
    show_default=True,
    help="The configuration file.",
)
def command(config: Path) -> None:
    """Answer tracked links and pixels, and show the events, in the foreground."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", "tracker_web", "--config", str(config)])  # noqa: S606 - no shell
