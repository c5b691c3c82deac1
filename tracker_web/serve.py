"""Start the server: what must be right beforehand, and granian with the configuration's figures.

Why granian, and why these figures: docs/decisions/0004-fast-path.md.
"""

import os
import socket
from functools import partial
from pathlib import Path

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels

from engagement import native
from engagement.links.keys import RingError
from engagement.links.ring_file import load_ring
from engagement.settings import Settings, SettingsError, load_file
from engagement.settings.objections import ObjectionsError
from engagement.settings.objections import load as load_objections
from tracker_web import log
from tracker_web.hosts import Listen, parse_listen, tracking_hosts
from tracker_web.kept import renew
from tracker_web.process import well_known

# A worker's threads. Two would hand the interpreter's lock around at each write to the spool; what may take
# long is kept off the one by `patience` (docs/decisions/0004-fast-path.md).
_THREADS = 1
_HEADER_TIMEOUT = 10_000  # milliseconds a client may take over its request's head (slowloris)
_STOP_TIMEOUT = 5  # seconds until a worker with a stuck connection is killed
_BACKLOG = 1024


class CannotServe(Exception):
    """What stands in the way, and what to do about it."""


def prepare(config: Path) -> Settings:
    """The settings, after everything that would fail later was tried. Raises CannotServe."""
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
    _try_listen(parse_listen(settings.tracker.listen), config)
    return settings


def _try_listen(listen: Listen, config: Path) -> None:
    """Fail now, in words, where the server would fail in a traceback (or share the port with another one)."""
    try:
        family = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((listen.host, listen.port))
            probe.listen(1)
    except OSError as error:
        raise CannotServe(
            f"cannot listen on {listen}: {error.strerror}: "
            f"`ss -ltnp 'sport = :{listen.port}'` names the program that holds a port; "
            f"stop it, or change tracker.listen in {config}"
        ) from error


def _forget_variables() -> None:
    """Take out of the environment what could pass for a part of a request.

    The server mixes the environment into each request's variables: HTTP_X_FORWARDED_FOR, set by chance or ill
    will, would be a header of every request that has none.
    """
    for name in list(os.environ):
        if name.startswith(("HTTP_", "REQUEST_", "REMOTE_", "SERVER_", "CONTENT_", "wsgi")):
            del os.environ[name]


def serve(settings: Settings, config: Path) -> None:
    """Serve until SIGTERM or SIGINT. SMTPAPI_CONFIG must name config, the file `settings` came from."""
    _forget_variables()
    listen = parse_listen(settings.tracker.listen)
    hosts = [] if settings.tracker.any_host else sorted(tracking_hosts(settings))
    log.started(str(listen), settings.tracker.workers, hosts, settings.privacy.mode != "off")
    if told := native.notice("tracker_web"):
        log.notice(told)
    server = Granian(
        "tracker_web.wsgi:application",
        address=listen.host,
        port=listen.port,
        interface=Interfaces.WSGI,
        workers=settings.tracker.workers,
        blocking_threads=_THREADS,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=_HEADER_TIMEOUT),
        websockets=False,
        backlog=_BACKLOG,
        log_level=LogLevels.warning,
        log_dictconfig=log.CONFIG,
        log_access=False,
        respawn_failed_workers=True,
        respawn_interval=1.0,
        workers_kill_timeout=_STOP_TIMEOUT,
    )
    server.on_reload(partial(renew, config))
    server.serve()
    log.stopped()
