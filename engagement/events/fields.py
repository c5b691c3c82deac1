"""An event's fields as users know them (contract.md 7.2), in the shape of the Events API.

Numbers are decimal text, switches are booleans, a field without a value is left out, text is valid Unicode
(`field_values`). Fields of our own begin with `x_`. Values that an event does not have itself (subject,
sender, …) it borrows from the injection of the same message: at once in `to_fields`, or later in a store with
`borrowed` and `join`.
"""

from collections.abc import Mapping
from typing import Any, Final

from engagement.classify.shipped import classify
from engagement.events.classify import MACHINES, Classification, ReaderClass
from engagement.events.field_values import (
    domain_of,
    filled,
    json_object,
    recipient_fields,
    recipient_hash,
    timestamp,
)
from engagement.events.model import Event, Hit, Injection, MessageEvent, about
from engagement.events.signals import signal_names
from engagement.links.model import CLICKS, RAW_URL, Identity, Kind, Link
from engagement.links.token import unpack

Fields = dict[str, Any]

TYPES: Final[Mapping[Kind, str]] = {
    Kind.CLICK: "click",
    Kind.OPEN: "open",
    Kind.INITIAL_OPEN: "initial_open",
    Kind.AMP_CLICK: "amp_click",
    Kind.AMP_OPEN: "amp_open",
    Kind.AMP_INITIAL_OPEN: "amp_initial_open",
    Kind.LIST_UNSUBSCRIBE: "list_unsubscribe",
}
INJECTION: Final = "injection"
LINK_UNSUBSCRIBE: Final = "link_unsubscribe"
# What becomes of a message, as the MTA's log or a mail that comes back says (SparkPost's names).
MESSAGE_TYPES: Final = ("delivery", "delay", "bounce", "expiration", "out_of_band", "spam_complaint")
ALL_TYPES: Final = (*TYPES.values(), LINK_UNSUBSCRIBE, INJECTION, *MESSAGE_TYPES)
# False among what a message's other events borrow, where its clicks go without metadata.
_CLICK_METADATA: Final = "x_click_metadata"
_OF_CLICKS: Final = frozenset({*(TYPES[kind] for kind in CLICKS), LINK_UNSUBSCRIBE})
UNSUBSCRIBES: Final = frozenset({"link_unsubscribe", "list_unsubscribe"})


def to_fields(
    event: Event,
    injection: Injection | None = None,
    *,
    label: Classification | None = None,
    hash_key: bytes = b"",
) -> Fields:
    """Return the event's fields (contract.md 7.2).

    injection: of the same message, None if it is not known. label: of `classify` with its default rules if
    not given. hash_key: for `rcpt_hash`, which is left out without one. Raises BadToken for a hit whose
    payload our keys did not seal in this form.
    """
    if isinstance(event, Injection):
        return injection_fields(event, rcpt_hash=recipient_hash(event.recipient, hash_key))
    if isinstance(event, MessageEvent):
        event = event if injection is None else about(event, injection)
        fields = message_event_fields(event, rcpt_hash=recipient_hash(event.recipient, hash_key))
        return fields if injection is None else join(fields, borrowed(injection))
    identity, link = unpack(event.kind, event.packed)
    hashed = recipient_hash(identity.recipient, hash_key)
    fields = hit_fields(event, identity, link, label=label or classify(event), rcpt_hash=hashed)
    return fields if injection is None else join(fields, borrowed(injection))


def hit_fields(
    hit: Hit, identity: Identity, link: Link | None, *, label: Classification, rcpt_hash: str = ""
) -> Fields:
    """Return the fields that a hit and its link have by themselves.

    rcpt_hash: of `recipient_hash`, "" for none.
    """
    fields: Fields = {
        "type": TYPES[hit.kind],
        "event_id": hit.id,
        "timestamp": timestamp(hit.at_ms),
        "message_id": "" if identity.is_shared else identity.message_id.hex(),
        "transmission_id": "" if identity.is_shared else str(identity.transmission_id),
        "customer_id": identity.customer_id,
        "campaign_id": identity.campaign,
        **recipient_fields(identity.recipient, rcpt_hash),
        "rcpt_type": identity.rcpt_type,
        "rcpt_meta": json_object(identity.metadata),
        "rcpt_tags": list(identity.tags),
        "injection_time": timestamp(identity.issued * 1000),
        "transactional": "1" if identity.transactional else "0",
        "ip_address": hit.client_address,
    }
    if hit.kind is not Kind.LIST_UNSUBSCRIBE:
        fields["user_agent"] = hit.user_agent
        fields["accept_language"] = hit.accept_language
        fields["user_agent_parsed"] = {
            "is_proxy": label.client is ReaderClass.PROXY,
            "is_prefetched": label.client in MACHINES,
        }
    if hit.kind in CLICKS and link is not None:
        fields["target_link_url"] = link.target.decode("utf-8", "replace")
        fields["target_link_name"] = link.name or RAW_URL
        fields["x_link_ordinal"] = str(link.ordinal) if link.ordinal >= 0 else ""
        fields["x_link_part"] = link.part or ("amp" if hit.kind is Kind.AMP_CLICK else "")
    fields["x_client_class"] = label.client.value
    fields["x_client_reason"] = label.reason
    fields["x_client_rules"] = label.rules
    fields["x_host"] = hit.host
    fields["x_expired"] = hit.expired or None
    fields["x_spoiled"] = hit.spoiled or None
    fields["x_shared"] = identity.is_shared or None
    fields["x_signals"] = signal_names(hit.signals)
    fields["x_hits"] = str(hit.hits) if hit.hits > 1 else None
    if _needs_no_repair(hit, identity, link):
        made = {name: value for name, value in fields.items() if value}
    else:
        made = filled(fields)
    return made if label.certain else made | {"x_client_certain": False}


