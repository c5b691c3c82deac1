"""Figures as pages show them: cards, lines and tables made of a store's answers. Pure.

No figure is computed here: each is one of docs/figures.md, by its name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from engagement.figures.definitions import FIGURES, RATES, rate
from engagement.figures.increments import begin, end
from engagement.figures.query import FigureRow
from tracker_web.languages.translation import N_, gettext
from tracker_web.pages.content.charts import Line
from tracker_web.pages.content.period import Period

SIDES: Final = ("people", "unsure", "machine")
Sums = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Card:
    """A figure at the head of a page.

    value, before: of this period and of the one it is compared with. share: a rate of value, None where
    there is none (docs/figures.md). sides: people, unsure, machines; () for what no hit is.
    """

    title: str
    name: str
    meaning: str
    value: int
    before: int | None
    share: float | None
    of: str
    sides: tuple[tuple[str, int], ...] = ()
    bad: bool = False


@dataclass(frozen=True, slots=True)
class _CardSpec:
    title: str
    name: str
    rate: str
    of: str
    sided: bool = False
    bad: bool = False


_UNIQUE_CARDS: Final = (
    _CardSpec(N_("Delivered"), "count_delivered", "", ""),
    _CardSpec(
        N_("Opened by people"),
        "x_count_people_unique_rendered",
        "x_people_open_rate",
        N_("of tracked"),
        sided=True,
    ),
    _CardSpec(
        N_("Clicked by people"),
        "x_count_people_unique_clicked",
        "x_people_click_rate",
        N_("of tracked"),
        sided=True,
    ),
    _CardSpec(
        N_("Unsubscribed"), "count_unsubscribe", "unsubscribe_rate", N_("of accepted"), sided=True, bad=True
    ),
    _CardSpec(N_("Bounced"), "count_bounce", "bounce_rate", N_("of sent"), bad=True),
    _CardSpec(N_("Complaints"), "count_spam_complaint", "spam_complaint_rate", N_("of accepted"), bad=True),
)
_TOTAL_NAMES: Final = {
    "x_count_people_unique_rendered": "x_count_people_rendered",
    "x_count_people_unique_clicked": "x_count_people_clicked",
}
_TOTAL_TITLES: Final = {
    "x_count_people_unique_rendered": N_("Opens by people"),
    "x_count_people_unique_clicked": N_("Clicks by people"),
}


def _shown(spec: _CardSpec, *, unique: bool) -> tuple[str, str]:
    """Return the name of the figure and its title."""
    if unique:
        return spec.name, spec.title
    return _TOTAL_NAMES.get(spec.name, spec.name), _TOTAL_TITLES.get(spec.name, spec.title)


def _sides(name: str) -> tuple[str, ...]:
    """Return the three figures that stand beside each other where one of them does."""
    stem = name.replace("x_count_people_", "").replace("count_", "")
    return tuple(f"x_count_{side}_{stem}" for side in SIDES)


def needed() -> tuple[str, ...]:
    """Return the names of all figures that cards, lines and tables here are made of."""
    names = ["count_injected", "x_count_open_tracked", "x_count_click_tracked", "x_count_tracked"]
    names.append("count_delayed")
    for spec in _UNIQUE_CARDS:
        for unique in (True, False):
            name, _ = _shown(spec, unique=unique)
            names += [name, *(_sides(name) if spec.sided else ())]
        if spec.rate:
            found = RATES[spec.rate]
            names += [found.numerator, found.denominator, *([found.tracked] if found.tracked else [])]
    return tuple(dict.fromkeys(names))


def total(rows: Iterable[FigureRow]) -> dict[str, int]:
    """Return the sums of figures over rows."""
    sums: dict[str, int] = {}
    for row in rows:
        for name, number in row.figures.items():
            sums[name] = sums.get(name, 0) + number
    return sums


def cards(sums: Sums, before: Sums | None, *, unique: bool) -> list[Card]:
    """Return the cards of a page. before: sums of the period that it is compared with, None for none."""
    made = []
    for spec in _UNIQUE_CARDS:
        name, title = _shown(spec, unique=unique)
        made.append(
            Card(
                title=gettext(title),
                name=name,
                meaning=gettext(FIGURES[name].meaning),
                value=sums.get(name, 0),
                before=None if before is None else before.get(name, 0),
                share=rate(spec.rate, sums) if spec.rate and (unique or name == spec.name) else None,
                of=gettext(spec.of) if spec.of and (unique or name == spec.name) else "",
                sides=tuple(
                    (side, sums.get(figure, 0)) for side, figure in zip(SIDES, _sides(name), strict=True)
                )
                if spec.sided
                else (),
                bad=spec.bad,
            )
        )
    return made


def moments(period: Period, precision: str) -> list[int]:
    """Return where each increment of a period begins."""
    found, at = [], begin(precision, period.from_ms)
    while at < period.to_ms:
        found.append(at)
        at = end(precision, at)
    return found


def lines(
    rows: Iterable[FigureRow], times: list[int], before: Iterable[FigureRow] | None, *, unique: bool
) -> list[Line]:
    """Return opens and clicks by people over time, and the opens of the period before.

    times: where the increments begin. The period before is laid over it increment by increment.
    """
    middle = "unique_" if unique else ""
    opened, clicked = f"x_count_people_{middle}rendered", f"x_count_people_{middle}clicked"
    by_time = {row.at_ms: row.figures for row in rows}
    made = [
        Line("opens", "people", tuple(by_time.get(at, {}).get(opened, 0) for at in times), gettext("opens")),
        Line(
            "clicks", "clicks", tuple(by_time.get(at, {}).get(clicked, 0) for at in times), gettext("clicks")
        ),
    ]
    if before is not None:
        earlier = [row.figures.get(opened, 0) for row in sorted(before, key=lambda row: row.at_ms or 0)]
        values = (*earlier, *[0] * len(times))[: len(times)]
        made.append(Line("opens before", "before", values, gettext("opens before")))
    return made
