"""Figures as pages show them: cards, lines and tables made of a store's answers. Pure.

No figure is computed here: each is one of docs/figures.md, by its name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from engagement.figures.definitions import FIGURES, RATES, rate
from engagement.figures.increments import begin, end
from engagement.figures.query import FigureRow
from tracker_web.languages.words import N_, gettext, pgettext
from tracker_web.pages.content.charts import Line
from tracker_web.pages.content.period import Period
from tracker_web.pages.content.tables import RATE, TEXT, Column, Row, Table

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
class _Wanted:
    title: str
    name: str
    rate: str
    of: str
    sided: bool = False
    bad: bool = False


_UNIQUE_CARDS: Final = (
    _Wanted(N_("Delivered"), "count_delivered", "", ""),
    _Wanted(
        N_("Opened by people"),
        "x_count_people_unique_rendered",
        "x_people_open_rate",
        N_("of tracked"),
        sided=True,
    ),
    _Wanted(
        N_("Clicked by people"),
        "x_count_people_unique_clicked",
        "x_people_click_rate",
        N_("of tracked"),
        sided=True,
    ),
    _Wanted(
        N_("Unsubscribed"), "count_unsubscribe", "unsubscribe_rate", N_("of accepted"), sided=True, bad=True
    ),
    _Wanted(N_("Bounced"), "count_bounce", "bounce_rate", N_("of sent"), bad=True),
    _Wanted(N_("Complaints"), "count_spam_complaint", "spam_complaint_rate", N_("of accepted"), bad=True),
)
_TOTAL_NAMES: Final = {
    "x_count_people_unique_rendered": "x_count_people_rendered",
    "x_count_people_unique_clicked": "x_count_people_clicked",
}
_TOTAL_TITLES: Final = {
    "x_count_people_unique_rendered": N_("Opens by people"),
    "x_count_people_unique_clicked": N_("Clicks by people"),
}


def _shown(wanted: _Wanted, *, unique: bool) -> tuple[str, str]:
    """Return the name of the figure and its title."""
    if unique:
        return wanted.name, wanted.title
    return _TOTAL_NAMES.get(wanted.name, wanted.name), _TOTAL_TITLES.get(wanted.name, wanted.title)


def _sides(name: str) -> tuple[str, ...]:
    """Return the three figures that stand beside each other where one of them does."""
    stem = name.replace("x_count_people_", "").replace("count_", "")
    return tuple(f"x_count_{side}_{stem}" for side in SIDES)


def needed() -> tuple[str, ...]:
    """Return the names of all figures that cards, lines and tables here are made of."""
    names = ["count_injected", "x_count_open_tracked", "x_count_click_tracked", "x_count_tracked"]
    names.append("count_delayed")
    for wanted in _UNIQUE_CARDS:
        for unique in (True, False):
            name, _ = _shown(wanted, unique=unique)
            names += [name, *(_sides(name) if wanted.sided else ())]
        if wanted.rate:
            found = RATES[wanted.rate]
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
    for wanted in _UNIQUE_CARDS:
        name, title = _shown(wanted, unique=unique)
        made.append(
            Card(
                title=gettext(title),
                name=name,
                meaning=gettext(FIGURES[name].meaning),
                value=sums.get(name, 0),
                before=None if before is None else before.get(name, 0),
                share=rate(wanted.rate, sums) if wanted.rate and (unique or name == wanted.name) else None,
                of=gettext(wanted.of) if wanted.of and (unique or name == wanted.name) else "",
                sides=tuple(
                    (side, sums.get(figure, 0)) for side, figure in zip(SIDES, _sides(name), strict=True)
                )
                if wanted.sided
                else (),
                bad=wanted.bad,
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


def series_table(times: list[int], made: list[Line], precision: str) -> Table:
    """Return the numbers of a chart as a table."""
    from tracker_web.pages.content.charts import label  # here: `charts` draws what is made here

    columns = (
        Column("time", gettext("Time (UTC)"), TEXT),
        *(Column(line.name, line.words[:1].upper() + line.words[1:]) for line in made),
    )
    rows = tuple(
        Row({"time": label(at, precision), **{line.name: int(line.values[place]) for line in made}})
        for place, at in enumerate(times)
    )
    return Table("series", columns, rows)


def hours_table(made: list[Line]) -> Table:
    """Return the numbers of each hour of the day as a table. made: lines of 24 values each."""
    columns = (
        Column("hour", gettext("Hour (UTC)"), TEXT),
        *(Column(line.name, line.words[:1].upper() + line.words[1:]) for line in made),
    )
    rows = tuple(
        Row({"hour": f"{hour:02}:00", **{line.name: int(line.values[hour]) for line in made}})
        for hour in range(24)
    )
    return Table("hours", columns, rows)


def _column(name: str, title: str) -> Column:
    meaning = FIGURES[name].meaning if name in FIGURES else RATES[name].meaning
    return Column(name, title, RATE if name in RATES else "number", gettext(meaning))


def mail_table(
    name: str, head: Column, rows: Iterable[tuple[str, str, Sums]], *, more: bool = False
) -> Table:
    """Return groups of mail with their deliveries, opens and clicks.

    rows: of each the group's name, where it leads, and its sums.
    """
    columns = (
        head,
        _column("count_injected", gettext("Taken in")),
        _column("count_delivered", gettext("Delivered")),
        _column("x_count_people_unique_rendered", gettext("Opened")),
        _column("x_people_open_rate", gettext("Open rate")),
        _column("x_count_people_unique_clicked", gettext("Clicked")),
        _column("x_people_click_rate", gettext("Click rate")),
        _column("count_unsubscribe", pgettext("a list", "Left")),
        _column("count_bounce", gettext("Bounced")),
    )
    made = []
    for title, link, sums in rows:
        values: dict[str, object] = {head.name: title}
        for column in columns[1:]:
            values[column.name] = rate(column.name, sums) if column.kind == RATE else sums.get(column.name, 0)
        made.append(Row(values, link, bar=_bar("unique_rendered", sums)))
    return Table(name, columns, tuple(made), more)


def link_table(rows: Iterable[tuple[str, str, str, str, Sums]]) -> Table:
    """Return links with their clicks.

    rows: of each its place in the mail, name, target of its newest click, where it leads, and sums.
    """
    columns = (
        Column("ordinal", "#", TEXT),
        Column("link", gettext("Link"), TEXT),
        Column("target", gettext("Leads to"), TEXT, gettext("where the newest click led")),
        _column("x_count_people_unique_clicked", gettext("People")),
        Column("share", gettext("Share"), RATE, gettext("of all links' clicks by people")),
        _column("x_count_unsure_unique_clicked", gettext("Unsure")),
        _column("x_count_machine_unique_clicked", gettext("Machines")),
        _column("x_count_people_clicked", gettext("Clicks")),
    )
    found = list(rows)
    whole = sum(sums.get("x_count_people_unique_clicked", 0) for *_, sums in found)
    made = []
    for ordinal, title, target, link, sums in found:
        people = sums.get("x_count_people_unique_clicked", 0)
        values: dict[str, object] = {
            "ordinal": ordinal,
            "link": title,
            "target": target,
            "share": people / whole if whole else None,
        }
        for column in columns:
            values.setdefault(column.name, sums.get(column.name, 0))
        made.append(Row(values, link, bar=_bar("unique_clicked", sums)))
    return Table("links", columns, tuple(made))


def map_table(rows: Iterable[tuple[str, str, str, str, Sums]]) -> Table:
    """Return the links of a click map: with those of the mail that nobody clicked.

    rows: of each its place in the mail, name, target, where it leads, and sums.
    """
    columns = (
        Column("ordinal", "#", TEXT),
        Column("link", gettext("Link"), TEXT),
        Column("target", gettext("Leads to"), TEXT),
        _column("x_count_people_unique_clicked", gettext("People")),
        Column("share", gettext("Share"), RATE, gettext("of all links' clicks by people")),
        _column("x_count_unsure_unique_clicked", gettext("Unsure")),
        _column("x_count_machine_unique_clicked", gettext("Machines")),
    )
    found = list(rows)
    whole = sum(sums.get("x_count_people_unique_clicked", 0) for *_, sums in found)
    made = []
    for ordinal, title, target, link, sums in found:
        people = sums.get("x_count_people_unique_clicked", 0)
        values: dict[str, object] = {
            "ordinal": ordinal,
            "link": title,
            "target": target,
            "share": people / whole if whole else None,
        }
        for column in columns:
            values.setdefault(column.name, sums.get(column.name, 0))
        made.append(Row(values, link))
    return Table("links", columns, tuple(made))


def machine_table(rows: Iterable[tuple[str, str, str, str, Sums]]) -> Table:
    """Return what each rule called what.

    rows: of each the class, the rule's name, what it says, where it leads, and sums.
    """
    columns = (
        Column("reason", gettext("Rule"), TEXT),
        Column("class", gettext("Class"), TEXT),
        Column("says", gettext("What it says"), TEXT),
        _column("x_count_recorded_rendered", gettext("Opens")),
        _column("x_count_recorded_clicked", gettext("Clicks")),
        Column("share", gettext("Of all requests"), RATE),
    )
    found = list(rows)
    each = [
        sums.get("x_count_recorded_rendered", 0) + sums.get("x_count_recorded_clicked", 0)
        for *_, sums in found
    ]
    whole = sum(each)
    made = []
    for (client, reason, says, link, sums), count in zip(found, each, strict=True):
        values: dict[str, object] = {
            "class": client,
            "reason": reason,
            "says": says,
            "share": count / whole if whole else None,
        }
        for column in columns:
            values.setdefault(column.name, sums.get(column.name, 0))
        made.append(Row(values, link))
    return Table("machines", columns, tuple(made))


def _bar(stem: str, sums: Sums) -> tuple[tuple[str, float], ...]:
    return tuple((side, float(sums.get(f"x_count_{side}_{stem}", 0))) for side in SIDES)
