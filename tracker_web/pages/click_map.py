"""The click map: a campaign's mail with the share of each link drawn into it, and a table of the links."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

from flask import Blueprint, Response, abort, make_response, request, url_for
from flask.typing import ResponseReturnValue

from engagement.figures.contribution import link_group
from engagement.figures.query import FigureRow
from engagement.html_copies.book import CopyBook
from engagement.html_copies.model import HtmlCopy
from tracker_web.languages.translation import N_, gettext
from tracker_web.pages import site
from tracker_web.pages.campaigns import NO_NAME, CampaignView, campaign_view
from tracker_web.pages.content.figure_tables import map_table
from tracker_web.pages.content.mail_frame import Clicks, framed
from tracker_web.web.headers import FRAMED, FRAMING

_PEOPLE = "x_count_people_unique_clicked"
_MOST = 500  # links; limits.max_links allows more, a page of them is of no use


class MapLink(NamedTuple):
    """A link of the map. ordinal: from 0, -1 for not known. in_copy: whether it stands in the copy shown."""

    ordinal: int
    name: str
    target: str
    in_copy: bool
    figures: Mapping[str, int]


def blueprint() -> Blueprint:
    """Return the pages `/map/NAME`, and `/mail-copy/NAME`, which stands in its frame."""
    pages = Blueprint("click_map", __name__)

    @pages.get("/map/<path:name>")
    def one(name: str) -> ResponseReturnValue:
        """Return the map of a campaign. Query parameters: form, and those of a period."""
        campaign = site.of_segment(name)
        seen = campaign_view(campaign)
        copies = _copies(campaign)
        if seen is None and not copies:
            return site.page(
                "empty.html",
                title=campaign or gettext(NO_NAME),
                text=gettext(_NOTHING),
                status=HTTPStatus.NOT_FOUND,
            )
        chosen = _chosen(copies)
        links = _links(campaign, seen, chosen)
        table = map_table(
            [(_place(link), link.name, link.target, _who(campaign, link), link.figures) for link in links]
        )
        response = site.page(
            "click_map.html",
            (table,),
            name=campaign or gettext(NO_NAME),
            campaign=campaign,
            seen=seen,
            copies=[(copy, _form_link(copy)) for copy in copies],
            chosen=chosen,
            frame=_frame_link(campaign, chosen) if chosen else "",
            elsewhere=any(not link.in_copy for link in links) if chosen else False,
        )
        response.headers.update(FRAMING)
        return response

    @pages.get("/mail-copy/<path:name>")
    def mail(name: str) -> ResponseReturnValue:
        """Return the mail itself, for the frame. Query parameters: as of the map."""
        if request.headers.get("Sec-Fetch-Dest", "iframe") != "iframe":  # opened by itself: no frame holds it
            to = url_for("click_map.one", name=name)
            return site.go_to(site.link_to(to, request.args.to_dict()))
        campaign = site.of_segment(name)
        chosen = _chosen(_copies(campaign))
        html = CopyBook(site.registry()).html(chosen) if chosen else None
        if chosen is None or html is None:
            abort(HTTPStatus.NOT_FOUND)
        links = _links(campaign, campaign_view(campaign), chosen)
        return _as_frame(framed(chosen, html, _clicks(links), chosen.subject or campaign))

    return pages


_NOTHING = N_("No event names this campaign, and no copy of its mail is kept.")


def _copies(campaign: str) -> tuple[HtmlCopy, ...]:
    """Return the copies that this request may see, the newest first."""
    return CopyBook(site.registry()).of_campaign(campaign, site.tenant(), site.now_ms())


def _chosen(copies: tuple[HtmlCopy, ...]) -> HtmlCopy | None:
    form = request.args.get("form", "")
    return next((copy for copy in copies if copy.form == form), copies[0] if copies else None)


def _links(campaign: str, seen: CampaignView | None, copy: HtmlCopy | None) -> list[MapLink]:
    """Return the links of the copy in their order, then others that were clicked in the campaign's mail."""
    rows: tuple[FigureRow, ...] = ()
    if seen is not None:
        rows = site.rows(seen.view, by="link", campaigns=(campaign,), limit=_MOST, order_by=_PEOPLE)
    by_group = {row.group: row.figures for row in rows}
    found = [
        MapLink(
            link.ordinal,
            link.name,
            link.target,
            True,
            by_group.pop(link_group(link.ordinal, link.name), {}),
        )
        for link in (copy.links[:_MOST] if copy else ())
    ]
    for group, figures in by_group.items():
        ordinal, _, name = group.partition(":")
        found.append(MapLink(int(ordinal) if ordinal.isdigit() else -1, name, "", False, figures))
    return sorted(found, key=lambda link: (not link.in_copy, link.ordinal))


def _clicks(links: list[MapLink]) -> dict[int, Clicks]:
    """Return what to draw at each link of the copy; shares are those of the table."""
    whole = sum(link.figures.get(_PEOPLE, 0) for link in links)
    return {
        link.ordinal: Clicks(people := link.figures.get(_PEOPLE, 0), people / whole if whole else None)
        for link in links
        if link.in_copy
    }


def _place(link: MapLink) -> str:
    return str(link.ordinal + 1) if link.ordinal >= 0 else ""


def _who(campaign: str, link: MapLink) -> str:
    to = url_for("reached.one", name=site.segment(campaign))
    return site.link_to(to, {"state": "clicked", "link": str(link.ordinal) if link.ordinal >= 0 else ""})


def _form_link(copy: HtmlCopy) -> str:
    return site.link_to(request.path, {**_period(), "form": copy.form})


def _period() -> dict[str, str]:
    return {name: value for name in ("period", "from", "to") if (value := request.args.get(name))}


def _frame_link(campaign: str, copy: HtmlCopy) -> str:
    return site.link_to(
        url_for("click_map.mail", name=site.segment(campaign)), {**_period(), "form": copy.form}
    )


def _as_frame(document: str) -> Response:
    response = make_response(document)
    response.headers["Content-Type"] = "text/html; charset=utf-8"
    response.headers.update(FRAMED)
    return response
