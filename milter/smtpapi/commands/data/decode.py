"""`smtpapi decode`: print what tracked links hold, for the person who has the keys."""

import time
from pathlib import Path

import click

from engagement.links.described import describe
from engagement.links.ring_file import load_ring
from engagement.terminal import json_line
from smtpapi.commands.configuration.keys import reporting_ring_errors, ring_options, ring_path


@click.command()
@click.argument("urls", metavar="URL...", nargs=-1, required=True)
@ring_options
def command(urls: tuple[str, ...], ring: Path | None, config: Path | None) -> None:
    """Print what each tracked URL holds, one JSON line a URL.

    A URL that cannot be read gives {"error": ...}, and exit status 1 at the end.
    """
    with reporting_ring_errors():
        keys = load_ring(ring_path(ring, config))
    now = time.time()
    lines = [describe(url, keys, now) for url in urls]
    for line in lines:
        click.echo(json_line(line))
    if any("error" in line for line in lines):
        raise SystemExit(1)
