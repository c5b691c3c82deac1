"""Messages: all their rows, those that one of their names leads to, and events as the port shows them."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from engagement.events.fields import INJECTION, Fields
from engagement.events.model import Injection, MessageName, names_of
from engagement.events.rows import REPEAT_MS
from engagement.stores.cassandra import queries
from engagement.stores.cassandra.by_time import LAST_MS
from engagement.stores.cassandra.reader import Reader, together
from engagement.stores.cassandra.rows.senders import latest_texts
from engagement.stores.cassandra.rows.stored import (
    SlimEvent,
    StoredEvent,
    borrowed_from,
    injection_of,
    shown,
    stored_event,
    stored_injection,
)

_Statement = tuple[str, tuple[object, ...]]


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
    ) -> dict[bytes, list[StoredEvent]]:
        """Return all rows of messages, each message's in time order; of hits only those in the time range."""
        keys = list(dict.fromkeys(messages))
        several = [
            *_events_in(keys, low, high),
            *_of_messages("injections", keys),
        ]
        return self._in_order(keys, several, self._reader.read_several(several))

    def _in_order(
        self, keys: Iterable[bytes], several: list[_Statement], answers: list[list[tuple[Any, ...]]]
    ) -> dict[bytes, list[StoredEvent]]:
        """Return the rows of answers by message, in time order; no events from before `oldest`."""
        oldest = self.oldest()
        found: dict[bytes, list[StoredEvent]] = {key: [] for key in keys}
        for (name, _), lines in zip(several, answers, strict=True):
            for line in lines:
                if name == "injections":
                    found[line[0]].append(stored_injection(line))
                elif line[1] >= oldest:
                    found[line[0]].append(stored_event(line))
        for rows in found.values():
            if len(rows) > 1:
                rows.sort(key=lambda row: row.order)
        return found

    def lending(self, several: list[list[bytes]]) -> list[StoredEvent]:
        """Return the injections of messages, which are given in parts, that others borrow from."""
        lines = self._reader.read_each("injections", [(part,) for part in several])
        return [stored_injection(line) for found in lines for line in found]

    def borrowed(self, messages: Iterable[bytes]) -> dict[bytes, str]:
        """Return what the events of each message take from its injection, as JSON; {} where none is known."""
        keys = list(dict.fromkeys(messages))
        answers = self._reader.read_several(_of_messages("lent", keys))
        return latest_texts(keys, (line for lines in answers for line in lines))

    def page(self, slims: Sequence[SlimEvent], known: Mapping[bytes, str]) -> list[Fields]:
        """Return the events of slim rows that exist, in that order.

        known: what messages lend, as far as it was read before. All is read at once: events, injections that
        are shown themselves, and of the others only what they lend.
        """
        # An injection is not where its message's other events are, unless it has no message id.
        sent = {slim.message for slim in slims if slim.type == INJECTION}
        times: dict[bytes, list[int]] = {}
        for slim in slims:
            if slim.type != INJECTION or slim.message == slim.event_id.bytes:
                times.setdefault(slim.message, []).append(slim.at_ms)
        keys = dict.fromkeys(slim.message for slim in slims)
        several = [
            *_events_at(times),
            *_of_messages("injections", list(sent)),
        ]
        unknown = [key for key in keys if key not in sent and key not in known]
        answers = self._reader.read_several([*several, *_of_messages("lent", unknown)])
        whole = self._in_order(keys, several, answers[: len(several)])
        texts = {
            **known,
            **latest_texts(unknown, (line for lines in answers[len(several) :] for line in lines)),
        }
        borrowed = {key: borrowed_from(whole[key]) if key in sent else json.loads(texts[key]) for key in keys}
        by_id = {row.event_id: row for rows in whole.values() for row in rows}
        return shown((by_id[slim.event_id] for slim in slims if slim.event_id in by_id), whole, borrowed)

    def shown(self, places: Sequence[tuple[bytes, int, UUID]]) -> list[Fields]:
        """Return the events at (message, time, id) that exist, in that order."""
        times = [at for _, at, _ in places]
        low = max(0, min(times, default=0) - REPEAT_MS)
        whole = self.whole((message for message, _, _ in places), low, max(times, default=0))
        by_id = {row.event_id: row for rows in whole.values() for row in rows}
        return shown([by_id[name] for _, _, name in places if name in by_id], whole)

    def injections(self, names: Iterable[MessageName]) -> dict[MessageName, tuple[Injection, ...]]:
        """See the port."""
        usable = [name for name in dict.fromkeys(names) if name.text]
        messages = self.named("", [(name.what, name.text) for name in usable])
        every = list(dict.fromkeys(key for keys in messages for key in keys))
        of_message: dict[bytes, list[Injection | None]] = {key: [] for key in every}
        for row in self.lending(together(every)):
            of_message[row.message].append(injection_of(row))
        # Those of messages that have no id.
        alone = [key for key, injections in of_message.items() if not injections]
        for key, rows in self.whole(alone).items():
            of_message[key] = [injection_of(row) for row in rows]
        answer = {}
        for name, keys in zip(usable, messages, strict=True):
            found = [
                injection
                for key in keys
                for injection in of_message[key]
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


def _events_in(keys: list[bytes], low: int, high: int) -> list[_Statement]:
    return [("events", (part, low, high)) for part in together(keys)]


def _events_at(times: Mapping[bytes, Sequence[int]]) -> list[_Statement]:
    """Return what reads the events of messages at these times, and those that they may repeat.

    times: in their order, so that the messages of one statement are near each other in time.
    """
    several: list[_Statement] = []
    for part in together(list(times)):
        every = [at_ms for key in part for at_ms in times[key]]
        several.append(("events", (part, max(0, min(every) - REPEAT_MS), max(every))))
    return several


def _of_messages(name: str, keys: list[bytes]) -> list[_Statement]:
    return [(name, (part,)) for part in together(keys, short=name == "lent")]
