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
from engagement.spool.read import CORRUPT, Reader
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
    default=60.0,
    show_default=True,
    help="Seconds that the shipper has to carry over what waits in the spool.",
)
@click.argument("address")
def erase(config: Path, wait: float, address: str) -> None:
    """Remove all events of messages to ADDRESS from the store, once the spool holds none of them.

    Mail that is sent to ADDRESS afterwards, and links in it, are recorded as before.
    """
    with _store(config, writing=True) as (settings, store):
        directory = Path(settings.spool.directory)
        if not _drained(directory, wait):
            click.echo(
                f"{directory}: events still wait, maybe of this recipient. Run `smtpapi ship`; try again.",
                err=True,
            )
            sys.exit(1)
        click.echo(f"{store.erase(address)} event(s) removed")
        aside = _set_aside(directory, address)
        for path in aside:
            click.echo(f"{path}: could not be read as events and names this recipient; look at it", err=True)
        if aside:
            sys.exit(1)


def _events(store: EventStore, address: str) -> Iterator[Fields]:
    query = Query(recipients=(address,), expired=True, limit=MAX_LIMIT)
    while page := list(store.find(query)):
        yield from page
        query = replace(query, cursor=cursor_of(page[-1]))


def _drained(directory: Path, wait: float) -> bool:
    """Wait until what is in the spool now has been carried over: an event that comes later may stay in it."""
    deadline = time.monotonic() + wait
    ends = {segment: end for segment, (_, end) in Reader(directory).waiting().items()}
    while any(begin < ends.get(segment, 0) for segment, (begin, _) in Reader(directory).waiting().items()):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _set_aside(directory: Path, address: str) -> list[Path]:
    """The records and rests set aside that hold the address in any case."""
    wanted = address.lower().encode()
    folder = directory / CORRUPT
    return [
        path
        for path in (sorted(folder.iterdir()) if folder.is_dir() else [])
        if wanted in path.read_bytes().lower()
    ]


@contextmanager
def _store(config: Path, *, writing: bool = False) -> Iterator[tuple[Settings, EventStore]]:
    with told():
        settings = load_file(config)
        with closing(open_store(settings, writing=writing)) as store:
            yield settings, store
