"""Which messages a store in memory knows by their names, and the events that wait for theirs."""

from collections.abc import Iterable, Mapping

from engagement.events.model import Injection, MessageEvent, MessageName, names_of
from engagement.events.rows import EventRow, RowSource


class MemoryMessages:
    """Injections by name, and waiting events. Not locked: its store is."""

    def __init__(self) -> None:
        self._injections: dict[MessageName, dict[str, Injection]] = {}
        self._waiting: dict[str, MessageEvent] = {}

    def note(self, row: EventRow) -> None:
        """Remember the injection that a row stands for, if it does."""
        if not row.names or not isinstance(row.source, RowSource):
            return
        event = row.source.event
        if isinstance(event, Injection):
            for name in row.names:
                self._injections.setdefault(name, {})[event.id] = event

    def forget(self, row: EventRow) -> None:
        """Forget the injection that a row stood for."""
        for name in row.names:
            found = self._injections.get(name, {})
            found.pop(row.event_id, None)
            if not found:
                self._injections.pop(name, None)

    def injections(self, names: Iterable[MessageName]) -> Mapping[MessageName, tuple[Injection, ...]]:
        """Return the injections of messages that these names stand for, newest first (see the port)."""
        found = {name: self._injections[name] for name in names if name in self._injections}
        return {
            name: tuple(sorted(each.values(), key=lambda one: (one.at_ms, one.id), reverse=True))
            for name, each in found.items()
        }

    def put_waiting(self, events: Iterable[MessageEvent]) -> None:
        """Keep events whose message is not known yet (see the port)."""
        for event in events:
            self._waiting.setdefault(event.id, event)

    def waiting(self, names: Iterable[MessageName]) -> tuple[MessageEvent, ...]:
        """Return the waiting events about messages with one of these names (see the port)."""
        requested = set(names)
        return tuple(event for event in self._waiting.values() if not requested.isdisjoint(names_of(event)))

    def drop_waiting(self, events: Iterable[MessageEvent]) -> None:
        """Remove events that wait no more (see the port)."""
        for event in events:
            self._waiting.pop(event.id, None)

    def sweep_waiting(self, before_ms: int) -> int:
        """Remove events that happened before (Unix milliseconds); return how many (see the port)."""
        old = [name for name, event in self._waiting.items() if event.at_ms < before_ms]
        for name in old:
            del self._waiting[name]
        return len(old)
