"""`smtpapi ship`: carry events from the spool to the store, in the foreground; or print its status."""

import logging
import signal
import sys
import threading
from contextlib import closing
from pathlib import Path

import click

from engagement.metrics.show import shown
from engagement.settings import Settings, SettingsError, load_file
from engagement.shipper.lock import ShipperLock
from engagement.shipper.loop import FIRST_WAIT, LONGEST_WAIT, Shipper
from engagement.shipper.metrics import ShipperView
from engagement.stores import open_store
from engagement.stores.port import EventStore, StoreError
from engagement.systemd import Heartbeat, notify
from smtpapi.commands.options import config_option, exit_on_error
from smtpapi.commands.services.ship_build import shipper_of
from smtpapi.commands.services.ship_status import print_status
from smtpapi.commands.services.stopping import setter

_metrics_log = logging.getLogger("engagement.metrics")
_shipper_log = logging.getLogger("engagement.shipper")


@click.command()
@config_option
@click.option("--once", is_flag=True, help="Ship what is there and end.")
@click.option(
    "--status", is_flag=True, help="Say what waits, how old it is and the last error; ship nothing."
)
@click.option("--json", "as_json", is_flag=True, help="With --status: as one JSON line.")
def command(config: Path, once: bool, status: bool, as_json: bool) -> None:
    """Carry events from the spool to the store until told to stop (SIGTERM, SIGINT).

    SIGHUP reads the configuration anew; events wait in the spool meanwhile.

    Exit status: 1 when --once could not carry all or reach the store, 2 for a broken configuration.
    """
    with exit_on_error():
        settings = load_file(config)
    directory = Path(settings.spool.directory)
    if status:
        print_status(directory, as_json)
        return
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    stop, ended = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, setter(ended, stop))
    if not once:
        signal.signal(signal.SIGHUP, setter(stop))
    shipped_all = _serve(settings, stop, once=once)
    while stop.is_set() and not ended.is_set():  # SIGHUP
        notify("RELOADING=1")
        settings = _reread(config, settings)
        stop.clear()
        if not ended.is_set():  # a signal may have come between the two
            _serve(settings, stop, once=False)
    if once and not shipped_all:
        sys.exit(1)


def _serve(settings: Settings, stop: threading.Event, *, once: bool) -> bool:
    """Ship by one configuration until stop, or once; return whether nothing waits any more."""
    directory = Path(settings.spool.directory)
    view = ShipperView(settings)
    try:
        with shown("" if once else settings.metrics.shipper, view.read, _metrics_log.error):
            return _ship(settings, directory, stop, view, once=once)
    except OSError as error:
        click.echo(f"{directory}: {error.strerror}. May this user write there?", err=True)
        sys.exit(1)


def _reread(config: Path, settings: Settings) -> Settings:
    """Return the settings of the file, the ones in use where it cannot be used; that is logged."""
    try:
        return load_file(config)
    except SettingsError as error:
        _shipper_log.error("Reconfigure failed. The last good configuration stays in use: %s", error)
        return settings


def _ship(
    settings: Settings, directory: Path, stop: threading.Event, view: ShipperView, *, once: bool
) -> bool:
    """Ship until stop, or once; return whether nothing waits any more. view: shows the shipper."""
    lock, heart = ShipperLock(directory), Heartbeat()
    try:
        if not lock.take():
            click.echo(f"{directory}: process {lock.holder() or 'unknown'} ships from here.", err=True)
            if once:
                return False
            click.echo("Waiting for it to end.", err=True)
            notify("READY=1\nSTATUS=Another process ships from here.")
            with heart.keep_beating():
                freed = lock.wait(stop)
            if not freed:
                return True
        with heart.keep_beating():
            store = _opened(settings, stop, view, once=once)
        if store is None:
            return False
        with closing(store), shipper_of(settings, store, lock, heart, once=once) as shipper:
            if once:
                return _once(shipper)
            view.show(shipper.status, shipper.lag)
            click.echo(f"shipping from {directory} to {_named(settings)}", err=True)
            notify(f"READY=1\nSTATUS=To {_named(settings)}")
            shipper.run(stop)
            return True
    finally:
        lock.release()


def _once(shipper: Shipper) -> bool:
    """Ship what is there; return whether nothing waits and the store can be used."""
    if not shipper.drain():
        return False
    # With nothing to carry, only the update of the figures uses the store. No loop prints its error here.
    if shipper.status.failing:
        click.echo(shipper.status.last_error, err=True)
    return not shipper.status.failing


def _named(settings: Settings) -> str:
    """Return where events go, for people."""
    if settings.store.engine == "cassandra" and settings.cassandra_client is not None:
        return f"keyspace {settings.cassandra_client.keyspace} of Cassandra"
    return settings.store.path


def _opened(settings: Settings, stop: threading.Event, view: ShipperView, *, once: bool) -> EventStore | None:
    """Open the store, and wait until that works: a database may come up later. None: stopped, or once."""
    wait, printed = FIRST_WAIT, ""
    while not stop.is_set():
        try:
            return open_store(settings, writing=True)
        except StoreError as error:
            view.store_away()
            if str(error) != printed:
                printed = str(error)
                click.echo(printed, err=True)
                # Events wait in the spool meanwhile, which is what this program is for.
                notify(f"READY=1\nSTATUS={printed.splitlines()[0]}")
            if once:
                return None
        stop.wait(wait)
        wait = min(wait * 2, LONGEST_WAIT)
    return None
