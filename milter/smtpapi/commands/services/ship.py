"""`smtpapi ship`: carry events from the spool to the store, in the foreground; or print its status."""

import contextlib
import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import FrameType

import click

from engagement.classify.followed import FollowedRules
from engagement.erasures.carrying import Erasures
from engagement.events.record import BadRecord, decode
from engagement.kept_html.carrying import KeptCopies
from engagement.metrics.show import shown
from engagement.registry import open_registry
from engagement.settings import Settings, SettingsError, load_file
from engagement.settings.schema import ByLink
from engagement.shipper import status as shipper_status
from engagement.shipper.lock import ShipperLock, is_held
from engagement.shipper.loop import FIRST_WAIT, LONGEST_WAIT, Shipper
from engagement.shipper.metrics import ShipperView
from engagement.shipper.rejudge import Rejudge
from engagement.shipper.unsubscribe import Unsubscribes
from engagement.spool.names import unknown_keys
from engagement.spool.read import BUDGET, SpoolReader
from engagement.stores import open_store
from engagement.stores.port import EventStore, StoreError
from engagement.suppression.fill import SuppressionFiller, Thresholds
from engagement.suppression.follow import SnapshotWriter
from engagement.systemd import Heartbeat, notify
from engagement.tracking_domains.follow import CopyWriter
from smtpapi.commands.options import config_option, exit_on_error

_log = logging.getLogger("engagement.classify")
_metrics_log = logging.getLogger("engagement.metrics")
_shipper_log = logging.getLogger("engagement.shipper")

_JOIN_SECONDS = 5.0  # for the copy of a long list to be written
# Octets for a second or two of a cluster's time, so that the status is fresh and a stop need not wait.
_CLUSTER_PORTION = 128 * 1024


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
        _print_status(directory, as_json)
        return
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    stop, ended = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _setter(ended, stop))
    if not once:
        signal.signal(signal.SIGHUP, _setter(stop))
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


def _setter(*events: threading.Event) -> "signal._HANDLER":
    def handle(_number: int, _frame: FrameType | None) -> None:
        for event in events:
            event.set()

    return handle


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
        unsubscribes = None
        try:
            portion = _CLUSTER_PORTION if settings.store.engine == "cassandra" else BUDGET
            rules = FollowedRules(settings.classify, _log.error)
            rules.current()  # what is wrong with them is told at once
            filler = _filler(settings)
            settled = settings.unsubscribe.by_link is ByLink.SETTLED
            listed = settings.privacy.objections
            unsubscribes = Unsubscribes(
                partial(open_registry, settings),
                store,
                settled=settled,
                objections=Path(listed) if listed else None,
            )
            shipper = Shipper(
                directory,
                store,
                filler=filler,
                rejudge=Rejudge(store, rules.current, settings.classify.again_within),
                retention=settings.store.retention,
                unsubscribes=unsubscribes,
                portion=portion,
                lock=lock,
                erasures=Erasures(partial(open_registry, settings), store, directory),
                kept=KeptCopies(
                    partial(open_registry, settings),
                    directory,
                    _objections(settings),
                    keeps=settings.keeps_html(),
                ),
                alive=heart.beat,
            )
            with _suppression_list(settings, filler, once=once), _tracking_domains(settings, once=once):
                if once:
                    return _once(shipper)
                view.show(shipper.status, shipper.lag)
                click.echo(f"shipping from {directory} to {_named(settings)}", err=True)
                notify(f"READY=1\nSTATUS=To {_named(settings)}")
                shipper.run(stop)
                return True
        finally:
            if unsubscribes is not None:
                unsubscribes.close()
            store.close()
    finally:
        lock.release()


def _objections(settings: Settings) -> Path | None:
    return Path(settings.privacy.objections) if settings.privacy.objections else None


