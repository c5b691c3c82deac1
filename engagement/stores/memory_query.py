"""Reading the rows of the store in memory: which rows a query finds, their sums, hits with labels. Pure."""

from collections.abc import Callable, Collection, Iterable, Iterator

from engagement.classify.shipped import classify
from engagement.events.model import Hit
from engagement.events.rows import EventRow, RowSource
from engagement.stores.aggregate import Aggregate, Figures
from engagement.stores.port import LabelledHit, Query


def matching(
    rows: Collection[EventRow],
    query: Query,
    listed: Callable[[EventRow], set[str]],
    sending_domain: Callable[[EventRow], str],
) -> Iterator[EventRow]:
    """Yield the rows that a query finds.

    listed: returns the tags by which a row is found. sending_domain: of a row's message.
    """
    recipients = {recipient.lower() for recipient in query.recipients}
    names = (query.queue_ids, query.message_id_headers)
    messages = _named(rows, *names) if any(names) else frozenset[str]()
    for row in rows:
        if (
            row.tenant == query.tenant
            and (query.expired or not row.expired)
            and (query.from_ms is None or row.at_ms >= query.from_ms)
            and (query.to_ms is None or row.at_ms < query.to_ms)
            and (not query.types or row.type in query.types)
            and (not recipients or row.recipient in recipients)
            and (not query.campaigns or row.campaign in query.campaigns)
            and (not query.messages or row.message_id in query.messages)
            and (not query.transmissions or row.transmission_id in query.transmissions)
            and (not query.ids or row.event_id in query.ids)
            and (not query.tags or not listed(row).isdisjoint(query.tags))
            and (not query.classes or row.client in query.classes)
            and (not query.domains or row.domain in query.domains)
            and (not query.sending_domains or sending_domain(row) in query.sending_domains)
            and (not query.ordinals or row.ordinal in query.ordinals)
            and (not query.bounce_classes or row.bounce_class in query.bounce_classes)
            and (not any(names) or row.message_id in messages)
        ):
            yield row


def _named(
    rows: Collection[EventRow], queue_ids: tuple[str, ...], headers: tuple[str, ...]
) -> frozenset[str]:
    """Return the messages with one of these queue ids and one of these Message-IDs; () means any."""
    conditions = [("queue_id", queue_ids), ("message_id_header", headers)]
    return frozenset(
        row.message_id
        for row in rows
        if row.names
        and all(
            not texts or any(name.what == what and name.text in texts for name in row.names)
            for what, texts in conditions
        )
    )


def aggregated(rows: Iterable[EventRow], repeated: Collection[str]) -> Figures:
    """Return the sums of rows. repeated: ids of those that repeat another."""
    aggregate = Aggregate()
    for row in rows:
        aggregate.add(
            *(row.type, row.message_id or row.event_id, row.client),
            expired=row.expired,
            repeat=row.event_id in repeated,
            hits=row.hits,
        )
    return aggregate.figures()


def labelled(rows: Iterable[EventRow]) -> Iterator[LabelledHit]:
    """Yield the hits among rows with their labels; a hit's second row says nothing of its own."""
    for row in rows:
        source = row.source
        if isinstance(source, RowSource) and isinstance(source.event, Hit) and not source.second:
            yield LabelledHit(source.event, source.label or classify(source.event))
