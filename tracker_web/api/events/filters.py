"""What a search asks for: its filters as values, and as what the store answers and what is left to compare.

The store finds names exactly. A keyword is answered in two steps: which campaigns and domains there are; and
each event's own text, which decides. What the store cannot find by (a subject, a reason)
is compared event by event.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from engagement.events.classify import ReaderClass
from engagement.events.fields import ALL_TYPES, MESSAGE_TYPES
from engagement.stores.port import EventStore, Named, Query
from tracker_web.api.events.keywords import matches

_NAMES: Final = 100  # campaigns or domains that a keyword stands for; with more the events are gone through
_KNOWN: Final = 20_000  # names that are looked through for it

Predicate = Callable[[Mapping[str, Any]], bool]


class Filters(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The filters of a search. Values of one are alternatives; all must match. Times: Unix milliseconds."""

    from_ms: int
    to_ms: int
    events: tuple[str, ...] = ()
    event_ids: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    recipient_domains: tuple[str, ...] = ()
    from_addresses: tuple[str, ...] = ()
    sending_domains: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    bounce_classes: tuple[int, ...] = ()
    reasons: tuple[str, ...] = ()
    campaigns: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    transmissions: tuple[str, ...] = ()
    sending_ips: tuple[str, ...] = ()
    x_tags: tuple[str, ...] = ()
    x_classes: tuple[str, ...] = ()
    x_message_id_headers: tuple[str, ...] = ()
    x_expired: bool = False
    none: bool = False  # a filter by what no event here has

    @property
    def is_empty(self) -> bool:
        """Return whether nothing can match."""
        wrong = (self.events and not set(self.events) & set(ALL_TYPES)) or (
            self.x_classes and not set(self.x_classes) & {each.value for each in ReaderClass}
        )
        return self.none or bool(wrong) or self.from_ms >= self.to_ms


def question(filters: Filters, tenant: str) -> Query:
    """Return what the store answers of a search by itself; `predicate` decides the rest."""
    types = tuple(name for name in filters.events if name in ALL_TYPES)
    if filters.reasons:  # only these have one
        types = tuple(name for name in MESSAGE_TYPES if not types or name in types) or ("bounce",)
    return Query(
        from_ms=filters.from_ms,
        to_ms=filters.to_ms,
        types=types,
        ids=filters.event_ids,
        recipients=tuple(name.lower() for name in filters.recipients),
        sending_domains=tuple({name.rpartition("@")[2].lower() for name in filters.from_addresses}),
        bounce_classes=filters.bounce_classes,
        messages=filters.messages,
        transmissions=filters.transmissions,
        tags=filters.x_tags,
        classes=filters.x_classes,
        message_id_headers=filters.x_message_id_headers,
        expired=filters.x_expired,
        tenant=tenant,
    )


def predicate(filters: Filters) -> Predicate | None:
    """Return what decides about an event that the store found; None where nothing is left to decide."""
    tests: list[Predicate] = []

    def by_keyword(values: tuple[str, ...], *names: str, domain: bool = False) -> None:
        if values:
            tests.append(
                lambda event: any(matches(str(event.get(name, "")), values, domain=domain) for name in names)
            )

    def exactly(values: tuple[str, ...], name: str) -> None:
        if values:
            lowered = {value.lower() for value in values}
            tests.append(lambda event: str(event.get(name, "")).lower() in lowered)

    by_keyword(filters.campaigns, "campaign_id")
    by_keyword(filters.subjects, "subject")
    by_keyword(filters.reasons, "reason", "raw_reason")
    by_keyword(filters.recipient_domains, "recipient_domain", domain=True)
    by_keyword(filters.sending_domains, "sending_domain", domain=True)
    exactly(filters.from_addresses, "friendly_from")
    exactly(filters.sending_ips, "sending_ip")
    return (lambda event: all(test(event) for test in tests)) if tests else None


def narrowed(query: Query, filters: Filters, store: EventStore) -> Query:
    """Return the question with the names that keywords stand for, where the store says which there are.

    Raises StoreError. The predicate is to be applied all the same.
    """

    def names(what: Named, values: tuple[str, ...]) -> tuple[str, ...] | None:
        known = store.names(what, query.tenant, _KNOWN) if values else None
        return _chosen(known, values, domain=what != "campaign")

    campaigns = names("campaign", filters.campaigns)
    domains = names("domain", filters.recipient_domains)
    senders = None if filters.from_addresses else names("sending_domain", filters.sending_domains)
    return replace(
        query,
        campaigns=campaigns or query.campaigns,
        domains=domains or query.domains,
        sending_domains=senders or query.sending_domains,
    )


def _chosen(
    known: tuple[str, ...] | None, values: tuple[str, ...], *, domain: bool
) -> tuple[str, ...] | None:
    """Return the known names that match, or None: the events have to be gone through.

    The values themselves are among them, so that names without a match find nothing rather than anything.
    """
    if known is None:
        return None
    names = {name for name in known if matches(name, values, domain=domain)} | set(values)
    return tuple(sorted(names)) if len(names) <= _NAMES else None
