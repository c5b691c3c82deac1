"""Events in a site's store, for tests of what the pages show. Not a test."""

from typing import Any

from engagement.events.ids import EventIds
from engagement.events.model import Hit, Injection
from engagement.events.rows import rows
from engagement.links.keys import Ring
from engagement.links.model import Kind
from engagement.links.token import open_token
from engagement.settings import load_file
from engagement.stores import open_store
from web.servers import Site
from web.web_cases import KEY, NOW, identity, token

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IDS = EventIds(bytes(8))
RECIPIENT = identity().recipient


def a_hit(
    kind: Kind = Kind.CLICK,
    agent: str = BROWSER,
    seconds: int = 0,
    method: str = "GET",
    target: bytes = b"https://shop.example.org/a?x=1&y=",
    expired: bool = False,
    **facts: Any,
) -> Hit:
    at_ms = (NOW + seconds) * 1000 + 114
    text = token(kind, target, message_id=bytes([seconds % 256]) * 16, **facts)
    opened = open_token(text.encode(), Ring((KEY,)))
    return Hit(
        id=IDS.next(at_ms),
        kind=kind,
        at_ms=at_ms,
        packed=opened.packed,
        tenant="",
        client_address="203.0.113.9",
        user_agent=agent,
        accept_language="nb-NO",
        method=method,
        host="track.example.com",
        spoiled=False,
        expired=expired,
    )


def an_injection(seconds: int = 0, outcome: str = "") -> Injection:
    sender = identity()
    return Injection(
        id=IDS.next((NOW + seconds) * 1000),
        at_ms=(NOW + seconds) * 1000,
        message_id=bytes([seconds % 256]) * 16,
        transmission_id=sender.transmission_id,
        recipient=sender.recipient,
        sender="b-77@bounce.example.org",
        friendly_from="news@example.org",
        subject="Our autumn letter",
        campaign=sender.campaign,
        tags=(),
        metadata="",
        customer_id="",
        transactional=False,
        opens=True,
        clicks=True,
        initial_opens=False,
        amp=False,
        size=20480,
        queue_id="4bQ1",
        outcome=outcome,
        context={},
    )


def put(site: Site, *events: Hit | Injection) -> None:
    """Write events into the site's store, figures too."""
    store = open_store(load_file(site.config).store, writing=True)
    try:
        store.add([row for event in events for row in rows(event)])
        store.roll_up()
    finally:
        store.close()
