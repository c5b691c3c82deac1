"""Events for tests, made from real tokens. Not a test; imported by those beside it."""

from typing import Any

from engagement.events.ids import EventIds
from engagement.events.model import Hit, Injection
from engagement.links.keys import Ring
from engagement.links.model import CLICKS, Identity, Kind, Link
from engagement.links.token import copy_sealer, open_token

RING = Ring(()).rotated(b"k" * 32, 1)
IDS = EventIds(b"8 chance")
AT = 1_793_001_722_373  # 2026-10-26T08:02:02.373Z
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0"
LINK = Link(b"https://shop.example.org/a?x=1&y=", "top banner")


def identity(message: int = 1, **changes: Any) -> Identity:
    values: dict[str, Any] = {
        "message_id": message.to_bytes(16, "big"),
        "transmission_id": 73120948816540217,
        "recipient": "Ida.Holm@Example.net",
        "issued": AT // 1000 - 60,
        "expiry": AT // 1000 + 86400,
        "campaign": "autumn-letter",
        "tags": ("letter", "nl"),
        "metadata": '{"shop":"north","n":[1,2]}',
        "customer_id": "12",
    }
    return Identity(**(values | changes))


def packed(kind: Kind, whose: Identity, link: Link | None = None) -> bytes:
    token = copy_sealer(RING.signing, whose).seal(kind, link or (LINK if kind in CLICKS else None))
    return open_token(token, RING).packed


def hit(
    kind: Kind = Kind.CLICK,
    *,
    at_ms: int = AT,
    whose: Identity | None = None,
    link: Link | None = None,
    **changes: Any,
) -> Hit:
    values: dict[str, Any] = {
        "id": IDS.next(at_ms),
        "kind": kind,
        "at_ms": at_ms,
        "packed": packed(kind, whose or identity(), link),
        "tenant": "",
        "client_address": "203.0.113.9",
        "user_agent": BROWSER,
        "accept_language": "nb-NO",
        "method": "GET",
        "host": "click.example.org",
        "spoiled": False,
        "expired": False,
    }
    return Hit(**(values | changes))


def injection(message: int = 1, *, at_ms: int = AT - 60_000, **changes: Any) -> Injection:
    values: dict[str, Any] = {
        "id": IDS.next(at_ms),
        "at_ms": at_ms,
        "message_id": message.to_bytes(16, "big"),
        "transmission_id": 73120948816540217,
        "recipient": "Ida.Holm@Example.net",
        "sender": "b-77@bounce.example.org",
        "friendly_from": "news@Example.org",
        "subject": "Our autumn letter",
        "campaign": "autumn-letter",
        "tags": ("letter", "nl"),
        "metadata": '{"shop":"north","n":[1,2]}',
        "customer_id": "12",
        "transactional": False,
        "opens": True,
        "clicks": True,
        "initial_opens": False,
        "amp": False,
        "size": 20480,
        "queue_id": "4bQx1z0",
        "outcome": "",
        "context": {"cust_plan": "gold", "subject": "not the subject"},
    }
    return Injection(**(values | changes))
