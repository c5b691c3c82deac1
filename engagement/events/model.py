"""Events as values. How they are written is in `record`, how users see them in `fields`.

Invariant: an event's id and time are fixed where it happened, so that every later step may be repeated: the
same event coming a second time is known by its id.

The order of fields is that of the records on disk: a new field is added at the end (`record`).
"""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from engagement.links.model import Kind


class Hit(Struct, frozen=True, array_like=True, gc=False):
    """A tracked link was fetched (contract.md 6.5).

    id: UUID text of `ids.EventIds`. at_ms: Unix milliseconds. packed: the token's authenticated payload
    (`links.model.Opened.packed`), which names whom and what the link was made for. tenant: "" unless used.
    client_address: as cut by `addresses.truncated` where privacy asks for it. user_agent, accept_language:
    as sent, "" if not sent. method: of the request. host: the Host it asked for. spoiled: the token had a
    tail that does not belong to it. expired: the link's time was over (contract.md 6.4). hits: how many
    requests of one client this stands for (`spool.fold`); id and at_ms are those of the last.
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
    hits: int = 1  # stays the last one: records of version 1 end before it

    def __repr__(self) -> str:
        """Return all fields as text but `packed`, which names a person."""
        shown = [name for name in self.__struct_fields__ if name != "packed"]
        return f"Hit({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"


class Injection(NamedTuple):
    """A message of one recipient came in, tracked or not.

    id: UUID text. at_ms: Unix milliseconds. message_id: 16 bytes, that of the copy's links.
    transmission_id: unsigned 64 bits. recipient: envelope recipient as sent, "" where the privacy mode
    leaves it out. sender: envelope sender. friendly_from: the From field's address. subject: decoded.
    metadata: JSON object text or "". opens, clicks, initial_opens, amp: what was tracked. size: bytes.
    outcome: "" for tracked, else the reason (`smtpapi.model.outcome.Why`). context: the `cust_*` variables.
    rcpt_type: "" for the original recipient, else "cc", "bcc" or "archive".
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


Event = Hit | Injection
