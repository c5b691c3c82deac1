"""The spool: room for it, what waits in it and how long, and what was lost."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from engagement.events.record import BadRecord, decode
from engagement.settings import Settings
from engagement.shipper import status as shipper_status
from engagement.shipper.lock import is_held
from engagement.spool.names import directory_size, room, unknown_keys
from engagement.spool.read import CORRUPT, SpoolReader
from smtpapi.doctor.finding import Finding, Level

CHECK: Final = "spool"
_LATE: Final = 300.0  # seconds; a shipper carries an event within two, and rests ten after a failure
_FULL: Final = 0.8  # share of the limit: a warning that leaves time to act; a guess
_LEAST_FREE: Final = 0.05  # share of the file system that should stay free; mke2fs reserves as much for root


@dataclass(frozen=True, slots=True)
class SpoolFacts:
    """Sizes in bytes, oldest in seconds.

    free: share of the file system. error: of the shipper, "" for none.
    """

    directory: Path
    size: int = 0
    limit: int = 1
    free: float = 1.0
    waiting: int = 0
    oldest: float = 0.0
    shipping: bool = False
    error: str = ""
    set_aside: int = 0
    unknown: Mapping[str, int] = field(default_factory=dict)
    trouble: str = ""


def read(settings: Settings, now: float) -> SpoolFacts:
    """Return what is so of the spool."""
    directory = Path(settings.spool.directory)
    try:
        limit = min(settings.spool.max_size, room(directory, settings.spool.max_share))
        waiting = SpoolReader(directory).backlog()
        disk = os.statvfs(directory)
        last = shipper_status.load(directory)
        corrupt = directory / CORRUPT
        return SpoolFacts(
            directory,
            directory_size(directory),
            limit,
            disk.f_bavail / disk.f_blocks if disk.f_blocks else 1.0,
            waiting.records,
            max([now - at for each in waiting.firsts if (at := _at(each)) is not None], default=0.0),
            is_held(directory),
            last.last_error if last and last.failing else "",
            len(list(corrupt.iterdir())) if corrupt.is_dir() else 0,
            unknown_keys(directory),
        )
    except OSError as error:
        return SpoolFacts(directory, trouble=error.strerror or str(error))


def _at(record: bytes) -> float | None:
    try:
        return decode(record).at_ms / 1000
    except BadRecord:
        return None


def check(facts: SpoolFacts) -> Iterator[Finding]:
    """Yield what is wrong with the spool."""
    if facts.trouble:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"the spool {facts.directory} cannot be read: {facts.trouble}",
            "Clicks and opens are lost while links go on working.",
            f"install -d -o smtpapi -g smtpapi -m 0750 {facts.directory} (and run the doctor as root)",
        )
        return
    bad = [*_check_room(facts), *_check_carried(facts)]
    yield from bad
    if not bad:
        yield Finding(
            CHECK,
            Level.OK,
            f"the spool {facts.directory}: {facts.waiting} record(s) wait, {facts.free:.0%} free",
        )


def _check_room(facts: SpoolFacts) -> Iterator[Finding]:
    if facts.size > facts.limit * _FULL:
        yield Finding(
            CHECK,
            Level.ERROR if facts.size >= facts.limit else Level.WARNING,
            f"the spool {facts.directory} is {facts.size / facts.limit:.0%} full",
            "Over the limit events are dropped and counted.",
            "systemctl status smtpapi-shipper; then max_size or max_share in spool { }",
        )
    if facts.free < _LEAST_FREE:
        yield Finding(
            CHECK,
            Level.WARNING,
            f"the disk of {facts.directory} has {facts.free:.1%} free",
            "Without room no event is written.",
            f"df -h {facts.directory}",
        )


def _check_carried(facts: SpoolFacts) -> Iterator[Finding]:
    if facts.oldest > _LATE:
        yield Finding(
            CHECK,
            Level.ERROR if not facts.shipping else Level.WARNING,
            f"{facts.waiting} event(s) wait, the oldest for {facts.oldest:.0f} s"
            + ("" if facts.shipping else ", and no shipper runs"),
            "Figures and pages stand still; the spool fills.",
            "systemctl start smtpapi-shipper; smtpapi ship --status",
        )
    if facts.error:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"the shipper cannot carry events: {facts.error}",
            "They wait in the spool until it can.",
            "smtpapi store check",
        )
    if facts.set_aside:
        yield Finding(
            CHECK,
            Level.WARNING,
            f"{facts.set_aside} file(s) lie in {facts.directory / CORRUPT}",
            "Records in them were damaged (a disk, a power cut) and are in no figure.",
            "Look at the disk (smartctl, dmesg), then move them away",
        )
    if facts.unknown:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"links of keys that the ring here lacks were answered with 404: {sum(facts.unknown.values())}",
            "Another host made them with a key of its own: their readers land nowhere.",
            "Copy the key ring of the host that signs (docs/links.md, several hosts)",
        )
