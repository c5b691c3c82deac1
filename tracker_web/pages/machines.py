"""Machines: which rule called what a machine, with examples."""

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue

from engagement.figures.query import FigureRow
from tracker_web.pages import site
from tracker_web.pages.content.figures import machine_table

_MOST = 200


def blueprint() -> Blueprint:
    """Return the page `/machines`."""
    pages = Blueprint("machines", __name__, url_prefix="/machines")

    @pages.get("")
    def every() -> ResponseReturnValue:
        """Return what each rule called what in a period. Query parameters: period, from, to."""
        view = site.view()
        found = site.rows(view, by="machine", limit=_MOST, order_by="x_count_recorded_rendered", metrics=())
        return site.page("machines.html", (machine_table([_row(row) for row in found]),), view=view)

    return pages


def _row(row: FigureRow) -> tuple[str, str, str, dict[str, int]]:
    client, _, reason = row.group.partition(" ")
    return client, reason, site.link_to(url_for("messages.search"), {"class": client}), dict(row.figures)
