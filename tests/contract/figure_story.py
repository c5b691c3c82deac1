"""A small story for figures: three messages on two days, told as the shipper tells events. Not a test."""

from typing import Any

from engagement.events.classify import Classification, ReaderClass
from engagement.events.ids import EventIds
from engagement.events.model import Hit, Injection, MessageEvent
from engagement.events.rows import EventRow, relabelled, rows
from engagement.links.keys import Ring
from engagement.links.model import CLICKS, Identity, Kind, Link
from engagement.links.token import copy_sealer, open_token
from engagement.stores.port import EventStore

DAY = 1_792_972_800_000  # Monday, 26 October 2026, 00:00 UTC
_FOOT = Link(b"https://example.org/foot", "foot")
_BYE = Link(b"https://example.org/bye", "", unsubscribe=True)
_RING = Ring(()).rotated(b"k" * 32, 1)
_IDS = EventIds(b"8 chance")

Parts = list[list[EventRow]]


def at(hour: int, minute: int = 0, second: int = 0, day: int = 0) -> int:
    return DAY + ((day * 24 + hour) * 60 + minute) * 60_000 + second * 1000


class Message:
    """One message, and rows of what happens to it."""

    def __init__(self, number: int, recipient: str, campaign: str, **changes: Any) -> None:
        values: dict[str, Any] = {
            "message_id": number.to_bytes(16, "big"),
            "transmission_id": number,
            "recipient": recipient,
            "sender": "b@example.org",
            "friendly_from": "news@example.org",
            "subject": "Spring",
            "campaign": campaign,
            "tags": (),
            "metadata": "",
            "customer_id": "",
            "transactional": False,
            "opens": True,
            "clicks": True,
            "initial_opens": False,
            "amp": False,
            "size": 1000,
            "queue_id": f"q{number}",
            "outcome": "",
            "context": {},
        } | changes
        self._values = values
        self.injection = Injection(_IDS.next(0), 0, **values)

    def comes_in(self, moment: int) -> list[EventRow]:
        self.injection = Injection(_IDS.next(moment), moment, **self._values)
        return list(rows(self.injection))

    def comes_again(self, moment: int, queue_id: str) -> list[EventRow]:
        """The row of the same message, sent once more."""
        values = self._values | {"queue_id": queue_id}
        return list(rows(Injection(self.injection.id, moment, **values)))

    def becomes(self, kind: str, moment: int, **values: Any) -> list[EventRow]:
        event = MessageEvent(_IDS.next(moment), moment, kind, "mx", "", 0, **values)
        return list(rows(event, injection=self.injection))

    def hit(
        self,
        kind: Kind,
        moment: int,
        client: str = "human",
        *,
        certain: bool = True,
        reason: str = "agent",
        link: Link | None = None,
        hits: int = 1,
        expired: bool = False,
    ) -> list[EventRow]:
        """The rows of a hit with this label, of rules of version 1."""
        identity = Identity(
            self.injection.message_id,
            self.injection.transmission_id,
            self.injection.recipient,
            DAY // 1000,
            DAY // 1000 + 900_000,
            campaign=self.injection.campaign,
            tags=self.injection.tags,
        )
        if kind in CLICKS and link is None:
            link = Link(b"https://example.org/", "top")
        packed = open_token(copy_sealer(_RING.signing, identity).seal(kind, link), _RING).packed
        method = "HEAD" if client == "probe" else "GET"
        agent = "Mozilla/5.0 (X11) Firefox/140.0"
        event = Hit(
            *(_IDS.next(moment), kind, moment, packed, "", "203.0.113.9", agent, "", method, "h", False),
            expired,
            hits=hits,
        )
        label = Classification(ReaderClass(client), reason, "1", certain)
        return [relabelled(row, label) for row in rows(event)]


def story() -> Parts:
    """The rows of each event; `test_figures` has what they add up to."""
    one = Message(1, "ida@a.example", "spring")
    two = Message(2, "bo@b.example", "spring", size=500)
    three = Message(3, "cy@a.example", "", size=200, opens=False, clicks=False)
    return [
        one.comes_in(at(1)),
        two.comes_in(at(1)),
        three.comes_in(at(1, 30)),
        one.becomes("delivery", at(1, 0, 5), num_retries=0, queue_time=400),
        two.becomes("delay", at(1, 1), num_retries=0),
        two.becomes("delivery", at(1, 31), num_retries=1, queue_time=1_860_000),
        three.becomes("bounce", at(1, 31), bounce_class=10),
        # contract.md 7.6: opens at 1:08, 1:13 and 2:37
        one.hit(Kind.OPEN, at(1, 1), "prefetch"),
        one.hit(Kind.OPEN, at(1, 8)),
        one.hit(Kind.OPEN, at(1, 13)),
        one.hit(Kind.AMP_OPEN, at(2, 37), "proxy"),
        # perhaps a scanner, which asks again and again; then a person
        two.hit(Kind.CLICK, at(2), "scanner", certain=False, reason="burst"),
        two.hit(Kind.CLICK, at(2, 0, 5), "scanner", certain=False, reason="burst"),
        two.hit(Kind.CLICK, at(2, 0, 9), "scanner", certain=False, reason="burst", hits=3),
        two.hit(Kind.CLICK, at(2, 10), "probe", reason="head"),
        two.hit(Kind.CLICK, at(2, 30), link=_FOOT),
        two.hit(Kind.CLICK, at(3), expired=True),
        # the next day
        one.hit(Kind.CLICK, at(8, day=1), link=_BYE),
        two.becomes("out_of_band", at(9, day=1), bounce_class=50),
        one.becomes("spam_complaint", at(10, day=1)),
    ]


def fill(store: EventStore, parts: Parts) -> None:
    """Tell a store, and have it make its figures."""
    for part in parts:
        store.add(part)
    store.roll_up()
