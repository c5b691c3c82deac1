"""The filter's copy of the suppression list: there, whole, readable for it, and as new as the registry.

Its entries say how new it is, since a change of a description leaves the file as it is.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engagement.registry.port import Registry
from engagement.settings import Settings
from engagement.shipper.lock import is_held
from engagement.suppression.model import KIND, BadEntryError, entry_of
from engagement.suppression.snapshot import SnapshotError, Table, hash_of
from engagement.suppression.snapshot_file import load
from smtpapi.doctor.finding import Finding, Level
from smtpapi.doctor.host.registry import TROUBLES, User, opened, shut_to, there

CHECK: Final = "suppression"
_LATE: Final = 120.0  # seconds; the shipper takes 5, and some 15 at its start with a million entries
_FAILS_OPEN: Final = "Mail goes on, and goes to people who are on the list (docs/suppression.md)."


@dataclass(frozen=True, slots=True)
class CopyFacts:
    """The copy. required: a scope asks it.

    listed: whether the registry has an entry. entries: in the copy. missing, damage: "" where it is well.
    shut: who may not read it. late: entries that it lacks, the oldest for `late_for` seconds. surplus:
    entries that it has and the registry does not. shipping: a shipper runs. trouble: why the registry cannot
    be read.
    """

    path: Path
    required: bool
    listed: bool = False
    entries: int = 0
    missing: bool = False
    damage: str = ""
    shut: str = ""
    late: int = 0
    late_for: float = 0.0
    surplus: int = 0
    shipping: bool = False
    trouble: str = ""


def read(settings: Settings, filter_user: User | None, now: float) -> CopyFacts:
    """Return what is so of the copy. filter_user: who reads it. now: Unix seconds. Raises OSError."""
    path = Path(settings.suppression.snapshot)
    required = settings.copies_suppression_list()
    table, damage, shut = None, "", ""
    if required and there(path):
        shut = "" if filter_user is None else shut_to(filter_user, path)
        try:
            table = load(path)
        except (SnapshotError, ValueError) as error:
            damage = str(error)
    listed, late, late_for, surplus, trouble = False, 0, 0.0, 0, ""
    try:
        registry = opened(settings)
        if registry is not None:
            with closing(registry):
                listed = bool(registry.find(KIND, limit=1))
                if table is not None:
                    late, late_for, surplus = _compared(registry, table, now)
    except TROUBLES as error:
        trouble = str(error)
    return CopyFacts(
        path,
        required,
        listed,
        0 if table is None else len(table),
        required and table is None and not damage,
        damage,
        shut,
        late,
        late_for,
        surplus,
        is_held(Path(settings.spool.directory)),
        trouble,
    )


def _compared(registry: Registry, table: Table, now: float) -> tuple[int, float, int]:
    """Return how many entries the copy lacks, for how long the oldest, and how many it has too many."""
    late, since, surplus, mark, more = 0, now, 0, "", True
    while more:
        found = registry.changes(KIND, mark)
        mark, more = found.mark, found.more
        for change in found.changes:
            has = hash_of(change.key) in table
            if change.document is None:
                surplus += has
                continue
            try:
                entry_of(change.document.data)
            except BadEntryError:
                continue  # has no effect, and the shipper says so
            changed = change.document.changed_ms / 1000
            if not has and now - changed > _LATE:
                late, since = late + 1, min(since, changed)
    return late, now - since, surplus


def check(facts: CopyFacts) -> Iterator[Finding]:
    """Yield what is wrong with the copy."""
    if not facts.required:
        if facts.listed:
            yield Finding(
                CHECK,
                Level.NOTE,
                "the suppression list has entries, and no scope asks it",
                "Who is on it gets mail as before.",
                "suppression_action = refuse",
            )
        else:
            yield Finding(CHECK, Level.OK, "suppression_action is off everywhere, and the list is empty")
        return
    bad = [*_check_copy(facts), *_check_age(facts)]
    yield from bad
    if not bad:
        yield Finding(CHECK, Level.OK, f"the copy {facts.path} has {facts.entries} entries, as the registry")


def _check_copy(facts: CopyFacts) -> Iterator[Finding]:
    if facts.missing:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"a suppression_action is on, and there is no copy of the list at {facts.path}"
            + ("" if facts.shipping else "; no shipper runs"),
            _FAILS_OPEN,
            "systemctl restart smtpapi-shipper",
        )
    elif facts.damage:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"the copy {facts.path} cannot be read: {facts.damage}",
            "A filter that has not read it before suppresses nobody; others go on with what they read last.",
            "Install one version of the program for filter and shipper; systemctl restart smtpapi-shipper "
            "writes it anew",
        )
    if facts.shut:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"the filter cannot read its copy of the list: {facts.shut}",
            _FAILS_OPEN,
            'suppression { snapshot = "/var/lib/smtpapi/suppression/suppressed.snapshot" }, in a folder of '
            "mode 2750 and the filter's group",
        )


def _check_age(facts: CopyFacts) -> Iterator[Finding]:
    if facts.trouble:
        yield Finding(
            CHECK,
            Level.SKIPPED,
            f"how new the copy is: {facts.trouble}",
            change="smtpapi doctor --only registry",
        )
    # One that was removed just now is in the copy for a few seconds yet, where a shipper follows.
    surplus = 0 if facts.shipping else facts.surplus
    if facts.late or surplus:
        lacks = f"lacks {facts.late} of its entries, the oldest for {facts.late_for / 60:.0f} min"
        has = f"has {surplus} that were removed"
        difference = " and ".join([*([lacks] if facts.late else []), *([has] if surplus else [])])
        yield Finding(
            CHECK,
            Level.ERROR if facts.late else Level.WARNING,
            f"the copy {facts.path} is older than the registry: it {difference}"
            + ("" if facts.shipping else "; no shipper runs"),
            "People who have unsubscribed get mail."
            if facts.late
            else "People who may have mail again get none.",
            "systemctl restart smtpapi-shipper; its log says why: journalctl -u smtpapi-shipper",
        )
