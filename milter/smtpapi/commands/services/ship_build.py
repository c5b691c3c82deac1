"""Makes the shipper that the settings ask for, and what writes copies of lists beside it."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from engagement.classify.followed import FollowedRules
from engagement.erasures.carrying import Erasures
from engagement.html_copies.carrying import CopyCarrier
from engagement.registry import open_registry
from engagement.registry.list_copy import ListCopy
from engagement.settings import Settings
from engagement.settings.schema import ByLink
from engagement.shipper.lock import ShipperLock
from engagement.shipper.loop import Shipper
from engagement.shipper.reclassifier import Reclassifier
from engagement.shipper.unsubscribe import Unsubscribes
from engagement.spool.read import BUDGET
from engagement.stores.port import EventStore
from engagement.suppression.fill import SuppressionFiller, Thresholds
from engagement.suppression.follow import SnapshotWriter
from engagement.systemd import Heartbeat
from engagement.tracking_domains.follow import CopyWriter

_log = logging.getLogger("engagement.classify")

_JOIN_SECONDS: Final = 5.0  # for the copy of a long list to be written
# Octets for a second or two of a cluster's time, so that the status is fresh and a stop need not wait.
CLUSTER_PORTION: Final = 128 * 1024


@contextmanager
def shipper_of(
    settings: Settings, store: EventStore, lock: ShipperLock, heart: Heartbeat, *, once: bool
) -> Iterator[Shipper]:
    """Make the shipper for a store, and keep the copies of lists up to date meanwhile.

    once: write them at the end instead.
    """
    directory = Path(settings.spool.directory)
    registry = partial(open_registry, settings)
    rules = FollowedRules(settings.classify, _log.error)
    rules.current()  # what is wrong with them is reported at once
    filler = _filler(settings)
    listed = Path(settings.privacy.objections) if settings.privacy.objections else None
    settled = settings.unsubscribe.by_link is ByLink.SETTLED
    unsubscribes = Unsubscribes(registry, store, settled=settled, objections=listed)
    try:
        shipper = Shipper(
            directory,
            store,
            filler=filler,
            reclassifier=Reclassifier(store, rules.current, settings.classify.again_within),
            retention=settings.store.retention,
            unsubscribes=unsubscribes,
            portion=CLUSTER_PORTION if settings.store.engine == "cassandra" else BUDGET,
            lock=lock,
            erasures=Erasures(registry, store, directory),
            copies=CopyCarrier(registry, directory, listed, keeps=settings.keeps_html()),
            alive=heart.beat,
        )
        with _suppression_list(settings, filler, once=once), _tracking_domains(settings, once=once):
            yield shipper
    finally:
        unsubscribes.close()


def _filler(settings: Settings) -> SuppressionFiller | None:
    """Return what puts recipients on the suppression list, None where no threshold is set."""
    terms = settings.suppression
    if not terms.invalid_recipients and not terms.complaints:
        return None
    thresholds = Thresholds(terms.invalid_recipients, terms.complaints, terms.within)
    return SuppressionFiller(partial(open_registry, settings), thresholds)


@contextmanager
def _suppression_list(settings: Settings, filler: SuppressionFiller | None, *, once: bool) -> Iterator[None]:
    """Keep the filter's copy of the suppression list up to date meanwhile, where one is wanted."""
    if not settings.copies_suppression_list():
        yield
    else:
        writer = SnapshotWriter(partial(open_registry, settings), Path(settings.suppression.snapshot))
        with _written_meanwhile(writer, "suppression", once=once):
            yield
    if filler is not None:
        filler.close()


@contextmanager
def _tracking_domains(settings: Settings, *, once: bool) -> Iterator[None]:
    """Keep the copy of tracking domains for filter and tracker up to date meanwhile, where it is wanted."""
    if not settings.entered_domains.enabled:
        yield
        return
    writer = CopyWriter(partial(open_registry, settings), Path(settings.entered_domains.snapshot))
    with _written_meanwhile(writer, "tracking-domains", once=once):
        yield


@contextmanager
def _written_meanwhile(writer: ListCopy, name: str, *, once: bool) -> Iterator[None]:
    """Let a thread of this name write a copy meanwhile; once: write it at the end."""
    ended = threading.Event()
    thread = threading.Thread(target=writer.run, args=(ended,), name=name, daemon=True)
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
