"""Tracking domains as values, and which of them new links get. Pure.

Invariant: no link gets a domain that is not verified.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

VERSION: Final = 1  # of the copy for filter and tracker
_LONGEST: Final = 253  # characters (RFC 1035 2.3.4)
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# Only sub-domains, no bare ones (contract.md 8.6); a number at the end would make it an address.
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})+\.(?=[a-z0-9-]*[a-z]){_LABEL}", re.ASCII)


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


class CopyError(ValueError):
    """The copy cannot be used. The text says why."""


@dataclass(frozen=True, slots=True)
class EnteredDomains:
    """The verified domains. names: all of them. defaults: by tenant, of which "" is mail without customer."""

    names: frozenset[str] = frozenset()
    defaults: Mapping[str, TrackingDomain] = field(default_factory=dict, hash=False)

    def of(self, customer_id: str) -> TrackingDomain | None:
        """Return the domain for new links of a customer: their default, else that without a tenant."""
        return self.defaults.get(customer_id) or self.defaults.get("")


NONE: Final = EnteredDomains()


def encoded(domains: Iterable[TrackingDomain]) -> bytes:
    """Return the copy of what is verified, the same octets for the same domains."""
    verified = [
        {"domain": each.domain, "tenant": each.tenant, "secure": each.secure, "default": each.default}
        for each in sorted(domains, key=lambda each: each.domain)
        if each.verified
    ]
    return json.dumps({"version": VERSION, "domains": verified}, indent=1).encode() + b"\n"


def decoded(copy: bytes) -> EnteredDomains:
    """Return what a copy says. Raises CopyError."""
    domains = _domains(copy)
    return EnteredDomains(
        frozenset(each.domain for each in domains), {each.tenant: each for each in domains if each.default}
    )


def listed(copy: bytes) -> dict[str, bool]:
    """Return the names in a copy, and whether links to each are https. Raises CopyError."""
    return {each.domain: each.secure for each in _domains(copy)}


def _domains(copy: bytes) -> list[TrackingDomain]:
    try:
        content = json.loads(copy)
        if (version := content["version"]) != VERSION:
            raise CopyError(
                f"its version is {version!r:.20}, this program knows {VERSION}. Use the newer program."
            )
        return [_read(each) for each in content["domains"]]
    except CopyError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CopyError("it holds no list of tracking domains.") from error


def _read(entry: Mapping[str, Any]) -> TrackingDomain:
    """Return a domain of a copy. Raises KeyError, ValueError."""
    name = domain_name(str(entry["domain"]))
    return TrackingDomain(
        name,
        str(entry["tenant"]),
        entry["secure"] is True,
        entry["default"] is True,
        verified=True,
        status="valid",
    )
