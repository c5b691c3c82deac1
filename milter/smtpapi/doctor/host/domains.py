"""Tracking domains that people enter: whether links get them, and the copy of them for filter and tracker.

Their names, certificates and proxies are looked at as those of the configuration are (`Site.link_hosts`).
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from engagement.registry.port import Document
from engagement.settings import Settings
from engagement.shipper.lock import is_held
from engagement.tracking_domains.documents import documents, domain_of
from engagement.tracking_domains.model import CopyError, EnteredDomains, TrackingDomain, decoded, encoded
from smtpapi.doctor.finding import Finding, Level
from smtpapi.doctor.host.registry import TROUBLES, User, opened, shut_to, there

CHECK: Final = "domains"
_LATE: Final = 60.0  # seconds; the shipper takes 5
_WITHOUT: Final = "New links get the configuration's tracking_domain."
_WRITE_ANEW: Final = "systemctl restart smtpapi-shipper; its log says why: journalctl -u smtpapi-shipper"


@dataclass(frozen=True, slots=True)
class DomainFacts:
    """What is entered, and the copy.

    entered: of all tenants. missing, damage: "" where the copy is well. shut: who may not read it. late: in
    what the copy is not as the registry says though there was time, "" for nothing. trouble: why the registry
    cannot be read.
    """

    path: Path
    enabled: bool
    entered: tuple[TrackingDomain, ...] = ()
    missing: bool = False
    damage: str = ""
    shut: tuple[str, ...] = ()
    late: str = ""
    shipping: bool = False
    trouble: str = ""


def read(settings: Settings, readers: Sequence[User], now: float) -> DomainFacts:
    """Return what is so. readers: the users of filter and tracker. now: Unix seconds. Raises OSError."""
    path = Path(settings.entered_domains.snapshot)
    facts = DomainFacts(
        path, settings.entered_domains.enabled, shipping=is_held(Path(settings.spool.directory))
    )
    found: list[Document] = []
    try:
        registry = opened(settings)
        if registry is not None:
            with closing(registry):
                found = list(documents(registry))
    except TROUBLES as error:
        facts = replace(facts, trouble=str(error))
    facts = replace(facts, entered=tuple(map(domain_of, found)))
    if not facts.enabled:
        return facts
    if not there(path):
        return replace(facts, missing=True)
    facts = replace(facts, shut=tuple(filter(None, (shut_to(each, path) for each in readers))))
    try:
        copy = decoded(path.read_bytes())
    except CopyError as error:
        return replace(facts, damage=str(error))
    since = max((each.changed_ms for each in found), default=0) / 1000
    return replace(facts, late="" if facts.trouble else late(facts, copy, now - since))


def late(facts: DomainFacts, copy: EnteredDomains, seconds: float) -> str:
    """Return in what a copy is older than the registry. seconds: since the last change there."""
    expected = decoded(encoded(facts.entered))
    lacks, surplus = sorted(expected.names - copy.names), sorted(copy.names - expected.names)
    settled = not facts.shipping or seconds > _LATE
    if lacks and settled:
        return f"it lacks {', '.join(lacks)}"
    if surplus and not facts.shipping:  # what was removed just now is there for seconds yet
        return f"it has {', '.join(surplus)} still"
    return "it has other defaults" if expected.defaults != copy.defaults and settled and not surplus else ""


def check(facts: DomainFacts) -> Iterator[Finding]:
    """Yield what is wrong with what is entered and with the copy."""
    verified = [each.domain for each in facts.entered if each.verified]
    if facts.trouble:
        yield Finding(
            CHECK,
            Level.SKIPPED,
            f"which are entered: {facts.trouble}",
            change="smtpapi doctor --only registry",
        )
    if not facts.enabled:
        yield from _check_unused(facts, verified)
        return
    bad = [*_check_copy(facts, verified), *_check_entered(facts, verified)]
    yield from bad
    if not any(each.level in (Level.ERROR, Level.WARNING) for each in bad) and not facts.trouble:
        yield Finding(CHECK, Level.OK, f"the copy {facts.path} has {len(verified)} domains, as the registry")


def _check_unused(facts: DomainFacts, verified: Sequence[str]) -> Iterator[Finding]:
    if verified:
        yield Finding(
            CHECK,
            Level.NOTE,
            f"{', '.join(verified)}: entered and verified, and links do not get them",
            _WITHOUT,
            "entered_domains { enabled = true }",
        )
    elif not facts.trouble:
        yield Finding(CHECK, Level.OK, "entered_domains is off, and no tracking domain is verified")


def _check_copy(facts: DomainFacts, verified: Sequence[str]) -> Iterator[Finding]:
    runs = "" if facts.shipping else "; no shipper runs"
    if facts.missing:
        level = Level.ERROR if verified else Level.WARNING
        yield Finding(CHECK, level, f"there is no copy at {facts.path}{runs}", _WITHOUT, _WRITE_ANEW)
    elif facts.damage:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"the copy {facts.path} cannot be read: {facts.damage}",
            f"{_WITHOUT} Programs that have read it before go on with what they read.",
            f"rm {facts.path}; systemctl restart smtpapi-shipper writes it anew",
        )
    elif facts.late:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"the copy {facts.path} is older than the registry: {facts.late}{runs}",
            "New links get what was entered before, and the tracker does not answer under a new domain.",
            _WRITE_ANEW,
        )
    for each in facts.shut:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"the copy is shut to a program: {each}",
            f"{_WITHOUT} A tracker that cannot read it answers 404 under them.",
            f"chmod 640 {facts.path}, with a group that filter and tracker are in",
        )


def _check_entered(facts: DomainFacts, verified: Sequence[str]) -> Iterator[Finding]:
    for domain in facts.entered:
        if not domain.verified:
            yield Finding(
                CHECK,
                Level.NOTE,
                f"{domain.domain} is entered and not verified ({domain.status})",
                "No link gets it.",
                f"POST /api/v1/tracking-domains/{domain.domain}/verify, or Verify on the page of domains",
            )
    if verified and not any(each.default for each in facts.entered):
        yield Finding(
            CHECK,
            Level.NOTE,
            f"{', '.join(verified)}: verified, and none is a default",
            _WITHOUT,
            f'PUT /api/v1/tracking-domains/{verified[0]} with {{"default": true}}',
        )
