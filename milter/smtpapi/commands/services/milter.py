"""`smtpapi milter`: the filter, in the foreground."""

import sys
from pathlib import Path

import click

from engagement.extras import need
from smtpapi.commands.options import config_option


@click.command("milter")
@config_option
@click.option("--counters", is_flag=True, help="Print what the running filter has counted, and exit.")
@click.option("--join", is_flag=True, help="Take the unix socket over from a filter that answers there.")
def command(config: Path, counters: bool, join: bool) -> None:
    """Serve the MTA as a milter until SIGTERM. SIGHUP reads the configuration anew.

    With --join it also starts where another filter answers, and gets the sessions from then on. So an upgrade
    starts the new one before the old one stops, and the MTA always finds one.

    With --counters: print the running filter's counts in Prometheus's text format (needs
    milter.counters_directory in the configuration; docs/metrics.md).
    """
    need("milter", "Milter", "lxml.html")
    if counters:
        need("metrics", "prometheus_client")
    # Imported here, since pymilter may be missing and the other commands do not need it.
    from smtpapi.process.listener import ListenError
    from smtpapi.process.startup import StartError, load
    from smtpapi.process.supervisor import Supervisor
    from smtpapi.telemetry import maillog

    try:
        loaded = load(config)
        if counters:
            sys.stdout.write(_exposition(loaded.settings.milter.counters_directory))
            return
        maillog.setup(loaded.settings.smtpapi.debug_level if loaded.settings.smtpapi else "ERROR")
        Supervisor(config, loaded, join=join).run()
    except (StartError, ListenError) as error:
        click.echo(f"smtpapi milter: {error}", err=True)
        sys.exit(2)


def _exposition(directory: str) -> str:
    from engagement.metrics.exposition import text_of
    from smtpapi.telemetry.counters import Counters, CountersError
    from smtpapi.telemetry.metrics import of_counters

    if not directory:
        raise click.ClickException("milter.counters_directory is not set, so the counts are in memory only")
    try:
        counters = Counters.open(Path(directory))
        return text_of(lambda: of_counters(counters))
    except CountersError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}; does the filter run?") from error
