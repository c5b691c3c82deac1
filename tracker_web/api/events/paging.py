"""Pages of a search, newest first, and the cursors that lead from one to the next.

A cursor holds all filters, the times that the first page took, and the last event that was shown. Events that
come in meanwhile change nothing about those that were there: each of them is on one page, once.
"""

import base64
import binascii
import zlib
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from engagement.events.fields import Fields
from engagement.stores.port import (
    EventStore,
    Query,
    UnsupportedQueryError,
    cursor_of,
    cursor_position,
)
from tracker_web.api.events.filters import Filters, Predicate, narrowed, predicate, question

COUNTED: Final = 10_000  # events that are counted, as many as the largest page has
READ: Final = 2_000  # events that a page goes through for what is compared one by one: under 100 ms
_PORTION: Final = 1_000  # events of one read
_LARGEST: Final = 65_536  # bytes of a cursor's content; a URL has 4,096


class CursorError(ValueError):
    """A text is no cursor of ours."""


class Cursor(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where a search goes on. position: as the store's `cursor_of`. total: events in all, -1 for unknown."""

    filters: Filters
    position: str
    total: int = -1


@dataclass(frozen=True, slots=True)
class Page:
    """Some events. next: where the search goes on, None at its end. total: events in all, -1 for unknown."""

    events: tuple[Fields, ...]
    next: Cursor | None
    total: int


def packed(cursor: Cursor) -> str:
    """Return a cursor as text that URLs carry as it is."""
    return base64.urlsafe_b64encode(zlib.compress(msgspec.json.encode(cursor), 9)).decode().rstrip("=")


def unpacked(text: str) -> Cursor:
    """Return the cursor in a text. Raises CursorError for any other text."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        content = zlib.decompressobj()
        cursor = msgspec.json.decode(content.decompress(raw, _LARGEST), type=Cursor)
        cursor_position(cursor.position)
    except (binascii.Error, zlib.error, msgspec.MsgspecError, ValueError, OverflowError) as error:
        raise CursorError("is no cursor of this search; begin anew without it") from error
    return cursor


def page(store: EventStore, filters: Filters, tenant: str, size: int, after: Cursor | None = None) -> Page:
    """Return a page of at most `size` events. after: the cursor of the page before.

    Where events are compared one by one, a page may be shorter and yet have a next one. Raises StoreError,
    and UnsupportedQueryError for what the store does not answer at its size.
    """
    if filters.is_empty:
        return Page((), None, 0)
    query, decides = question(filters, tenant), predicate(filters)
    if after is not None:
        query = replace(query, cursor=after.position)
    if decides is None:
        found: tuple[Fields, ...] = tuple(store.find(replace(query, limit=size)))
        position = cursor_of(found[-1]) if len(found) == size else ""
        if position and not any(store.find(replace(query, limit=1, cursor=position))):
            position = ""
        total = after.total if after is not None else store.number(query, COUNTED)
    else:
        narrow = narrowed(query, filters, store)
        try:
            found, position = compared(store, narrow, decides, size)
        except UnsupportedQueryError:
            if narrow == query:
                raise
            found, position = compared(store, query, decides, size)
        total = after.total if after is not None else -1 if position else len(found)
    return Page(found, Cursor(filters, position, total) if position else None, total)


def compared(
    store: EventStore, query: Query, decides: Predicate, size: int
) -> tuple[tuple[Fields, ...], str]:
    """Return at most `size` events that match, of the newest READ, and where to go on, "" at the end.

    Raises StoreError.
    """
    found: list[Fields] = []
    portion, read = size, 0  # where the store knew the names, nearly all that it finds matches
    while read < max(READ, size):
        part = list(store.find(replace(query, limit=portion)))
        read += len(part)
        for place, event in enumerate(part):
            if decides(event):
                found.append(event)
                if len(found) == size:
                    position = cursor_of(event)
                    rest = place < len(part) - 1 or any(store.find(replace(query, limit=1, cursor=position)))
                    return tuple(found), position if rest else ""
        if len(part) < portion:
            return tuple(found), ""
        query = replace(query, cursor=cursor_of(part[-1]))
        portion = max(1, min(_PORTION, max(READ, size) - read))
    return tuple(found), query.cursor
