"""Cells of CSV that no spreadsheet takes for a formula."""

import json
from typing import Final

# OWASP "CSV Injection". Full-width signs count too: spreadsheets of East Asia take them for the others.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def cell(value: object) -> str:
    """Return a value as a cell: text as it is, other values as JSON. A number is none that would be text."""
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return f"'{value}" if value.startswith(_FORMULA) else value
