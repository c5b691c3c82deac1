"""`smtpapi follow`: what became of messages, from the log of Postfix or Sendmail into the spool."""

import logging
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from engagement.maillogs import metrics
from engagement.maillogs.files import LogFile
from engagement.maillogs.follower import FileLines, Follower, FollowError, Source
from engagement.maillogs.journal import Journal
from engagement.maillogs.lock import only_follower
from engagement.maillogs.memory import MemoryFileError, QueueMemory
from engagement.maillogs.outcomes import Outcomes
from engagement.metrics.show import shown
from engagement.settings import Settings, load_file
from engagement.spool.write import SpoolWriter
from engagement.systemd import Heartbeat, notify
from smtpapi.commands.options import config_option, exit_on_error
from smtpapi.commands.services.stopping import stopped_by_signal

JOURNAL = "journal"
_log = logging.getLogger("engagement.metrics")


@click.command()
@config_option
@click.option("--once", is_flag=True, help="Tell what is there and end.")
def command(config: Path, once: bool) -> None:
    """Follow the MTA's log (follow.log) and tell deliveries, delays, bounces and expiries as events.

    It runs until told to stop (SIGTERM, SIGINT). Exit status: 1 when --once could not read or tell all, 2
    for a broken configuration.
    """
    with exit_on_error():
        settings = load_file(config)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    stop = stopped_by_signal()
    try:
        with only_follower(Path(settings.follow.state)), _follower(settings) as follower:
            if once:
                follower.drain()
            else:
                click.echo(f"following {settings.follow.log} as {node_name(settings)}", err=True)
                with shown(settings.metrics.follower, partial(metrics.read, follower), _log.error):
                    notify("READY=1")
                    follower.run(stop, Heartbeat().beat)
    except (OSError, FollowError, MemoryFileError) as error:
        click.echo(f"smtpapi follow: {error}", err=True)
        sys.exit(1)


@contextmanager
def _follower(settings: Settings) -> Iterator[Follower]:
    options = settings.follow
    memory = QueueMemory(Path(options.state))
    cursor = memory.cursor(options.log)
    source: Source = (
        Journal(cursor) if options.log == JOURNAL else FileLines(LogFile(Path(options.log), cursor))
    )
    spool = SpoolWriter(
        Path(settings.spool.directory),
        sync=settings.spool.sync,
        segment_size=settings.spool.segment_size,
        max_size=settings.spool.max_size,
        max_share=settings.spool.max_share,
    )
    outcomes = Outcomes(node_name(settings), memory, frozenset(each.lower() for each in options.next_hops))
    try:
        yield Follower(options.log, source, memory, outcomes, spool)
    finally:
        source.close()
        spool.close()
        memory.close()


def node_name(settings: Settings) -> str:
    """Return the name that the MTA gives the filter as its own."""
    if settings.follow.node_name:
        return settings.follow.node_name
    postconf = shutil.which("postconf") or shutil.which("postconf", path="/usr/sbin:/usr/local/sbin")
    if postconf is not None:
        done = subprocess.run(  # noqa: S603 - the program is fixed
            [postconf, "-h", "myhostname"], capture_output=True, text=True, check=False
        )
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip()
    return socket.getfqdn()
