"""What a query asks for beyond what its statement has met, and which statement that is. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from engagement.events.classify import ReaderClass
from engagement.events.fields import LINK_UNSUBSCRIBE, MESSAGE_TYPES, TYPES, Fields
from engagement.stores.cassandra.queries import COMMON, signed
from engagement.stores.cassandra.rows.statements import FILTERED
from engagement.stores.cassandra.rows.stored import PROBABLE, SlimEvent, StoredEvent
from engagement.stores.customer_tags import set_id
from engagement.stores.port import Query

_WITH_BOUNCE_CLASS: Final = tuple(kind for kind in MESSAGE_TYPES if kind not in COMMON)
_WITH_CLASS: Final = frozenset(TYPES.values()) | {LINK_UNSUBSCRIBE}
# Of these a domain has more events, as a rule, than there are of the type.
_RAREST: Final = frozenset(
    {"out_of_band", "spam_complaint", "expiration", "list_unsubscribe", LINK_UNSUBSCRIBE}
)
_MOST_DOMAINS: Final = 16  # whose days are read; more are looked for in the hours
MOST_VALUES: Final = 4  # that a node is asked for one by one; more are looked at here


class Filter:
    """The conditions of a query that the statement itself has not met.

    oldest: Unix milliseconds; events before are not wanted. sets: ids of tag sets with a wanted tag.
    """

    def __init__(self, query: Query, oldest: int = 0, sets: frozenset[bytes] = frozenset()) -> None:
        self._query = query
        self._sets = sets
        self._from = max(oldest, query.from_ms or 0)
        self._to = query.to_ms if query.to_ms is not None else 1 << 62
        self._recipients = frozenset(recipient.lower() for recipient in query.recipients)
        self._messages = frozenset(query.messages)
        self._transmissions = frozenset(_unsigned(text) for text in query.transmissions)
        self._signed = frozenset(signed(number) for number in self._transmissions if number is not None)

    def wants_slim(self, row: SlimEvent) -> bool:
        """Tell whether a slim row is wanted; recipients, messages, names and ids are not checked."""
        query = self._query
        return (
            self._from <= row.at_ms < self._to
            and (query.expired or not row.expired)
            and (not query.types or row.type in query.types)
            and (not query.campaigns or row.campaign in query.campaigns)
            and (not query.transmissions or row.transmission in self._signed)
            and (not query.tags or row.tags in self._sets)
            and (not query.classes or row.client in query.classes)
            and (not query.domains or row.domain in query.domains)
            and (not query.ordinals or row.ordinal in query.ordinals)
            and (not query.bounce_classes or row.bounce_class in query.bounce_classes)
            # A hit does not know it: its injection does, and `wants_shown` looks there.
            and (
                not query.sending_domains
                or not row.sending_domain
                or row.sending_domain in query.sending_domains
            )
        )

    def wants_shown(self, fields: Fields) -> bool:
        """Tell whether an event that `wants_slim` is wanted, by what it has from its injection."""
        names = self._query.sending_domains
        return not names or fields.get("sending_domain") in names

    def wants(self, row: StoredEvent, borrowed: Fields) -> bool:
        """Tell whether a whole row is wanted. borrowed: what it takes from its injection."""
        query, fields = self._query, row.fields
        if not (
            row.tenant == query.tenant
            and self._from <= row.at_ms < self._to
            and (query.expired or not row.expired)
            and (not query.types or row.type in query.types)
            and (not query.ids or str(row.event_id) in query.ids)
            and (not self._messages or fields.get("message_id") in self._messages)
            and (not self._recipients or fields.get("rcpt_to") in self._recipients)
            and (
                not query.transmissions
                or _unsigned(fields.get("transmission_id", "0")) in self._transmissions
            )
        ):
            return False
        return self._wants_rest(row, fields, {**borrowed, **fields})

    def _wants_rest(self, row: StoredEvent, fields: Fields, joined: Fields) -> bool:
        query = self._query
        return (
            (not query.campaigns or joined.get("campaign_id", "") in query.campaigns)
            and (not query.tags or self._tags(row.tenant, joined) in self._sets)
            and (not query.classes or row.client in query.classes)
            and (not query.domains or fields.get("recipient_domain") in query.domains)
            and (not query.sending_domains or joined.get("sending_domain") in query.sending_domains)
            and (not query.ordinals or _ordinal(fields) in query.ordinals)
            and (not query.bounce_classes or int(fields.get("bounce_class", "0")) in query.bounce_classes)
            and (not query.queue_ids or joined.get("x_queue_id") in query.queue_ids)
            and (
                not query.message_id_headers or joined.get("x_message_id_header") in query.message_id_headers
            )
        )

    @staticmethod
    def _tags(tenant: str, fields: Fields) -> bytes:
        return set_id((tenant, fields.get("customer_id", "")), fields.get("rcpt_tags", ()))


def is_nothing(query: Query) -> bool:
    """Tell whether no event can match: hits alone have a class, and bounces and the like a bounce class."""
    for requested, having in ((query.classes, _WITH_CLASS), (query.bounce_classes, _WITH_BOUNCE_CLASS)):
        if requested and not {"", 0} & set(requested) and query.types and not set(query.types) & set(having):
            return True
    return bool(query.classes and query.bounce_classes and 0 not in query.bounce_classes)


def is_small(query: Query) -> bool:
    """Tell whether a query is about messages that a table names."""
    return bool(
        query.ids
        or query.messages
        or query.recipients
        or query.queue_ids
        or query.message_id_headers
        or query.transmissions
    )


def days_of_domains(query: Query) -> list[tuple[str, str]]:
    """Return (what, value) of the partitions by domain that hold all such events; none where others lead."""
    types = set(query.types)
    if not query.domains or query.campaigns or (types and types <= _RAREST):
        return []
    if len(query.domains) > _MOST_DOMAINS or "" in query.domains:
        return []
    return [("domain", name) for name in _set(query.domains)]


def days_to_read(query: Query) -> list[tuple[str, str]]:
    """Return (what, value) of the partitions of `event_by_day` that hold all such events, by what else."""
    types = query.types
    if not query.campaigns and query.bounce_classes and 0 not in query.bounce_classes:
        # Nothing else has a class, and days of few rows are read instead of all hours.
        types = tuple(kind for kind in query.types or _WITH_BOUNCE_CLASS if kind in _WITH_BOUNCE_CLASS)
    rare = types and COMMON.isdisjoint(types)
    if query.campaigns and rare:
        return [
            ("both", f"{kind}\0{campaign}")
            for kind in _set(query.types)
            for campaign in _set(query.campaigns)
        ]
    if query.campaigns and all(query.campaigns):
        return [("campaign", campaign) for campaign in _set(query.campaigns)]
    if rare:
        return [("type", kind) for kind in _set(types)]
    return []


def condition(query: Query, sets: frozenset[bytes], led_by: str = "") -> tuple[str, list[tuple[Any, ...]]]:
    """Return the column or two that a node shall filter by, as its statement is called, and their values.

    "" stands for none. led_by: what the partitions hold alone, as in `event_by_day`.
    """
    choices: Mapping[str, list[tuple[Any, ...]]] = {
        "domain": [(name,) for name in _set(query.domains)] if led_by != "domain" else [],
        "ordinal": [(number,) for number in dict.fromkeys(query.ordinals)],
        "bounce_class": [(number,) for number in dict.fromkeys(query.bounce_classes)],
        "tags": [(name,) for name in sorted(sets)] if query.tags else [],
        "type": [(name,) for name in _set(query.types)] if led_by not in ("type", "both") else [],
        "client": _classes(query.classes),
    }
    offered = [
        (len(values), column)
        for column, values in choices.items()
        if 0 < len(values) <= MOST_VALUES and all(value[0] not in ("", -1, 0) for value in values)
    ]
    offered.sort(key=lambda one: one[0])
    alone = [column for number, column in offered if number == 1][:2]  # each more value is a statement more
    if len(alone) == 2:
        alone.sort(key=FILTERED.index)
        return "_".join(alone), [(*choices[alone[0]][0], *choices[alone[1]][0])]
    column = offered[0][1] if offered else ""
    return column, choices.get(column, [])


def _classes(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the ranges that hold some classes: a single one where it has no more others in it than those.

    A node goes through all of a partition for each.
    """
    several = sorted(set(names))
    if len(several) > 1 and several[0]:
        inside = sum(several[0] <= name <= several[-1] for name in ReaderClass)
        if inside <= 2 * len(several):
            return [(several[0], several[-1] + PROBABLE)]
    return [(name, name + PROBABLE) for name in _set(names)]


