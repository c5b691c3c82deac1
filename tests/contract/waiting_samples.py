"""Injections, events that wait for them, and their names."""

from typing import Any

from contract.store_samples import AT
from engagement.events.model import Injection, MessageEvent, MessageName
from engagement.events.rows import EventRow, rows


def injection(number: int = 1, at: int = 0, **given: Any) -> Injection:
    """One of the samples. number: of its id and message, at: milliseconds after AT."""
    values: dict[str, Any] = {
        "id": f"00000000-0000-7000-8000-{number:012x}",
        "at_ms": AT + at,
        "message_id": number.to_bytes(16, "big"),
        "recipient": "Ida@Example.net",
        "queue_id": "4XyZ12abcdz9s",
        "node_name": "mx1.example.org",
        "message_id_header": f"<{number}@example.org>",
        "recipient_mark": number,
        "context": {"cust_a": "b"},
        "tags": ("letter", "nl"),
        "metadata": '{"a":[1]}',
        "transmission_id": (1 << 64) - 1,
    }
    one = Injection(
        "", 0, b"", 0, "", "b@example.org", "news@example.org", "Vår høst", "autumn", (), "", "12",
        False, True, True, False, False, 20480, "", "", {},
    )  # fmt: skip
    return one._replace(**(values | given))


def event(number: int = 1, at: int = 1000, **given: Any) -> MessageEvent:
    """An event with an id of its own. at: milliseconds after AT."""
    one = MessageEvent(
        f"00000000-0000-7000-9000-{number:012x}", AT + at, "bounce", "mx1.example.org", "4XyZ12abcdz9s", 7,
        b"", "<1@example.org>", "host said: 550 5.1.1 <…>: nobody", "550", "5.1.1", 10, 1200, 3,
        "192.0.2.1", "mx.example.net", "203.0.113.9", "example.net", "esmtp",
    )  # fmt: skip
    return one._replace(**given)


def injected(*injections: Injection) -> list[EventRow]:
    return [row for one in injections for row in rows(one)]


def queue(text: str, node: str = "mx1.example.org") -> MessageName:
    return MessageName("queue_id", node, text)


def header(text: str) -> MessageName:
    return MessageName("message_id_header", "", text)
