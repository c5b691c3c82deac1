"""What all pages share: the store, the period of the URL, filters of templates, and exports.

Everything shown may come from strangers (a User-Agent, a target, a campaign): templates escape it, and no
link to a target is made.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from flask import Flask, Response, abort, current_app, make_response, render_template, request
from flask.typing import ResponseReturnValue

from engagement.access.sessions import Session
from engagement.access.users import Role
from engagement.events.field_values import timestamp
from engagement.events.fields import Fields
from engagement.registry.port import Registry
from engagement.stores.port import EventStore, FigureQuery, FigureRow, Query, cursor_of, cursor_position
from tracker_web.languages.translation import N_, gettext
from tracker_web.pages.content import charts, names, numbers
from tracker_web.pages.content.figures import needed
from tracker_web.pages.content.period import PRESETS, View, preset, view_of
from tracker_web.pages.content.tables import Table, as_csv, as_json
from tracker_web.pages.without_recipient import without_recipient
from tracker_web.web.guard import SESSION, same
from tracker_web.web.sources import EXTENSION, Sources

NAVIGATION: Final = (
    ("overview.front", N_("Overview")),
    ("campaigns.every", N_("Campaigns")),
    ("messages.search", N_("Messages")),
    ("recipients.search", N_("Recipients")),
    ("machines.every", N_("Machines")),
    ("live.front", N_("Live")),
    ("suppression.every", N_("Suppression")),
    ("webhooks.every", N_("Webhooks")),
    ("domains.every", N_("Domains")),
    ("access.front", N_("Users and keys")),
    ("pipeline.front", N_("Pipeline")),
)
READING_SECONDS: Final = 0.15  # of a page's 0.3, where it may be read on from there
_FIRST_READ: Final = 100  # events by which it is measured how many there is time for
_NAMES: Final = needed()


def sources() -> Sources:
    """Return what the application reads."""
    found: Sources = current_app.extensions[EXTENSION]
    return found


def store() -> EventStore:
    """Return the events' store. Raises StoreError."""
    return sources().store()


def session() -> Session:
    """Return the session of this request."""
    found: Session = request.environ[SESSION]
    return found


def tenant() -> str:
    """Return whose data alone this request may see."""
    return session().tenant


def may(role: Role) -> bool:
    """Return whether the one who signed in may do what a role may."""
    return session().role.includes(role)


def registry() -> Registry:
    """Return what people entered. Raises RegistryError."""
    return sources().registry()


def only(role: Role) -> None:
    """Check that the one who signed in may see this. Raises HTTPException."""
    if not may(role):
        abort(HTTPStatus.FORBIDDEN)


def checked_form(role: Role) -> None:
    """Check a form that changes something: it is ours, and this one may send it. Raises HTTPException."""
    if not same(request.form.get("form", ""), session().form):
        abort(HTTPStatus.BAD_REQUEST)
    only(role)


def recipients_are_seen() -> bool:
    """Return whether the one who signed in may see recipients (`web { recipients_seen_by }`)."""
    return may(Role(sources().settings.web.recipients_seen_by.value))


def only_with_recipients() -> None:
    """Check that the one who signed in may see recipients. Raises HTTPException."""
    if not recipients_are_seen():
        abort(HTTPStatus.FORBIDDEN)


def as_seen(found: Iterable[Fields]) -> list[Fields]:
    """Return events as the one who signed in may see them."""
    return list(found if recipients_are_seen() else map(without_recipient, found))


def now_ms() -> int:
    """Return Unix milliseconds."""
    return int(time.time() * 1000)


def view() -> View:
    """Return the view that the request's URL asks for."""
    return view_of(request.args, now_ms())


def rows(shown: View, **options: Any) -> tuple[FigureRow, ...]:
    """Return figures of a view's period. options: of FigureQuery. Raises StoreError."""
    period = shown.period
    query = FigureQuery(from_ms=period.from_ms, to_ms=period.to_ms, metrics=_NAMES, tenant=tenant())
    return store().figures(replace(query, **options))


def events(**options: Any) -> list[Fields]:
    """Return events that this request may see, newest first. options: of Query. Raises StoreError."""
    return as_seen(store().find(Query(tenant=tenant(), **options)))


