"""Whom a campaign's mail reached, and who opened, clicked or left: a list for each, with its export."""

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from engagement.stores.port import Query
from tracker_web.languages.translation import gettext
from tracker_web.pages import site
from tracker_web.pages.campaigns import NO_NAME
from tracker_web.pages.content.people import STATES, people_table

_READ = 5_000  # events of one page at most, if there is time
_EXPORT_SECONDS = 5.0
_SHOWN = 500  # rows of the page; the export has all that was read


def blueprint() -> Blueprint:
    """Return the page `/reached/NAME`."""
    pages = Blueprint("reached", __name__, url_prefix="/reached")

    @pages.get("/<path:name>")
    def one(name: str) -> ResponseReturnValue:
        """Return the recipients of a campaign in a state. Query parameters: state, link, cursor."""
        campaign = site.of_segment(name)
        state = STATES.get(request.args.get("state", ""), STATES["sent"])
        link = request.args.get("link", "")
        ordinal = int(link) if link.isascii() and link.isdigit() and len(link) < 7 else -1
        query = Query(
            tenant=site.tenant(),
            campaigns=(campaign,),
            types=state.types,
            ordinals=(ordinal,) if ordinal >= 0 else (),
            limit=_READ,
            cursor=site.page_cursor(),
        )
        export = bool(request.args.get("export"))
        found, cursor = site.some_events(query, _EXPORT_SECONDS if export else site.READING_SECONDS)
        table = people_table(state, found, _READ if export else _SHOWN)
        following = site.link_to(request.path, {**_selection(), "cursor": cursor}) if cursor else ""
        return site.page(
            "reached.html",
            (table,),
            name=campaign or gettext(NO_NAME),
            campaign=campaign,
            state=state,
            states=[each for each in STATES.values() if each.name != "clicked" or ordinal >= 0],
            link=ordinal + 1,
            ordinal=ordinal,
            following=following,
            earlier=bool(query.cursor),
            shown=_SHOWN,
            read=len(found),
            clear=url_for("reached.one", name=site.segment(campaign), state=state.name),
        )

    return pages


def _selection() -> dict[str, str]:
    return {name: value for name, value in request.args.to_dict().items() if name in ("state", "link")}