def _needs_no_repair(hit: Hit, identity: Identity, link: Link | None) -> bool:
    """Return whether no text of a hit needs `valid`.

    Nearly none does, and this halves the time of `hit_fields`.
    """
    text = "".join(
        (hit.client_address, hit.user_agent, hit.accept_language, hit.host)
        + (identity.recipient, identity.campaign, identity.customer_id, identity.metadata, *identity.tags)
        + ((link.name,) if link else ())
    )
    return (
        text.isascii()
        and "\0" not in text
        and "\\u" not in identity.metadata
        and (link is None or (link.target.isascii() and b"\0" not in link.target))
    )


def link_unsubscribe(click: Fields, event_id: str) -> Fields:
    """Return the second event of a click on an unsubscribe link (contract.md 11 row 18)."""
    return click | {"type": LINK_UNSUBSCRIBE, "event_id": event_id}


def injection_fields(injection: Injection, *, rcpt_hash: str = "") -> Fields:
    """Return the fields of an `injection` event. rcpt_hash: of `recipient_hash`, "" for none."""
    fields = filled(
        {
            "type": INJECTION,
            "event_id": injection.id,
            "timestamp": timestamp(injection.at_ms),
            "message_id": injection.message_id.hex(),
            "transmission_id": str(injection.transmission_id),
            **recipient_fields(injection.recipient, rcpt_hash),
            "rcpt_type": injection.rcpt_type,
            **borrowed(injection),
            "x_queue_id": injection.queue_id,
            "x_outcome": injection.outcome,
            "x_links": str(injection.links) if injection.links else "",
            "x_parts": str(injection.parts) if injection.parts else "",
            "x_client_address": injection.client_address,
            "x_consent": injection.consent,
            "node_name": injection.node_name,
        }
    )
    fields.pop(_CLICK_METADATA, None)
    return fields


def message_event_fields(event: MessageEvent, *, rcpt_hash: str = "") -> Fields:
    """Return the fields of what became of a message (contract.md 7.2). rcpt_hash: of `recipient_hash`."""
    return filled(
        {
            "type": event.type,
            "event_id": event.id,
            "timestamp": timestamp(event.at_ms),
            "message_id": event.message_id.hex(),
            "transmission_id": str(event.transmission_id) if event.transmission_id else "",
            **recipient_fields(event.recipient, rcpt_hash),
            "rcpt_type": event.rcpt_type,
            "raw_reason": event.raw_reason,
            "reason": event.raw_reason,
            "error_code": event.error_code,
            "bounce_class": str(event.bounce_class) if event.bounce_class else "",
            "queue_time": str(event.queue_time) if event.queue_time >= 0 else "",
            "num_retries": str(event.num_retries) if event.num_retries >= 0 else "",
            "sending_ip": event.sending_ip,
            "ip_address": event.remote_address,
            "routing_domain": event.routing_domain,
            "delv_method": event.delv_method,
            "fbtype": event.fbtype,
            "node_name": event.node_name,
            "x_enhanced_code": event.enhanced_code,
            "x_remote_host": event.remote_host,
            "x_queue_id": event.queue_id,
            "x_message_id_header": event.message_id_header,
        }
    )


def borrowed(injection: Injection) -> Fields:
    """Return the fields that all events of the message take from its injection.

    The recipient is not among them: if a link was made without one, its events have none.
    """
    return filled(
        {
            **injection.context,  # first, so that no variable takes the place of a field
            "customer_id": injection.customer_id,
            "campaign_id": injection.campaign,
            "rcpt_meta": json_object(injection.metadata),
            "rcpt_tags": list(injection.tags),
            "friendly_from": injection.friendly_from,
            "sending_domain": domain_of(injection.friendly_from),
            "msg_from": injection.sender,
            "subject": injection.subject,
            "msg_size": str(injection.size),
            "x_message_id_header": injection.message_id_header,
            "injection_time": timestamp(injection.at_ms),
            "transactional": "1" if injection.transactional else "0",
            "open_tracking": injection.opens,
            "click_tracking": injection.clicks,
            "initial_pixel": injection.initial_opens,
            "amp_enabled": injection.amp,
            _CLICK_METADATA: False if injection.clicks_without_metadata else None,
        }
    )


def join(fields: Mapping[str, Any], message: Mapping[str, Any]) -> Fields:
    """Return the fields, and those of the message that are not among them.

    The injection's time replaces the link's, which is in whole seconds. Clicks get no metadata from a message
    that was sent with click_tracking_include_metadata = false (contract.md 1.5).
    """
    joined = {**fields, **{name: value for name, value in message.items() if name not in fields}}
    if joined.pop(_CLICK_METADATA, None) is False and fields.get("type") in _OF_CLICKS:
        joined.pop("rcpt_meta", None)
    if "injection_time" in message:
        joined["injection_time"] = message["injection_time"]
    if fields.get("type") in UNSUBSCRIBES and "msg_from" in joined:
        joined["mailfrom"] = joined["msg_from"]
    return joined
