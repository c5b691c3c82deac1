"""Figures kept by difference, in memory: what a store does with contributions, without the storing."""

from collections.abc import Iterable

from engagement.figures.contribution import (
    Contribution,
    Cube,
    Ever,
    add,
    contribution,
    difference,
    seen_ever,
)
from engagement.figures.facts import Fact
from engagement.figures.increments import Level

_LEVELS = {
    Cube.TOTAL_MINUTE: Level.MINUTE,
    Cube.TOTAL_HOUR: Level.HOUR,
    Cube.CAMPAIGN_HOUR: Level.HOUR,
}


class Ledger:
    """The figures of one tenant, and the facts they come from. `Fact.order` names an event."""

    def __init__(self) -> None:
        self.sums: Contribution = {}
        self._facts: dict[str, dict[str | bytes | int, Fact]] = {}
        self._ever: dict[str, Ever] = {}
        self._retained_days: set[int] = set()  # with figures of events that are gone

    def put(self, message: str, facts: Iterable[Fact]) -> None:
        """Note events of a message; each takes the place of the one with its name."""
        known = self._facts.setdefault(message, {})
        ever = self._ever.get(message)
        before = contribution(known.values(), ever)
        known.update((fact.order, fact) for fact in facts)
        add(self.sums, difference(contribution(known.values(), ever), before))

    def forget(self, message: str, events: Iterable[str | bytes | int]) -> None:
        """Drop events of a message whose figures stay.

        What comes later is unique anew in its minute, hour and day, but not in its campaign's life.
        """
        known = self._facts.get(message, {})
        gone = [known.pop(event) for event in events if event in known]
        self._retained_days.update(fact.at_ms // Level.DAY for fact in gone)
        if ever := seen_ever(gone, self._ever.get(message)):
            self._ever[message] = ever
        if not known:
            self._facts.pop(message, None)

    def recount(self, day: int) -> int:
        """Count a day (since 1970) again; return how many cells were wrong. They are right afterwards.

        A day with figures of events that are gone is left as it is.
        """
        if not self.is_whole(day):
            return 0
        right: Contribution = {}
        for facts in self._facts.values():
            add(right, contribution(facts.values()))
        there = {cell: n for cell, n in self.sums.items() if _day(cell[0], cell[1]) == day}
        wrong = difference({cell: n for cell, n in right.items() if _day(cell[0], cell[1]) == day}, there)
        add(self.sums, wrong)
        return len(wrong)

    def is_whole(self, day: int) -> bool:
        """Return whether no event of a day (since 1970) is gone."""
        return day not in self._retained_days


def _day(cube: int, bucket: int) -> int | None:
    """Return the day (since 1970) that a cell belongs to, None for a campaign's life."""
    if cube == Cube.CAMPAIGN_LIFE:
        return None
    return bucket * _LEVELS.get(Cube(cube), Level.DAY) // Level.DAY
