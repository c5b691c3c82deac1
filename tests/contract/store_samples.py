"""Rows for the store suite, made as the shipper makes them. Not a test; imported by those beside it."""

from engagement.events.ids import EventIds
from engagement.events.model import Hit, Injection
from engagement.events.rows import EventRow, rows
from engagement.links.keys import Ring
from engagement.links.model import CLICKS, Identity, Kind, Link
from engagement.links.token import copy_sealer, open_token

AT = 1_793_001_722_000
RING = Ring(()).rotated(b"k" * 32, 1)


class SampleRows:
    """Makes rows as the shipper would, each with an id of its own."""

    def __init__(self) -> None:
        self._ids = EventIds(b"8 chance")

    def hit(
        self,
        kind: Kind = Kind.CLICK,
        at: int = 0,
        *,
        message: int = 1,
        recipient: str = "Ida@Example.net",
        campaign: str = "autumn",
        target: str = "https://example.org/",
        transmission: int = 7,
        unsubscribe: bool = False,
        agent: str = "Mozilla/5.0 (X11) Firefox/140.0",
        method: str = "GET",
        expired: bool = False,
        tenant: str = "",
        tags: tuple[str, ...] = (),
        customer: str = "",
        hits: int = 1,
    ) -> list[EventRow]:
        """Rows of one hit, at milliseconds after AT."""
        identity = Identity(
            *(
                message.to_bytes(16, "big"),
                transmission,
                recipient,
                AT // 1000 - 30 * 86400,
                AT // 1000 + 60,
                "",
                campaign,
            ),
            *(tags, "", customer),
        )
        link = Link(target.encode(), "", unsubscribe) if kind in CLICKS else None
        packed = open_token(copy_sealer(RING.signing, identity).seal(kind, link), RING).packed
        event = Hit(
            self._ids.next(AT + at),
            kind,
            AT + at,
            packed,
            tenant,
            "203.0.113.9",
            agent,
            "",
            method,
            "h",
            False,
            expired,
            hits=hits,
        )
        return list(rows(event))

    def injection(
        self,
        at: int = -60_000,
        *,
        message: int = 1,
        subject: str = "Autumn",
        dated: int | None = None,
        metadata: str = "",
    ) -> list[EventRow]:
        """The row of one injection. dated: what its id begins with, the mail's Date, after AT as well."""
        event = Injection(
            self._ids.next(AT + (at if dated is None else dated)), AT + at, message.to_bytes(16, "big"), 7,
            "Ida@Example.net", "b@example.org", "news@example.org", subject, "autumn", (), metadata, "",
            False, True, True, False, False, 20480, "q", "", {},
        )  # fmt: skip
        return list(rows(event))
