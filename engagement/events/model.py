"""Events as values. How they are written is in `record`, how users see them in `fields`.

Invariant: an event's id and time are fixed where it happened, so that every later step may be repeated: the
same event coming a second time is known by its id.

The order of fields is that of the records on disk: a new field is added at the end (`record`).
"""

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

from msgspec import Struct

from engagement.links.model import Kind


class Hit(Struct, frozen=True, array_like=True, gc=False):
    """A tracked link was fetched (contract.md 6.5).

    id: UUID text of `ids.EventIds`. at_ms: Unix milliseconds. packed: the token's authenticated payload
    (`links.model.Opened.packed`), which names whom and what the link was made for. tenant: "" unless used.
    client_address: as cut by `addresses.truncated` where privacy asks for it. user_agent, accept_language:
    as sent, "" if not sent. method: of the request. host: the Host it asked for. spoiled: the token had a
    tail that does not belong to it. expired: the link's time was over (contract.md 6.4). signals: bits of
    `signals.Signals`, 0 in records of versions 1 and 2. hits: how many requests of one client this stands for
    (`spool.fold`); id and at_ms are those of the last.
    """

    id: str
    kind: Kind
    at_ms: int
    packed: bytes
    tenant: str
    client_address: str
    user_agent: str
    accept_language: str
    method: str
    host: str
    spoiled: bool
    expired: bool
    signals: int = 0
    hits: int = 1  # stays the last one: the records of a single hit end before it

    def __repr__(self) -> str:
        """Return all fields as text but `packed`, which names a person."""
        shown = [name for name in self.__struct_fields__ if name != "packed"]
        return f"Hit({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"


# The method that stands in the record of a wish taken back: to get no more mail. Forms can only POST.
UNDO: Final = "DELETE"


# What a reader asks about what is kept of them, as the method in its record: record no more, hand out, erase.
ASKS: Final = ("OBJECT", "EXPORT", "ERASE")


def is_data_request(hit: Hit) -> bool:
    """Return whether a hit asks about what is kept of its reader. It is no event of its own."""
    return hit.method in ASKS


def is_undo(hit: Hit) -> bool:
    """Return whether a hit takes an earlier one back. It is no event of its own."""
    return hit.method == UNDO


def is_posted(hit: Hit) -> bool:
    """Return whether a hit was posted, as only wishes of readers are."""
    return hit.method in ("POST", UNDO, *ASKS)


class Injection(NamedTuple):
    """A message of one recipient came in, tracked or not.

    id: UUID text. at_ms: Unix milliseconds. message_id: 16 bytes, that of the copy's links.
    transmission_id: unsigned 64 bits. recipient: envelope recipient as sent, "" where the privacy mode
    leaves it out. sender: envelope sender. friendly_from: the From field's address. subject: decoded.
    metadata: JSON object text or "". opens, clicks, initial_opens, amp: what was tracked. size: bytes.
    outcome: "" for tracked, else the reason (`smtpapi.model.outcome.Why`). context: the `cust_*` variables.
    rcpt_type: "" for the original recipient, else "cc", "bcc" or "archive". From here on 0 or "" in records
    of version 1. message_id_header: the Message-ID field's value. links: tracked links. parts: parts of the
    body that were edited or could have been. client_address: of the SMTP client. node_name: the MTA's host.
    recipient_mark: `recipient_mark` of the envelope recipient, which distinguishes the recipients of one
    queue id without naming them. consent: the reference of the recipient's consent, "" for none.
    clicks_without_metadata: whether clicks go without the metadata; False in records before version 3.
    From here on empty in records before version 4, and where no copy of the mail is asked for: by these the
    tracked addresses can be computed again and proved (`tracked_links`). link_base: scheme and domain of the
    tracked links. link_key: id of the key that sealed them. link_expiry: Unix seconds. sublinks: that stand
    in some of them. link_marks: of each tracked link, 6 bytes (`links.marks`).
    """

    id: str
    at_ms: int
    message_id: bytes
    transmission_id: int
    recipient: str
    sender: str
    friendly_from: str
    subject: str
    campaign: str
    tags: tuple[str, ...]
    metadata: str
    customer_id: str
    transactional: bool
    opens: bool
    clicks: bool
    initial_opens: bool
    amp: bool
    size: int
    queue_id: str
    outcome: str
    context: Mapping[str, str]
    rcpt_type: str = ""
    message_id_header: str = ""
    links: int = 0
    parts: int = 0
    client_address: str = ""
    node_name: str = ""
    recipient_mark: int = 0
    consent: str = ""
    clicks_without_metadata: bool = False
    link_base: str = ""
    link_key: int = 0
    link_expiry: int = 0
    sublinks: tuple[str, ...] = ()
    link_marks: bytes = b""


