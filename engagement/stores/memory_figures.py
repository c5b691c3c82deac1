"""The figures of a store in memory: a ledger for each tenant."""

from collections.abc import Iterable

from engagement.events.rows import EventRow
from engagement.figures.facts import fact_of
from engagement.figures.ledger import Ledger
from engagement.figures.query import FigureQuery, FigureRow, answer


class MemoryFigures:
    """Figures by tenant. Not locked: its store is."""

    def __init__(self) -> None:
        self._ledgers: dict[str, Ledger] = {}

    def put(self, rows: Iterable[EventRow]) -> None:
        """Count rows; each takes the place of the one with its id."""
        for (tenant, message), of_message in _by_message(rows).items():
            self._ledgers.setdefault(tenant, Ledger()).put(message, map(fact_of, of_message))

    def forget(self, rows: Iterable[EventRow]) -> None:
        """Drop what is known of rows, and leave their figures."""
        for (tenant, message), of_message in _by_message(rows).items():
            self._ledgers[tenant].forget(message, [row.event_id for row in of_message])

    def answer(self, query: FigureQuery) -> tuple[FigureRow, ...]:
        """Return figures (see the port)."""
        return answer(query, self._ledgers.get(query.tenant, Ledger()).sums.items())

    def recount(self, day: int) -> int:
        """Count a day again (see the port)."""
        return sum(ledger.recount(day) for ledger in self._ledgers.values())

    def is_whole(self, day: int) -> bool:
        """Return whether all events of a day are there (see the port)."""
        return all(ledger.is_whole(day) for ledger in self._ledgers.values())


def _by_message(rows: Iterable[EventRow]) -> dict[tuple[str, str], list[EventRow]]:
    found: dict[tuple[str, str], list[EventRow]] = {}
    for row in rows:
        found.setdefault((row.tenant, row.message_id or row.event_id), []).append(row)
    return found
