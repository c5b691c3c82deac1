"""The overview: all mail of a period, its campaigns, links and domains, and what came in last."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue

from engagement.events.fields import Fields
from engagement.figures.query import FigureRow
from engagement.shipper import status
from engagement.stores.port import FigureQuery, Query
from tracker_web.languages.translation import N_, gettext, ngettext
from tracker_web.pages import site
from tracker_web.pages.content.charts import line_chart, series_data
from tracker_web.pages.content.figure_tables import link_table, mail_table, series_table
from tracker_web.pages.content.figures import cards, lines, moments, total
from tracker_web.pages.content.newest import FETCHES, READERS, programs_table, targets
from tracker_web.pages.content.numbers import duration, grouped, moment
from tracker_web.pages.content.people import CLICKS
from tracker_web.pages.content.tables import TEXT, Column
from tracker_web.pages.content.timeline import line

_TOP = 8  # groups of each table
_LATEST = 8  # events
_LOOKED_AT = 100  # newest opens, and as many clicks, for programs and targets
_MINUTE: Final = 60_000
_MOST: Final = 1000  # events of a minute that are compared; with more nobody misses the last of them
_RECENT: Final = 10 * _MINUTE  # figures of older events are made, or the shipper's state says why not
# Types of events of which a figure counts each, so that the two can be compared.
_COUNTED: Final = {
    ("injection",): "count_injected",
    ("delivery",): "count_delivered",
    ("click", "amp_click"): "x_count_recorded_clicked",
    ("open", "amp_open"): "x_count_recorded_rendered",
    ("initial_open", "amp_initial_open"): "x_count_recorded_initial_rendered",
}


_IN_A_MINUTE: Final = {
    ("injection",): N_("taken in"),
    ("delivery",): N_("delivered"),
    ("bounce", "expiration", "out_of_band"): N_("bounced"),
    FETCHES: N_("fetched"),
    CLICKS: N_("clicked"),
}


def blueprint() -> Blueprint:
    """Return the page `/`."""
    pages = Blueprint("overview", __name__)

    @pages.get("/")
    def front() -> ResponseReturnValue:
        """Return the overview. Query parameters: period, from, to, compare, count."""
        view = site.view()
        period = view.period
        # Events before figures: what is counted by then is in all that is read from here on.
        newest = site.events(limit=_LATEST)
        behind = _behind(newest, period.to_ms)
        hits = {"from_ms": period.from_ms, "to_ms": period.to_ms, "limit": _LOOKED_AT}
        clicks = site.events(types=CLICKS, **hits)
        leads = targets(clicks)
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
                Column("campaign", gettext("Campaign"), TEXT),
                [
                    (row.group or gettext("(no campaign)"), _campaign(row.group), row.figures)
                    for row in site.rows(view, by="campaign", limit=_TOP, order_by="count_injected")
                ],
            ),
            link_table(
                [
                    _link(row, leads)
                    for row in site.rows(
                        view, by="link", limit=_TOP, order_by="x_count_people_unique_clicked"
                    )
                ]
            ),
            mail_table(
                "domains",
                Column("domain", gettext("Domain"), TEXT),
                [
                    (row.group or gettext("(not known)"), "", row.figures)
                    for row in site.rows(view, by="domain", limit=_TOP, order_by="count_injected")
                ],
            ),
        )
        latest = [line(fields) for fields in newest]
        programs = programs_table([*clicks, *site.events(types=FETCHES, classes=READERS, **hits)], _TOP)
        return site.page(
            "overview.html",
            (*tables, programs),
            view=view,
            cards=cards(sums, before, unique=view.unique),
            sums=sums,
            chart=line_chart(gettext("Opens and clicks by people"), times, drawn, precision=period.precision),
            drawn=drawn,
            series=series_data(times, drawn, period.precision),
            latest=latest,
            behind=behind,
            looked_at=_LOOKED_AT,
            minute=_last_minute(),
            health=_health(),
        )

    return pages


def _behind(newest: Sequence[Fields], to_ms: int) -> bool:
    """Return whether an event that came in lately is not in the figures yet: they follow by a moment.

    newest: the newest events. to_ms: the end of the period that is shown. Raises StoreError.
    """
    least = site.now_ms() - _RECENT
    recent = [(at_ms, fields) for fields in newest if least <= (at_ms := _at_ms(fields)) < to_ms]
    if not recent:
        return False
    times = [at_ms - at_ms % _MINUTE for at_ms, _ in recent]
    from_ms, to_ms, whose = min(times), max(times) + _MINUTE, site.tenant()
    rows = site.store().figures(
        FigureQuery(
            from_ms=from_ms,
            to_ms=to_ms,
            precision="1min",
            metrics=tuple(_COUNTED.values()),
            tenant=whose,
        )
    )
    for types, figure in _COUNTED.items():
        if any(fields["type"] in types for _, fields in recent):
            query = Query(from_ms=from_ms, to_ms=to_ms, types=types, tenant=whose)
            there = site.store().number(query, _MOST)
            if sum(row.figures.get(figure, 0) for row in rows) < there < _MOST:
                return True
    return False


def _at_ms(fields: Fields) -> int:
    return int(moment(str(fields["timestamp"])).timestamp() * 1000)


def _campaign(name: str) -> str:
    return url_for("campaigns.one", name=site.segment(name))


def _link(row: FigureRow, leads: Mapping[tuple[int, str], str]) -> tuple[str, str, str, str, dict[str, int]]:
    ordinal, _, name = row.group.partition(":")
    place = int(ordinal) if ordinal.isdigit() else -1
    return str(place + 1) if place >= 0 else "", name, leads.get((place, name), ""), "", dict(row.figures)


def _last_minute() -> list[tuple[str, str]]:
    """Return what came in in the last minute: how often, and what. Raises StoreError."""
    now, found = site.now_ms(), []
    for types, title in _IN_A_MINUTE.items():
        query = Query(from_ms=now - _MINUTE, types=types, tenant=site.tenant())
        if there := site.store().number(query, _MOST):
            number = grouped(there) if there < _MOST else gettext("%(number)s or more", number=grouped(_MOST))
            found.append((number, gettext(title)))
    return found


def _health() -> tuple[str, bool]:
    """Return the state of the way from the spool to the store in a line, and whether it is well."""
    found = status.load(Path(site.sources().settings.spool.directory))
    if found is None:
        return gettext("No shipper has told its state here: is smtpapi ship running, on this host?"), False
    ago = duration(max(0, site.now_ms() - int(found.at * 1000)))
    if found.failing:
        return gettext("The shipper cannot reach the store: %(error)s", error=found.last_error), False
    text = ngettext(
        "The shipper carried %(count)s record, the last look %(ago)s ago.",
        "The shipper carried %(count)s records, the last look %(ago)s ago.",
        found.carried,
        count=grouped(found.carried),
        ago=ago,
    )
    return text, site.now_ms() - found.at * 1000 < 60_000
