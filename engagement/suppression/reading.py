"""Entries as people and clients write them, and as they are shown: JSON members and CSV (contract.md 8.5).

Reading is tolerant, as clients of SparkPost are: `email` for `recipient`, and the old booleans
`transactional` and `non_transactional` for `type`; both true are two entries. Pure: bytes are the caller's.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TextIO

from engagement.spreadsheet import cell
from engagement.suppression.model import BadEntryError, Entry, MailKind, Source, checked

NO_TYPE: Final = "Must supply a suppression type"
WRONG_TYPE: Final = "Type must be one of: 'transactional', 'non_transactional'"
COLUMNS: Final = ("recipient", "type", "source", "description", "list_id", "created", "updated")
_TRUE: Final = frozenset({"true", "1", "yes", "t", "y"})
_FALSE: Final = frozenset({"false", "0", "no", "f", "n", ""})
_NAMES: Final = {
    "email": "recipient",
    "email_address": "recipient",
    "address": "recipient",
    "list": "list_id",
    "list-id": "list_id",
}
_SOURCES: Final = {source.value.lower(): source for source in Source}


def types_of(members: Mapping[str, Any], default: tuple[MailKind, ...] = ()) -> tuple[MailKind, ...]:
    """Return the types that members name. default: where they name none.

    Raises BadEntryError in SparkPost's words.
    """
    named = members.get("type")
    if named not in (None, ""):
        try:
            return (MailKind(str(named).strip().lower()),)
        except ValueError:
            raise BadEntryError(WRONG_TYPE) from None
    flags = {kind: _boolean(members.get(kind.value)) for kind in MailKind}
    found = tuple(kind for kind, on in flags.items() if on) or default
    if not found:
        raise BadEntryError(NO_TYPE)
    return found


def entries_of(
    members: Mapping[str, Any],
    *,
    recipient: str = "",
    tenant: str = "",
    default: tuple[MailKind, ...] = (),
    default_list: str = "",
) -> tuple[Entry, ...]:
    """Return the entries that one object, or line of a table, stands for: one, or two where both types are.

    recipient: where the object names none, as in a path. default: types where it names none. default_list:
    list_id where it names none. Raises BadEntryError.
    """
    given = dict(members)
    for other, name in _NAMES.items():
        if other in members and given.get(name) in (None, ""):
            given[name] = members[other]
    description, list_id = _text(given, "description"), _text(given, "list_id").strip() or default_list
    source = _SOURCES.get(_text(given, "source").strip().lower(), Source.MANUALLY_ADDED)
    if source is Source.COMPLIANCE:  # nobody could remove it again
        source = Source.MANUALLY_ADDED
    address = _text(given, "recipient") or recipient
    return tuple(
        checked(Entry(address, kind, source, description, list_id, tenant))
        for kind in types_of(given, default)
    )


def shown(entry: Entry) -> dict[str, Any]:
    """Return an entry as SparkPost shows it."""
    return {
        "recipient": entry.recipient,
        "type": entry.type.value,
        "source": entry.source.value,
        "description": entry.description,
        **({"list_id": entry.list_id} if entry.list_id else {}),
        "created": moment(entry.created_ms),
        "updated": moment(entry.updated_ms),
        "transactional": entry.type is MailKind.TRANSACTIONAL,
        "non_transactional": entry.type is MailKind.NON_TRANSACTIONAL,
    }


def moment(at_ms: int) -> str:
    """Return a time (Unix milliseconds) in ISO 8601."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).isoformat()


class Line(NamedTuple):
    """One line of a table. fault: why it has no entries, "" where it has."""

    number: int
    entries: tuple[Entry, ...]
    fault: str


def read_csv(
    lines: Iterable[str],
    *,
    tenant: str = "",
    default: tuple[MailKind, ...] = (MailKind.NON_TRANSACTIONAL,),
    default_list: str = "",
) -> Iterator[Line]:
    """Yield what each line of a table stands for, empty ones left out.

    The first line may name the columns, in any order and letter case; without such a line the first column
    is the recipient. default: types where a line names none. What a spreadsheet might take for a formula may
    have been kept from it by an apostrophe, as `write_csv` does.
    """
    columns: list[str] | None = None
    reader = csv.reader(line.replace("\0", "") for line in lines)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Line(reader.line_num, (), f"no line of CSV: {error}")
            continue
        cells = [_bare(each.strip()) for each in row]
        if not any(cells):
            continue
        if columns is None:
            names = [each.lstrip("\ufeff").lower().replace(" ", "_") for each in cells]
            if "recipient" in (_NAMES.get(name, name) for name in names):
                columns = names
                continue
            columns = ["recipient"]
            cells[0] = cells[0].lstrip("\ufeff")
        members = dict(zip(columns, cells, strict=False))
        try:
            found = entries_of(members, tenant=tenant, default=default, default_list=default_list)
            yield Line(reader.line_num, found, "")
        except BadEntryError as error:
            yield Line(reader.line_num, (), str(error))


def write_csv(entries: Iterable[Entry], file: TextIO) -> int:
    """Write entries as a table with a line of names; return how many.

    No cell is a formula for a spreadsheet, and `read_csv` reads each as it was.
    """
    writer = csv.writer(file, lineterminator="\r\n")  # RFC 4180 2 (1)
    writer.writerow(COLUMNS)
    count = 0
    for entry in entries:
        values = shown(entry)
        writer.writerow([_safe(str(values.get(name, ""))) for name in COLUMNS])
        count += 1
    return count


def _safe(text: str) -> str:
    return f"'{text}" if text.startswith("'") else cell(text)


def _bare(text: str) -> str:
    rest = text[1:]
    return rest if text.startswith("'") and _safe(rest) == text else text


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadEntryError(f"{name} must be a string")
    return value


def _boolean(value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise BadEntryError("transactional and non_transactional must be booleans")
    return text in _TRUE
