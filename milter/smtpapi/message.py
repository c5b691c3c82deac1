"""A message as the filter sees it: header fields with their raw values, and the body's bytes."""

from collections.abc import Iterator
from dataclasses import dataclass, field


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
    # By lower-case name: fields are looked up a dozen times a message.
    _named: dict[str, list[bytes]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        named: dict[str, list[bytes]] = {}
        for each in self.fields:
            named.setdefault(each.name.lower(), []).append(each.value)
        object.__setattr__(self, "_named", named)

    def values(self, name: str) -> Iterator[bytes]:
        """Values of all fields of that name, letter case ignored, in order."""
        return iter(self._named.get(name.lower(), ()))

    def first(self, name: str) -> bytes | None:
        """Value of the first field of that name, or None."""
        found = self._named.get(name.lower())
        return found[0] if found else None

    def count(self, name: str) -> int:
        """How many fields of that name there are."""
        return len(self._named.get(name.lower(), ()))
