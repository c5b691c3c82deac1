"""A message as the filter sees it: header fields with their raw values, and the body's bytes."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Field(NamedTuple):
    """One header field.

    value: all bytes after the colon, folds included, without the last line end.
    """

    name: str
    value: bytes


class HashedBody(NamedTuple):
    """Size and digest of a body that is not held in memory. size: in bytes. digest: its SHA-256."""

    size: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Message:
    r"""A message's header and body.

    eol: the end of inserted lines: b"\r\n" for mail from an MTA, else what the file has.
    clear: all programs split the header into these fields. An MTA is trusted to do so; for a file it is
    checked (`smtpapi.mime.clear`).
    hashed: stands for a body that no later step reads (`smtpapi.pipeline.pass_through`); `body` is b"" then.
    header_size: bytes of the fields with their line ends.
    """

    fields: tuple[Field, ...]
    body: bytes
    eol: bytes = b"\r\n"
    clear: bool = True
    hashed: HashedBody | None = None
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

    def with_body(self, body: bytes) -> "Message":
        """Return the message with another body."""
        return Message(self.fields, body, self.eol, self.clear)

    @property
    def body_size(self) -> int:
        """The number of the body's bytes, whether it is held in memory or not."""
        return len(self.body) if self.hashed is None else self.hashed.size

    def body_digest(self) -> bytes:
        """Return the SHA-256 of the body, whether it is held in memory or not.

        Most processors compute it in hardware, in half the time of BLAKE2.
        """
        return hashlib.sha256(self.body).digest() if self.hashed is None else self.hashed.digest

    def values(self, name: str) -> Iterator[bytes]:
        """Return the values of all fields of that name, in order. The case of letters does not matter."""
        return iter(self._named.get(name.lower(), ()))

    def all(self, lower: str) -> Sequence[bytes]:
        """Return the values of all fields of that name, in order. lower: the name in lower case."""
        return self._named.get(lower, ())

    def lacks(self, names: Iterable[str]) -> bool:
        """Return whether no field has any of these names. names: in lower case."""
        return self._named.keys().isdisjoint(names)

    def has_ascii_names(self) -> bool:
        """Return whether all field names are ASCII. At another name some programs end the header."""
        return all(map(str.isascii, self._named))

    def first(self, name: str) -> bytes | None:
        """Return the value of the first field of that name, or None. The case of letters does not matter."""
        found = self._named.get(name.lower())
        return found[0] if found else None

    def count(self, name: str) -> int:
        """Return how many fields have that name. The case of letters does not matter."""
        return len(self._named.get(name.lower(), ()))
