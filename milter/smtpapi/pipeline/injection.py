"""The record that a message was injected: the API counts these, and the shipper looks up labels in them.

It is no event of a reader. Tracked and untracked mail get one alike. What the privacy mode keeps out of links
(docs/privacy.md), it keeps out of this record too.
"""

import re
from email.utils import getaddresses
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from engagement.events.model import Injection
from engagement.settings.schema import PrivacyMode
from smtpapi.mime import encoded_words
from smtpapi.model.edit import Edit
from smtpapi.model.envelope import Envelope
from smtpapi.model.message import Message
from smtpapi.model.outcome import Discard, Outcome, Plan, Refuse
from smtpapi.request.decision import Decision

_LONGEST = 8192  # bytes of a field's value that are read; mail programs show a few hundred characters
_LONGEST_ID = 998  # characters of a Message-ID (RFC 5322 2.1.1: of a line)
_LINE_END = re.compile(r"[\r\n]+")
# The form of nearly all From fields; others are left to the standard library, which takes ten times as long.
_COMMON_FROM = re.compile(
    rb"""(?:"[^"\\]*"\s*|[^"<>(),:;@]*)<([^\s"<>(),:;@]+@[\w.-]+)>|([\w.+-]+@[\w.-]+)"""
)
_AMP = "text/x-amp-html"
_type_of = attrgetter("type")  # of an edit


class CopyFacts(NamedTuple):
    """The fields of a record that differ between recipients, named as in `Injection`."""

    id: str
    message_id: bytes
    transmission_id: int
    recipient: str
    rcpt_type: str
    recipient_mark: int


def describe(
    envelope: Envelope,
    message: Message,
    decision: Decision,
    outcome: Outcome,
    now: float,
    own: CopyFacts,
    client_address: str,
) -> Injection:
    """Return the record of a message for one recipient.

    now: Unix seconds. client_address: as privacy lets it be recorded.
    """
    edits = outcome.edits if isinstance(outcome, Plan) else ()
    why = None if isinstance(outcome, Refuse | Discard) else outcome.why
    tracked = bool(edits) and why is None
    made = Injection(  # in the order of its fields: by name it takes twice the time
        own.id,
        int(now * 1000),
        own.message_id,
        own.transmission_id,
        own.recipient,
        envelope.sender if decision.privacy is PrivacyMode.FULL else sender_domain(envelope.sender),
        from_address(message),
        decoded(next(iter(message.all("subject")), None)),
        decision.campaign,
        decision.tags,
        decision.metadata,
        decision.customer_id,
        decision.transactional,
        tracked and decision.opens,
        tracked and decision.clicks,
        tracked and decision.initial_opens,
        _AMP in map(_type_of, edits),
        message_size(message),
        envelope.queue_id,
        why.value if why is not None else "",
        dict(decision.custom),
        own.rcpt_type,
        _message_id_header(message),
        _links(edits),
        outcome.parts if isinstance(outcome, Plan) else 0,
        client_address,
        envelope.client.host,
        own.recipient_mark,
        decision.consent_reference,
    )
    return made if decision.click_metadata else made._replace(clicks_without_metadata=True)


def _message_id_header(message: Message) -> str:
    """Return the value of Message-ID as it is: unfolded, without the white space around it."""
    values = message.all("message-id")
    if not values:
        return ""
    return _LINE_END.sub("", values[0][:_LONGEST].decode("utf-8", "replace")).strip(" \t")[:_LONGEST_ID]


def _links(edits: tuple[Edit, ...]) -> int:
    """Return how many links are tracked."""
    return sum(1 if edit.kind == "link" else _links(edit.inner) for edit in edits)


def sender_domain(sender: str) -> str:
    """Return `@domain` of an envelope sender: its local part may name the reader (VERP)."""
    _, sign, domain = sender.rpartition("@")
    return sign + domain if sign else ""


def decoded(value: bytes | None) -> str:
    """Return a field's value for people: unfolded (RFC 5322 2.2.3), encoded words decoded, valid UTF-8.

    value: the octets as they came, None for a field that is not there, which gives "".
    """
    if value is None:
        return ""
    text = value[:_LONGEST].decode("utf-8", "replace")
    if "\n" in text or "\r" in text:
        text = _LINE_END.sub("", text)
    return encoded_words.decode(text).strip(" \t")


def from_address(message: Message) -> str:
    """Return the address in From, "" if there is none."""
    values = message.all("from")
    return _address_in(values[0][:_LONGEST]) if values else ""


@lru_cache(maxsize=64)  # many mails have the same author
def _address_in(value: bytes) -> str:
    if found := _COMMON_FROM.fullmatch(value.strip()):
        return (found[1] or found[2]).decode("ascii", "replace")
    try:
        # Not parseaddr: since CVE-2023-27043 some of its versions find nothing where there are several.
        addresses = getaddresses([_LINE_END.sub("", value.decode("utf-8", "replace"))])
        return addresses[0][1] if addresses else ""
    except (ValueError, IndexError, RecursionError):  # the standard library's parser on what strangers write
        return ""


def message_size(message: Message) -> int:
    """Return the size of header and body in bytes, as the MTA gave them."""
    return message.header_size + len(message.eol) + message.body_size
