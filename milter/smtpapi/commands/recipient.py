"""`smtpapi recipient`: hand out, or remove, what is kept of one recipient (GDPR 15, 17 and 20)."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import click

from engagement.events.fields import Fields
from engagement.settings import Settings, load_file
from engagement.spool.erasure import Traces
from engagement.spool.read import CORRUPT
from engagement.stores import open_store
from engagement.stores.port import MAX_LIMIT, EventStore, Query, cursor_of
from smtpapi.commands.options import config_option, told

_POLL_SECONDS = 0.2


@click.group()
def command() -> None:
    """Hand out, or remove, what is kept of one recipient.

    Exit status: 1 when it could not be done, 2 for a broken configuration.
    """


@command.command()
@config_option
@click.argument("address")
def export(config: Path, address: str) -> None:
    """Write all events of ADDRESS, newest first, one JSON object a line."""
    with _store(config) as (_, store):
        for event in _events(store, address):
            sys.stdout.write(json.dumps(event) + "\n")


@command.command()
@config_option
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=120.0,
    show_default=True,
    help="Seconds that the shipper has to carry over what the spool holds of ADDRESS.",
)
@click.argument("address")
def erase(config: Path, wait: float, address: str) -> None:
    """Remove all events of messages to ADDRESS from the store, once the spool holds none of them.

    Mail that is sent to ADDRESS afterwards, and links in it, are recorded as before.
    """
    with _store(config, writing=True) as (settings, store):
        directory = Path(settings.spool.directory)
        traces = Traces(directory, address)
        if not _gone(traces, wait):
            click.echo(
                f"{directory}: events of this recipient still wait, or lie in segments in use (for a minute "
                "at most). Is `smtpapi ship` running? Nothing was removed; try again.",
                err=True,
            )
            sys.exit(1)
        click.echo(f"{store.erase(address)} event(s) removed")
        if blanked := traces.blank():
            click.echo(f"{directory / CORRUPT}: overwritten in {blanked} file(s)")


def _events(store: EventStore, address: str) -> Iterator[Fields]:
    query = Query(recipients=(address,), expired=True, limit=MAX_LIMIT)
    while page := list(store.find(query)):
        yield from page
        query = replace(query, cursor=cursor_of(page[-1]))


def _gone(traces: Traces, wait: float) -> bool:
    """Wait until what the spool holds of them now is in the store alone: what comes later may stay in it."""
    deadline = time.monotonic() + wait
    before = traces.segments()
    while before:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
        before = traces.left(before)
    return True


@contextmanager
def _store(config: Path, *, writing: bool = False) -> Iterator[tuple[Settings, EventStore]]:
    with told():
        settings = load_file(config)
        with closing(open_store(settings, writing=writing)) as store:
            yield settings, store
