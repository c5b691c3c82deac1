"""Tracking domains in the registry. A domain belongs to one tenant; one of a tenant's may be its default."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from engagement.registry.port import ConflictError, Document, Registry

KIND: Final = "tracking-domain"
_LONGEST: Final = 253  # characters (RFC 1035 2.3.4)
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# Only sub-domains, no bare ones (contract.md 8.6); a number at the end would make it an address.
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})+\.(?=[a-z0-9-]*[a-z]){_LABEL}", re.ASCII)


class DomainTakenError(Exception):
    """The domain is there already, of this tenant or of another."""


@dataclass(frozen=True, slots=True)
class TrackingDomain:
    """A tracking domain. status: of its DNS record: unverified, pending, invalid or valid."""

    domain: str
    tenant: str
    secure: bool = False
    default: bool = False
    verified: bool = False
    status: str = "unverified"
    checked_ms: int = 0

    @property
    def port(self) -> int:
        """Return the port that readers connect to."""
        return 443 if self.secure else 80


def domain_name(text: str) -> str:
    """Return a domain in lower case. Raises ValueError for what cannot be a tracking domain."""
    name = text.strip().lower().removesuffix(".")
    if len(name) > _LONGEST or not _NAME.fullmatch(name):
        raise ValueError("domain must be valid")
    return name


class TrackingDomains:
    """The tracking domains of a tenant. now: returns Unix seconds. Every method raises RegistryError."""

    def __init__(self, registry: Registry, tenant: str, now: Callable[[], float] = time.time) -> None:
        self._registry = registry
        self._tenant = tenant
        self._now = now

    def add(self, name: str, *, secure: bool) -> TrackingDomain:
        """Store a new domain, not verified. Raises DomainTakenError."""
        made = TrackingDomain(name, self._tenant, secure)
        try:
            self._registry.put(KIND, name, _data(made), expected=0)
        except ConflictError as error:
            raise DomainTakenError(name) from error
        return made

    def get(self, name: str) -> TrackingDomain | None:
        """Return a domain, None where this tenant has none of that name."""
        found = self._registry.get(KIND, name)
        domain = _domain(found) if found else None
        return domain if domain and domain.tenant == self._tenant else None

    def all(self) -> Iterator[TrackingDomain]:
        """Yield the tenant's domains by name."""
        after = ""
        while page := self._registry.find(KIND, after=after):
            yield from (domain for domain in map(_domain, page) if domain.tenant == self._tenant)
            after = page[-1].key

    def change(self, domain: TrackingDomain, **changes: Any) -> TrackingDomain:
        """Store a domain with changes; a new default takes the place of the one before."""
        changed = replace(domain, **changes)
        if changed.default:
            for other in self.all():
                if other.default and other.domain != domain.domain:
                    self._registry.put(KIND, other.domain, _data(replace(other, default=False)))
        self._registry.put(KIND, domain.domain, _data(changed))
        return changed

    def checked(self, domain: TrackingDomain, status: str, *, verified: bool) -> TrackingDomain:
        """Store what a check found. A domain that is not verified is nobody's default."""
        return self.change(
            domain,
            status=status,
            verified=verified,
            default=domain.default and verified,
            checked_ms=int(self._now() * 1000),
        )

    def remove(self, name: str) -> bool:
        """Remove a domain; return whether this tenant had it."""
        return self.get(name) is not None and self._registry.delete(KIND, name)


def _data(domain: TrackingDomain) -> dict[str, Any]:
    return {name: value for name, value in asdict(domain).items() if name != "domain"}


def _domain(document: Document) -> TrackingDomain:
    known = set(TrackingDomain.__slots__) - {"domain"}
    return TrackingDomain(document.key, **{name: document.data[name] for name in known & set(document.data)})
