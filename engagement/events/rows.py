"""Events as a store keeps them: a few values to ask by, and the fields to show.

One hit gives one row, a click on an unsubscribe link two. Everything in a row follows from the event and
the rules, so making it again gives the same row under the same id.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from engagement.events.classify import DEFAULT, Client, Rules, classify
from engagement.events.fields import Fields, borrowed, hit_fields, injection_fields, link_unsubscribe
from engagement.events.ids import derived
from engagement.events.types import Event, Hit
from engagement.links.token import unpack
from engagement.links.types import CLICKS

REPEAT_MS: Final = 10_000  # contract.md 6.3: equal token, kind and client class within 10 s is one event


@dataclass(frozen=True, slots=True)
class Row:
    """event_id: UUID text. at_ms: Unix milliseconds. message_id: hex. recipient: lower case, "" if not kept.

    link: names the token (kind and payload), "" for injections. client: class of `classify`, "" for
    injections. fields: as `events.fields`, without what is borrowed. message: what other events of the
    message borrow, None unless this row is the injection of one that has an id.
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
    fields: Fields = field(hash=False)
    message: Fields | None = field(default=None, hash=False)


def rows(event: Event, rules: Rules = DEFAULT, hash_key: bytes = b"") -> tuple[Row, ...]:
    """Return the rows of one event. Raises what `links.token.unpack` raises for a payload it did not make."""
    if not isinstance(event, Hit):
        fields = injection_fields(event, hash_key=hash_key)
        return (_row(fields, event.at_ms, message=borrowed(event) if event.message_id else None),)
    identity, link = unpack(event.kind, event.packed)
    label = classify(event, rules)
    fields = hit_fields(event, identity, link, label=label, hash_key=hash_key)
    name = blake2b(bytes((event.kind,)) + event.packed, digest_size=8).hexdigest()
    first = _row(fields, event.at_ms, event, name, label.client)
    if link is None or not link.unsubscribe or event.kind not in CLICKS or label.client is Client.PROBE:
        return (first,)
    second = link_unsubscribe(fields, derived(event.id, 1))
    return first, _row(second, event.at_ms, event, name, label.client)


def _row(
    fields: Fields,
    at_ms: int,
    hit: Hit | None = None,
    link: str = "",
    client: str = "",
    message: Fields | None = None,
) -> Row:
    return Row(  # in the order of the class: a quarter faster than by name
        fields["event_id"],
        fields["type"],
        at_ms,
        hit.tenant if hit else "",
        fields.get("message_id", ""),
        fields["transmission_id"],
        fields.get("rcpt_to", ""),
        fields.get("campaign_id", ""),
        link,
        client,
        hit.expired if hit else False,
        fields,
        message,
    )


def repeats(stored: Iterable[Row]) -> frozenset[str]:
    """Return the ids of rows that repeat one of the same tenant, type, link and class, less than 10 s older.

    A repeat of a repeat is one too, so the answer does not depend on the order rows came in. Probes are in it
    like others.
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
