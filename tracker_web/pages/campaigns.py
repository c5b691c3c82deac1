"""Campaigns: all of a period, and one with its links, hours and recipients."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import NamedTuple

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from engagement.figures.increments import LIFE
from engagement.figures.query import FigureRow
from tracker_web.languages.translation import N_, gettext
from tracker_web.pages import site
from tracker_web.pages.content.charts import Line, hours_chart, line_chart, series_data
from tracker_web.pages.content.figure_tables import hours_table, link_table, mail_table, series_table
from tracker_web.pages.content.figures import cards, lines, moments, total
from tracker_web.pages.content.newest import targets
from tracker_web.pages.content.numbers import day
from tracker_web.pages.content.people import CLICKS, STATES
from tracker_web.pages.content.period import DAY_MS, Period, View, view_of
from tracker_web.pages.content.tables import TEXT, Column
from tracker_web.pages.content.timeline import line

_MOST = 200  # campaigns of one page
_LINKS = 100
_LATEST = 20
_LOOKED_AT = 100  # newest clicks, for where links lead
NO_NAME = N_("(no campaign)")


def blueprint() -> Blueprint:
    """Return the pages `/campaigns` and `/campaigns/NAME`."""
    pages = Blueprint("campaigns", __name__, url_prefix="/campaigns")

    @pages.get("")
    def every() -> ResponseReturnValue:
        """Return the campaigns of a period. Query parameters: period, from, to."""
        view = site.view()
        found = site.rows(view, by="campaign", limit=_MOST + 1, order_by="count_injected")
        table = mail_table(
            "campaigns",
            Column("campaign", gettext("Campaign"), TEXT),
            [(row.group or gettext(NO_NAME), _one(row.group), row.figures) for row in found[:_MOST]],
            more=len(found) > _MOST,
        )
        return site.page("campaigns.html", (table,), view=view)

    @pages.get("/<path:name>")
    def one(name: str) -> ResponseReturnValue:
        """Return one campaign: by its whole life, or in the period that the URL names."""
        return _page_of(site.of_segment(name))

    return pages


def _one(name: str) -> str:
    return url_for("campaigns.one", name=site.segment(name))


def _page_of(name: str) -> ResponseReturnValue:
    seen = campaign_view(name)
    if seen is None:
        return site.page("empty.html", title=name or gettext(NO_NAME), text=gettext(_NOTHING), status=404)
    view, every = seen.view, seen.every
    sums = total(
        site.rows(view, from_ms=None, to_ms=None, precision=LIFE, campaigns=(name,))
        if _is_whole()
        else site.rows(view, campaigns=(name,))
    )
    precision = view.period.precision
    times = moments(view.period, precision)
    drawn = lines(
        site.rows(view, precision=precision, series=True, campaigns=(name,)), times, None, unique=view.unique
    )
    links = site.rows(
        view, by="link", campaigns=(name,), limit=_LINKS, order_by="x_count_people_unique_clicked"
    )
    leads = targets(site.events(campaigns=(name,), types=CLICKS, limit=_LOOKED_AT))
    newest = next(
        iter(site.events(campaigns=(name,), types=("injection",), limit=1)),
        {},
    )
    latest = [line(fields) for fields in site.events(campaigns=(name,), limit=_LATEST)]
    sent = [row.at_ms for row in every if row.at_ms is not None and row.figures.get("count_injected")]
    hours = _hours(view, name)
    tables = (
        series_table(times, drawn, precision),
        link_table([_link(name, row, leads) for row in links]),
        hours_table(hours),
    )
    return site.page(
        "campaign.html",
        tables,
        name=name or gettext(NO_NAME),
        campaign=name,
        view=view,
        whole=_is_whole(),
        cards=cards(sums, None, unique=view.unique),
        sums=sums,
        newest=newest,
        first=_date(min(sent)) if sent else "",
        last=_date(max(sent)) if sent else "",
        chart=line_chart(
            gettext("Opens and clicks by people of %(campaign)s", campaign=name),
            times,
            drawn,
            precision=precision,
        ),
        drawn=drawn,
        series=series_data(times, drawn, precision),
        hours=hours_chart(gettext("Opens and clicks by people, by hour of the day (UTC)"), hours),
        hours_drawn=hours,
        states=_states(name, sums),
        latest=latest,
    )


class CampaignView(NamedTuple):
    """Which time of a campaign is shown. every: its days on which something happened. whole: its life."""

    view: View
    every: tuple[FigureRow, ...]
    whole: bool


def campaign_view(name: str) -> CampaignView | None:
    """Return the view of a campaign that the URL asks for; None where nothing ever happened to it."""
    # Of all days only those on which something happened come back.
    every = site.rows(site.view(), from_ms=None, to_ms=None, series=True, campaigns=(name,))
    return CampaignView(_view(every), every, _is_whole()) if every else None


_NOTHING = N_("No event names this campaign, or its figures are not made up yet.")


def _is_whole() -> bool:
    return not any(name in request.args for name in ("period", "from", "to"))


def _view(every: tuple[FigureRow, ...]) -> View:
    """Return the view of the URL; without one, from the campaign's first day with an event to its last."""
    view = view_of(request.args, site.now_ms())
    if not _is_whole():
        return view
    days = [row.at_ms for row in every if row.at_ms is not None]
    first, last = min(days) // DAY_MS * DAY_MS, max(days) // DAY_MS * DAY_MS
    return View(Period(_day(first), _day(last)), unique=view.unique)


def _hours(view: View, name: str) -> list[Line]:
    """Return opens and clicks by people in each hour of the day."""
    opens, clicks = [0.0] * 24, [0.0] * 24
    for row in site.rows(view, precision="hour", series=True, campaigns=(name,)):
        if row.at_ms is not None:
            hour = row.at_ms // 3_600_000 % 24
            opens[hour] += row.figures.get("x_count_people_rendered", 0)
            clicks[hour] += row.figures.get("x_count_people_clicked", 0)
    return [
        Line("opens", "people", tuple(opens), gettext("opens")),
        Line("clicks", "clicks", tuple(clicks), gettext("clicks")),
    ]


def _states(name: str, sums: Mapping[str, int]) -> list[tuple[str, int | None, str]]:
    """Return the states of recipients: the state's name, its figure, and where its list is."""
    to = url_for("reached.one", name=site.segment(name))
    return [
        (
            state.name,
            sums.get(state.figure, 0) if state.figure else None,
            site.link_to(to, {"state": state.name}),
        )
        for state in STATES.values()
        if state.name != "clicked"
    ]


def _link(
    campaign: str, row: FigureRow, leads: Mapping[tuple[int, str], str]
) -> tuple[str, str, str, str, dict[str, int]]:
    ordinal, _, name = row.group.partition(":")
    number = str(int(ordinal) + 1) if ordinal.isdigit() else ""
    to = site.link_to(
        url_for("reached.one", name=site.segment(campaign)),
        {"state": "clicked", "link": ordinal if number else ""},
    )
    target = leads.get((int(ordinal) if number else -1, name), "")
    return number, name, target, to, dict(row.figures)


def _day(at_ms: int) -> date:
    return datetime.fromtimestamp(at_ms // 1000, UTC).date()


def _date(at_ms: int) -> str:
    return day(_day(at_ms))
