"""Plays a year to a store: late events, events told again, other labels, erasures, sweeps."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

from engagement.events.classify import Classification, ReaderClass
from engagement.events.model import Hit, MessageEvent
from engagement.events.rows import EventRow, relabelled, rows
from engagement.stores.port import EventStore, LabelledHit
from year.events import Letter, YearEvent
from year.make import BEGIN, DAY, HOUR, YEAR, Year, labels

_RETENTION = 90 * DAY


class Clock:
    """The time of the year as it is played, for a store that asks for the time: Unix seconds."""

    def __init__(self) -> None:
        self.now = BEGIN / 1000

    def __call__(self) -> float:
        return self.now


_END = BEGIN + YEAR + 200 * DAY


def play(
    year: Year, store: EventStore, seed: int, *, clock: Clock | None = None, portion: int = 200
) -> Counter[str]:
    """Tell a store the year, step by step. Returns how much of what was done.

    clock: the store's, if it has one. The truth is changed with each other label: `YearEvent.side` and what
    goes with it.
    """
    player = _Player(year, store, Random(seed), portion)
    steps = player.steps()
    for at, _, name, what in steps:
        if clock is not None:
            clock.now = at / 1000
        player.step(at, name, what)
    player.flush()
    return player.done


_Step = tuple[int, int, str, object]


class _Player:
    def __init__(self, year: Year, store: EventStore, chance: Random, portion: int) -> None:
        self._year = year
        self._store = store
        self._chance = chance
        self._portion = portion
        self._batch: list[EventRow] = []
        self._labels = labels(chance)
        self.done: Counter[str] = Counter()

    def steps(self) -> list[_Step]:
        """What comes when, by time."""
        chance, events = self._chance, self._year.events
        found: list[tuple[int, str, object]] = []
        last: dict[int, int] = {}
        for event in events:
            found.append((event.arrives, "tell", event))
            if chance.random() < 0.03:
                again = event.arrives + chance.randrange(HOUR)
                found.append((again, "tell again", event))
                last[id(event)] = again
            if chance.random() < 0.05 and isinstance(event.event, Hit) and event.client != "probe":
                found.append((event.arrives + chance.randint(3 * HOUR, 7 * DAY), "label", event))
        for letter in chance.sample(self._year.letters, len(self._year.letters) // 25):
            at = letter.injection.at_ms + chance.randint(DAY, 60 * DAY)
            if self._may_be_erased(letter, at, last):
                found.append((at, "erase", letter))
        found += [(at, "sweep", None) for at in range(BEGIN + _RETENTION, _END, 15 * DAY)]
        found += [(chance.randrange(BEGIN, _END), "roll up", None) for _ in range(50)]
        return sorted((at, n, name, what) for n, (at, name, what) in enumerate(found))

    def _may_be_erased(self, letter: Letter, at: int, last: dict[int, int]) -> bool:
        """Tell whether an erasure parts no day of any message of the recipient, and nothing comes late."""
        for other in self._year.letters:
            if other.recipient != letter.recipient:
                continue
            for event in other.events:
                if event.at < at < max(event.arrives, last.get(id(event), 0)) or event.at // DAY == at // DAY:
                    return False
        return True

    def step(self, at: int, name: str, what: object) -> None:
        if isinstance(what, YearEvent) and name != "label":
            self._batch += _rows(what, what.rules if name == "tell" else 1)
            self.done["events told" if name == "tell" else "told again"] += 1
            if len(self._batch) >= self._portion:
                self.flush()
            return
        self.flush()
        if isinstance(what, YearEvent):
            self._label(what, at)
        elif isinstance(what, Letter):
            self._store.erase(what.recipient)
            for letter in self._year.letters:
                if letter.recipient == what.recipient:
                    for event in letter.events:
                        letter.erased = letter.erased or event.at < at
            self.done["recipients erased"] += 1
        elif name == "sweep":
            while (gone := self._store.sweep(at - _RETENTION)) >= 5_000:
                self.done["events swept"] += gone
            self.done["events swept"] += gone
        else:
            self._store.roll_up()

    def flush(self) -> None:
        self._chance.shuffle(self._batch)
        self._store.add(self._batch)
        self._batch = []

    def _label(self, event: YearEvent, at: int) -> None:
        """Give a hit and what repeats it another label; nothing of what has been erased."""
        group = [each for each in event.letter.events if each.group == event.group]
        if event.letter.erased or any(each.arrives > at for each in group):
            return
        side, client, certain, reason = next(self._labels)
        for each in group:
            each.rules += 1
            each.side, each.client, each.certain, each.reason = side, client, certain, reason
        hits = [LabelledHit(each.event, _label_of(each)) for each in group if isinstance(each.event, Hit)]
        self._store.relabel(hits, at)
        self.done["given another label"] += len(hits)


def _label_of(event: YearEvent) -> Classification:
    return Classification(ReaderClass(event.client), event.reason, str(event.rules), event.certain)


def _rows(event: YearEvent, rules: int) -> list[EventRow]:
    if isinstance(event.event, MessageEvent):
        return list(rows(event.event, injection=event.letter.injection))
    if not isinstance(event.event, Hit):
        return list(rows(event.event))
    label = replace(_label_of(event), rules=str(rules))
    return [relabelled(row, label) for row in rows(event.event)]
