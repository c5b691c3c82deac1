"""The checks of what people enter, as `examination` runs them: registry, lists, domains, webhooks."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from smtpapi.doctor.finding import Finding
from smtpapi.doctor.host import cluster, domains, registry, suppression, webhooks
from smtpapi.doctor.site import Site

_FILTERS_USER: Final = "smtpapi-milter"  # in the packages (docs/decisions/0030-users.md)
_TRACKERS_USER: Final = "smtpapi-tracker"


def _users(site: Site) -> dict[str, str]:
    """Return the users of the programs that run here, by role."""
    return {each.role: each.user for each in site.programs}


def _registry(site: Site) -> Iterator[Finding]:
    yield from registry.check(registry.read(site.settings, _users(site)))


def _suppression(site: Site) -> Iterator[Finding]:
    user = registry.user_of("milter", _users(site).get("milter", _FILTERS_USER))
    yield from suppression.check(suppression.read(site.settings, user, time.time()))


def _domains(site: Site) -> Iterator[Finding]:
    users = {"milter": _FILTERS_USER, "tracker": _TRACKERS_USER} | _users(site)
    readers = [registry.user_of(role, users[role]) for role in ("milter", "tracker")]
    yield from domains.check(domains.read(site.settings, [each for each in readers if each], time.time()))


def _webhooks(site: Site) -> Iterator[Finding]:
    yield from webhooks.check(webhooks.read(site.settings, runs=site.runs("webhooks")), time.time())


def _cluster(site: Site) -> Iterator[Finding]:
    yield from cluster.checked(site.settings)


CHECKS: Final[Mapping[str, Callable[[Site], Iterator[Finding]]]] = {
    registry.CHECK: _registry,
    suppression.CHECK: _suppression,
    domains.CHECK: _domains,
    webhooks.CHECK: _webhooks,
    cluster.CHECK: _cluster,
}
