"""Asks a store for figures of the year in many ways, and sets each number against the truth."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from engagement.stores.port import EventStore, FigureQuery, UnsupportedQueryError
from year.events import YearEvent
from year.make import BEGIN, DAY, HOUR, YEAR, Year
from year.truth import UNIQUE, Key, Numbers, begins, figures, next_begins

_SPANS = {
    "1min": 8 * HOUR,
    "5min": 20 * HOUR,
    "15min": 2 * DAY,
    "hour": 20 * DAY,
    "12hr": 60 * DAY,
    "day": YEAR,
    "week": YEAR,
    "month": YEAR,
}


@dataclass
class Comparison:
    """Of one way to ask. first: the first difference, in words."""

    questions: int = 0
    numbers: int = 0
    differences: int = 0
    refused: int = 0
    first: str = ""


def compare(year: Year, store: EventStore, seed: int, *, rounds: int = 3) -> dict[str, Comparison]:
    """Ask in every way, each some times. Returns what was found, by the way."""
    while store.roll_up():
        pass
    asker = _Asker(year, store)
    found: dict[str, Comparison] = {}
    for way, query in _queries(year, Random(seed), rounds):
        asker.ask(query, found.setdefault(way, Comparison()))
    return found


def _queries(year: Year, chance: Random, rounds: int) -> Iterator[tuple[str, FigureQuery]]:
    end = BEGIN + YEAR + 200 * DAY
    clicks = [event for event in year.events if event.link_name and event.letter.campaign]

    def span(precision: str, near: YearEvent | None = None) -> dict[str, Any]:
        """A range with much in it, that begins and ends anywhere, and sometimes where an increment does."""
        first = (near or chance.choice(year.events)).at - chance.randrange(_SPANS[precision] // 2 + 1)
        last = first + chance.randint(1, _SPANS[precision])
        if chance.random() < 0.3:
            first, last = begins(precision, first), next_begins(precision, last)
        return {"from_ms": first, "to_ms": last}

    def some() -> tuple[str, ...]:
        return tuple(chance.sample(year.campaigns, min(len(year.campaigns), chance.randint(1, 3))))

    yield "all, the whole time", FigureQuery()
    for precision in _SPANS:
        yield "all, the whole time", FigureQuery(BEGIN, end, precision)
        for _ in range(rounds):
            yield f"all, by {precision}", FigureQuery(**span(precision), precision=precision, series=True)
            yield f"all, ranges of {precision}", FigureQuery(**span(precision), precision=precision)
    for precision in ("hour", "12hr", "day", "week", "month"):
        yield "by campaign", FigureQuery(**span(precision), precision=precision, by="campaign")
        for _ in range(rounds):
            query = FigureQuery(**span(precision), precision=precision, series=True, campaigns=some())
            yield f"some campaigns, by {precision}", query
    for precision in ("day", "week", "month"):
        for _ in range(rounds):
            yield "by domain", FigureQuery(**span(precision), precision=precision, by="domain")
            yield (
                "one domain, by time",
                FigureQuery(
                    **span(precision),
                    precision=precision,
                    series=True,
                    domains=(chance.choice(year.letters).domain,),
                ),
            )
            click = chance.choice(clicks)
            query = FigureQuery(
                **span(precision, click), precision=precision, by="link", campaigns=(click.letter.campaign,)
            )
            yield "by link of a campaign", query
            yield "by machine", FigureQuery(**span(precision), precision=precision, by="machine")
    yield "by domain", FigureQuery(by="domain")
    yield "by machine, by month", FigureQuery(BEGIN, end, "month", series=True, by="machine")
    yield "by campaign, by day", FigureQuery(BEGIN, end, "day", series=True, by="campaign")
    yield "a campaign's life", FigureQuery(precision="life", by="campaign")
    for _ in range(rounds):
        yield "a campaign's life", FigureQuery(precision="life", campaigns=some())


class _Asker:
    def __init__(self, year: Year, store: EventStore) -> None:
        self._events = sorted(year.events, key=lambda event: event.at)
        self._times = [event.at for event in self._events]
        self._store = store

    def ask(self, query: FigureQuery, comparison: Comparison) -> None:
        comparison.questions += 1
        try:
            rows = self._store.figures(query)
        except UnsupportedQueryError:
            comparison.refused += 1
            return
        reported: dict[Key, Numbers] = {}
        for row in rows:
            group = row.group.partition(":")[2] if query.by == "link" else row.group
            assert (group, row.at_ms) not in reported, "a group twice"
            reported[group, row.at_ms] = {name: n for name, n in row.figures.items() if n}
        true = self._true(query)
        for key in reported.keys() | true.keys():
            ours, theirs = reported.get(key, {}), true.get(key, {})
            for name in ours.keys() | theirs.keys():
                comparison.numbers += 1
                if ours.get(name, 0) != theirs.get(name, 0):
                    comparison.differences += 1
                    comparison.first = comparison.first or (
                        f"{query}: {key} {name} is {ours.get(name, 0)}, true is {theirs.get(name, 0)}"
                    )

    def _true(self, query: FigureQuery) -> dict[Key, Numbers]:
        first = 0 if query.from_ms is None else begins(query.precision, query.from_ms)
        last = 1 << 60 if query.to_ms is None else next_begins(query.precision, query.to_ms - 1)
        events = self._events[bisect_left(self._times, first) : bisect_left(self._times, last)]
        increments: dict[int, int] = {}

        def key(event: YearEvent) -> Key | None:
            letter = event.letter
            if query.campaigns and letter.campaign not in query.campaigns:
                return None
            if query.domains and letter.domain not in query.domains:
                return None
            group = ""
            if query.by == "campaign":
                if query.precision == "life" and not letter.campaign:
                    return None
                group = letter.campaign
            elif query.by == "domain":
                group = letter.domain
            elif query.by in ("link", "machine"):
                if not event.client or event.expired:
                    return None
                group = event.link_name if query.by == "link" else f"{event.client} {event.reason}"
                if not group:
                    return None
            if not query.series:
                return group, None
            if event.at not in increments:
                increments[event.at] = begins(query.precision, event.at)
            return group, increments[event.at]

        found = figures(events, UNIQUE[query.precision], key, machines=query.by == "machine")
        if query.by == "link":
            # What a click on an unsubscribe link does besides is no click, and in no link's figures.
            found = {
                name: {figure: n for figure, n in numbers.items() if "unsubscribe" not in figure}
                for name, numbers in found.items()
            }
        return found
