"""The last good configuration, keys and lists, for workers that start while the files are broken.

A server starts new workers at SIGHUP and whenever one died, and each reads configuration and keys again. A
file that is being edited, or was edited badly, must not cost the links of mail already sent: then the worker
takes what its parent had read, at the start or at a later reload, and what it got by the fork. Not a cache:
what can be read is read.

Where nothing was remembered (another server loads the application by itself) a broken file raises its
error.
"""

from dataclasses import dataclass
from pathlib import Path

from engagement.links.keys import RingError
from engagement.links.ring_file import RingFile
from engagement.links.stops import Stops, recovered
from engagement.objections import Objections, ObjectionsError
from engagement.objections import load as load_objections
from engagement.settings import Settings, SettingsError, load_file
from tracker_web.links.well_known import Files, well_known
from tracker_web.server import log


@dataclass(frozen=True, slots=True)
class _LastGood:
    settings: Settings
    files: Files
    ring: RingFile
    objections: Objections | None
    stops: Stops | None


_remembered: list[_LastGood] = []  # none or one


def remember(settings: Settings) -> None:
    """Remember a configuration and the files it names. Raises RingError, OSError for one that cannot be read.

    Only the list of objections may be missing: then nothing is recorded until it can be read.
    """
    ring = RingFile(Path(settings.keys.ring), report=log.ring_not_loaded)
    _remembered[:] = [
        _LastGood(settings, well_known(settings), ring, _objections(settings), _stopped(settings))
    ]


def renew(path: Path) -> None:
    """Remember what is good of a configuration at a reload; what is broken stays as it was, and is logged.

    Raises nothing once something was remembered.
    """
    settings = configured(path)
    _remembered[:] = [
        _LastGood(settings, files_of(settings), ring_of(settings), _objections(settings), _stopped(settings))
    ]


def configured(path: Path) -> Settings:
    """Return the settings of a file, else the last good ones. Raises SettingsError if there are none."""
    try:
        return load_file(path)
    except SettingsError as error:
        if not _remembered:
            raise
        log.reconfigure_failed(error)
        return _remembered[0].settings


def files_of(settings: Settings) -> Files:
    """Return the small files to serve, else the last good ones. Raises OSError if there are none."""
    try:
        return well_known(settings)
    except OSError as error:
        if not _remembered:
            raise
        log.reconfigure_failed(error)
        return _remembered[0].files


def ring_of(settings: Settings) -> RingFile:
    """Return the key ring, else the last good one. Raises RingError if there is none."""
    try:
        return RingFile(Path(settings.keys.ring), report=log.ring_not_loaded)
    except RingError as error:
        if not _remembered:
            raise
        log.ring_not_loaded(error)
        return _remembered[0].ring


def objections() -> Objections | None:
    """Return the list of objections that was read last; None if it never could be read."""
    return _remembered[0].objections if _remembered else None


def stopped() -> Stops | None:
    """Return the list of stopped links that was read last; None for nothing stopped."""
    return _remembered[0].stops if _remembered else None


def _stopped(settings: Settings) -> Stops | None:
    stops, trouble = recovered(Path(settings.tracker.stop_list))
    if trouble:
        log.stop_list_trouble(trouble)
    return stopped() if stops is None else stops


def _objections(settings: Settings) -> Objections | None:
    if not settings.privacy.objections:
        return None
    try:
        return load_objections(Path(settings.privacy.objections))
    except ObjectionsError as error:
        log.objections_trouble(str(error))
        return objections()