def some_events(query: Query, seconds: float) -> tuple[list[Fields], str]:
    """Return as many events as a page has time to read, at most the query's limit, and where to go on.

    That is a cursor, "" where nothing is left. Some are read however long it takes. Raises StoreError.
    """
    began, found, cursor, size = time.monotonic(), list[Fields](), query.cursor, _FIRST_READ
    while size := min(size, query.limit - len(found)):
        part = as_seen(store().find(replace(query, limit=size, cursor=cursor)))
        found += part
        if len(part) < size:
            return found, ""
        cursor = cursor_of(part[-1])
        took = max(time.monotonic() - began, 0.001)
        size = max(0, int(len(found) / took * (seconds - took)))
    return found, cursor


def page_cursor() -> str:
    """Return where a page goes on, as its URL says; "" for the newest events, and for what is no cursor."""
    cursor = request.args.get("cursor", "")
    try:
        cursor_position(cursor)
    except ValueError:
        return ""
    return cursor


def go_to(address: str) -> Response:
    """Return an answer that leads to a page of ours (RFC 9110 15.4.4), so that a reload sends nothing."""
    return Response(status=HTTPStatus.SEE_OTHER, headers={"Location": address})


def link_to(address: str, parameters: Mapping[str, str] | None = None) -> str:
    """Return a URL of ours with parameters; empty ones are left out."""
    text = urlencode({name: value for name, value in (parameters or {}).items() if value})
    return f"{address}?{text}" if text else address


def segment(text: str) -> str:
    """Return a text as the end of a path, to be quoted; before "" and what URLs change stands a sign."""
    return f"~{text}" if not text or text[0] in "~./" else text


def of_segment(text: str) -> str:
    """Return the text that `segment` was given."""
    return text.removeprefix("~")


def page(template: str, tables: tuple[Table, ...] = (), *, status: int = 200, **values: Any) -> Response:
    """Return a page, or the export of one of its tables that the URL asks for (`export=csv&table=NAME`)."""
    export = request.args.get("export", "")
    if export in ("csv", "json"):
        name = request.args.get("table", "")
        for table in tables:
            if name in ("", table.name):
                return _exported(table, export)
        title, text = gettext("No such table"), gettext("This page has no table of that name.")
        return make_response(render_template("trouble.html", title=title, text=text), 404)
    named = {table.name: table for table in tables}
    return make_response(render_template(template, tables=named, **values), status)


def _exported(table: Table, form: str) -> Response:
    text, kind = (as_csv(table), "text/csv") if form == "csv" else (as_json(table), "application/json")
    response = make_response(text)
    response.headers["Content-Type"] = f"{kind}; charset=utf-8"
    response.headers["Content-Disposition"] = f'attachment; filename="{table.name}.{form}"'
    return response


def export_link(table: Table, form: str) -> str:
    """Return the URL that exports a table of this page as it is shown."""
    parameters = {**request.args.to_dict(), "export": form, "table": table.name}
    return link_to(request.path, parameters)


def view_link(**changes: Any) -> str:
    """Return the URL of this page with another view; what else is in its URL stays."""
    others = {
        name: value
        for name, value in request.args.to_dict().items()
        if name not in ("period", "from", "to", "compare", "count", "export", "table", "cursor")
    }
    return link_to(request.path, others | view().query(**changes))


def prepare(app: Flask) -> None:
    """Give templates their filters and names."""
    app.url_map.merge_slashes = False  # a campaign may be called a//b
    app.jinja_env.filters.update(
        day=numbers.day,
        grouped=numbers.grouped,
        moment=numbers.moment,
        instant=numbers.instant,
        percent=numbers.percent,
        shortened=numbers.shortened,
        segment=segment,
        timestamp=timestamp,
    )
    app.jinja_env.globals.update(
        preset_of=lambda name: preset(name, now_ms()),
        change=numbers.change,
        share_bar=charts.share_bar,
        role_name=names.role_name,
        kind_name=names.kind_name,
        side_name=names.side_name,
        state_name=names.state_name,
        source_name=names.source_name,
        wish_name=names.wish_name,
        export_link=export_link,
        view_link=view_link,
        navigation=NAVIGATION,
        recipients_are_seen=recipients_are_seen,
        presets=PRESETS,
        nothing=numbers.NOTHING,
        session=session,
        may=lambda role: may(Role(role)),
    )


def no_store(error: Exception) -> ResponseReturnValue:
    """Answer that the events cannot be read now."""
    title = gettext("The events cannot be read just now")
    return render_template("trouble.html", title=title, text=str(error)), HTTPStatus.SERVICE_UNAVAILABLE


def not_offered(error: Exception) -> ResponseReturnValue:
    """Answer what cannot be asked, and what to leave out."""
    title, text = gettext("That cannot be asked"), str(error)
    return render_template("trouble.html", title=title, text=text), HTTPStatus.BAD_REQUEST
