"""One person: every event that names the address, and what can be done about it."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from tracker_web.pages import site
from tracker_web.pages.content.timeline import line
from tracker_web.pages.messages import events_table

_PAGE = 200


def blueprint() -> Blueprint:
    """Return the page `/recipients`."""
    pages = Blueprint("recipients", __name__, url_prefix="/recipients")

    @pages.get("")
    def search() -> ResponseReturnValue:
        """Return one recipient's events, newest first. Query parameter: address."""
        address = request.args.get("address", "").strip()
        found = list(site.events(recipients=(address,), expired=True, limit=_PAGE)) if address else []
        return site.page(
            "recipient.html",
            (events_table(found),),
            address=address,
            lines=[line(fields) for fields in found],
            more=len(found) == _PAGE,
        )

    return pages
