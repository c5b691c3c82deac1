"""The pipeline's state: the shipper, what waits in the spool, the newest event, and requests to erase."""

from pathlib import Path

from flask import Blueprint
from flask.typing import ResponseReturnValue

from engagement.shipper import status
from engagement.spool.read import SpoolReader
from tracker_web.languages.translation import gettext, ngettext
from tracker_web.pages import site
from tracker_web.pages.content.numbers import duration, grouped, moment

_SLOW_MS = 60_000  # a look of the shipper that is older than this is late


def blueprint() -> Blueprint:
    """Return the page `/pipeline`."""
    pages = Blueprint("pipeline", __name__, url_prefix="/pipeline")

    @pages.get("")
    def front() -> ResponseReturnValue:
        """Return the state of what carries events, line by line."""
        return site.page("pipeline.html", facts=[*_shipper(), *_spool(), *_store()])

    return pages


def _shipper() -> list[tuple[str, str, bool]]:
    """Return what the shipper reported last: a name, words, and whether it is well."""
    found = status.load(Path(site.sources().settings.spool.directory))
    if found is None:
        silent = gettext("none has told its state here: is smtpapi ship running, on this host?")
        return [(gettext("Shipper"), silent, False)]
    ago = max(0, site.now_ms() - int(found.at * 1000))
    looked = gettext("process %(pid)s, last looked %(ago)s ago", pid=found.pid, ago=duration(ago))
    carried = ngettext(
        "%(count)s record since it began, %(rate)s a second lately",
        "%(count)s records since it began, %(rate)s a second lately",
        found.carried,
        count=grouped(found.carried),
        rate=grouped(found.rate),
    )
    lines = [
        (gettext("Shipper"), looked, ago < _SLOW_MS and not found.failing),
        (gettext("Carried"), carried, True),
    ]
    if found.failing or found.last_error:
        lines.append((gettext("Last error"), found.last_error, not found.failing))
    for count, what in (
        (found.set_aside, gettext("Set aside")),
        (found.outdated, gettext("Too old to carry")),
    ):
        if count:
            lines.append((what, _records(count), False))
    if found.trouble:
        lines.append((gettext("Trouble"), found.trouble, False))
    return lines


def _records(count: int) -> str:
    return ngettext("%(count)s record", "%(count)s records", count, count=grouped(count))


def _spool() -> list[tuple[str, str, bool]]:
    folder = Path(site.sources().settings.spool.directory)
    try:
        waiting = SpoolReader(folder).backlog().records
    except OSError as error:
        why = gettext("%(folder)s cannot be read here: %(why)s", folder=folder, why=error.strerror)
        return [(gettext("Spool"), why, False)]
    text = ngettext(
        "%(count)s record waits in %(folder)s",
        "%(count)s records wait in %(folder)s",
        waiting,
        count=grouped(waiting),
        folder=folder,
    )
    return [(gettext("Spool"), text, True)]


def _store() -> list[tuple[str, str, bool]]:
    newest = site.events(limit=1)
    if not newest:
        return [(gettext("Store"), gettext("empty"), True)]
    at_ms = int(moment(str(newest[0]["timestamp"])).timestamp() * 1000)
    age = duration(max(0, site.now_ms() - at_ms))
    return [(gettext("Store"), gettext("the newest event is %(age)s old", age=age), True)]
