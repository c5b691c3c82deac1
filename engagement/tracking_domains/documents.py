"""Tracking domains in the registry. A domain belongs to one tenant; one of a tenant's may be its default."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any, Final

from engagement.registry.port import ConflictError, Document, Registry
from engagement.tracking_domains.model import TrackingDomain

KIND: Final = "tracking-domain"


class DomainTakenError(Exception):
    """The domain is there already, of this tenant or of another."""


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
        domain = domain_of(found) if found else None
        return domain if domain and domain.tenant == self._tenant else None

    def all(self) -> Iterator[TrackingDomain]:
        """Yield the tenant's domains by name."""
        yield from (domain for domain in every(self._registry) if domain.tenant == self._tenant)

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


def every(registry: Registry) -> Iterator[TrackingDomain]:
    """Yield the domains of all tenants by name. Raises RegistryError."""
    yield from map(domain_of, documents(registry))


def documents(registry: Registry) -> Iterator[Document]:
    """Yield the documents of all domains by name. Raises RegistryError."""
    after = ""
    while page := registry.find(KIND, after=after):
        yield from page
        after = page[-1].key


def _data(domain: TrackingDomain) -> dict[str, Any]:
    return {name: value for name, value in asdict(domain).items() if name != "domain"}


def domain_of(document: Document) -> TrackingDomain:
    """Return the domain that a document holds."""
    known = set(TrackingDomain.__slots__) - {"domain"}
    return TrackingDomain(document.key, **{name: document.data[name] for name in known & set(document.data)})
