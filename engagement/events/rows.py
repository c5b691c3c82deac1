"""Events as rows of a store: a few values to search by, and the fields to show.

A hit is one row, a click on an unsubscribe link two. Invariant: a row follows from the event and the rules
alone, so making it again gives the same row under the same id.
"""

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from engagement.classify.model import Context
from engagement.classify.rule_set import RuleSet
from engagement.classify.shipped import classify
from engagement.events.classify import Classification, ReaderClass
from engagement.events.field_values import domain_of, recipient_hash, valid
from engagement.events.fields import (
    INJECTION,
    LINK_UNSUBSCRIBE,
    TYPES,
    Fields,
    borrowed,
    hit_fields,
    injection_fields,
    link_unsubscribe,
    message_event_fields,
)
from engagement.events.ids import derived
from engagement.events.model import (
    ASKS,
    UNDO,
    Event,
    Hit,
    Injection,
    MessageEvent,
    MessageName,
    about,
    names_of,
)
from engagement.events.record import decode, encode
from engagement.links.model import CLICKS, RAW_URL, Kind
from engagement.links.token import unpack

_NO_ROWS: Final = frozenset((UNDO, *ASKS))  # methods of hits that are no events of their own
_PREFIXES: Final = {kind: bytes((kind,)) for kind in Kind}
REPEAT_MS: Final = 10_000  # contract.md 6.3: equal token, kind and client class within 10 s is one event


class RowSource(Struct, frozen=True, gc=False):
    """What a row's fields are made from, when they are read.

    label: of a hit. rcpt_hash: of `recipient_hash`. second: the event id of a hit's second row, "" for
    its first. stored: the event as the spool's record, b"" if it is to be made.
    """

    event: Event
    label: Classification | None = None
    rcpt_hash: str = ""
    second: str = ""
    stored: bytes = b""

    @property
    def record(self) -> bytes:
        """The event's record (`events.record`)."""
        return self.stored or encode(self.event)

    def fields(self) -> Fields:
        """Return the fields, without the borrowed ones. Raises BadToken for a payload of another form."""
        event = self.event
        if isinstance(event, Injection):
            return injection_fields(event, rcpt_hash=self.rcpt_hash)
        if isinstance(event, MessageEvent):
            return message_event_fields(event, rcpt_hash=self.rcpt_hash)
        identity, link = unpack(event.kind, event.packed)
        label = self.label or classify(event)
        fields = hit_fields(event, identity, link, label=label, rcpt_hash=self.rcpt_hash)
        return link_unsubscribe(fields, self.second) if self.second else fields


class EventRow(Struct, frozen=True, gc=False):
    """One row of a store.

    event_id: UUID text. at_ms: Unix milliseconds. message_id: hex, "" of a shared pixel. recipient: lower
    case, "" if not known. link: names the token (kind and payload), "" for injections. client: class of
    `classify`, "" for injections. customer, tags: the message's, for the tags a customer uses. source:
    where the fields come from, or the fields. message: what other events of the message borrow, None unless
    this row is the injection of one that has an id. hits: how many requests the row stands for. certain:
    False for a class that is no more than probable. domain: the recipient's, sending_domain: of the From
    field. ordinal: the link's place in its part, from 0; -1 for none, or in a token of format 1.
    bounce_class: Momentum's number, 0 for none. names: of the message, of an injection. link_name: of a
    click, as `fields` shows it. size: bytes of the message, of an injection and of what became of one.
    transactional: whether the message is, of what became of one; not stored.
    """

    event_id: str
    type: str
    at_ms: int
    tenant: str
    message_id: str
    transmission_id: str
    recipient: str
    campaign: str
    link: str
    client: str
    expired: bool
    customer: str
    tags: tuple[str, ...]
    source: RowSource | Fields
    message: Fields | None = None
    hits: int = 1
    certain: bool = True
    domain: str = ""
    sending_domain: str = ""
    ordinal: int = -1
    bounce_class: int = 0
    names: tuple[MessageName, ...] = ()
    link_name: str = ""
    size: int = 0
    transactional: bool = False

    @property
    def fields(self) -> Fields:
        """The fields as `events.fields` makes them, without the borrowed ones; made anew each time."""
        return self.source.fields() if isinstance(self.source, RowSource) else self.source

    @property
    def rules(self) -> str:
        """The version of the rules that classified the hit, "" for none."""
        if isinstance(self.source, RowSource):
            return self.source.label.rules if self.source.label else ""
        return str(self.source.get("x_client_rules", ""))

    @property
    def reason(self) -> str:
        """The rule that gave the hit its class, "" for none."""
        if isinstance(self.source, RowSource):
            return self.source.label.reason if self.source.label else ""
        return str(self.source.get("x_client_reason", ""))