def _filler(settings: Settings) -> SuppressionFiller | None:
    """Return what puts recipients on the suppression list, None where no threshold is set."""
    terms = settings.suppression
    if not terms.invalid_recipients and not terms.complaints:
        return None
    thresholds = Thresholds(terms.invalid_recipients, terms.complaints, terms.within)
    return SuppressionFiller(partial(open_registry, settings), thresholds)


@contextlib.contextmanager
def _suppression_list(settings: Settings, filler: SuppressionFiller | None, *, once: bool) -> Iterator[None]:
    """Keep the filter's copy of the suppression list up to date meanwhile, where one is wanted."""
    if not settings.copies_suppression_list():
        yield
    else:
        writer = SnapshotWriter(partial(open_registry, settings), Path(settings.suppression.snapshot))
        ended = threading.Event()
        thread = threading.Thread(target=writer.run, args=(ended,), name="suppression", daemon=True)
        if not once:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            if once:
                writer.attempt()
            else:
                thread.join(_JOIN_SECONDS)
    if filler is not None:
        filler.close()


@contextlib.contextmanager
def _tracking_domains(settings: Settings, *, once: bool) -> Iterator[None]:
    """Keep the copy of tracking domains for filter and tracker up to date meanwhile, where it is wanted."""
    if not settings.entered_domains.enabled:
        yield
        return
    writer = CopyWriter(partial(open_registry, settings), Path(settings.entered_domains.snapshot))
    ended = threading.Event()
    thread = threading.Thread(target=writer.run, args=(ended,), name="tracking-domains", daemon=True)
    if not once:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if once:
            writer.attempt()
        else:
            thread.join(_JOIN_SECONDS)


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


def _print_status(directory: Path, as_json: bool) -> None:
    waiting = SpoolReader(directory).backlog()
    last = shipper_status.load(directory)
    now = time.time()
    ages = [now - at for at in map(_at, waiting.firsts) if at is not None]
    state = {
        "active": is_held(directory),
        "backlog_bytes": waiting.size,
        "backlog_records": waiting.records,
        "oldest_seconds": round(max(ages), 1) if ages else None,
        "carried": last.carried if last else None,
        "rate": round(last.rate, 1) if last else None,
        "set_aside": last.set_aside if last else None,
        "outdated": last.outdated if last else None,
        "trouble": last.trouble if last else "",
        "last_error": last.last_error if last else "",
        "last_error_at": last.last_error_at if last and last.last_error else None,
        "failing": last.failing if last else False,
        "unknown_keys": unknown_keys(directory),
    }
    if as_json:
        click.echo(json.dumps(state))
        return
    if not directory.is_dir():
        click.echo(
            f"spool     {directory} is not there: it was removed, with what waited in it, or nothing was "
            "recorded yet. The programs make it with their next event."
        )
    click.echo(f"shipper   {'active' if state['active'] else 'not running'}")
    click.echo(f"waiting   {waiting.records} record(s), {waiting.size} bytes, {waiting.segments} segment(s)")
    if ages:
        click.echo(f"oldest    {max(ages):.1f} s")
    if unknown := unknown_keys(directory):
        names = {key: "others" if key == "0" else f"key {key}" for key in unknown}
        counts = ", ".join(f"{count} of {names[key]}" for key, count in unknown.items())
        click.echo(f"unknown   links of keys that the ring here lacks, answered with 404: {counts}")
    if last is None:
        return
    click.echo(f"carried   {last.carried} since it began, {last.rate:.1f} a second lately")
    if last.set_aside:
        click.echo(f"set aside {last.set_aside}, see {directory / 'corrupt'}")
    if last.outdated:
        click.echo(f"outdated  {last.outdated} removed unshipped, older than store.retention")
    if last.trouble:
        click.echo(f"trouble   {last.trouble}")
    if last.last_error:
        since = "now" if last.failing else f"{now - last.last_error_at:.0f} s ago"
        click.echo(f"error     {since}: {last.last_error}")


def _at(record: bytes) -> float | None:
    try:
        return decode(record).at_ms / 1000
    except BadRecord:
        return None
