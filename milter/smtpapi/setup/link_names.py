"""The names that links carry, and what the world must know of them: DNS records and certificates."""

import ipaddress
import os
import time
from collections.abc import Container, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path

from engagement.links import domains_file
from engagement.registry import open_registry
from engagement.registry.port import RegistryError
from engagement.settings import Settings
from engagement.settings.schema import DEFAULT_DOMAIN
from engagement.tracking_domains.documents import every
from engagement.tracking_domains.model import CopyError, listed


def link_hosts(settings: Settings) -> tuple[str, ...]:
    """Return every name that may stand in links: this configuration's, tenants', and those of links sent.

    Without ports, without addresses, without the built-in default.
    """
    named = {*settings.tracking_domains(), *settings.tracker.hosts} - {DEFAULT_DOMAIN}
    hosts = {domains_file.host_of(each) for each in named} | sent(settings) | of_tenants(settings).keys()
    return tuple(sorted(host for host in hosts if not _is_address(host) and host != "localhost"))


def sent(settings: Settings) -> set[str]:
    """Return the names in links that were sent and live still, but the default's."""
    with suppress(OSError, ValueError):  # `smtpapi check-config` says so
        used = domains_file.read_several(map(Path, settings.domain_directories()))
        alive = {each.domain for each in used if each.until > time.time()} - {DEFAULT_DOMAIN}
        return {domains_file.host_of(domain) for domain in alive}
    return set()


def of_tenants(settings: Settings) -> dict[str, bool]:
    """Return the tracking domains that tenants have entered, and whether with https.

    Of a registry in a file, and of the copy that this host's programs use: opening a registry in a cluster
    would make its tables.
    """
    found: dict[str, bool] = {}
    if settings.entered_domains.enabled:
        with suppress(OSError, CopyError):  # the doctor says so
            found |= listed(Path(settings.entered_domains.snapshot).read_bytes())
    if settings.store.engine != "sqlite" or not os.access(settings.registry.path, os.R_OK):
        return found
    with suppress(RegistryError), closing(open_registry(settings)) as registry:
        found |= {each.domain: each.secure for each in every(registry)}
    return found


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def advice(hosts: Iterable[str], uncertified: Container[str]) -> Iterator[str]:
    """Yield lines on what each host needs. uncertified: hosts that need a certificate and have none here."""
    for host in hosts:
        yield f"DNS: {host} must lead to this web server, for IPv4 and IPv6, one of:"
        yield f"  {host}.  300  IN  CNAME  <name of this web server>."
        yield f"  {host}.  300  IN  A  <its IPv4 address>   and   {host}.  300  IN  AAAA  <its IPv6 address>"
        if host in uncertified:
            yield f"Certificate of {host}, once that name leads here (CAA records must allow the issuer):"
            yield f"  certbot certonly --webroot -w /var/www/html -d {host} --deploy-hook 'nginx -s reload'"
            yield "  then `smtpapi setup nginx --apply` again, which finds it"
