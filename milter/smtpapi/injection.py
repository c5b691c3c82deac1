"""The event that a message came in: what the API counts as injected, and where labels are looked up later.

Not an event of the reader's. Written for tracked and untracked mail alike; what the privacy mode keeps out of
links, it keeps out of this record too.
"""

import re
from collections.abc import Iterable
from email.utils import getaddresses
from typing import NamedTuple

from engagement.events.types import Injection
from smtpapi import encoded_words
from smtpapi.decide import Decision
from smtpapi.envelope import Envelope
from smtpapi.message import Field, Message
from smtpapi.outcome import Outcome, Plan, Refuse

_LONGEST = 8192  # bytes of a field's value that are looked at; mail programs show a few hundred characters
_LINE_END = re.compile(r"[\r\n]+")
# What nearly all From fields look like; the rest is left to the standard library, ten times as slow.
_PLAIN_FROM = re.compile(rb"""(?:"[^"\\]*"\s*|[^"<>(),:;@]*)<([^\s"<>(),:;@]+@[\w.-]+)>|([\w.+-]+@[\w.-]+)""")
_AMP = "text/x-amp-html"


class Own(NamedTuple):
    """What of a record is each recipient's own, named as in `Injection`."""

    id: str
    message_id: bytes
    transmission_id: int
    recipient: str
    rcpt_type: str


def describe(
    envelope: Envelope, message: Message, decision: Decision, outcome: Outcome, now: float, own: Own
) -> Injection:
    """The record of a message for one recipient. now: Unix seconds."""
    edits = outcome.edits if isinstance(outcome, Plan) else ()
    why = None if isinstance(outcome, Refuse) else outcome.why
    tracked = bool(edits) and why is None
    return Injection(
        id=own.id,
        at_ms=int(now * 1000),
        message_id=own.message_id,
        transmission_id=own.transmission_id,
        recipient=own.recipient,
        sender=envelope.sender if decision.privacy == "full" else _domain(envelope.sender),
        friendly_from=from_address(message),
        subject=decoded(message.first("Subject")),
        campaign=decision.campaign,
        tags=decision.tags,
        metadata=decision.metadata,
        customer_id=decision.customer_id,
        transactional=decision.transactional,
        opens=tracked and decision.opens,
        clicks=tracked and decision.clicks,
        initial_opens=tracked and decision.initial_opens,
        amp=any(edit.type == _AMP for edit in edits),
        size=message_size(message),
        queue_id=envelope.queue_id,
        outcome=why.value if why is not None else "",
        context=dict(decision.custom),
        rcpt_type=own.rcpt_type,
    )


def _domain(sender: str) -> str:
    """An envelope sender without its local part, which may name the reader (VERP): `@domain`."""
    _, sign, domain = sender.rpartition("@")
    return sign + domain if sign else ""


def decoded(value: bytes | None) -> str:
    """A field's value for people: unfolded (RFC 5322 2.2.3), encoded words decoded, always valid UTF-8."""
    if value is None:
        return ""
    text = _LINE_END.sub("", value[:_LONGEST].decode("utf-8", "replace"))
    return encoded_words.decode(text).strip(" \t")


def from_address(message: Message) -> str:
    """The address in From, "" if there is none."""
    value = message.first("From")
    if value is None:
        return ""
    if plain := _PLAIN_FROM.fullmatch(value[:_LONGEST].strip()):
        return (plain[1] or plain[2]).decode("ascii", "replace")
    try:
        # Not parseaddr: since CVE-2023-27043 some of its versions find nothing where there are several.
        found = getaddresses([_LINE_END.sub("", value[:_LONGEST].decode("utf-8", "replace"))])
        return found[0][1] if found else ""
    except (ValueError, IndexError, RecursionError):  # the standard library's parser on what strangers write
        return ""


def message_size(message: Message) -> int:
    """Bytes of header and body as the MTA gave them."""
    return header_size(message.fields, len(message.eol)) + len(message.eol) + len(message.body)


def header_size(fields: Iterable[Field], eol: int = 2) -> int:
    """Bytes of header fields with their line ends. eol: bytes of one."""
    return sum(len(field.name) + 1 + len(field.value) + eol for field in fields)
