"""What is true of an event of the year, as its maker knows it; nothing here is worked out from rows.

Which side a hit belongs to, and whether it repeats another, was decided when it was made.
"""

from dataclasses import dataclass, field

from engagement.events.model import Hit, Injection, MessageEvent
from engagement.links.model import Kind


@dataclass(slots=True, eq=False)
class Letter:
    """One message. links: names by place, "" for none."""

    number: int
    campaign: str
    recipient: str
    domain: str
    opens: bool
    initial: bool
    clicks: bool
    amp: bool
    size: int
    links: tuple[str, ...]
    injection: Injection
    erased: bool = False
    events: "list[YearEvent]" = field(default_factory=list, repr=False)


@dataclass(slots=True, eq=False)
class YearEvent:
    """One event.

    side: "people", "unsure", "machine", or "" for none. counts: no repeat, probe or late request. group:
    events that get another label together: a hit and what repeats it. unsubscribes: a click that is told as
    an unsubscribe as well.
    """

    at: int
    type: str
    letter: Letter
    event: Hit | Injection | MessageEvent
    arrives: int = 0
    side: str = ""
    client: str = ""
    certain: bool = True
    reason: str = ""
    rules: int = 1
    link: str = ""
    link_name: str = ""
    counts: bool = True
    hits: int = 1
    expired: bool = False
    unsubscribes: bool = False
    group: int = 0
    category: str = ""
    retries: int = -1
    queue: int = -1


KINDS = {
    "click": Kind.CLICK,
    "open": Kind.OPEN,
    "initial_open": Kind.INITIAL_OPEN,
    "amp_click": Kind.AMP_CLICK,
    "amp_open": Kind.AMP_OPEN,
    "amp_initial_open": Kind.AMP_INITIAL_OPEN,
    "list_unsubscribe": Kind.LIST_UNSUBSCRIBE,
}
