"""`smtpapi ship`: carry events from the spool to the store, in the foreground; or tell how it stands."""

import json
import logging
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

import click

from engagement.events.record import BadRecord, decode
from engagement.settings import Settings, SettingsError, load_file
from engagement.shipper import status as news
from engagement.shipper.lock import ShipperLock, is_held
from engagement.shipper.loop import FIRST_WAIT, LONGEST_WAIT, Shipper
from engagement.spool.read import BUDGET, Reader
from engagement.stores import open_store
from engagement.stores.port import EventStore, StoreError

# A second or two of a cluster's time, so that news come soon and a stop need not wait.
_CLUSTER_PORTION = 128 * 1024


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=Path("/etc/smtpapi/smtpapi.conf"),
    envvar="SMTPAPI_CONFIG",
    show_default=True,
    help="The configuration file.",
)
@click.option("--once", is_flag=True, help="Ship what is there and end.")
@click.option(
    "--status", is_flag=True, help="Say what waits, how old it is and the last error; ship nothing."
)
@click.option("--json", "as_json", is_flag=True, help="With --status: as one JSON line.")
def command(config: Path, once: bool, status: bool, as_json: bool) -> None:
    """Carry events from the spool to the store until told to stop (SIGTERM, SIGINT).

    Exit status: 1 when --once could not carry all, 2 for a broken configuration.
    """
    try:
        settings = load_file(config)
    except SettingsError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    directory = Path(settings.spool.directory)
    if status:
        _print_status(directory, as_json)
        return
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stopper(stop))
    try:
        whole = _ship(settings, directory, stop, once=once)
    except OSError as error:
        click.echo(f"{directory}: {error.strerror}. May this user write there?", err=True)
        sys.exit(1)
    if once and not whole:
        sys.exit(1)


def _stopper(stop: threading.Event) -> "signal._HANDLER":
    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    return handle


def _ship(settings: Settings, directory: Path, stop: threading.Event, *, once: bool) -> bool:
    """Ship until stop, or once; tell whether nothing waits any more."""
    lock = ShipperLock(directory)
    try:
        if not lock.take():
            click.echo(f"{directory}: process {lock.holder() or 'unknown'} ships from here.", err=True)
            if once:
                return False
            click.echo("Waiting for it to end.", err=True)
            if not lock.wait(stop):
                return True
        store = _opened(settings, stop, once=once)
        if store is None:
            return False
        try:
            portion = _CLUSTER_PORTION if settings.store.engine == "cassandra" else BUDGET
            shipper = Shipper(directory, store, retention=settings.store.retention, portion=portion)
            if once:
                return shipper.drain()
            click.echo(f"shipping from {directory} to {_named(settings)}", err=True)
            shipper.run(stop)
            return True
        finally:
            store.close()
    finally:
        lock.release()


def _named(settings: Settings) -> str:
    """Where events go, for people."""
    if settings.store.engine == "cassandra" and settings.cassandra_client is not None:
        return f"keyspace {settings.cassandra_client.keyspace} of Cassandra"
    return settings.store.path


def _opened(settings: Settings, stop: threading.Event, *, once: bool) -> EventStore | None:
    """The store, waited for: a database that comes up later than the shipper needs nobody's help."""
    wait, told = FIRST_WAIT, ""
    while not stop.is_set():
        try:
            return open_store(settings, writing=True)
        except StoreError as error:
            if str(error) != told:
                told = str(error)
                click.echo(told, err=True)
            if once:
                return None
        stop.wait(wait)
        wait = min(wait * 2, LONGEST_WAIT)
    return None


def _print_status(directory: Path, as_json: bool) -> None:
    waiting = Reader(directory).backlog()
    told = news.load(directory)
    now = time.time()
    ages = [now - at for at in map(_at, waiting.firsts) if at is not None]
    state = {
        "active": is_held(directory),
        "backlog_bytes": waiting.size,
        "backlog_records": waiting.records,
        "oldest_seconds": round(max(ages), 1) if ages else None,
        "carried": told.carried if told else None,
        "rate": round(told.rate, 1) if told else None,
        "set_aside": told.set_aside if told else None,
        "outdated": told.outdated if told else None,
        "trouble": told.trouble if told else "",
        "last_error": told.last_error if told else "",
        "last_error_at": told.last_error_at if told and told.last_error else None,
        "failing": told.failing if told else False,
    }
    if as_json:
        click.echo(json.dumps(state))
        return
    click.echo(f"shipper   {'active' if state['active'] else 'not running'}")
    click.echo(f"waiting   {waiting.records} record(s), {waiting.size} bytes, {waiting.segments} segment(s)")
    if ages:
        click.echo(f"oldest    {max(ages):.1f} s")
    if told is None:
        return
    click.echo(f"carried   {told.carried} since it began, {told.rate:.1f} a second lately")
    if told.set_aside:
        click.echo(f"set aside {told.set_aside}, see {directory / 'corrupt'}")
    if told.outdated:
        click.echo(f"outdated  {told.outdated} removed unshipped, older than store.retention")
    if told.trouble:
        click.echo(f"trouble   {told.trouble}")
    if told.last_error:
        since = "now" if told.failing else f"{now - told.last_error_at:.0f} s ago"
        click.echo(f"error     {since}: {told.last_error}")


def _at(record: bytes) -> float | None:
    try:
        return decode(record).at_ms / 1000
    except BadRecord:
        return None
