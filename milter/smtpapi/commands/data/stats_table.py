"""Figures as text: a page for one row, a table for several, a record for programs. Pure."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from engagement.figures.definitions import FIGURES, RATES, rate
from engagement.figures.increments import LEVELS, LIFE, Level
from engagement.figures.query import FigureQuery, FigureRow
from engagement.terminal import padded, printable, wide

_SIDES = ("people", "unsure", "machine")
_HITS = (
    ("opens", "rendered"),
    ("messages opened", "unique_rendered"),
    ("top pixels", "initial_rendered"),
    ("messages, top pixel", "unique_initial_rendered"),
    ("messages opened or clicked", "unique_confirmed_opened"),
    ("clicks", "clicked"),
    ("links clicked", "raw_clicked"),
    ("messages clicked", "unique_clicked"),
    ("unsubscribes", "unsubscribe"),
)
# head, then a figure or rate; the first line of the head stands over the columns that follow it.
_MAIL = (
    ("", "mails", "count_injected"),
    ("", "delivered", "count_delivered"),
    ("", "bounced", "count_bounce"),
    ("", "spam", "count_spam_complaint"),
    ("mails opened by", "people", "x_count_people_unique_rendered"),
    ("", "unsure", "x_count_unsure_unique_rendered"),
    ("", "machines", "x_count_machine_unique_rendered"),
    ("", "rate", "x_people_open_rate"),
    ("mails clicked by", "people", "x_count_people_unique_clicked"),
    ("", "unsure", "x_count_unsure_unique_clicked"),
    ("", "machines", "x_count_machine_unique_clicked"),
    ("", "rate", "x_people_click_rate"),
    ("", "unsubs", "count_unsubscribe"),
)
_LINKS = (
    ("clicks by", "people", "x_count_people_clicked"),
    ("", "unsure", "x_count_unsure_clicked"),
    ("", "machines", "x_count_machine_clicked"),
    ("mails clicked by", "people", "x_count_people_unique_clicked"),
    ("", "unsure", "x_count_unsure_unique_clicked"),
    ("", "machines", "x_count_machine_unique_clicked"),
    ("", "recorded", "x_count_recorded_clicked"),
)
_MACHINES = (
    ("opens by", "people", "x_count_people_rendered"),
    ("", "unsure", "x_count_unsure_rendered"),
    ("", "machines", "x_count_machine_rendered"),
    ("clicks by", "people", "x_count_people_clicked"),
    ("", "unsure", "x_count_unsure_clicked"),
    ("", "machines", "x_count_machine_clicked"),
    ("recorded", "opens", "x_count_recorded_rendered"),
    ("", "clicks", "x_count_recorded_clicked"),
)
_UNIQUE = {Level.MINUTE: "a minute", Level.HOUR: "an hour", Level.DAY: "a day"}


def record(row: FigureRow, query: FigureQuery, names: Sequence[str] = ()) -> dict[str, Any]:
    """Return a row as a flat record: what it is of, then figures and rates, all or those named.

    A count of nothing is 0, a rate without a denominator None. The group's names are those of the API
    (contract.md 8.4): ts, campaign_id, domain, link_name.
    """
    found: dict[str, Any] = {}
    if query.series:
        found["ts"] = _time(row.at_ms)
    if query.by == "link":
        place, _, name = row.group.partition(":")
        found |= {"link_name": name, "x_link_ordinal": int(place) if place else None}
    elif query.by == "machine":
        client, _, reason = row.group.partition(" ")
        found |= {"x_client_class": client, "x_client_reason": reason}
    elif query.by:
        found[{"campaign": "campaign_id"}.get(query.by, query.by)] = row.group
    return found | {name: _value(row, name) for name in names or (*FIGURES, *RATES)}


def table(rows: Sequence[FigureRow], query: FigureQuery, names: Sequence[str] = ()) -> str:
    """Return rows as aligned text: a page of its own for all together, else a line for each."""
    if not query.by and not query.series:
        return _page(rows[0], query, names)
    if names:
        columns: Iterable[tuple[str, str, str]] = [("", name, name) for name in names]
    else:
        columns = {"link": _LINKS, "machine": _MACHINES}.get(query.by, _MAIL)
    heads = [("", "time (UTC)")] * query.series + [("", query.by)] * bool(query.by)
    left = len(heads)
    ends = 10 if LEVELS.get(query.precision) == Level.DAY else 16  # of the time's text
    heads += [(over, head) for over, head, _ in columns]
    lines = [
        [
            *([_time(row.at_ms)[:ends].replace("T", " ")] if query.series else []),
            *([_group(row.group, query.by)] if query.by else []),
            *(_text(row, name) for _, _, name in columns),
        ]
        for row in rows
    ]
    return "\n".join(_aligned(heads, lines, left)) + f"\n\n{_note(query)}\n"


def _aligned(heads: list[tuple[str, str]], lines: list[list[str]], left: int) -> list[str]:
    """Return lines of equal columns, the first ones to the left, the others to the right."""
    widths = [max(len(head), *(wide(line[place]) for line in lines)) for place, (_, head) in enumerate(heads)]
    over = ""
    for place, (word, _) in enumerate(heads):
        begins = sum(widths[:place]) + 2 * place
        over = f"{over:<{begins}}{word}" if word else over
    body = [
        "  ".join(
            padded(word, width, right=place >= left)
            for place, (word, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in ([head for _, head in heads], *lines)
    ]
    return [over, *body] if over else body


def _page(row: FigureRow, query: FigureQuery, names: Sequence[str]) -> str:
    """Return one row's figures under each other: hits with their sides, all others, rates."""
    if names:
        return _list(row, names) + f"\n{_note(query)}\n"
    heads = [("", ""), *(("", word) for word in ("all", "people", "unsure", "machines", "recorded"))]
    lines = [
        [
            label,
            _text(row, f"count_{name}"),
            *(_text(row, f"x_count_{side}_{name}") for side in _SIDES),
            _text(row, recorded) if (recorded := f"x_count_recorded_{name}") in FIGURES else "",
        ]
        for label, name in _HITS
    ]
    shown = {f"count_{name}" for _, name in _HITS} | {
        f"x_count_{side}_{name}" for _, name in _HITS for side in (*_SIDES, "recorded")
    }
    others = [name for name in FIGURES if name not in shown and row.figures.get(name, 0)]
    return "\n".join(
        [*_aligned(heads, lines, 1), "", _list(row, others), _list(row, RATES), _note(query), ""]
    )


