"""`smtpapi recipient`: export, or erase, what is stored about one recipient (GDPR 15, 17 and 20)."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import click

from engagement.domain_names import spellings
from engagement.events.fields import Fields
from engagement.html_copies.book import CopyBook
from engagement.html_copies.folder import CopyFolder
from engagement.registry import open_registry
from engagement.registry.port import RegistryError
from engagement.settings import Settings, load_file
from engagement.spool.erasure import RecipientTraces
from engagement.spool.read import CORRUPT
from engagement.stores import open_store
from engagement.stores.port import MAX_LIMIT, EventStore, Query, cursor_of
from engagement.webhooks.documents import Documents
from smtpapi.commands.options import config_option, exit_on_error

_POLL_SECONDS = 0.2  # between two looks at the spool, out of which events go within seconds


def _address(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    """Return the address. Refuse what is none, so that a typing error is not answered by "0 events"."""
    local, at, domain = text.rpartition("@")
    if not (at and local and domain) or " " in domain or not text.isprintable():
        raise click.BadParameter(f"'{text}' is no address: expected NAME@DOMAIN, as in the envelope")
    return text


@click.group()
def command() -> None:
    """Hand out, or remove, what is kept of one recipient.

    Exit status: 1 when it could not be done, 2 for a broken configuration.
    """


@command.command()
@config_option
@click.argument("address", callback=_address)
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
@click.option("--yes", is_flag=True, help="Do not ask; for scripts.")
@click.argument("address", callback=_address)
def erase(config: Path, wait: float, yes: bool, address: str) -> None:
    """Remove all events of messages to ADDRESS from the store, once the spool holds none of them.

    Says how many there are and asks first. Mail that is sent to ADDRESS afterwards, and links in it, are
    recorded as before.
    """
    with _store(config, writing=True) as (settings, store):
        if not yes:
            _ask(store, address)
        directory = Path(settings.spool.directory)
        traces = RecipientTraces(directory, address)
        if not _gone(traces, wait):
            click.echo(
                f"{directory}: events of this recipient still wait, or lie in segments in use (for a minute "
                "at most). Is `smtpapi ship` running? Nothing was removed; try again.",
                err=True,
            )
            sys.exit(1)
        click.echo(f"{sum(map(store.erase, spellings(address)))} event(s) removed")
        _erase_from_registry(settings, spellings(address))
        if blanked := traces.blank():
            click.echo(f"{directory / CORRUPT}: overwritten in {blanked} file(s)")


def _erase_from_registry(settings: Settings, addresses: tuple[str, ...]) -> None:
    """Take a recipient out of webhooks' batches and kept copies of mail, where there is a registry."""
    copies = sum(map(CopyFolder(Path(settings.spool.directory)).erase, addresses))
    changed = 0
    if settings.store.engine != "sqlite" or Path(settings.registry.path).exists():
        try:
            with closing(open_registry(settings)) as registry:
                changed = sum(map(Documents(registry).erase, addresses))
                copies += (found := sum(map(CopyBook(registry).erase, addresses)))
                if found or changed:
                    registry.scrub()
        except RegistryError as error:
            click.echo(
                "batches of webhooks, and copies of mail for the click map, may still hold this recipient: "
                f"{error}",
                err=True,
            )
            sys.exit(1)
    if changed:
        click.echo(f"taken out of {changed} batch(es) of webhooks")
    if copies:
        click.echo(f"{copies} kept copy or copies of mail removed")


def _ask(store: EventStore, address: str) -> None:
    """Print what would be removed, and exit without a change unless the person agrees."""
    times = [event["timestamp"] for event in _events(store, address)]
    span = f", from {times[-1]} to {times[0]}" if times else ""
    click.echo(f"{len(times)} event(s) of messages to {address} are stored{span}.")
    click.confirm("Remove them, and what the spool holds? This cannot be undone", abort=True)


def _events(store: EventStore, address: str) -> Iterator[Fields]:
    query = Query(recipients=spellings(address), expired=True, limit=MAX_LIMIT)
    while page := list(store.find(query)):
        yield from page
        query = replace(query, cursor=cursor_of(page[-1]))


def _gone(traces: RecipientTraces, wait: float) -> bool:
    """Wait until what the spool now holds of the recipient is in the store alone; later events may stay.

    wait: seconds. Return False where that takes longer.
    """
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
    with exit_on_error():
        settings = load_file(config)
        with closing(open_store(settings, writing=writing)) as store:
            yield settings, store
