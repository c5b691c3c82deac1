"""Messages: a search over events, and one message with everything that happened to it."""

import re
from contextlib import suppress
from dataclasses import replace

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from engagement.events.fields import ALL_TYPES, INJECTION, Fields
from engagement.html_copies.book import CopyBook
from engagement.html_copies.model import HtmlCopy
from engagement.registry.port import RegistryError
from engagement.stores.port import Query, cursor_of
from tracker_web.api.events.keywords import matches
from tracker_web.api.events.paging import READ, compared
from tracker_web.languages.translation import N_, gettext
from tracker_web.pages import site
from tracker_web.pages.content.newest import link_of, message_links
from tracker_web.pages.content.people import CLICKS
from tracker_web.pages.content.tables import TEXT, Column, Row, Table
from tracker_web.pages.content.timeline import line, outcome_text
from tracker_web.pages.delivered import delivered_links

_PAGE = 50  # events
_OF_ONE = 500  # events of one message
_HEX = re.compile(r"[0-9a-f]{32}\Z")
_EXPORTED = (
    *("timestamp", "type", "raw_rcpt_to", "campaign_id", "target_link_name", "target_link_url"),
    *("x_client_class", "x_client_reason", "x_client_certain", "raw_reason", "message_id"),
)
_FILTERS = ("q", "subject", "recipient", "campaign", "domain", "type", "class", "link")


def blueprint() -> Blueprint:
    """Return the pages `/messages` and `/messages/ID`."""
    pages = Blueprint("messages", __name__, url_prefix="/messages")

    @pages.get("")
    def search() -> ResponseReturnValue:
        """Return events that fit. Query parameters: those of _FILTERS, and cursor."""
        filters = {name: request.args.get(name, "").strip() for name in _FILTERS}
        if filters["recipient"] or ("@" in filters["q"] and not filters["q"].startswith("<")):
            site.only_with_recipients()
        found, position = _found(_query(filters), filters["subject"])
        following = site.link_to(request.path, filters | {"cursor": position}) if position else ""
        return site.page(
            "messages.html",
            (events_table(found),),
            filters=filters,
            types=ALL_TYPES,
            lines=[line(fields) for fields in found],
            following=following,
            any=any(filters.values()),
            looked_at=READ if filters["subject"] and position and len(found) < _PAGE else 0,
        )

    @pages.get("/<message>")
    def one(message: str) -> ResponseReturnValue:
        """Return one message and its events."""
        found = site.events(messages=(message,), expired=True, limit=_OF_ONE)
        found.sort(key=lambda each: (each["timestamp"], each["event_id"]))  # as it happened
        if not found:
            return site.page("empty.html", title=gettext("No such message"), text=gettext(_GONE), status=404)
        taken = next((fields for fields in found if fields["type"] == INJECTION), found[0])
        links, others = _links_of(taken, found)
        return site.page(
            "message.html",
            (events_table(found), links),
            other_links=others,
            message=message,
            fields=taken,
            outcome=outcome_text(str(taken.get("x_outcome", ""))) if taken["type"] == INJECTION else "",
            lines=[line(fields) for fields in found],
            more=len(found) == _OF_ONE,
        )

    return pages


def _found(query: Query, subject: str) -> tuple[list[Fields], str]:
    """Return events of a page, and where the next one goes on, "" at the end. Raises StoreError.

    subject: words that stand in the subject, as the API's `subjects` (contract.md 8.3); "" for any.
    """
    if subject:
        some, position = compared(
            site.store(), query, lambda event: matches(str(event.get("subject", "")), (subject,)), _PAGE
        )
        return site.as_seen(some), position
    found = site.as_seen(site.store().find(replace(query, limit=_PAGE + 1)))
    return found[:_PAGE], cursor_of(found[_PAGE - 1]) if len(found) > _PAGE else ""


def _links_of(taken: Fields, events: list[Fields]) -> tuple[Table, int]:
    """Return the links of a message, and how many more it has of which nothing is known.

    Known are those of the copy of its mail, where one is kept, those clicked, and those proved. Raises
    StoreError.
    """
    clicked = {link_of(fields) for fields in events if fields["type"] in CLICKS}
    stored: tuple[HtmlCopy, ...] = ()
    with suppress(RegistryError):  # what happened is shown without it
        stored = CopyBook(site.registry()).of_campaign(
            str(taken.get("campaign_id", "")), site.tenant(), site.now_ms()
        )
    copies = []
    for copy in stored:
        links = [(link.ordinal, link.name, link.target) for link in copy.links]
        if copy.subject == taken.get("subject", "") and clicked <= {link[:2] for link in links}:
            copies.append(links)
    seen = site.recipients_are_seen()
    tracked = delivered_links(taken, events, stored) if seen else None
    # Of several forms none is surely this message's.
    table = message_links(copies[0] if len(copies) == 1 else (), events, tracked, with_addresses=seen)
    shown = len(table.rows) - len(tracked.targets) if tracked else 0
    return table, max(0, tracked.left - shown) if tracked else 0


_GONE = N_(
    "Nothing is known of it: it was never taken in here, its events are older than store.retention, or were "
    "erased."
)


def _query(filters: dict[str, str]) -> Query:
    """Return what the search asks for.

    q: an address, a Message-ID, a queue id, a message's or a transmission's id.
    """
    searched, recipient = filters["q"], filters["recipient"]
    messages: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    queue_ids: tuple[str, ...] = ()
    transmissions: tuple[str, ...] = ()
    if _HEX.match(searched.lower()):
        messages = (searched.lower(),)
    elif searched.startswith("<"):
        headers = (searched,)
    elif "@" in searched:
        recipient = recipient or searched
    elif searched.isdigit() and len(searched) > 12:
        transmissions = (searched,)
    elif searched:
        queue_ids = (searched,)
    return Query(
        tenant=site.tenant(),
        recipients=(recipient,) if recipient else (),
        campaigns=(filters["campaign"],) if filters["campaign"] else (),
        domains=(filters["domain"].lower(),) if filters["domain"] else (),
        types=(filters["type"],) if filters["type"] in ALL_TYPES else (),
        classes=(filters["class"],) if filters["class"] else (),
        ordinals=(int(filters["link"]),) if filters["link"].isdigit() else (),
        messages=messages,
        message_id_headers=headers,
        queue_ids=queue_ids,
        transmissions=transmissions,
        cursor=site.page_cursor(),
    )


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def events_table(events: list[Fields]) -> Table:
    """Return events as a table for export."""
    names = _EXPORTED
    rows = tuple(Row({name: _text(fields.get(name, "")) for name in names}) for fields in events)
    return Table("events", tuple(Column(name, name, TEXT) for name in names), rows)