def _list(row: FigureRow, names: Iterable[str]) -> str:
    pairs = [(name, _text(row, name)) for name in names]
    width = max((len(name) for name, _ in pairs), default=0)
    wide = max((len(text) for _, text in pairs), default=0)
    return "".join(f"{name:<{width}}  {text:>{wide}}\n" for name, text in pairs)


def _note(query: FigureQuery) -> str:
    if query.precision == LIFE:
        return "A message is unique once in its campaign. docs/figures.md"
    return f"A message is unique within {_UNIQUE[LEVELS[query.precision]]}; times in UTC. docs/figures.md"


def _group(group: str, by: str) -> str:
    if by == "link":
        place, _, name = group.partition(":")
        group = f"{place} {name}" if place else name
    return printable(group) or "-"


def _value(row: FigureRow, name: str) -> int | float | None:
    return row.figures.get(name, 0) if name in FIGURES else rate(name, row.figures)


def _text(row: FigureRow, name: str) -> str:
    value = _value(row, name)
    if value is None:
        return "-"
    if isinstance(value, int):
        return str(value)
    return f"{value:.0f} {RATES[name].unit}" if RATES[name].unit else f"{value:.1%}".replace("%", " %")


def _time(at_ms: int | None) -> str:
    return f"{datetime.fromtimestamp((at_ms or 0) // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
