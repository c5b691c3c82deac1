"""Messages: all their rows, those that one of their names leads to, and events as the port shows them."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Final
from uuid import UUID

from engagement.events.fields import Fields
from engagement.events.model import Injection, MessageName, names_of
from engagement.events.rows import REPEAT_MS
from engagement.stores.cassandra import queries
from engagement.stores.cassandra.by_time import LAST_MS
from engagement.stores.cassandra.reader import Reader
from engagement.stores.cassandra.rows.stored import (
    StoredEvent,
    injection_of,
    shown,
    stored_event,
    stored_injection,
)

_TOGETHER: Final = 25  # messages that one statement names; the node asked asks the others for them


class ByMessage:
    """Reads the tables by message. now: returns Unix seconds."""

    def __init__(self, reader: Reader, life: queries.Lifetimes, now: Callable[[], float]) -> None:
        self._reader = reader
        self._life = life
        self._now = now

    def whole(
        self,
        messages: Iterable[bytes],
        low: int = 0,
        high: int = LAST_MS,
        alone: frozenset[bytes] = frozenset(),
    ) -> dict[bytes, list[StoredEvent]]:
        """Return all rows of messages, each message's in time order; of hits only those in the time range.

        alone: messages of which only the injection is wanted.
        """
        keys = list(dict.fromkeys(messages))
        several = together(keys)
        parts = together([key for key in keys if key not in alone])
        events = self._reader.read_each("events", [(part, low, high) for part in parts])
        oldest = self.oldest()
        found: dict[bytes, list[StoredEvent]] = {key: [] for key in keys}
        for row in (stored_event(line) for lines in events for line in lines):
            if row.at_ms >= oldest:
                found[row.message].append(row)
        for row in self.lending(several):
            found[row.message].append(row)
        for rows in found.values():
            rows.sort(key=lambda row: row.order)
        return found

    def lending(self, several: list[list[bytes]]) -> list[StoredEvent]:
        """Return the injections of messages, which are given in parts, that others borrow from."""
        lines = self._reader.read_each("injections", [(part,) for part in several])
        return [stored_injection(line) for found in lines for line in found]

    def sending_domains(self, messages: Iterable[bytes]) -> dict[bytes, str]:
        """Return the sending domain of each message whose injection is known, and nothing else of it."""
        parts = [(part,) for part in together(list(dict.fromkeys(messages)))]
        lines = self._reader.read_each("lent", parts)
        return {key: json.loads(lent).get("sending_domain", "") for found in lines for key, lent in found}

    def shown(
        self, places: Sequence[tuple[bytes, int, UUID]], alone: frozenset[bytes] = frozenset()
    ) -> list[Fields]:
        """Return the events at (message, time, id) that exist, in that order. alone: as in `whole`."""
        times = [at for _, at, _ in places]
        low = max(0, min(times, default=0) - REPEAT_MS)
        whole = self.whole((message for message, _, _ in places), low, max(times, default=0), alone)
        by_id = {row.event_id: row for rows in whole.values() for row in rows}
        return shown([by_id[name] for _, _, name in places if name in by_id], whole)

    def injections(self, names: Iterable[MessageName]) -> dict[MessageName, tuple[Injection, ...]]:
        """See the port."""
        wanted = [name for name in dict.fromkeys(names) if name.text]
        messages = self.named("", [(name.what, name.text) for name in wanted])
        every = list(dict.fromkeys(key for keys in messages for key in keys))
        told: dict[bytes, list[Injection | None]] = {key: [] for key in every}
        for row in self.lending(together(every)):
            told[row.message].append(injection_of(row))
        alone = [key for key, injections in told.items() if not injections]  # of messages that have no id
        for key, rows in self.whole(alone).items():
            told[key] = [injection_of(row) for row in rows]
        answer = {}
        for name, keys in zip(wanted, messages, strict=True):
            found = [
                injection
                for key in keys
                for injection in told[key]
                if injection is not None and name in names_of(injection)
            ]
            if found:
                found.sort(key=lambda injection: (injection.at_ms, injection.id), reverse=True)
                answer[name] = tuple(found)
        return answer

    def named(self, tenant: str, names: Sequence[tuple[str, str]]) -> list[list[bytes]]:
        """Return the messages of each (what, name) of `queries.lookups_of`."""
        secret = self._reader.secret()
        bound = [(tenant, what, queries.name_key(secret, tenant, what, text)) for what, text in names]
        return [[bytes(key) for (key,) in lines] for lines in self._reader.read_each("named", bound)]

    def oldest(self) -> int:
        """Return the time of the oldest event to show, Unix milliseconds; injections live longer."""
        return int((self._now() - self._life.events) * 1000) if self._life.events else 0


def together(keys: list[bytes]) -> list[list[bytes]]:
    """Return keys in parts that one statement names."""
    return [keys[start : start + _TOGETHER] for start in range(0, len(keys), _TOGETHER)]
