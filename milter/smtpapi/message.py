"""A message as the filter sees it: header fields with their raw values, and the body's bytes."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """One header field. value: all bytes after the colon, folds included, without the last line end."""

    name: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Message:
    r"""Header and body. eol: what inserted lines end with, b"\r\n" from an MTA, else what the file has."""

    fields: tuple[Field, ...]
    body: bytes
    eol: bytes = b"\r\n"

    def values(self, name: str) -> Iterator[bytes]:
        """Values of all fields of that name, letter case ignored, in order."""
        wanted = name.lower()
        return (field.value for field in self.fields if field.name.lower() == wanted)

    def first(self, name: str) -> bytes | None:
        """Value of the first field of that name, or None."""
        return next(self.values(name), None)
