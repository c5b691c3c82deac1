"""Header fields that a policy adds and removes, until they become changes for the MTA.

The fields after the policy are what tracking sees: X-MSYS-API that a policy adds is read, one that it removes
is not. Later steps number fields as they stand then; `changes` numbers them as the MTA does.

Invariants: no field has a line break in it; the marks of this program are not a policy's to touch.
"""

import re
from collections.abc import Iterable, Iterator
from email.header import Header

from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import HeaderChange

_NAME = re.compile(r"[!-9;-~]{1,200}")  # RFC 5322 3.6.8
_LONGEST = 65_536  # characters of a value: as many as X-MSYS-API may have bytes (contract.md 3.1)
_LINE = 900  # bytes after which a value is folded; SMTP takes 998 (RFC 5321 4.5.3.1.6)
_OURS = frozenset({"x-smtpapi-split", "x-smtpapi-id"})
# Numbered as they came, whatever the policy did. X-MSYS-API is taken out in any case, and never added to
# mail.
_BY_THE_MTA = _OURS | {"x-msys-api"}
_CONTROL = re.compile(r"[\r\n\0]")


class HeaderEdits:
    """The header of one message while a policy changes it.

    Each entry is a field and its number among those of its name as the MTA has them; 0 was added here.
    """

    __slots__ = ("_began", "_entries", "_message", "changed")

    def __init__(self, message: Message, received: Message) -> None:
        """Begin with a message. received: the same as the MTA has it."""
        numbers: dict[str, int] = {}
        entries = []
        for field in received.fields:
            name = field.name.lower()
            numbers[name] = number = numbers.get(name, 0) + 1
            entries.append((field, number, False))
        self._message = message
        if message is not received:
            places = {id(field): number for field, number, _ in entries}
            entries = [(field, places.get(id(field), 0), False) for field in message.fields]
        self._entries = entries
        self._began = tuple(self._entries)
        self.changed = False

    def copy(self) -> "HeaderEdits":
        """Return edits that begin where these stand."""
        made = object.__new__(HeaderEdits)
        made._message = self._message
        made._entries = list(self._entries)
        made._began = self._began
        made.changed = self.changed
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HeaderEdits) and self._entries == other._entries

    __hash__ = None  # type: ignore[assignment] # they change

    def remove(self, name: str) -> bool:
        """Remove all fields of a name; return whether there were any. Raises ValueError for our own marks."""
        lower = _checked(name).lower()
        remaining = [entry for entry in self._entries if entry[0].name.lower() != lower]
        if len(remaining) == len(self._entries):
            return False
        self._entries = remaining
        self.changed = True
        return True

    def add(self, name: str, value: str, *, first: bool = False) -> None:
        """Add a field at the end, or on top. Raises ValueError for a name or value that no mail may have."""
        field = Field(_checked(name), b" " + _written(name, value))
        self._entries.insert(0 if first else len(self._entries), (field, 0, first))
        self.changed = True

    def message(self) -> Message:
        """Return the message with the header as it stands now."""
        if not self.changed:
            return self._message
        before = self._message
        fields = tuple(entry[0] for entry in self._entries)
        return Message(fields, before.body, before.eol, before.clear, before.hashed)

    def changes(self, later: Iterable[HeaderChange]) -> tuple[HeaderChange, ...]:
        """Return the changes for the MTA: the policy's, and those that were made of `message` afterwards."""
        entries: dict[str, list[tuple[Field, int, bool]]] = {}  # by name, once one is asked for
        made: dict[int, str | None] = {}  # what later steps make of an added field, by its id()
        done: list[HeaderChange] = []
        for change in later:
            name = change.name.lower()
            if not change.index or name in _BY_THE_MTA:
                done.append(change)
                continue
            if not entries:
                for entry in self._entries:
                    entries.setdefault(entry[0].name.lower(), []).append(entry)
            field, number, _ = entries[name][change.index - 1]
            if number:
                done.append(HeaderChange(change.name, number, change.value))
            else:
                made[id(field)] = change.value
        return (*self._deletions(done), *self._additions(made), *done)

    def _deletions(self, done: Iterable[HeaderChange]) -> Iterator[HeaderChange]:
        there = {(change.name.lower(), change.index) for change in done}
        remaining = {id(entry[0]) for entry in self._entries}
        for field, number, _ in self._began:
            if not number or id(field) in remaining:
                continue
            name = field.name.lower()
            if name not in _BY_THE_MTA and (name, number) not in there:
                yield HeaderChange(field.name, number, None)

    def _additions(self, made: dict[int, str | None]) -> tuple[HeaderChange, ...]:
        on_top: list[HeaderChange] = []
        behind: list[HeaderChange] = []
        for field, number, first in self._entries:
            if number or field.name.lower() in _BY_THE_MTA:
                continue
            value = made.get(id(field), field.value.decode("ascii"))
            if value is not None:
                (on_top if first else behind).append(HeaderChange(field.name, 0, value, first))
        # Each goes above the one before it, so the last of them is put in first.
        return (*reversed(on_top), *behind)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name[:40]!r} is no name of a header field")
    if name.lower() in _OURS:
        raise ValueError(f"{name} is the filter's own")
    return name


def _written(name: str, value: str) -> bytes:
    """Return a value as it stands in a header: ASCII, encoded (RFC 2047) and folded where it must be."""
    if _CONTROL.search(value):
        raise ValueError(f"header field {name}: a line break or NUL in its value")
    if len(value) > _LONGEST:
        raise ValueError(f"header field {name}: longer than {_LONGEST} characters")
    if not value.isascii():
        try:
            return Header(value, "utf-8", 76, name).encode(linesep="\n").encode("ascii")
        except UnicodeError:
            raise ValueError(f"header field {name}: half a surrogate pair in its value") from None
    if len(value) <= _LINE:
        return value.encode("ascii")
    lines = [""]
    for word in value.split(" "):
        if lines[-1] and len(lines[-1]) + len(word) >= _LINE:
            lines.append(word)
        else:
            lines[-1] += (" " if lines[-1] else "") + word
    return "\n ".join(lines).encode("ascii")
