"""The application: one Flask factory for everything the tracker answers, with the fast path in front.

Not the fast path itself (`hot`, put in front by `process`), so a tracked link never reaches Flask's routing.
What does reach it is for the people who run this: it is answered to this machine alone, and never under a
tracking domain.
"""

import os
from http import HTTPStatus
from pathlib import Path

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from engagement.settings import Settings
from tracker_web import log, page
from tracker_web.client import Proxies, host_name, is_loopback
from tracker_web.hosts import page_hosts
from tracker_web.kept import configured
from tracker_web.process import PerProcess

CONFIG_VARIABLE = "SMTPAPI_CONFIG"
DEFAULT_CONFIG = "/etc/smtpapi/smtpapi.conf"

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
}


def create_app(settings: Settings | None = None) -> Flask:
    """The WSGI application. settings: None reads the file that SMTPAPI_CONFIG names.

    Raises SettingsError for a broken file, OSError for one that cannot be read.
    """
    if settings is None:
        settings = configured(Path(os.environ.get(CONFIG_VARIABLE, DEFAULT_CONFIG)))
    app = Flask(__name__)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    names = page_hosts(settings)
    proxies = Proxies(settings.tracker.trusted_proxies)

    @app.before_request
    def only_this_machine() -> Response | None:
        """Not found, unless the request was sent on this machine to one of its own names.

        The client's address keeps the network out, the name keeps out web sites that made their own name
        point here.
        """
        client = proxies.client(request.remote_addr or "", request.headers.get("X-Forwarded-For", ""))
        if host_name(request.headers.get("Host", "")) in names and is_loopback(client):
            return None
        return plain(HTTPStatus.NOT_FOUND)

    @app.after_request
    def with_headers(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        """Plain words for every error; nothing of the request in them."""
        if isinstance(error, HTTPException):
            response = plain(HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR))
            allowed = getattr(error, "valid_methods", None)
            if allowed:
                response.headers["Allow"] = ", ".join(sorted(allowed))
            return response
        log.page_failed(request.endpoint or "-", error)
        return plain(HTTPStatus.INTERNAL_SERVER_ERROR)

    app.register_blueprint(page.blueprint(settings))
    app.wsgi_app = PerProcess(settings, app.wsgi_app)  # type: ignore[method-assign] # Flask names this place
    return app


def plain(status: HTTPStatus) -> Response:
    """The status in words."""
    return Response(f"{status.phrase}\n", status=status, content_type="text/plain; charset=utf-8")
