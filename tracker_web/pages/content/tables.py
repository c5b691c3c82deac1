"""A table as a page shows it, and the same table as CSV and JSON. Pure.

What is exported is what is shown: one object is behind all three.
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from engagement.spreadsheet import cell
from tracker_web.languages.translation import N_, gettext

NUMBER: Final = "number"
RATE: Final = "rate"
TEXT: Final = "text"
TIME: Final = "time"
ADDRESS: Final = "address"  # shown, never linked: a click of it would count
# What a table is called in the language of the page; its name is for URLs and files.
_TITLES: Final = {
    "campaigns": N_("campaigns"),
    "links": N_("links"),
    "domains": N_("domains"),
    "series": N_("series"),
    "events": N_("events"),
    "machines": N_("machines"),
    "batches": N_("batches"),
    "hours": N_("hours of the day"),
    "recipients": N_("recipients"),
    "suppression": N_("suppression list"),
    "webhooks": N_("webhooks"),
    "tracking-domains": N_("Tracking domains"),
    "users": N_("Users"),
    "keys": N_("API keys"),
    "programs": N_("mail programs"),
    "message-links": N_("links"),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column. name: in CSV and JSON. title: on the page. meaning: a hint.

    kind: NUMBER, RATE, TEXT, ADDRESS or TIME (as events have it).
    """

    name: str
    title: str
    kind: str = NUMBER
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One row. values: by the column's name. link: where its first cell leads. bar: shares to draw, of 1."""

    values: dict[str, Any]
    link: str = ""
    note: str = ""
    bar: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns. name: in the URL of its export. more: whether rows were left out."""

    name: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...] = ()
    more: bool = False

    @property
    def title(self) -> str:
        """Return what it is called in the language of the page."""
        return gettext(_TITLES.get(self.name, self.name))


def listed(name: str, *rows: dict[str, Any], columns: tuple[str, ...]) -> Table:
    """Return the export of a list that its page draws itself; its columns are fields of the API."""
    return Table(name, tuple(Column(each, each, TEXT) for each in columns), tuple(Row(row) for row in rows))


def as_csv(table: Table) -> str:
    """Return the table as CSV (RFC 4180 2), safe to open in a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([column.name for column in table.columns])
    for row in table.rows:
        writer.writerow([_cell(row.values.get(column.name)) for column in table.columns])
    return out.getvalue()


def as_json(table: Table) -> str:
    """Return the table as a JSON array of objects."""
    rows: Sequence[dict[str, Any]] = [
        {column.name: row.values.get(column.name) for column in table.columns} for row in table.rows
    ]
    return json.dumps(rows, ensure_ascii=False, indent=1) + "\n"


def _cell(value: object) -> str:
    if value is None:
        return ""
    return cell(value) if isinstance(value, str) else str(value)
