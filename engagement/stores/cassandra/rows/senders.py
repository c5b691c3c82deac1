"""Which sending domain an event's message is of: hits do not say it, their message's injection does. Pure."""

import json
from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from engagement.stores.cassandra.rows.pace import FASTEST, PAGE, surely
from engagement.stores.cassandra.rows.stored import SlimEvent
from engagement.stores.port import Query

# How likely a hit is of the sending domain that is looked for, where nothing is known of that; a guess.
_LIKELY: Final = 0.25
_PRIOR: Final = 8  # checked hits that the guess outweighs
_ENOUGH_TO_LEARN: Final = 50  # checked hits
_RAREST: Final = 0.01  # likelihood that is learned: what was never found may be there tomorrow
_MOST_TENANTS: Final = 1000  # remembered, which bounds the memory
_FEWEST: Final = 25  # messages that are read at once: one statement names as many


class _Sender(Struct):
    sending_domain: str = ""


_sender: Final = msgspec.json.Decoder(_Sender).decode  # it passes over the rest, of which there is much


class Senders:
    """Separates events of some sending domains from others, and says when to read the messages of which.

    names: the sending domains that are looked for. limit: how many events are. likelihood: the last search's,
    None for the first one. texts: what events take from the injection of each message that was read, as JSON;
    "{}" where none is known.
    """

    def __init__(self, names: Container[str], limit: int, likelihood: float | None = None) -> None:
        self.texts: dict[bytes, str] = {}
        self._names = names
        self._limit = limit
        self._waiting: deque[tuple[SlimEvent, bool]] = deque()
        self._unread: dict[bytes, None] = {}
        self._guess = likelihood or _LIKELY
        # So many wait when their messages are to be read.
        self._due: float = min(PAGE, max(_FEWEST, limit / likelihood if likelihood else limit))
        self._passed = self._found = 0  # events, of any sender,
        self._checked = self._matched = 0  # and those that did not say theirs

    def note(self, slim: SlimEvent, *, repeat: bool) -> None:
        """Note the next event."""
        self._waiting.append((slim, repeat))
        if not self._knows(slim):
            self._unread[slim.message] = None

    @property
    def unread(self) -> list[bytes]:
        """Return the messages of the events that wait, as far as they were not read yet."""
        return list(self._unread)

    def add(self, texts: Mapping[bytes, str]) -> None:
        """Add what was read of messages."""
        self.texts.update(texts)
        for message in texts:
            self._unread.pop(message, None)

    def passed(self) -> Iterator[tuple[SlimEvent, bool]]:
        """Yield those that were looked for, of the events whose turn it is and whose messages were read."""
        while self._waiting and self._knows(self._waiting[0][0]):
            slim, repeat = self._waiting.popleft()
            matches = (slim.sending_domain or sender_of(self.texts[slim.message])) in self._names
            self._passed += 1
            self._found += matches
            if not slim.sending_domain:
                self._checked += 1
                self._matched += matches
            self._due = 0  # to be reckoned again
            if matches:
                yield slim, repeat

    @property
    def likelihood(self) -> float:
        """Return how likely an event that does not say its sending domain is of one that is looked for."""
        return (self._matched + self._guess * _PRIOR) / (self._checked + _PRIOR)

    @property
    def learned(self) -> float | None:
        """Return the likelihood, None if too few events were checked to say."""
        return max(_RAREST, self.likelihood) if self._checked >= _ENOUGH_TO_LEARN else None

    @property
    def are_many(self) -> bool:
        """Return whether so many events wait that their messages are to be read, with what is here."""
        if not self._due:
            missing = surely(self._limit - self._found)
            rate = (self._found + self._guess * _PRIOR) / (self._passed + _PRIOR)
            several = missing / rate if missing else PAGE  # more are looked for than was said
            self._due = max(_FEWEST, min(PAGE, FASTEST * self._passed, several))
        return len(self._waiting) >= self._due and bool(self._unread)

    @property
    def suffice(self) -> bool:
        """Return whether as many as are missing are likely among the events that wait."""
        if not self._unread:
            return False
        missing = surely(self._limit - self._found)
        return 0 < missing <= len(self._waiting) - (1 - self.likelihood) * len(self._unread)

    def _knows(self, slim: SlimEvent) -> bool:
        return bool(slim.sending_domain) or slim.message in self.texts


class Likelihoods:
    """Remembers of each tenant's last search how likely a hit was of a sending domain that was looked for."""

    def __init__(self) -> None:
        self._by_tenant: dict[str, float] = {}

    def senders(self, query: Query, limit: int) -> Senders | None:
        """Return what tells events of the sending domains that a query names, None if it names none."""
        if not query.sending_domains:
            return None
        return Senders(query.sending_domains, limit, self._by_tenant.get(query.tenant))

    def learn(self, query: Query, senders: Senders | None) -> None:
        """Remember what a search has shown, if it has checked enough."""
        if senders is not None and senders.learned is not None:
            if len(self._by_tenant) >= _MOST_TENANTS:
                self._by_tenant.clear()
            self._by_tenant[query.tenant] = senders.learned


def latest_texts(messages: Iterable[bytes], lines: Iterable[tuple[Any, ...]]) -> dict[bytes, str]:
    """Return what events take from the latest injection of each message, as JSON; "{}" where none is known.

    lines: of `lent`.
    """
    latest: dict[bytes, tuple[int, int, str]] = {}
    for key, at_ms, name, text in lines:
        latest[key] = max((at_ms, name.int, text), latest.get(key, (-1, 0, "")))
    return dict.fromkeys(messages, "{}") | {key: text for key, (_, _, text) in latest.items()}


def sender_of(text: str) -> str:
    """Return the sending domain in what events take from an injection, "" for none. text: JSON."""
    try:
        return _sender(text).sending_domain
    except msgspec.DecodeError:  # a text that json takes, and msgspec does not
        return str(json.loads(text).get("sending_domain", ""))
