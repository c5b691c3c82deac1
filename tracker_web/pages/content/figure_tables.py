"""Figures as tables of pages: of charts, mail, links and rules. Pure.

No figure is computed here: each is one of docs/figures.md, by its name.
"""

from collections.abc import Iterable

from engagement.figures.definitions import FIGURES, RATES, rate
from tracker_web.languages.translation import gettext, pgettext
from tracker_web.pages.content.charts import Line, label
from tracker_web.pages.content.figures import SIDES, Sums
from tracker_web.pages.content.tables import RATE, TEXT, Column, Row, Table


def series_table(times: list[int], made: list[Line], precision: str) -> Table:
    """Return the numbers of a chart as a table."""
    columns = (
        Column("time", gettext("Time (UTC)"), TEXT),
        *(Column(line.name, line.legend[:1].upper() + line.legend[1:]) for line in made),
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
        *(Column(line.name, line.legend[:1].upper() + line.legend[1:]) for line in made),
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
    clicks = _column("x_count_people_clicked", gettext("Clicks"))
    return _links(rows, gettext("where the newest click led"), clicks, bars=True)


def map_table(rows: Iterable[tuple[str, str, str, str, Sums]]) -> Table:
    """Return the links of a click map: with those of the mail that nobody clicked.

    rows: of each its place in the mail, name, target, where it leads, and sums.
    """
    return _links(rows, "", bars=False)


def _links(rows: Iterable[tuple[str, str, str, str, Sums]], meaning: str, *more: Column, bars: bool) -> Table:
    columns = (
        Column("ordinal", "#", TEXT),
        Column("link", gettext("Link"), TEXT),
        Column("target", gettext("Leads to"), TEXT, meaning),
        _column("x_count_people_unique_clicked", gettext("People")),
        Column("share", gettext("Share"), RATE, gettext("of all links' clicks by people")),
        _column("x_count_unsure_unique_clicked", gettext("Unsure")),
        _column("x_count_machine_unique_clicked", gettext("Machines")),
        *more,
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
        made.append(Row(values, link, bar=_bar("unique_clicked", sums) if bars else ()))
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