def selects_here(query: Query, column: str, led_by: str = "") -> bool:
    """Tell whether rows that a node sends are left out here. column, led_by: of `condition`."""
    by_column = {
        "type": query.types if led_by not in ("type", "both") else (),
        "campaign": query.campaigns if led_by not in ("campaign", "both") else (),
        "domain": query.domains if led_by != "domain" else (),
        "client": query.classes,
        "ordinal": query.ordinals,
        "bounce_class": query.bounce_classes,
        "tags": query.tags,
    }
    left = any(values and name not in column for name, values in by_column.items())
    return left or len(query.classes) > 1 or bool(query.sending_domains)


def is_brief(query: Query) -> bool:
    """Return whether all that rows are filtered by here is in the columns of `stored.BRIEF`."""
    return not (
        query.campaigns
        or query.transmissions
        or query.tags
        or query.domains
        or query.ordinals
        or query.bounce_classes
    )


def is_search(query: Query) -> bool:
    """Tell whether a query that no index leads is about few among many events, as far as one can know."""
    return bool(
        query.classes
        or query.domains
        or query.sending_domains
        or query.ordinals
        or query.bounce_classes
        or query.tags
    )


def _set(values: tuple[str, ...]) -> list[str]:
    return list(dict.fromkeys(values))


def _ordinal(fields: Fields) -> int:
    return int(fields.get("x_ordinal", "-1"))


def _unsigned(text: str) -> int | None:
    try:
        number = int(text)
    except ValueError:
        return None
    return number if 0 <= number < 1 << 64 else None
