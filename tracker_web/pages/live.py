"""Live: events as they come in. New ones are inserted above; nothing that one reads is moved or replaced."""

from flask import Blueprint, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from engagement.stores.port import Query, StoreError
from tracker_web.pages import site
from tracker_web.pages.content.timeline import line

_LATEST = 50


def blueprint() -> Blueprint:
    """Return the page `/live` and what it asks for new events."""
    pages = Blueprint("live", __name__, url_prefix="/live")

    @pages.get("")
    def front() -> ResponseReturnValue:
        """Return the newest events."""
        store = site.store()
        # Before the rows: an event between the two is shown twice rather than missed.
        mark = store.arrivals("").mark
        lines = [line(fields) for fields in store.find(Query(limit=_LATEST))]
        return render_template("live.html", mark=mark, lines=lines)

    @pages.get("/new")
    def new() -> ResponseReturnValue:
        """Return what came in after the mark `after` as rows, and the next mark."""
        try:
            came = site.store().arrivals(request.args.get("after", ""), limit=_LATEST)
        except StoreError as error:
            return jsonify(error=str(error)), 503
        lines = [line(fields) for fields in reversed(came.events)]
        rows = render_template("live_rows.html", lines=lines) if lines else ""
        return jsonify(mark=came.mark, count=len(lines), rows=rows)

    return pages
