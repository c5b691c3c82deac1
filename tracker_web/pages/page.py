"""The page of events: counts of each type, by people and by machines, and the latest events.

Reads the store through its port only, and renders on the server. Everything shown may come from strangers (a
User-Agent, a target, a campaign): templates escape it, and no link to a target is made. Recipients and
campaigns link to the page itself, filtered by them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from engagement.events.fields import ALL_TYPES, INJECTION, MESSAGE_TYPES
from engagement.stores.port import Count, Query, StoreError
from tracker_web.web.sources import Sources

LATEST = 100  # events on the page

# What each type is called on the page, in the order of its cards. A type that is not here shows its own name.
_TITLES = {
    "click": "Clicks",
    "open": "Opens",
    "initial_open": "Initial opens",
    "amp_click": "AMP clicks",
    "amp_open": "AMP opens",
    "amp_initial_open": "AMP initial opens",
    "link_unsubscribe": "Unsubscribes by link",
    "list_unsubscribe": "Unsubscribes by header",
    "injection": "Messages taken in",
    "delivery": "Deliveries",
    "delay": "Delays",
    "bounce": "Bounces",
    "expiration": "Expired in the queue",
    "out_of_band": "Bounces that came back later",
    "spam_complaint": "Spam complaints",
}
_OF_MESSAGES = frozenset((INJECTION, *MESSAGE_TYPES))  # nobody's hits
_ALWAYS = ("click", "open")  # shown with a zero, too
_NOTES = (
    ("x_expired", "link expired, not counted"),
    ("x_repeat", "repeat within 10 s, not counted"),
    ("x_spoiled", "something stood behind the link"),
)


@dataclass(frozen=True, slots=True)
class FigureCard:
    """The counts of one event type.

    people: counted hits but those of machines, so people and unsure ones. machines: certainly no person's.
    hits: False for what becomes of messages, which is nobody's.
    """

    type: str
    title: str
    total: int
    people: int
    machines: int
    recorded: int
    hits: bool

    @property
    def share(self) -> float:
        """Return the people's part of the total in per cent."""
        return 100.0 * self.people / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class EventLine:
    """One event as the page shows it. client, subject: "" where a type has none.

    name, target: of a link; of what became of a message the code and the reason.
    """

    id: str
    time: str
    day: str
    type: str
    sort: str
    recipient: str
    campaign: str
    name: str
    target: str
    subject: str
    client: str
    certain: bool
    why: str
    agent: str


@dataclass(frozen=True, slots=True)
class EventFilters:
    """What the user of the page asked for. Empty means everything."""

    campaign: str = ""
    recipient: str = ""
    type: str = ""

    @property
    def any(self) -> bool:
        """Tell whether something is left out."""
        return bool(self.campaign or self.recipient or self.type)

    def query(self, limit: int = LATEST) -> Query:
        """Return the query for the store; expired hits are shown, and marked."""
        return Query(
            types=(self.type,) if self.type else (),
            recipients=(self.recipient.lower(),) if self.recipient else (),
            campaigns=(self.campaign,) if self.campaign else (),
            expired=True,
            limit=limit,
        )


def cards(counts: Mapping[str, Count], only: str = "") -> list[FigureCard]:
    """Return the counts in a fixed order, without types that have no event, except clicks and opens.

    only: the type that the page is filtered by, which is always shown.
    """
    made = []
    for name in dict.fromkeys((*_TITLES, *ALL_TYPES, *counts)):
        count = counts.get(name, Count())
        if count.recorded or (name in _ALWAYS and only in ("", name)) or name == only:
            machines = count.counted - count.people
            title = _TITLES.get(name, name)
            made.append(
                FigureCard(
                    name,
                    title,
                    count.counted,
                    count.people,
                    machines,
                    count.recorded,
                    name not in _OF_MESSAGES,
                )
            )
    return made


def line(fields: Mapping[str, Any]) -> EventLine:
    """Return an event's row. fields: as `engagement.events.fields` makes them."""
    day, _, time = str(fields.get("timestamp", "")).partition("T")
    sort = str(fields.get("type", ""))
    became = sort in MESSAGE_TYPES
    why = [str(fields["x_client_reason"])] if fields.get("x_client_reason") else []
    why += [note for name, note in _NOTES if fields.get(name)]
    if sort == INJECTION and fields.get("x_outcome"):
        why.append(f"not tracked: {fields['x_outcome']}")
    return EventLine(
        id=str(fields.get("event_id", "")),
        time=time.removesuffix("Z"),
        day=day,
        type=sort,
        sort="click" if "click" in sort else "open" if "open" in sort else "other",
        recipient=str(fields.get("raw_rcpt_to", "")),
        campaign=str(fields.get("campaign_id", "")),
        name=str(fields.get("target_link_name") or (fields.get("x_enhanced_code", "") if became else "")),
        target=str(fields.get("target_link_url") or (fields.get("reason", "") if became else "")),
        subject=str(fields.get("subject", "")) if sort == INJECTION else "",
        client=str(fields.get("x_client_class", "")),
        certain=fields.get("x_client_certain") is not False,
        why=", ".join(why),
        agent=str(fields.get("user_agent", "")),
    )


def blueprint(sources: Sources) -> Blueprint:
    """Return the page's two addresses, `/` and `/events.json`."""
    pages = Blueprint("page", __name__)

    @pages.get("/")
    def front() -> ResponseReturnValue:
        """Return the page. Query parameters: campaign, recipient, type."""
        filters = _filters()
        state: dict[str, Any] = {"filters": filters, "types": ALL_TYPES, "latest": LATEST}
        try:
            store = sources.store()
            # Before the rows: an event between the two is shown twice rather than missed.
            mark = store.arrivals("").mark
            counts = store.totals(filters.query())
            lines = [line(fields) for fields in store.find(filters.query())]
        except StoreError as error:
            return render_template("page.html", trouble=str(error), mark="", **state), 503
        return render_template(
            "page.html", mark=mark, cards=cards(counts, filters.type), lines=lines, **state
        )

    @pages.get("/events.json")
    def arrivals() -> ResponseReturnValue:
        """Return what came in after the mark `after`, and the next mark: {"mark": …, "events": […]}."""
        try:
            came = sources.store().arrivals(request.args.get("after", ""), limit=LATEST)
        except StoreError as error:
            return jsonify(error=str(error)), 503
        return jsonify(mark=came.mark, events=came.events)

    return pages


def _filters() -> EventFilters:
    return EventFilters(
        campaign=request.args.get("campaign", "").strip(),
        recipient=request.args.get("recipient", "").strip(),
        type=request.args.get("type", "").strip(),
    )
