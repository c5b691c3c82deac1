"""The cluster's documents in the registry: the entries of all sorts, spread over parts, each part sealed.

A part is replaced only where it is still the one that was read (the registry's `expected`), so two hosts that
write at once lose nothing: the second reads again, merges and writes. Invariant: a part that cannot be opened
is never replaced.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from engagement.cluster.entries import Entries, Entry, Stamp
from engagement.cluster.sealing import ClusterKeys, SealError
from engagement.registry.port import ConflictError, Document, Registry

KIND: Final = "cluster"
# From one reading of everything to the next: it finds what was lost in the store without a trace.
WHOLE_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class Part:
    """One document. version: of the registry, 0 where there is none."""

    version: int = 0
    entries: Entries = field(default_factory=dict)


class Documents:
    """The documents of one cluster. clock: returns seconds that only grow.

    trouble: of each place whose document cannot be opened why.
    """

    def __init__(
        self, registry: Registry, keys: ClusterKeys, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._registry = registry
        self._keys = keys
        self._clock = clock
        self._mark = ""
        self._whole = float("-inf")
        self._parts: dict[tuple[str, int], Part] = {}
        self.trouble: dict[str, str] = {}

    def pull(self) -> set[str]:
        """Read what changed; return the sorts of which something did. Raises RegistryError."""
        changed: set[str] = set()
        began = self._clock()
        whole = began - self._whole >= WHOLE_SECONDS
        if whole:
            changed |= {sort for sort, _ in self._parts}
            self._mark, self._parts, self.trouble = "", {}, {}
        more = True
        while more:
            found = self._registry.changes(KIND, self._mark)
            for change in found.changes:
                if (where := self._place(change.key)) is None:
                    continue
                if self._take(where, change.document):
                    changed.add(where[0])
            self._mark, more = found.mark, found.more
        if whole:
            self._whole = began
        return changed

    def part(self, sort: str, number: int) -> Part:
        """Return a part as it was read last."""
        return self._parts.get((sort, number), Part())

    def of(self, sort: str) -> dict[str, Entry]:
        """Return all entries of a sort as they were read last."""
        return {
            name: entry
            for (each, _), part in self._parts.items()
            if each == sort
            for name, entry in part.entries.items()
        }

    def shut(self, sort: str) -> str:
        """Return why a part of a sort cannot be opened, "" where all can."""
        return next((why for place, why in self.trouble.items() if self._of_sort(place, sort)), "")

    def is_foreign(self) -> bool:
        """Return whether there are documents and none of them can be opened: the key here is another one."""
        return bool(self.trouble) and not self._parts

    def push(self, sort: str, number: int, entries: Entries) -> bool:
        """Replace a part; return False where another host did so meanwhile: then that is read instead.

        Raises RegistryError, and ValueError for more than a document can hold.
        """
        place = self._key(sort, number)
        data = self._keys.seal(place, {"entries": _content(entries)})
        before = self.part(sort, number)
        try:
            made = self._registry.put(KIND, place, data, expected=before.version)
        except ConflictError:
            self._parts.pop((sort, number), None)
            self._take((sort, number), self._registry.get(KIND, place))
            return False
        self._parts[sort, number] = Part(made.version, dict(entries))
        return True

    def _take(self, where: tuple[str, int], document: Document | None) -> bool:
        """Keep a document as it is now; return whether it is another one."""
        place = self._key(*where)
        self.trouble.pop(place, None)
        if document is None:
            return self._parts.pop(where, None) is not None
        if where in self._parts and self._parts[where].version == document.version:
            return False
        try:
            entries = _entries(self._keys.open(place, document.data))
        except SealError as error:
            self.trouble[place] = str(error)
            return True
        self._parts[where] = Part(document.version, entries)
        return True

    def _key(self, sort: str, number: int) -> str:
        return f"{self._keys.name}/{sort}/{number:02x}"

    def _of_sort(self, place: str, sort: str) -> bool:
        return place.startswith(f"{self._keys.name}/{sort}/")

    def _place(self, key: str) -> tuple[str, int] | None:
        parts = key.removeprefix(f"{self._keys.name}/").split("/")
        if not key.startswith(f"{self._keys.name}/") or len(parts) != 2:
            return None
        try:
            return parts[0], int(parts[1], 16)
        except ValueError:
            return None


def _content(entries: Entries) -> dict[str, Any]:
    return {name: [entry.stamp.at_ms, entry.stamp.host, entry.value] for name, entry in entries.items()}


def _entries(content: Any) -> dict[str, Entry]:
    """Return the entries of a document. Raises SealError for what no program of a cluster writes."""
    try:
        return {
            str(name): Entry(Stamp(int(at_ms), str(host)), None if value is None else str(value))
            for name, (at_ms, host, value) in content["entries"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SealError(f"a document of a cluster that has no entries: {error}") from error
