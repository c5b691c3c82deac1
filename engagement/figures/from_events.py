"""Figures taken from events as they are read: by what no sums are kept by, and with any filter.

Not those that stores keep: what was erased or removed is not in these, and all events of the window have to
be read. The definitions are the same, since the same contributions are made of the same facts.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from engagement.events.fields import Fields
from engagement.events.rows import REPEAT_MS
from engagement.figures.contribution import Contribution, add, contribution
from engagement.figures.facts import Fact
from engagement.figures.increments import begin, end
from engagement.figures.query import FigureQuery, FigureRow, answer

Values = Callable[[Fields], Iterable[str]]

# By what events can be grouped: the values that an event has of it.
GROUPS: Final[Mapping[str, Values]] = {
    "sending_domain": lambda event: _one(event, "sending_domain"),
    "sending_ip": lambda event: _one(event, "sending_ip"),
    "tag": lambda event: dict.fromkeys(event.get("rcpt_tags", ())),
}
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_LINK: Final = ("target_link_url", "target_link_name", "x_link_ordinal")


def window(query: FigureQuery) -> tuple[int, int]:
    """Return from when, inclusive, to when events are needed; Unix milliseconds.

    Somewhat before the first increment: a hit may repeat one from there. Raises TypeError for an open window,
    KeyError for a precision that is not known.
    """
    if query.from_ms is None or query.to_ms is None:
        raise TypeError("a window has a beginning and an end")
    return begin(query.precision, query.from_ms) - REPEAT_MS, end(query.precision, query.to_ms - 1)


def figures_from(events: Iterable[Fields], query: FigureQuery, group: str = "") -> tuple[FigureRow, ...]:
    """Return the rows that answer a query, from the events of its `window` that fit, in any order.

    query: its campaigns and domains are not looked at. group: one of `GROUPS`, by hour or day; then `by`
    is not looked at, and an event with several values is in the row of each. Raises ValueError, and
    UnsupportedQueryError.
    """
    query = replace(query, campaigns=(), domains=(), by="campaign" if group else query.by)
    messages: dict[tuple[str, str], list[Fact]] = {}
    for event in events:
        fact = fact_of_fields(event)
        message = str(event.get("message_id") or event["event_id"])
        if not group:
            messages.setdefault((message, ""), []).append(fact)
            continue
        for value in GROUPS[group](event):
            messages.setdefault((message, value), []).append(fact._replace(campaign=value))
    sums: Contribution = {}
    for facts in messages.values():
        add(sums, contribution(facts))
    return answer(query, sums.items())


def fact_of_fields(event: Fields) -> Fact:
    """Return what figures know of an event that a store has found. Raises ValueError for other fields."""
    moment = datetime.fromisoformat(str(event["timestamp"]))
    return Fact(
        (moment - _EPOCH) // timedelta(milliseconds=1),
        str(event["type"]),
        str(event["event_id"]),
        str(event.get("campaign_id", "")),
        str(event.get("recipient_domain", "")),
        _link(event),
        str(event.get("x_client_class", "")),
        event.get("x_client_certain") is not False,
        str(event.get("x_client_reason", "")),
        event.get("x_expired") is True,
        int(event.get("x_hits", 1)),
        int(event.get("x_link_ordinal", -1)),
        str(event.get("target_link_name", "")),
        event.get("open_tracking") is True,
        event.get("click_tracking") is True,
        int(event.get("msg_size", 0)),
        int(event.get("bounce_class", 0)),
        int(event.get("num_retries", -1)),
        int(event.get("queue_time", -1)),
    )


def _link(event: Fields) -> str:
    """Return what distinguishes links of one message; of a shared pixel each hit is one of its own."""
    if "x_client_class" not in event:
        return ""
    if event.get("x_shared"):
        return str(event["event_id"])
    # Rows that earlier programs kept as fields do not say which part; a click's type says AMP.
    part = "amp" if event["type"] == "amp_click" else str(event.get("x_link_part", ""))
    return "\0".join(("hit", *(str(event.get(name, "")) for name in _LINK), part))


def _one(event: Fields, name: str) -> tuple[str, ...]:
    value = event.get(name)
    return (str(value),) if value else ()
