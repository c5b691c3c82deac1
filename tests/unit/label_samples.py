"""Stored hits with labels of earlier versions. Not a test; imported by those beside it."""

from typing import Final

from msgspec.structs import replace

from engagement.events.classify import Classification, ReaderClass
from engagement.events.rows import EventRow, RowSource

FIRST: Final = Classification(ReaderClass.HUMAN, "user-agent", "1")


def old(made: list[EventRow], label: Classification = FIRST) -> list[EventRow]:
    """Return rows as an earlier version would have classified them."""
    changed = []
    for row in made:
        assert isinstance(row.source, RowSource)
        changed.append(replace(row, client=label.client.value, source=replace(row.source, label=label)))
    return changed
