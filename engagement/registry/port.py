"""The port of the registry: documents by kind and key, changed one at a time, with their changes in order.

What a document means is the matter of the room that keeps it (`suppression`, `webhooks`, …), which also knows
its schema. Invariants: a document that was put is durable when `put` returns; two programs that change one
document at once, both with the version they saw, do not both succeed; a reader that follows `changes` sees
each document's last state, whatever it missed between.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, Protocol

MOST: Final = 1000  # documents of one answer, which is held in memory
LONGEST_KEY: Final = 1024  # characters: an address has at most 254 (RFC 5321 4.5.3.1.3), before it a tenant
LARGEST: Final = 1_048_576  # bytes of a document as JSON: it is read and written as a whole

Data = Mapping[str, Any]


class RegistryError(Exception):
    """The registry cannot be used. The text says where, why, and what to do."""


class ConflictError(RegistryError):
    """Another program changed the document since it was read. Read it again and decide anew."""


class Document(NamedTuple):
    """One document.

    data: a JSON object. version: 1 for a new one, one more with each change. changed_ms: Unix milliseconds of
    the last change.
    """

    kind: str
    key: str
    data: Data
    version: int
    changed_ms: int


class Change(NamedTuple):
    """What became of a document. document: None where it was deleted."""

    key: str
    document: Document | None


class Changes(NamedTuple):
    """Changes in their order, and the mark to go on from. more: there are others after these."""

    changes: tuple[Change, ...]
    mark: str
    more: bool


class Registry(Protocol):
    """Documents, safe to share between threads. Every method raises RegistryError where the engine fails."""

    def get(self, kind: str, key: str) -> Document | None:
        """Return a document, None where there is none."""

    def put(self, kind: str, key: str, data: Data, *, expected: int | None = None) -> Document:
        """Store a document in place of the one with its key; return it with its version.

        expected: the version that must be there, 0 for none; None: any. Raises ConflictError, and ValueError
        for a key or data that is too large or no JSON.
        """

    def put_many(self, kind: str, documents: Iterable[tuple[str, Data]]) -> int:
        """Store many documents, each as `put` without `expected`; return how many there were.

        Not all or nothing: after an error some may be there. Done again it gives the same documents.
        """

    def delete(self, kind: str, key: str, *, expected: int | None = None) -> bool:
        """Remove a document; return whether there was one. expected: as in `put`. Raises ConflictError."""

    def find(self, kind: str, prefix: str = "", after: str = "", limit: int = MOST) -> tuple[Document, ...]:
        """Return the documents whose keys begin with prefix, by key (as UTF-8); after: only greater keys."""

    def changes(self, kind: str, mark: str = "", limit: int = MOST) -> Changes:
        """Return what changed after the mark; "" is the beginning: every document, then what changes later.

        A document that changed several times comes once or more, always in its latest state. A change may
        come twice. What is no mark of this registry counts as "".
        """

    def scrub(self) -> None:
        """Remove from the disk what documents held before they were changed or deleted, as far as possible.

        In a cluster it goes with time, by compaction.
        """

    def close(self) -> None:
        """Close files and connections."""
