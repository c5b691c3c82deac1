"""From the store's figures to the rows of an answer. Pure."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from engagement.bounces.classes import shipped
from engagement.events.fields import Fields
from engagement.figures.increments import LEVELS, Level, begin, end
from engagement.figures.query import FigureQuery, FigureRow
from engagement.links.model import RAW_URL

MOST_STEPS: Final = 20_000  # rows of a time series: two weeks by minute

_CATEGORIES: Final = {
    "Hard": (3, {10, 30, 90}),
    "Block": (2, {50, 51, 52, 53, 54}),
    "Soft": (4, {20, 21, 22, 23, 24, 40, 60, 70, 100}),
    "Admin": (1, {25, 26, 80}),
}
_UNDETERMINED: Final = (5, "Undetermined")


class TooManyStepsError(ValueError):
    """A time series would have too many rows. The text says what to do."""


def one(rows: Iterable[FigureRow], metrics: Iterable[str]) -> dict[str, int]:
    """Return the sums of figures, those of nought present."""
    found = list(rows)
    return {name: sum(row.figures.get(name, 0) for row in found) for name in metrics}


def by_time(rows: Iterable[FigureRow], query: FigureQuery, zone: ZoneInfo) -> list[dict[str, Any]]:
    """Return a row for each increment of a window, also where nothing happened. Raises TooManyStepsError."""
    assert query.from_ms is not None
    assert query.to_ms is not None
    known = {row.at_ms: row.figures for row in rows}
    made: list[dict[str, Any]] = []
    at = begin(query.precision, query.from_ms)
    while at < query.to_ms:
        if len(made) == MOST_STEPS:
            raise TooManyStepsError(f"more than {MOST_STEPS} rows: ask for a coarser precision or less time")
        figures: Mapping[str, int] = known.get(at, {})
        made.append({name: figures.get(name, 0) for name in query.metrics} | {"ts": moment(at, query, zone)})
        at = end(query.precision, at)
    return made


def moment(at_ms: int, query: FigureQuery, zone: ZoneInfo) -> str:
    """Return where an increment begins; days and what is made of them are always UTC (contract.md 8.4)."""
    there = UTC if LEVELS[query.precision] == Level.DAY else zone
    return datetime.fromtimestamp(at_ms // 1000, there).isoformat(timespec="seconds")


def by_group(rows: Iterable[FigureRow], key: str, metrics: Iterable[str]) -> list[dict[str, Any]]:
    """Return a row for each group that has a name. key: of the group's name."""
    names = tuple(metrics)
    return [
        {name: row.figures.get(name, 0) for name in names} | {key: row.group} for row in rows if row.group
    ]


def by_link_name(
    rows: Iterable[FigureRow], metrics: Iterable[str], limit: int, order_by: str
) -> list[dict[str, Any]]:
    """Return a row for each name of links, whatever their place in the mail."""
    names = (*metrics, *([order_by] if order_by else []))
    sums: dict[str, dict[str, int]] = {}
    for row in rows:
        name = row.group.partition(":")[2] or RAW_URL
        known = sums.setdefault(name, dict.fromkeys(names, 0))
        for metric in known:
            known[metric] += row.figures.get(metric, 0)
    order = sorted(sums, key=lambda name: (-sums[name].get(order_by, 0), name))
    return [
        {metric: sums[name][metric] for metric in metrics} | {"link_name": name} for name in order[:limit]
    ]


def category(bounce_class: int) -> tuple[int, str]:
    """Return the number and the name of the category that a bounce class is in."""
    for name, (number, classes) in _CATEGORIES.items():
        if bounce_class in classes:
            return number, name
    return _UNDETERMINED


def by_bounce(events: Iterable[Fields], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return bounces counted by some of their fields, the most frequent first.

    keys: of `reason`, `domain`, `classification`.
    """
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    for fields in events:
        number = int(fields.get("bounce_class", 1))
        reported = {
            "reason": str(fields.get("raw_reason", "")),
            "domain": str(fields.get("recipient_domain", "")),
        }
        shown = {key: reported[key] for key in keys if key in reported}
        category_id, category_name = category(number)
        row = groups.setdefault(
            (*shown.values(), number),
            shown
            | {
                "classification_id": number,
                "bounce_class_name": shipped().names.get(number, "Undetermined"),
                "bounce_category_id": category_id,
                "bounce_category_name": category_name,
                "count_inband_bounce": 0,
                "count_outofband_bounce": 0,
                "count_bounce": 0,
                "count_admin_bounce": 0,
            },
        )
        if category_name == "Admin":
            row["count_admin_bounce"] += 1
            continue
        row["count_outofband_bounce" if fields["type"] == "out_of_band" else "count_inband_bounce"] += 1
        row["count_bounce"] += 1
    return sorted(groups.values(), key=lambda row: -(row["count_bounce"] + row["count_admin_bounce"]))


def by_delay(events: Iterable[Fields], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return delays counted by some of their fields, the most frequent first. keys: `reason`, `domain`."""
    groups: dict[tuple[str, ...], dict[str, Any]] = {}
    for fields in events:
        reported = {
            "reason": str(fields.get("raw_reason", "")),
            "domain": str(fields.get("recipient_domain", "")),
        }
        shown = {key: reported[key] for key in keys}
        first = fields.get("num_retries") == "" or "num_retries" not in fields
        row = groups.setdefault(tuple(shown.values()), shown | {"count_delayed": 0, "count_delayed_first": 0})
        row["count_delayed"] += 1
        row["count_delayed_first"] += first
    return sorted(groups.values(), key=lambda row: -int(row["count_delayed"]))
