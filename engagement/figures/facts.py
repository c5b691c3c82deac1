"""What figures know of an event: a few values, the same from every store."""

from typing import NamedTuple

from engagement.events.fields import Fields
from engagement.events.model import Injection, MessageEvent
from engagement.events.rows import EventRow, RowSource


class Fact(NamedTuple):
    """One row of a store, as far as figures go. What does not fit its type stays at the default.

    at_ms: Unix milliseconds. type: one of `fields.ALL_TYPES`. order: distinguishes events of one millisecond,
    the event id or anything that sorts alike. campaign, domain: "" for none. link: names the token, equal
    for equal links of one message and kind; any value, "" for none. client, certain, reason: of the label.
    expired: the link's time was over. hits: requests; 0 for what counts nowhere, the injection of a message
    that was sent again. ordinal, link_name: of a clicked link. opens, clicks:
    tracked, of an injection. size: bytes, of an injection or delivery. bounce_class: Momentum's number.
    retries, queue_ms: of a delivery or delay, -1 for not known.
    """

    at_ms: int
    type: str
    order: str | bytes | int = ""
    campaign: str = ""
    domain: str = ""
    link: str | bytes | int = ""
    client: str = ""
    certain: bool = True
    reason: str = ""
    expired: bool = False
    hits: int = 1
    ordinal: int = -1
    link_name: str = ""
    opens: bool = False
    clicks: bool = False
    size: int = 0
    bounce_class: int = 0
    retries: int = -1
    queue_ms: int = -1


def fact_of(row: EventRow) -> Fact:
    """Return what figures know of a row."""
    opens, clicks, retries, queue_ms = _own(row)
    return Fact(
        row.at_ms,
        row.type,
        row.event_id,
        row.campaign,
        row.domain,
        row.link,
        row.client,
        row.certain,
        row.reason,
        row.expired,
        row.hits,
        row.ordinal,
        row.link_name,
        opens,
        clicks,
        row.size,
        row.bounce_class,
        retries,
        queue_ms,
    )


def _own(row: EventRow) -> tuple[bool, bool, int, int]:
    """Return opens, clicks, retries, queue_ms."""
    if not isinstance(row.source, RowSource):
        return _from_fields({**(row.message or {}), **row.source})
    event = row.source.event
    if isinstance(event, Injection):
        return event.opens, event.clicks, -1, -1
    if isinstance(event, MessageEvent):
        return False, False, event.num_retries, event.queue_time
    return False, False, -1, -1


def _from_fields(fields: Fields) -> tuple[bool, bool, int, int]:
    return (
        fields.get("open_tracking") is True,
        fields.get("click_tracking") is True,
        int(fields.get("num_retries", -1)),
        int(fields.get("queue_time", -1)),
    )
