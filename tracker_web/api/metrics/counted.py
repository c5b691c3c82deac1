"""Reads figures: those that the store keeps where they answer a question, else from the events themselves.

Going through events is bounded: a window with more of them is refused, and the error says what to do.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from engagement.events.fields import Fields
from engagement.figures.from_events import figures_from, window
from engagement.stores.port import (
    MAX_LIMIT,
    EventStore,
    FigureQuery,
    FigureRow,
    Grouping,
    Query,
    UnsupportedQueryError,
    cursor_of,
)
from tracker_web.api.metrics.filters import Groupings, equal, fits, is_only

MOST_EVENTS: Final = 50_000  # read for one answer; some seconds of the processor
# What a store may count itself, by the filter that names values of it.
_GROUPED: Final[dict[str, Grouping]] = {"sending_domains": "sending_domain", "tags": "tag"}


class TooManyEventsError(Exception):
    """More events than are read for one answer. The text says what to do."""


def figures(
    store: EventStore, query: FigureQuery, filters: Groupings, group: str = ""
) -> tuple[FigureRow, ...]:
    """Return the rows that answer a question. Raises StoreError, UnsupportedQueryError, TooManyEventsError.

    query: its campaigns and domains are those of `filters`. group: of `from_events.GROUPS`, "" for none.
    """
    if not group and is_only(filters, ("campaigns", "domains")):
        same = equal(filters)
        try:
            return store.figures(
                replace(query, campaigns=same.get("campaigns", ()), domains=same.get("domains", ()))
            )
        except UnsupportedQueryError:
            if not filters:
                raise
    found = _grouped(store, query, filters, group)
    if found is not None:
        return found
    from_ms, to_ms = window(query)
    return figures_from(read(store, from_ms, to_ms, filters, query.tenant), query, group)


def _grouped(
    store: EventStore, query: FigureQuery, filters: Groupings, group: str
) -> tuple[FigureRow, ...] | None:
    """Return what the store itself counts by a group, or of all events of one value; None if it does not."""
    same = equal(filters)
    for key, name in _GROUPED.items():
        if group == name and (not filters or (name == "sending_domain" and is_only(filters, (key,)))):
            return store.grouped(name, replace(query, by="campaign"), same.get(key, ()))
        if not group and not query.by and is_only(filters, (key,)) and len(set(same.get(key, ()))) == 1:
            return store.grouped(name, query, same[key])
    return None


def read(
    store: EventStore,
    from_ms: int,
    to_ms: int,
    filters: Groupings,
    tenant: str,
    types: tuple[str, ...] = (),
    most: int = MOST_EVENTS,
) -> Iterator[Fields]:
    """Yield the events of a window that fit. Raises StoreError, TooManyEventsError."""
    same = equal(filters)
    cursor, number = "", 0
    while True:
        query = Query(
            from_ms=from_ms,
            to_ms=to_ms,
            types=types,
            campaigns=same.get("campaigns", ()),
            domains=same.get("domains", ()),
            sending_domains=same.get("sending_domains", ()),
            tags=same.get("tags", ()),
            expired=True,
            tenant=tenant,
            limit=MAX_LIMIT,
            cursor=cursor,
        )
        page = list(store.find(query))
        number += len(page)
        if number > most:
            raise TooManyEventsError(
                f"more than {most} events would have to be read: ask for less time, or use a filter"
            )
        yield from (event for event in page if fits(event, filters))
        if len(page) < MAX_LIMIT:
            return
        cursor = cursor_of(page[-1])
