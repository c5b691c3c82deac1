"""What an event's types and fields are, in words and with an invented value, for those who read by program.

The same tables describe the Events API and webhooks. A value stands here as `api_event` gives it.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from engagement.events.fields import ALL_TYPES, INJECTION, MESSAGE_TYPES, UNSUBSCRIBES

_HITS: Final = frozenset({*ALL_TYPES} - {INJECTION, *MESSAGE_TYPES})
_CLICKS: Final = frozenset({"click", "amp_click", "link_unsubscribe"})
_BECAME: Final = frozenset(MESSAGE_TYPES)
_EVERY: Final = frozenset(ALL_TYPES)
_AGENTS: Final = _HITS - {"list_unsubscribe"}

_AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

# A name for people and what happened, by type.
TYPES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "click": ("Click", "A link of a message was followed."),
        "open": ("Open", "The pixel at the end of a message was loaded."),
        "initial_open": ("Initial Open", "The pixel at the beginning of a message was loaded."),
        "amp_click": ("AMP Click", "A link of a message's AMP part was followed."),
        "amp_open": ("AMP Open", "The pixel at the end of a message's AMP part was loaded."),
        "amp_initial_open": (
            "AMP Initial Open",
            "The first pixel of a message's AMP part was loaded.",
        ),
        "list_unsubscribe": ("List Unsubscribe", "A mail program posted to the List-Unsubscribe address."),
        "link_unsubscribe": ("Link Unsubscribe", "A link marked for unsubscribing was followed."),
        "injection": ("Injection", "A message for one recipient was taken in."),
        "delivery": ("Delivery", "The other side took a message."),
        "delay": ("Delay", "The other side put a message off."),
        "bounce": ("Bounce", "The other side refused a message for good."),
        "expiration": ("Expiration", "A message was given up after its time in the queue."),
        "out_of_band": ("Out of Band", "A message came back after it had been taken."),
        "spam_complaint": ("Spam Complaint", "The recipient said that a message is spam."),
    }
)


class Field(NamedTuple):
    """What a field is, an invented value, and the types of event that have it."""

    description: str
    sample: Any
    types: frozenset[str]


FIELDS: Final[Mapping[str, Field]] = MappingProxyType(
    {
        "type": Field("Type of the event", "click", _EVERY),
        "event_id": Field(
            "Id of the event, the same wherever it is told", "01a1773b-1090-7000-8001-8da185b98d94", _EVERY
        ),
        "timestamp": Field("When it happened", "2026-10-26T08:02:02.114+00:00", _EVERY),
        "message_id": Field(
            "Id of one recipient's copy of a message", "01a1772f5cc07d1e8b6a2f4c90d3e517", _EVERY
        ),
        "transmission_id": Field("Id that all copies of a message share", "73120948816540217", _EVERY),
        "customer_id": Field("Customer that the sender named", "12", _EVERY),
        "campaign_id": Field("Campaign that the sender named", "autumn-letter", _EVERY),
        "rcpt_to": Field("Recipient in lower case", "ida.holm@example.net", _EVERY),
        "raw_rcpt_to": Field("Recipient as it was sent", "Ida.Holm@example.net", _EVERY),
        "rcpt_type": Field("cc, bcc or archive; none for the original recipient", "archive", _EVERY),
        "rcpt_meta": Field("Metadata of the recipient", {"shop": "north"}, _EVERY),
        "rcpt_tags": Field("Tags of the message", ["letter", "nl"], _EVERY),
        "recipient_domain": Field("Domain of the recipient", "example.net", _EVERY),
        "sending_domain": Field("Domain of the From field", "example.org", _EVERY),
        "friendly_from": Field("Address of the From field", "news@example.org", _EVERY),
        "msg_from": Field("Envelope sender", "b-77@bounce.example.org", _EVERY),
        "mailfrom": Field("Envelope sender of the original message", "b-77@bounce.example.org", UNSUBSCRIBES),
        "subject": Field("Subject of the message", "Our autumn letter", _EVERY),
        "injection_time": Field("When the message was taken in", "2026-10-26T07:58:11.020Z", _EVERY),
        "msg_size": Field("Bytes of the message", "20480", _EVERY),
        "transactional": Field("1 for a transactional message", "0", _EVERY),
        "open_tracking": Field("Whether opens of the message are tracked", True, _EVERY),
        "click_tracking": Field("Whether clicks in the message are tracked", True, _EVERY),
        "initial_pixel": Field("Whether the message has a pixel at its beginning", False, _EVERY),
        "amp_enabled": Field("Whether the message has an AMP part", False, _EVERY),
        "target_link_url": Field("Where the link leads", "https://shop.example.org/a?x=1&y=", _CLICKS),
        "target_link_name": Field("Name of the link", "top banner", _CLICKS),
        "ip_address": Field(
            "Address that the request, or the other side's answer, came from", "203.0.113.9", _HITS | _BECAME
        ),
        "user_agent": Field("Program that asked, as it names itself", _AGENT, _AGENTS),
        "accept_language": Field("Languages that it asked for", "nb-NO", _AGENTS),
        "user_agent_parsed": Field(
            "What the program's name says of it",
            {
                "agent_family": "Firefox",
                "os_family": "Linux",
                "is_mobile": False,
                "is_proxy": False,
                "is_prefetched": False,
            },
            _AGENTS,
        ),
        "reason": Field("What the other side said", "550 5.1.1 no such user", _BECAME),
        "raw_reason": Field("What the other side said, as it came", "550 5.1.1 no such user", _BECAME),
        "error_code": Field("Code of the other side's answer", "550", _BECAME - {"delivery"}),
        "bounce_class": Field(
            "Number of the bounce's class", "10", frozenset({"bounce", "delay", "expiration", "out_of_band"})
        ),
        "queue_time": Field("Milliseconds in the queue", "310", _BECAME - {"spam_complaint"}),
        "num_retries": Field("Failed tries before", "0", frozenset({"delivery", "delay", "bounce"})),
        "sending_ip": Field("Address that the message was sent from", "192.0.2.40", _BECAME),
        "routing_domain": Field("Domain that the message was routed to", "example.net", _BECAME),
        "delv_method": Field("How it was delivered", "esmtp", frozenset({"delivery", "delay", "bounce"})),
        "fbtype": Field("Kind of the complaint", "abuse", frozenset({"spam_complaint"})),
        "node_name": Field("Host that recorded it", "mx1.example.org", _BECAME | {INJECTION}),
        "x_client_class": Field(
            "Who it was: human, proxy, prefetch, scanner, unknown or probe", "human", _HITS
        ),
        "x_client_reason": Field("Rule that says so", "known-browser", _HITS),
        "x_client_rules": Field("Version of the rules", "7", _HITS),
        "x_link_ordinal": Field("Place of the link among those of its part", "0", _CLICKS),
        "x_link_part": Field("Part that the link is in: html, text or amp", "html", _CLICKS),
        "x_host": Field("Tracking domain that was asked", "track.example.com", _HITS),
        "x_message_id_header": Field("Message-ID field of the message", "<77@example.org>", _EVERY),
        "x_queue_id": Field(
            "Id of the message in the mail server's queue", "4bQ1kz2Jn1z3Q", _BECAME | {INJECTION}
        ),
        "x_enhanced_code": Field("Enhanced status code of the answer", "5.1.1", _BECAME),
        "x_remote_host": Field("Name of the other side", "mx.example.net", _BECAME),
    }
)


def documentation(kind: str) -> dict[str, Any]:
    """Return what the documentation says of a type of event: its fields, and what it is called."""
    name, what = TYPES[kind]
    fields: dict[str, Any] = {
        field: {"description": about.description, "sampleValue": kind if field == "type" else about.sample}
        for field, about in FIELDS.items()
        if kind in about.types
    }
    return fields | {"display_name": name, "event_description": what}


def sample(kind: str) -> dict[str, Any]:
    """Return an invented event of a type, as the Events API gives it."""
    return {
        field: kind if field == "type" else about.sample
        for field, about in FIELDS.items()
        if kind in about.types and field != "rcpt_type"
    }


def chosen(kinds: Iterable[str]) -> tuple[str, ...]:
    """Return the types to describe: those that are named and known, or all where none is named."""
    selected = tuple(kinds)
    return tuple(kind for kind in ALL_TYPES if not selected or kind in selected)
