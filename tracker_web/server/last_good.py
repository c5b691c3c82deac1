"""What could be read last, for workers that are made while the files are broken.

A server makes new workers at SIGHUP and whenever one died, and each reads configuration and keys anew. A file
that is being edited, or was edited badly, must not cost the links of mail already sent: then the worker goes
by what its parent had read, at the start or at a reload since, which it inherits when it is forked. Not a
cache: what can be read is read.

Where nothing was kept (another server loads the application by itself) a broken file raises as it ever did.
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
class _Kept:
    settings: Settings
    files: Files
    ring: RingFile
    objections: Objections | None
    stops: Stops | None


_kept: list[_Kept] = []  # none or one


def keep(settings: Settings) -> None:
    """Remember what was found good. Raises RingError, OSError for a file that cannot be read now.

    The list of objections alone may be missing: then nothing is recorded until it can be read.
    """
    ring = RingFile(Path(settings.keys.ring), report=log.ring_not_loaded)
    _kept[:] = [_Kept(settings, well_known(settings), ring, _objections(settings), _stopped(settings))]


def renew(path: Path) -> None:
    """Keep what is good of a configuration at a reload; what is broken stays as it was, and the log says so.

    Raises nothing once something was kept.
    """
    settings = configured(path)
    _kept[:] = [
        _Kept(settings, files_of(settings), ring_of(settings), _objections(settings), _stopped(settings))
    ]


def configured(path: Path) -> Settings:
    """Return the settings of a file, or those kept, and say so. Raises SettingsError if there are none."""
    try:
        return load_file(path)
    except SettingsError as error:
        if not _kept:
            raise
        log.reconfigure_failed(error)
        return _kept[0].settings


def files_of(settings: Settings) -> Files:
    """Return the small files to serve, or those kept. Raises OSError if there are none."""
    try:
        return well_known(settings)
    except OSError as error:
        if not _kept:
            raise
        log.reconfigure_failed(error)
        return _kept[0].files


def ring_of(settings: Settings) -> RingFile:
    """Return the key ring, or the one kept. Raises RingError if there is none."""
    try:
        return RingFile(Path(settings.keys.ring), report=log.ring_not_loaded)
    except RingError as error:
        if not _kept:
            raise
        log.ring_not_loaded(error)
        return _kept[0].ring


def objections() -> Objections | None:
    """Return who had objected at the start, or at the last reload that could read it; None if none could."""
    return _kept[0].objections if _kept else None


def stopped() -> Stops | None:
    """Return what was stopped at the start, or at the last reload that could tell; None for nothing."""
    return _kept[0].stops if _kept else None


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
