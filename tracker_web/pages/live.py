"""Live: events as they come in. New ones are inserted above; nothing that one reads is moved or replaced."""

from flask import Blueprint, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from engagement.stores.port import StoreError
from tracker_web.languages.translation import gettext, ngettext
from tracker_web.pages import site
from tracker_web.pages.content.timeline import line

_LATEST = 50


def blueprint() -> Blueprint:
    """Return the page `/live` and what it asks for new events."""
    pages = Blueprint("live", __name__, url_prefix="/live")

    @pages.get("")
    def front() -> ResponseReturnValue:
        """Return the newest events."""
        # Before the rows: an event between the two is shown twice rather than missed.
        mark = site.store().arrivals("").mark
        lines = [line(fields) for fields in site.events(limit=_LATEST)]
        return render_template("live.html", mark=mark, lines=lines, texts=_texts())

    @pages.get("/new")
    def new() -> ResponseReturnValue:
        """Return what came in after the mark `after` as rows, and the next mark."""
        try:
            came = site.store().arrivals(request.args.get("after", ""), limit=_LATEST)
            ids = tuple(str(fields["event_id"]) for fields in came.events)
            # What arrives is everybody's; which of it this one may see is a question to the store.
            theirs = {fields["event_id"]: fields for fields in site.events(ids=ids)} if ids else {}
        except StoreError as error:
            return jsonify(error=str(error)), 503
        lines = [line(theirs[name]) for name in reversed(ids) if name in theirs]
        rows = render_template("live_rows.html", lines=lines) if lines else ""
        return jsonify(mark=came.mark, count=len(lines), rows=rows)

    return pages


def _texts() -> dict[str, str]:
    """Return what the script says. In `many`, `%` stands for a number."""
    return {
        "live": gettext("live"),
        "paused": gettext("paused"),
        "pause": gettext("Pause"),
        "go_on": gettext("Go on"),
        "one": ngettext("%(num)s new event", "%(num)s new events", 1),
        "many": ngettext("%(num)s new event", "%(num)s new events", 1000).replace("1000", "%"),
        "signed_out": gettext("signed out: sign in again"),
        "unreachable": gettext("not reachable, trying again"),
    }
