"""Builds the tracker's WSGI application: links, pixels, small files, and short pages for everything else.

No framework, no store, no page of data: events are shown by `smtpapi web`, a program of its own.
"""

import os
from collections.abc import Container, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engagement.settings import Settings
from tracker_web.languages.catalogues import READERS, Languages, load
from tracker_web.links import responses
from tracker_web.links.client_address import host_name
from tracker_web.links.hosts import Names, answered_hosts, entered_names
from tracker_web.server import log
from tracker_web.server.last_good import configured
from tracker_web.server.per_process import PerProcess

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CONFIG_VARIABLE: Final = "SMTPAPI_CONFIG"
DEFAULT_CONFIG: Final = "/etc/smtpapi/smtpapi.conf"


def application(settings: Settings | None = None) -> PerProcess:
    """Return the WSGI application. settings: None reads the file that SMTPAPI_CONFIG names.

    Raises SettingsError for a broken file, OSError for one that cannot be read.
    """
    if settings is None:
        settings = configured(Path(os.environ.get(CONFIG_VARIABLE, DEFAULT_CONFIG)))
    hosts = answered_hosts(settings)
    languages = load(READERS, settings.languages.folder, settings.languages.default)
    for trouble in languages.troubles:
        log.notice(trouble)
    entered = entered_names(settings, lambda _text: None)  # `per_process` reports what is wrong with the file
    return PerProcess(settings, otherwise(hosts, settings.tracker.sender, languages, entered))


def otherwise(
    hosts: Container[str] | None,
    sender: str = "",
    languages: Languages | None = None,
    entered: Names = frozenset,
) -> "WSGIApplication":
    """Return the application for what is no link: a page at `/` of our own names, else not found.

    hosts: our names, as `host_name` returns them; None for any. sender: who sends, named on that page.
    languages: of that page, ours if not given. entered: returns further names.
    """
    languages = languages or load(READERS)
    pages = {code: responses.front_page(sender, language) for code, language in languages.every.items()}

    unknown = {code: responses.not_found(language) for code, language in languages.every.items()}

    def answer(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        method: str = environ["REQUEST_METHOD"]
        host = host_name(environ.get("HTTP_HOST", ""))
        ours = bool(host) and (hosts is None or host in hosts or host in entered())
        if ours and environ["PATH_INFO"] == "/" and method in ("GET", "HEAD"):
            headers, body = pages[languages.of(environ.get("HTTP_ACCEPT_LANGUAGE", "")).code]
            start(responses.OK, list(headers))
        else:
            body = unknown[languages.of(environ.get("HTTP_ACCEPT_LANGUAGE", "")).code]
            start(responses.NOT_FOUND, responses.text_headers(body))
        return [] if method == "HEAD" else [body]

    return answer