class MessageEvent(NamedTuple):
    """What became of a message, as the MTA's log or a mail that came back says (contract.md 7.1).

    id: UUID text that follows from the other values, so that a line read twice is one event. at_ms: Unix
    milliseconds. type: one of `fields.MESSAGE_TYPES`. node_name, queue_id: of the MTA that says so, ""
    where a message came back. recipient_mark: of the recipient, 0 for not known. message_id: 16 bytes where
    the bounce names the message itself, else b"". message_id_header: the Message-ID field, "" for not
    known. raw_reason: the text of the other side without addresses. error_code: three digits or "".
    enhanced_code: RFC 3463, or "". bounce_class: Momentum's number, 0 for none. queue_time: milliseconds in
    the queue, -1 for not known. num_retries: failed tries before this one, -1 for not known. sending_ip,
    remote_host, remote_address, routing_domain: "" where the log does not say. delv_method: "esmtp",
    "lmtp", "local", … fbtype: of a complaint (RFC 5965 3.1), else "". transmission_id, recipient,
    rcpt_type, and message_id where it is not known from the start: of the injection, once that is found
    (`about`); never in the spool, as only the injection knows which of them privacy allows. earlier: queue
    ids that the message had on its way to this one (a content filter's hop), or else for the recipient, each
    with the recipient's mark there; the likeliest first.
    """

    id: str
    at_ms: int
    type: str
    node_name: str
    queue_id: str
    recipient_mark: int
    message_id: bytes = b""
    message_id_header: str = ""
    raw_reason: str = ""
    error_code: str = ""
    enhanced_code: str = ""
    bounce_class: int = 0
    queue_time: int = -1
    num_retries: int = -1
    sending_ip: str = ""
    remote_host: str = ""
    remote_address: str = ""
    routing_domain: str = ""
    delv_method: str = ""
    fbtype: str = ""
    tenant: str = ""
    transmission_id: int = 0
    recipient: str = ""
    rcpt_type: str = ""
    earlier: tuple[tuple[str, int], ...] = ()


Event = Hit | Injection | MessageEvent


class MessageName(NamedTuple):
    """A name that the world outside has for a message, by which its injection is found.

    what: "queue_id", with the MTA's host in node_name, or "message_id_header" with "" there.
    """

    what: str
    node_name: str
    text: str


def names_of(event: Injection | MessageEvent) -> tuple[MessageName, ...]:
    """Return the names of the message that the event is about, as far as it says them."""
    found = []
    if event.queue_id:
        found.append(MessageName("queue_id", event.node_name, event.queue_id))
    if isinstance(event, MessageEvent):
        earlier = dict.fromkeys(queue_id for queue_id, _ in event.earlier if queue_id != event.queue_id)
        found += [MessageName("queue_id", event.node_name, queue_id) for queue_id in earlier]
    if event.message_id_header:
        found.append(MessageName("message_id_header", "", event.message_id_header))
    return tuple(found)


def about(event: MessageEvent, injection: Injection) -> MessageEvent:
    """Return the event with what it says of its message and recipient: that of the injection."""
    return event._replace(
        message_id=injection.message_id,
        transmission_id=injection.transmission_id,
        recipient=injection.recipient,
        rcpt_type=injection.rcpt_type,
    )


def recipient_mark(node_name: str, queue_id: str, recipient: str) -> int:
    """Return a number from 1 to 65,535 that distinguishes the recipients of one queue id.

    So short that it names nobody: among any ten thousand addresses several have the same one. Quotes of a
    local part do not matter (RFC 5321 4.1.2): some logs have them, some do not.
    """
    address = recipient.strip("<>").lower()
    if '"' in address:
        address = re.sub(r'["\\]', "", address)
    text = f"{node_name}\0{queue_id}\0{address}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=4).digest(), "big") % 65_535 + 1
