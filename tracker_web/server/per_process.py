"""Builds the part of the tracker that each worker process has for itself, after the fork.

Spool writer, key ring and event ids are not shared between processes: two that wrote one spool segment, or
drew ids from one node, would damage each other's records.
"""

import os
import secrets
from collections.abc import Iterable
from multiprocessing.util import Finalize
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakSet

from engagement.classify.followed import FollowedRules
from engagement.events.ids import EventIds
from engagement.links.model import CLICKS, OPENS, Kind
from engagement.links.ring_file import RingFile
from engagement.objections import ObjectionsFile
from engagement.settings import Settings
from engagement.settings.schema import ByLink, Pixel, PrivacyMode
from engagement.spool.fold import Folding
from engagement.spool.write import SpoolWriter
from tracker_web.languages.catalogues import READERS, load
from tracker_web.links.about_page import retention_policy
from tracker_web.links.application import HitSink, LinksApplication
from tracker_web.links.client_address import Proxies
from tracker_web.links.hosts import answered_hosts, entered_names
from tracker_web.links.privacy_spool import (
    MODES,
    ObjectionsSpool,
    PrivacySpool,
    SharedPixelSpool,
    WishesSpool,
)
from tracker_web.links.stop_list import StopListFollower
from tracker_web.links.unknown_keys import UnknownKeys
from tracker_web.links.well_known import Files, well_known
from tracker_web.server import counts
from tracker_web.server.last_good import files_of, objections, ring_of, stopped
from tracker_web.server.log import (
    LostRecords,
    entered_trouble,
    objections_trouble,
    rules_trouble,
    stop_list_trouble,
    unknown_key,
)

__all__ = ["PerProcess", "build", "well_known"]

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class PerProcess:
    """The WSGI callable that servers get: it builds the process's `LinksApplication` at the first request.

    otherwise: answers what is no tracked link.
    """

    def __init__(self, settings: Settings, otherwise: "WSGIApplication") -> None:
        self._settings = settings
        self._otherwise = otherwise
        self._well_known = files_of(settings)
        self._reset()
        _all.add(self)

    def _reset(self) -> None:
        self._lock = Lock()
        self._application: LinksApplication | None = None

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request. Raises RingError when there is no key ring."""
        application = self._application
        if application is None:
            application = self._build()
        return application(environ, start_response)

    def _build(self) -> LinksApplication:
        with self._lock:
            if self._application is None:
                self._application = build(self._settings, self._otherwise, self._well_known)
            return self._application


# A forked child builds its own application. Comparing process ids at each request would cost more.
_all: "WeakSet[PerProcess]" = WeakSet()


def _after_fork() -> None:
    for each in list(_all):
        each._reset()  # noqa: SLF001 - this module's own class


os.register_at_fork(after_in_child=_after_fork)


def build(settings: Settings, otherwise: "WSGIApplication", files: Files | None = None) -> LinksApplication:
    """Build this process's application. Raises RingError when there is no key ring."""
    keys = ring_of(settings)
    counted = counts.mine()
    ids = EventIds(secrets.token_bytes(8))
    return LinksApplication(
        keys=keys,
        event_id=ids.next,
        spool=_spool(settings, keys, counted),
        otherwise=otherwise,
        hosts=answered_hosts(settings),
        entered=entered_names(settings, entered_trouble),
        lost=LostRecords(counted.lost).add,
        proxies=Proxies(settings.tracker.trusted_proxies),
        truncate_addresses=settings.privacy.truncate_addresses,
        well_known=files,
        stops=StopListFollower(Path(settings.tracker.stop_list), stop_list_trouble, stopped()).start(),
        sender=settings.tracker.sender,
        unknown_key=UnknownKeys(Path(settings.spool.directory), unknown_key, counted.unknown_key).add,
        unrecorded=_unrecorded(settings),
        confirm_unsubscribe=settings.unsubscribe.by_link is ByLink.CONFIRM,
        languages=load(READERS, settings.languages.folder, settings.languages.default),
        policy=retention_policy(settings),
    )


def _spool(settings: Settings, keys: RingFile, counted: counts.WorkerCounts) -> HitSink:
    """Return where hits are written, as privacy has them; in mode off only wishes to get no more mail."""
    mode = settings.privacy.mode
    writer = Folding(_writer(settings, counted), always=settings.spool.sync == "always")
    # Not atexit: a process that multiprocessing started, as the workers are, ends without it.
    Finalize(None, writer.close, exitpriority=0)
    rules = FollowedRules(settings.classify, rules_trouble).current()
    # The oldest: a rotation must not part workers made before it from those made after.
    key = keys.current().keys[0].derive(b"ceiling")
    if mode is PrivacyMode.OFF:
        day_ids = EventIds(secrets.token_bytes(8))
        return WishesSpool(PrivacySpool(writer, PrivacyMode.HYGIENE, key, day_ids.next, rules))
    spool: HitSink = SharedPixelSpool(writer, every=settings.privacy.pixel is Pixel.SHARED, rules=rules)
    if mode in MODES:
        spool = PrivacySpool(spool, mode, key, EventIds(secrets.token_bytes(8)).next, rules)
    if settings.privacy.objections:
        file = ObjectionsFile(Path(settings.privacy.objections), objections_trouble, first=objections())
        spool = ObjectionsSpool(spool, file.current)
    return spool


def _unrecorded(settings: Settings) -> frozenset[Kind]:
    """Return the kinds of hits that event_hydrant { } turns off."""
    hydrant = settings.event_hydrant
    none: frozenset[Kind] = frozenset()
    return (none if hydrant.log_click else CLICKS) | (none if hydrant.log_open else OPENS)


def _writer(settings: Settings, counted: counts.WorkerCounts) -> SpoolWriter:
    return SpoolWriter(
        Path(settings.spool.directory),
        sync=settings.spool.sync,
        segment_size=settings.spool.segment_size,
        max_size=settings.spool.max_size,
        max_share=settings.spool.max_share,
        dropped=counted.dropped,
        sync_failed=counted.sync_failed,
    )
