"""The overview: all mail of a period, its campaigns, links and domains, and what came in last."""

from pathlib import Path

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue

from engagement.figures.query import FigureRow
from engagement.shipper import status
from tracker_web.pages import site
from tracker_web.pages.content.charts import line_chart
from tracker_web.pages.content.figures import (
    cards,
    lines,
    link_table,
    mail_table,
    moments,
    series_table,
    total,
)
from tracker_web.pages.content.numbers import duration, grouped
from tracker_web.pages.content.tables import TEXT, Column
from tracker_web.pages.content.timeline import line

_TOP = 8  # groups of each table
_LATEST = 8  # events


def blueprint() -> Blueprint:
    """Return the page `/`."""
    pages = Blueprint("overview", __name__)

    @pages.get("/")
    def front() -> ResponseReturnValue:
        """Return the overview. Query parameters: period, from, to, compare, count."""
        view = site.view()
        period = view.period
        sums = total(site.rows(view))
        earlier = view.period.before
        before = (
            total(site.rows(view, from_ms=earlier.from_ms, to_ms=earlier.to_ms)) if view.compare else None
        )
        times = moments(period, period.precision)
        series = site.rows(view, precision=period.precision, series=True)
        series_before = (
            site.rows(
                view, from_ms=earlier.from_ms, to_ms=earlier.to_ms, precision=period.precision, series=True
            )
            if view.compare
            else None
        )
        drawn = lines(series, times, series_before, unique=view.unique)
        tables = (
            series_table(times, drawn, period.precision),
            mail_table(
                "campaigns",
                Column("campaign", "Campaign", TEXT),
                [
                    (row.group or "(no campaign)", _campaign(row.group), row.figures)
                    for row in site.rows(view, by="campaign", limit=_TOP, order_by="count_injected")
                ],
            ),
            link_table(
                [
                    _link(row)
                    for row in site.rows(
                        view, by="link", limit=_TOP, order_by="x_count_people_unique_clicked"
                    )
                ]
            ),
            mail_table(
                "domains",
                Column("domain", "Domain", TEXT),
                [
                    (row.group or "(not known)", "", row.figures)
                    for row in site.rows(view, by="domain", limit=_TOP, order_by="count_injected")
                ],
            ),
        )
        latest = [line(fields) for fields in site.events(limit=_LATEST)]
        return site.page(
            "overview.html",
            tables,
            view=view,
            cards=cards(sums, before, unique=view.unique),
            sums=sums,
            chart=line_chart("Opens and clicks by people", times, drawn, precision=period.precision),
            drawn=drawn,
            latest=latest,
            health=_health(),
        )

    return pages


def _campaign(name: str) -> str:
    return url_for("campaigns.one", name=site.segment(name))


def _link(row: FigureRow) -> tuple[str, str, str, dict[str, int]]:
    ordinal, _, name = row.group.partition(":")
    return str(int(ordinal) + 1) if ordinal.isdigit() else "", name, "", dict(row.figures)


def _health() -> tuple[str, bool]:
    """Return the state of the way from the spool to the store in a line, and whether it is well."""
    found = status.load(Path(site.sources().settings.spool.directory))
    if found is None:
        return "No shipper has told its state here: is smtpapi ship running, on this host?", False
    ago = duration(max(0, site.now_ms() - int(found.at * 1000)))
    if found.failing:
        return f"The shipper cannot reach the store: {found.last_error}", False
    said = f"The shipper carried {grouped(found.carried)} records, the last look {ago} ago."
    return said, site.now_ms() - found.at * 1000 < 60_000
