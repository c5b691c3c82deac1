"""A message as the filter sees it: header fields with their raw values, and the body's bytes."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Field(NamedTuple):
    """One header field. value: all bytes after the colon, folds included, without the last line end."""

    name: str
    value: bytes


class Unkept(NamedTuple):
    """What is known of a body that was not kept. digest: its SHA-256."""

    size: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Message:
    r"""Header and body.

    eol: what inserted lines end with, b"\r\n" from an MTA, else what the file has. clear: all readers cut the
    header into these fields; an MTA's word counts, what a file holds is looked at. unkept: in place of a
    body that nothing reads (`passing.reads`), which is b"" then. header_size: bytes of the fields with their
    line ends.
    """

    fields: tuple[Field, ...]
    body: bytes
    eol: bytes = b"\r\n"
    clear: bool = True
    unkept: Unkept | None = None
    header_size: int = field(init=False, repr=False, compare=False)
    # By lower-case name: fields are looked up a dozen times a message.
    _named: dict[str, list[bytes]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        named: dict[str, list[bytes]] = {}
        size = len(self.fields) * (1 + len(self.eol))
        for name, value in self.fields:
            size += len(name) + len(value)
            lower = name.lower()
            if lower in named:
                named[lower].append(value)
            else:
                named[lower] = [value]
        object.__setattr__(self, "header_size", size)
        object.__setattr__(self, "_named", named)

    @property
    def body_size(self) -> int:
        """Bytes of the body, kept or not."""
        return len(self.body) if self.unkept is None else self.unkept.size

    def body_digest(self) -> bytes:
        """SHA-256 of the body, kept or not; in hardware on most machines: half of BLAKE2's time."""
        return hashlib.sha256(self.body).digest() if self.unkept is None else self.unkept.digest

    def values(self, name: str) -> Iterator[bytes]:
        """Values of all fields of that name, letter case ignored, in order."""
        return iter(self._named.get(name.lower(), ()))

    def all(self, lower: str) -> Sequence[bytes]:
        """Values of all fields of that name, which is in lower case here, in order."""
        return self._named.get(lower, ())

    def lacks(self, names: Iterable[str]) -> bool:
        """Whether there is no field of any of these names, which are in lower case here."""
        return self._named.keys().isdisjoint(names)

    def is_plain(self) -> bool:
        """Whether all names are ASCII; programs differ in whether another one ends the header."""
        return all(map(str.isascii, self._named))

    def first(self, name: str) -> bytes | None:
        """Value of the first field of that name, or None."""
        found = self._named.get(name.lower())
        return found[0] if found else None

    def count(self, name: str) -> int:
        """How many fields of that name there are."""
        return len(self._named.get(name.lower(), ()))
