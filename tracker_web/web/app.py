"""The application of `smtpapi web`: a Flask factory, with `guard` before it."""

from http import HTTPStatus
from pathlib import Path

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from engagement.access.sessions import Sessions
from engagement.access.users import Users
from engagement.events import agents
from engagement.settings import Settings
from tracker_web.api import errors
from tracker_web.api.gate import Gate
from tracker_web.api.register import register
from tracker_web.languages.catalogues import PAGES, load
from tracker_web.links.client_address import Proxies, host_name
from tracker_web.links.hosts import HttpListen, parse_listen
from tracker_web.pages import every
from tracker_web.web import log
from tracker_web.web.guard import Guard, is_api
from tracker_web.web.headers import HEADERS
from tracker_web.web.page_timeout import PageTimeout
from tracker_web.web.sources import EXTENSION, Sources
from tracker_web.web.token_file import token_of

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


def web_hosts(settings: Settings) -> frozenset[str]:
    """Return the names that requests may be sent to: of loopback, the listen address, `web { hosts }`."""
    listen = parse_listen(settings.web.listen)
    return (_LOOPBACK | listen.names | {host_name(host) for host in settings.web.hosts}) - {""}


def listen_of(settings: Settings) -> HttpListen:
    """Return the address and port that the program listens on."""
    return parse_listen(settings.web.listen)


def create_app(settings: Settings, sources: Sources | None = None) -> Flask:
    """Return the application and its guard. Raises TokenError where the token cannot be read or made.

    sources: what it reads instead of what the settings name; for tests.
    """
    app = Flask("tracker_web.pages")
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True

    @app.after_request
    def with_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        """Answer an error with its status's phrase; nothing of the request is in it."""
        if is_api(request.path):
            return errors.answer(error)
        if isinstance(error, HTTPException):
            response = status_answer(HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR))
            allowed = getattr(error, "valid_methods", None)
            if allowed:
                response.headers["Allow"] = ", ".join(sorted(allowed))
            return response
        log.page_failed(error)
        return status_answer(HTTPStatus.INTERNAL_SERVER_ERROR)

    agents.prepare()
    sources = app.extensions[EXTENSION] = sources or Sources(settings)
    languages = load(PAGES, settings.languages.folder, settings.languages.default)
    for trouble in languages.troubles:
        log.notice(trouble)
    every.register(app, languages)
    proxies = Proxies(settings.tracker.trusted_proxies)
    register(app, sources, proxies)
    app.wsgi_app = Guard(  # type: ignore[method-assign,assignment] # Flask names this place
        PageTimeout(app.wsgi_app, languages=languages),
        api=Gate(app.wsgi_app),
        token=token_of(Path(settings.web.token_file)),
        hosts=web_hosts(settings),
        proxies=proxies,
        port=listen_of(settings).port,
        people=lambda: (Users(sources.registry()), Sessions(sources.registry())),
        login_header=settings.web.login_header,
        languages=languages,
    )
    return app


def status_answer(status: HTTPStatus) -> Response:
    """Return an answer whose text is the status's phrase."""
    return Response(f"{status.phrase}\n", status=status, content_type="text/plain; charset=utf-8")
