"""What hosts share, as named entries of which the last writer's counts: comparing and merging them.

Pure values. Each host has a copy of all entries, each with the time of its last change and the host that made
it; a deleted one stays as an entry without a value. Invariants: merging is commutative, associative and
idempotent, so hosts that have seen the same changes, in whatever order and however often, have the same
entries; a change made later on a host than another it has seen is never older than that.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple


class Stamp(NamedTuple):
    """When an entry was changed, Unix milliseconds and later than all seen before, and by whom."""

    at_ms: int
    host: str


class Entry(NamedTuple):
    """An entry. value: None where it was deleted."""

    stamp: Stamp
    value: str | None


Entries = Mapping[str, Entry]


class Clock:
    """Gives stamps. Not safe to share between threads."""

    def __init__(self, host: str, seen_ms: int = 0) -> None:
        self.host = host
        self._last = seen_ms

    def saw(self, entries: Iterable[Entry]) -> None:
        """Return only later stamps from now on than those of these entries."""
        self._last = max([self._last, *(entry.stamp.at_ms for entry in entries)])

    def next(self, now_ms: int) -> Stamp:
        """Return a stamp for a change that is made now."""
        self._last = max(now_ms, self._last + 1)
        return Stamp(self._last, self.host)


def newer(one: Entry, other: Entry) -> Entry:
    """Return the entry that counts. A tie, which no two honest hosts make, is decided by the values."""
    return max(one, other, key=lambda entry: (entry.stamp, entry.value is None, entry.value or ""))


def merged(one: Entries, other: Entries) -> dict[str, Entry]:
    """Return what somebody has who saw both."""
    found = dict(one)
    for name, entry in other.items():
        found[name] = newer(found[name], entry) if name in found else entry
    return found


def values(entries: Entries) -> dict[str, str]:
    """Return the values of the entries that are there."""
    return {name: entry.value for name, entry in entries.items() if entry.value is not None}


def lacking(there: Entries, known: Entries) -> bool:
    """Return whether merging `known` into `there` would change it."""
    return any(name not in there or newer(there[name], entry) != there[name] for name, entry in known.items())


@dataclass(frozen=True, slots=True)
class Copy:
    """One host's copy. file: the entries as its file had them last. known: those, and what came since."""

    file: Entries
    known: Entries

    def informed(self, others: Entries) -> "Copy":
        """Return the copy after entries of others came."""
        return Copy(self.file, merged(self.known, others))


def noticed(
    copy: Copy, local: Mapping[str, str], clock: Clock, now_ms: int, *, only_grows: bool = False
) -> Copy:
    """Return the copy after its host's people changed the file. local: what is in the file.

    What the file has otherwise than before is a change of now, except where it says what is known already.
    only_grows: what the file lacks was lost, and is no change.
    """
    clock.saw(copy.known.values())
    file, known = dict(copy.file), dict(copy.known)
    before = values(copy.file)
    for name in {*before, *local}:
        value = local.get(name)
        if value == before.get(name) or (value is None and only_grows):
            continue
        if name not in known or known[name].value != value:
            known[name] = Entry(clock.next(now_ms), value)
        file[name] = known[name]
    return Copy(file, known)


def joined(local: Mapping[str, str], others: Entries, host: str) -> Copy:
    """Return the copy of a host that has none yet: in all that the others know, they count."""
    own = {name: Entry(Stamp(0, host), value) for name, value in local.items()}
    known = merged(own, others)
    return Copy({name: Entry(known[name].stamp, value) for name, value in local.items()}, known)


def part_of(name: str, parts: int) -> int:
    """Return which of a sort's documents has an entry."""
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=4).digest()) % parts


def fingerprint(found: Mapping[str, str]) -> str:
    """Return 12 digits that are the same where two hosts have the same values."""
    digest = blake2b(digest_size=6)
    for name, value in sorted(found.items()):
        for text in (name, value):
            raw = text.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(4) + raw)
    return digest.hexdigest()
