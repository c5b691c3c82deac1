"""The pipeline's state: the shipper, what waits in the spool, the newest event, and requests to erase."""

from pathlib import Path

from flask import Blueprint
from flask.typing import ResponseReturnValue

from engagement.shipper import status
from engagement.spool.read import SpoolReader
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
    """Return what the shipper told last: a name, words, and whether it is well."""
    found = status.load(Path(site.sources().settings.spool.directory))
    if found is None:
        return [("Shipper", "none has told its state here: is smtpapi ship running, on this host?", False)]
    ago = max(0, site.now_ms() - int(found.at * 1000))
    lines = [
        (
            "Shipper",
            f"process {found.pid}, last looked {duration(ago)} ago",
            ago < _SLOW_MS and not found.failing,
        ),
        (
            "Carried",
            f"{grouped(found.carried)} records since it began, {found.rate:.0f} a second lately",
            True,
        ),
    ]
    if found.failing or found.last_error:
        lines.append(("Last error", found.last_error, not found.failing))
    for count, what in ((found.set_aside, "Set aside"), (found.outdated, "Too old to carry")):
        if count:
            lines.append((what, f"{grouped(count)} records", False))
    if found.trouble:
        lines.append(("Trouble", found.trouble, False))
    return lines


def _spool() -> list[tuple[str, str, bool]]:
    folder = Path(site.sources().settings.spool.directory)
    try:
        waiting = SpoolReader(folder).backlog().records
    except OSError as error:
        return [("Spool", f"{folder} cannot be read here: {error.strerror}", False)]
    return [("Spool", f"{grouped(waiting)} records wait in {folder}", True)]


def _store() -> list[tuple[str, str, bool]]:
    newest = site.events(limit=1)
    if not newest:
        return [("Store", "empty", True)]
    at_ms = int(moment(str(newest[0]["timestamp"])).timestamp() * 1000)
    return [("Store", f"the newest event is {duration(max(0, site.now_ms() - at_ms))} old", True)]
