"""Starts the tracker's server: checks beforehand, then granian with the configuration's values.

Why granian, and why these values: docs/decisions/0004-fast-path.md.
"""

from functools import partial
from pathlib import Path

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels

from engagement import extensions
from engagement.links.keys import RingError
from engagement.links.ring_file import load_ring
from engagement.metrics.process import MetricsProcess
from engagement.objections import ObjectionsError
from engagement.objections import load as load_objections
from engagement.settings import Settings, SettingsError, load_file
from engagement.settings.schema import PrivacyMode
from tracker_web.links.hosts import parse_listen, tracking_hosts
from tracker_web.server import build, counts, log
from tracker_web.server.asgi import Asgi
from tracker_web.server.connections import BACKLOG, max_connections
from tracker_web.server.last_good import renew
from tracker_web.server.listening import CannotServe, try_listen
from tracker_web.server.notices import Notices, fork_workers
from tracker_web.server.per_process import well_known
from tracker_web.server.scheduling import RealTime, go_first

_HEADER_TIMEOUT = 10_000  # milliseconds a client may take over its request's head (slowloris)
_STOP_TIMEOUT = 5  # seconds until a worker with a stuck connection is killed


def prepare(config: Path, *, join: bool = False) -> Settings:
    """Return the settings, after everything that would fail later was tried.

    join: another tracker of this user may listen at the address. Raises CannotServe.
    """
    try:
        settings = load_file(config)
    except SettingsError as error:
        raise CannotServe(str(error)) from error
    try:
        load_ring(Path(settings.keys.ring))
        if settings.privacy.objections:
            load_objections(Path(settings.privacy.objections))
    except (RingError, ObjectionsError) as error:
        raise CannotServe(str(error)) from error
    try:
        well_known(settings)
    except OSError as error:
        raise CannotServe(
            f"{error.filename}: {error.strerror}: correct its path in tracker {{ }} of {config}"
        ) from error
    try_listen(parse_listen(settings.tracker.listen), "tracker.listen", config, join=join)
    return settings


_notices: list[Notices] = []  # none or one: made by the parent, inherited by its workers


def application() -> Asgi:
    """Return the application that a worker of the server calls."""
    made = Asgi(build.application(), counts.mine().answered, RealTime().answered)
    for each in _notices:
        each.built()
    return made


def serve(settings: Settings, config: Path) -> None:
    """Serve until SIGTERM or SIGINT. SMTPAPI_CONFIG must name config, the file `settings` came from."""
    listen = parse_listen(settings.tracker.listen)
    hosts = [] if settings.tracker.any_host else sorted(tracking_hosts(settings))
    log.started(str(listen), settings.tracker.workers, hosts, settings.privacy.mode is not PrivacyMode.OFF)
    if notice := extensions.notice("tracker_web"):
        log.notice(notice)
    metrics = MetricsProcess(settings.metrics.tracker, partial(counts.read, counts.share()), log.notice)
    notices = Notices(listen.host, listen.port, settings.tracker.workers)
    _notices[:] = [notices]
    fork_workers()
    go_first()
    server = Granian(
        "tracker_web.server.serve:application",
        factory=True,
        address=listen.host,
        port=listen.port,
        interface=Interfaces.ASGINL,
        workers=settings.tracker.workers,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=_HEADER_TIMEOUT),
        websockets=False,
        backlog=BACKLOG,
        backpressure=max_connections(log.few_descriptors),
        log_level=LogLevels.warning,
        log_dictconfig=log.CONFIG,
        log_access=False,
        respawn_failed_workers=True,
        respawn_interval=1.0,
        workers_kill_timeout=_STOP_TIMEOUT,
    )

    def reload() -> None:
        notices.reloading()
        renew(config)
        metrics.keep()

    server.on_reload(reload)
    with metrics:
        notices.begin()
        server.serve()
    log.stopped()
