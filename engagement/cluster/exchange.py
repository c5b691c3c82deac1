"""One host's part in the exchange: its changes go into the registry, those of others into its files.

Invariants: while the registry cannot be used, files stay as they are and this host's changes are remembered
with their time; a sort that cannot be shared does not hold up the others; what was written to a file is
remembered only afterwards, so that a process killed between does it again. What was deleted is forgotten as
`pruning` says.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engagement.cluster import entries as shared_entries
from engagement.cluster import hosts
from engagement.cluster import state as states
from engagement.cluster.documents import Documents
from engagement.cluster.entries import (
    Clock,
    Copy,
    Entries,
    Entry,
    fingerprint,
    lacking,
    merged,
    part_of,
    values,
)
from engagement.cluster.pruning import PRUNE_EVERY, acknowledged, over, pruned, to_send
from engagement.cluster.sealing import ClusterKeys
from engagement.cluster.shared.port import Shared, SharedError, Values
from engagement.registry.port import Registry, RegistryError

_log = logging.getLogger("engagement.cluster")

_TRIES: Final = 5  # of writing a part that others write at the same time


@dataclass
class _Sort:
    """One sort, and what is known of it. local: its file. copy: None before the host has joined."""

    shared: Shared
    copy: Copy | None = None
    local: Values | None = None
    seen: object = None  # the file's stamp; None: not read yet
    clean: bool = False  # nothing is left to do until the file or others' entries change
    known: states.Remembered | None = None  # of an earlier process
    trouble: str = ""
    printed: tuple[Values | None, str] = (None, fingerprint({}))  # a file's values, and their fingerprint

    def fingerprint(self) -> str:
        """Return a fingerprint of the file, made anew only once it was read anew."""
        if self.local is not self.printed[0]:
            self.printed = self.local, fingerprint(self.local or {})
        return self.printed[1]


class Exchange:
    """The exchange of one host.

    registry: opens it, at the first step and after a failure. folder: for what is remembered. Raises
    StateError, OSError for a folder or file that cannot be used.
    """

    def __init__(
        self,
        host: str,
        keys: ClusterKeys,
        registry: Callable[[], Registry],
        sorts: Sequence[Shared],
        folder: Path,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._open = registry
        self._registry: Registry | None = None
        self._documents: Documents | None = None
        self._folder = folder
        self._now = now
        self._clock = Clock(host)
        self._pruned_at = float("-inf")
        self.host = host
        self.away = ""  # why the registry cannot be used, "" while it can
        state = states.load(folder)
        saved = state.sorts if state is not None and state.host == host else {}
        self._saved: dict[str, states.Remembered] = dict(saved)
        self._sorts = [_Sort(each, known=saved.get(each.name)) for each in sorts]

    def step(self) -> None:
        """Do one exchange. Raises OSError where the folder cannot be written."""
        changed = self._pull()
        for sort in self._sorts:
            stamp = sort.shared.stamp()
            if sort.clean and sort.shared.name not in changed and stamp is not None and stamp == sort.seen:
                continue
            sort.clean = False
            try:
                self._turn(sort, stamp)
                sort.clean = sort.seen is not None and not self.away
                self._remember(sort)
                self._trouble(sort, self._shut(sort))
            except SharedError as error:
                self._trouble(sort, str(error))
            except RegistryError as error:
                self._lost(error)
        try:
            self._prune()
        except RegistryError as error:
            self._lost(error)

    def values(self, name: str) -> Values:
        """Return what this host's file has of a sort, as it was read last."""
        return next((each.local or {} for each in self._sorts if each.shared.name == name), {})

    def troubles(self) -> dict[str, str]:
        """Return of each sort that cannot be shared why."""
        return {each.shared.name: each.trouble for each in self._sorts if each.trouble}

    def fingerprints(self) -> dict[str, str]:
        """Return a fingerprint of what this host has of each sort."""
        return {each.shared.name: each.fingerprint() for each in self._sorts}

    def registry(self) -> Registry | None:
        """Return the registry, None while it cannot be used."""
        return self._registry

    def lost(self, error: RegistryError) -> None:
        """Take note that the registry failed elsewhere."""
        self._lost(error)

    def close(self) -> None:
        """Close the registry."""
        if self._registry is not None:
            self._registry.close()

    def _pull(self) -> set[str]:
        """Read others' entries; return the sorts in which something changed."""
        try:
            if self._registry is None:
                self._registry = self._open()
                self._documents = Documents(self._registry, self._keys)
            assert self._documents is not None
            changed = self._documents.pull()
        except RegistryError as error:
            self._lost(error)
            return set()
        if self.away:
            _log.warning("the registry answers again")
            changed = {sort.shared.name for sort in self._sorts}
        self.away = ""
        return changed

    def _lost(self, error: RegistryError) -> None:
        if not self.away:
            _log.error("nothing is exchanged: %s This host goes on with what it has.", error)
        self.away = str(error)
        if self._registry is not None:
            self._registry.close()
        self._registry = self._documents = None

    def _turn(self, sort: _Sort, stamp: object) -> None:
        """Read the file, take others' entries, write this host's, write the file."""
        if stamp is None or stamp != sort.seen:
            sort.local = sort.shared.read(values(sort.copy.known) if sort.copy else {})
            sort.seen = stamp
        others = self._documents.of(sort.shared.name) if self._documents is not None else None
        if sort.copy is None:
            self._begin(sort, others)
        if sort.copy is None:
            return
        if others is not None:
            if why := sort.shared.clash(sort.local or {}, values(others)):
                raise SharedError(why)
            sort.copy = sort.copy.informed(others)
        if sort.local is not None:
            sort.copy = shared_entries.noticed(
                sort.copy, sort.local, self._clock, self._now_ms(), only_grows=sort.shared.only_grows
            )
        self._push(sort)
        self._write(sort)

    def _begin(self, sort: _Sort, others: dict[str, Entry] | None) -> None:
        """Make the copy: of what is remembered, or by joining, for which the others' entries are needed."""
        local = sort.local or {}
        if sort.known is not None:
            own = {name: each for name, each in sort.known.items() if name.startswith(sort.shared.own)}
            file = states.recalled(own, local)
            sort.copy = Copy(file, file)
        elif others is not None:
            if why := sort.shared.clash(local, values(others)):
                raise SharedError(why)
            sort.copy = shared_entries.joined(local, others, self.host)

    def _push(self, sort: _Sort) -> None:
        """Write the parts that lack something. Raises RegistryError, SharedError."""
        documents, copy, shared = self._documents, sort.copy, sort.shared
        if documents is None or copy is None or documents.shut(shared.name) or documents.is_foreign():
            return
        now_ms = self._now_ms()
        there: Entries = documents.of(shared.name)
        if not lacking(there, to_send(copy.known, there, now_ms)):
            return
        parts: dict[int, dict[str, Entry]] = {}
        for name, entry in copy.known.items():
            parts.setdefault(part_of(name, shared.parts), {})[name] = entry
        for number, known in parts.items():
            for _ in range(_TRIES):
                there = documents.part(shared.name, number).entries
                mine = to_send(known, there, now_ms)
                if not lacking(there, mine) or documents.shut(shared.name):
                    break
                if why := shared.clash(values(mine), values(there)):
                    raise SharedError(why)
                try:
                    if documents.push(shared.name, number, merged(there, mine)):
                        break
                except ValueError as error:
                    raise SharedError(
                        f"{shared.name}: too much to share with other hosts ({error}); copy it to each by "
                        "other means"
                    ) from error
        sort.copy = copy.informed(documents.of(shared.name))

    def _write(self, sort: _Sort) -> None:
        """Write the file, where others changed something. Raises SharedError."""
        copy = sort.copy
        assert copy is not None
        # What a later program added to the sort stays known, and out of the file.
        held = {name: entry for name, entry in copy.known.items() if sort.shared.holds(name)}
        after = values(held)
        if (sort.local is None and not after) or (sort.shared.own and self._documents is None):
            return
        if sort.local is None or sort.local != after:
            if not sort.shared.write(sort.local, after):
                sort.seen = None  # people changed it this very moment: the next step reads that first
                return
            sort.local, sort.seen = sort.shared.read(after), None
        # What the file has otherwise than it was to have is noticed by the next step as this host's change.
        sort.copy = Copy(held, copy.known)

    def _prune(self) -> None:
        """Forget what was deleted long ago, where all hosts know of it. Raises RegistryError, OSError."""
        documents, registry, now_ms = self._documents, self._registry, self._now_ms()
        if documents is None or registry is None or self._now() - self._pruned_at < PRUNE_EVERY:
            return
        self._pruned_at = self._now()
        gone = {
            sort.shared.name: over(sort.copy.known, now_ms) | over(documents.of(sort.shared.name), now_ms)
            for sort in self._sorts
            if sort.copy is not None and not sort.trouble and not documents.shut(sort.shared.name)
        }
        if not any(gone.values()) or documents.is_foreign():
            return
        reports, unreadable = hosts.heard(registry, self._keys)
        for sort in self._sorts:
            name = sort.shared.name
            if not gone.get(name) or unreadable:
                continue
            if acknowledged(reports, self.host, name, sort.fingerprint(), self._now()):
                self._forget(documents, sort, gone[name], now_ms)

    def _forget(self, documents: Documents, sort: _Sort, names: frozenset[str], now_ms: int) -> None:
        """Take deleted entries out of the documents and of this host's copy. Raises RegistryError."""
        for number in {part_of(name, sort.shared.parts) for name in names}:
            for _ in range(_TRIES):
                there = documents.part(sort.shared.name, number).entries
                left = pruned(there, names, now_ms)
                if left is there or documents.push(sort.shared.name, number, left):
                    break
        if sort.copy is not None:
            sort.copy = Copy(pruned(sort.copy.file, names, now_ms), pruned(sort.copy.known, names, now_ms))
        self._remember(sort)

    def _remember(self, sort: _Sort) -> None:
        if sort.copy is None:
            return
        now = states.remembered(sort.copy.file)
        if now != self._saved.get(sort.shared.name):
            self._saved[sort.shared.name] = now
            states.save(self._folder, states.State(self.host, self._saved))

    def _shut(self, sort: _Sort) -> str:
        return self._documents.shut(sort.shared.name) if self._documents is not None else ""

    def _trouble(self, sort: _Sort, text: str) -> None:
        if text and text != sort.trouble:
            _log.error("%s: %s", sort.shared.name, text)
        elif sort.trouble and not text:
            _log.warning("%s: exchanged again", sort.shared.name)
        sort.trouble = text

    def _now_ms(self) -> int:
        return int(self._now() * 1000)
