"""Starts the pages' server: checks beforehand, then granian on a listener of its own.

One process with a few threads: only the operator uses it, and no reader of mail waits for it. The threads
never wait for a client, slow or idle (`front`, docs/decisions/0038-web-without-a-proxy.md).
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels

from engagement.metrics import show
from engagement.settings import Settings, SettingsError, load_file
from tracker_web.server.build import CONFIG_VARIABLE
from tracker_web.server.connections import BACKLOG, max_connections
from tracker_web.server.listening import CannotServe, try_listen
from tracker_web.server.notices import Notices, fork_workers
from tracker_web.server.scheduling import give_way
from tracker_web.web import log
from tracker_web.web.app import create_app, listen_of
from tracker_web.web.front.asgi import Front
from tracker_web.web.request_metrics import RequestMetrics
from tracker_web.web.token_file import TokenError, token_of

_THREADS: Final = 8  # requests at once; most of them wait for the store
_HEADER_TIMEOUT: Final = 10_000  # milliseconds
_NICE: Final = 10  # half way to the least
_STOP_TIMEOUT: Final = 5  # seconds until a worker with a stuck connection is killed


@dataclass(frozen=True, slots=True)
class _Good:
    settings: Settings


_notices: list[Notices] = []  # none or one: made by the parent, inherited by its worker
_good: list[_Good] = []  # what was read last without an error; a new worker inherits it


def prepare(config: Path) -> Settings:
    """Return the settings, after everything that would fail later was tried. Raises CannotServe."""
    try:
        settings = load_file(config)
        token_of(Path(settings.web.token_file))
    except (SettingsError, TokenError) as error:
        raise CannotServe(str(error)) from error
    try_listen(listen_of(settings), "web.listen", config)
    _good[:] = [_Good(settings)]
    return settings


def _renew(config: Path) -> None:
    try:
        settings = load_file(config)
        token_of(Path(settings.web.token_file))
    except (SettingsError, TokenError) as error:
        log.reconfigure_failed(error)
        return
    _good[:] = [_Good(settings)]


def application() -> Front:
    """Return the application that the server's worker calls. Raises TokenError."""
    settings = _good[0].settings
    counted = RequestMetrics(create_app(settings).wsgi_app)
    # In the worker: there is one, so what it counts is all.
    show.start(settings.metrics.web, counted.read, log.notice)
    workers = ThreadPoolExecutor(_THREADS, "web")
    made = Front(counted, workers, slow=lambda path, seconds: counted.note(path, "408", seconds))
    for each in _notices:
        each.built()
    return made


def serve(settings: Settings, config: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    give_way(_NICE)  # the tracker beside it has the processor first
    os.environ[CONFIG_VARIABLE] = str(config)  # for the commands that this program runs
    listen = listen_of(settings)
    log.started(str(listen), settings.web.token_file)
    notices = Notices(listen.host, listen.port, 1)
    _notices[:] = [notices]
    fork_workers()
    server = Granian(
        "tracker_web.web.serve:application",
        factory=True,
        address=listen.host,
        port=listen.port,
        interface=Interfaces.ASGINL,
        workers=1,
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
    server.on_reload(notices.reloading)
    server.on_reload(partial(_renew, config))
    notices.begin()
    server.serve()
    log.stopped()