def rows(
    event: Event,
    rules: RuleSet | None = None,
    hash_key: bytes = b"",
    record: bytes = b"",
    injection: Injection | None = None,
) -> tuple[EventRow, ...]:
    """Return the rows of one event; none for one that takes an earlier one back.

    rules: to classify by, those shipped if not given; `shipper.reclassifier` does so again on later evidence.
    hash_key: for `rcpt_hash`, b"" for none. record: what the event was decoded from, b"" if it was not; it
    saves encoding it again. injection: the message that a `MessageEvent` is about. Raises BadToken for a hit
    whose payload is of another form.
    """
    if isinstance(event, MessageEvent):
        return (_of_message_event(event, injection, hash_key),)
    if isinstance(event, Injection):
        return (_of_injection(event, hash_key, record),)
    if event.method in _NO_ROWS:
        return ()
    identity, link = unpack(event.kind, event.packed)
    label = classify(event, rules, Context(identity.issued * 1000))
    shared = identity.is_shared
    # Each hit of a shared pixel is another one, else two readers within 10 s would be one. Nothing
    # distinguishes readers, so one who looks twice counts twice.
    reader = event.id.encode("ascii") if shared else b""
    recipient, domain = _address(identity.recipient)
    hashed = recipient_hash(identity.recipient, hash_key) if hash_key else ""
    source = RowSource(event, label, hashed, "", record)
    second = (
        link is not None
        and link.unsubscribe
        and event.kind in CLICKS
        and label.client is not ReaderClass.PROBE
        and derived(event.id, 1)
    )
    first = EventRow(  # in the order of the class: a quarter faster than by name
        event.id,
        TYPES[event.kind],
        event.at_ms,
        event.tenant,
        "" if shared else identity.message_id.hex(),
        str(identity.transmission_id),
        recipient,
        valid(identity.campaign),
        blake2b(_PREFIXES[event.kind] + event.packed + reader, digest_size=8).hexdigest(),
        label.client._value_,  # what `value` returns, at a fifth of its cost
        event.expired,
        identity.customer_id,
        identity.tags,
        source,
        None,
        event.hits,
        label.certain,
        domain,
        "",
        -1 if link is None else link.ordinal,
        link_name=valid(link.name or RAW_URL) if link is not None and event.kind in CLICKS else "",
    )
    return (first, _second(first, source, second)) if second else (first,)


@lru_cache(maxsize=4096)  # the events of a message come soon after each other
def _address(recipient: str) -> tuple[str, str]:
    """Return a recipient as rows hold it, and the domain."""
    address = valid(recipient)
    return address.lower(), domain_of(address)


def _of_injection(event: Injection, hash_key: bytes, record: bytes) -> EventRow:
    recipient, domain = _address(event.recipient)
    return EventRow(
        event.id,
        INJECTION,
        event.at_ms,
        "",
        event.message_id.hex(),
        str(event.transmission_id),
        recipient,
        valid(event.campaign),
        "",
        "",
        False,
        event.customer_id,
        event.tags,
        RowSource(event, None, recipient_hash(event.recipient, hash_key), "", record),
        borrowed(event) if event.message_id else None,
        domain=domain,
        sending_domain=_address(event.friendly_from)[1],
        names=names_of(event),
        size=event.size,
    )


def _of_message_event(event: MessageEvent, injection: Injection | None, hash_key: bytes) -> EventRow:
    campaign, customer = "", ""
    tags: tuple[str, ...] = ()
    if injection is not None:
        event = about(event, injection)
        campaign, customer, tags = injection.campaign, injection.customer_id, injection.tags
    recipient, domain = _address(event.recipient)
    return EventRow(
        event.id,
        event.type,
        event.at_ms,
        event.tenant,
        event.message_id.hex(),
        str(event.transmission_id),
        recipient,
        valid(campaign),
        "",
        "",
        False,
        customer,
        tags,
        RowSource(event, None, recipient_hash(event.recipient, hash_key)),
        domain=domain,
        sending_domain=_address(injection.friendly_from)[1] if injection else "",
        bounce_class=event.bounce_class,
        size=injection.size if injection else 0,
        transactional=injection.transactional if injection else False,
    )


def _second(first: EventRow, source: RowSource, event_id: str) -> EventRow:
    made = RowSource(source.event, source.label, source.rcpt_hash, event_id, source.stored)
    return EventRow(
        event_id,
        LINK_UNSUBSCRIBE,
        first.at_ms,
        first.tenant,
        first.message_id,
        first.transmission_id,
        first.recipient,
        first.campaign,
        first.link,
        first.client,
        first.expired,
        first.customer,
        first.tags,
        made,
        None,
        first.hits,
        first.certain,
        first.domain,
        first.sending_domain,
        first.ordinal,
        link_name=first.link_name,
    )


def relabelled(row: EventRow, label: Classification) -> EventRow:
    """Return a hit's row with another label. Raises TypeError for a row that is not made from a hit."""
    source = row.source
    if not isinstance(source, RowSource) or not isinstance(source.event, Hit):
        raise TypeError("only hits have labels")
    return replace(row, client=label.client.value, certain=label.certain, source=replace(source, label=label))


def stored_fields(
    record: bytes, label: Classification | None, rcpt_hash: str = "", second: str = ""
) -> Fields:
    """Return the fields of a row whose source is stored as its record.

    Raises BadRecord or BadToken for a record that no version of this program has written.
    """
    return RowSource(decode(record), label, rcpt_hash, second).fields()


def repeats(stored: Iterable[EventRow]) -> frozenset[str]:
    """Return the ids of rows that repeat one of the same tenant, type, link and class, less than 10 s older.

    A repeat of a repeat is one too, so the answer does not depend on the order of the rows. Probes count like
    other classes. Source: contract.md 6.3.
    """
    last: dict[tuple[str, str, str, str], int] = {}
    found = set()
    for row in sorted(stored, key=lambda row: (row.at_ms, row.event_id)):
        if not row.link:
            continue
        key = (row.tenant, row.type, row.link, row.client)
        before = last.get(key)
        if before is not None and row.at_ms - before < REPEAT_MS:
            found.add(row.event_id)
        last[key] = row.at_ms
    return frozenset(found)
