"""A small story for figures: three messages on two days, told as the shipper tells events. Not a test."""

from typing import Any

from engagement.events.classify import Classification, ReaderClass
from engagement.events.ids import EventIds
from engagement.events.model import Hit, Injection, MessageEvent
from engagement.events.rows import EventRow, relabelled, rows
from engagement.links.keys import Ring
from engagement.links.model import CLICKS, Identity, Kind, Link
from engagement.links.token import copy_sealer, open_token

DAY = 1_792_972_800_000  # Monday, 26 October 2026, 00:00 UTC
_RING = Ring(()).rotated(b"k" * 32, 1)
_IDS = EventIds(b"8 chance")


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
