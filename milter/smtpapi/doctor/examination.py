"""Each check as `smtpapi doctor` runs it: ask, then say what follows. By name, in the order they are run."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, distribution
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from engagement.settings import Where
from engagement.settings.scopes import listen_of
from smtpapi.doctor.entered import CHECKS as ENTERED
from smtpapi.doctor.finding import Finding, Level
from smtpapi.doctor.host import clock, follow, keys, processes, spool, store, versions
from smtpapi.doctor.mta import hop, order, reach, sendmail, signer, trust
from smtpapi.doctor.site import LinkHost, Site
from smtpapi.doctor.web import asking, certificate, http, names, proxy
from smtpapi.setup import milters
from smtpapi.setup.postfix_config import Unreadable

Check = Callable[[Site], Iterator[Finding]]
_NO_MTA: Final = "no Postfix and no Sendmail is configured on this host"
_DNS_LATER: Final = "its address is not known (see dns)"


def _dns(site: Site) -> Iterator[Finding]:
    hosts = list(site.link_hosts())
    if not hosts:
        yield Finding(
            names.CHECK,
            Level.ERROR,
            f"{site.config} names no host for links: they lead to localhost:8080",
            "No reader can open one.",
            'tracking_domain = "track.example.com" in ESMTP_Listener { }',
        )
    for host in hosts:
        if _is_address(host.name):
            yield Finding(
                names.CHECK,
                Level.NOTE,
                f"links name the address {host.name} instead of a name",
                "No certificate authority that browsers know certifies it for long, and it cannot move.",
                'tracking_domain = "track.example.com"',
            )
            continue
        servers = (*site.servers, *names.authoritative(host.name, site.servers[0], site.authoritative_port))
        answers = [names.ask(host.name, server) for server in servers]
        caa = names.caa_of(host.name, site.servers[0])
        yield from names.check(host.name, answers, caa, https=host.https)


def _addresses(site: Site, host: str) -> tuple[str, ...]:
    """Return where a host leads, as the first resolver says that knows it."""
    if _is_address(host):
        return (host,)
    for server in site.servers:
        answer = names.ask(host, server)
        if answer.v4 or answer.v6:
            return (*answer.v4, *answer.v6)
    return ()


def _certificate(site: Site) -> Iterator[Finding]:
    now = time.time()
    for host in site.link_hosts():
        if _is_address(host.name) or (host.port and not host.https):
            continue
        addresses = _addresses(site, host.name)
        if not addresses:
            yield Finding(certificate.CHECK, Level.SKIPPED, f"{host.name}: {_DNS_LATER}")
            continue
        port = host.port or 443
        issuers = [each.value for each in names.caa_of(host.name, site.servers[0]) if each.tag == "issue"]
        shown = [certificate.fetch(host.name, address, port) for address in addresses]
        for each in shown:
            yield from certificate.check(host.name, port, each, now, https=host.https, issuers=issuers)
        https_usable = all(not each.trouble and not each.distrust for each in shown)
        yield from _hsts(site, host, addresses[0], port, https_usable=https_usable)


def _hsts(site: Site, host: LinkHost, address: str, port: int, *, https_usable: bool) -> Iterator[Finding]:
    own = certificate.demand(host.name, address, port)
    above: list[tuple[str, str]] = []
    if not host.https:
        above = [
            (name, certificate.demand(name, found[0], port))
            for name in certificate.parents(host.name)
            if (found := _addresses(site, name))
        ]
    yield from certificate.check_hsts(host.name, own, above, https=host.https, https_usable=https_usable)


def _proxy(site: Site) -> Iterator[Finding]:
    settings = site.settings
    hosts = list(site.link_hosts())
    listen = listen_of(settings.tracker.listen)
    name = hosts[0].name if hosts else "localhost"
    if listen is not None and listen.port is not None and "tracker" not in site.elsewhere:
        address = "127.0.0.1" if str(listen.address) in ("", "0.0.0.0") else str(listen.address)  # noqa: S104 - compared
        reply = http.request(name, address, listen.port, "GET", "/q/doctor", tls=False)
        yield from proxy.check_listener(settings.tracker.listen, reply)
    spool_folder = Path(settings.spool.directory) if site.recorded else None
    for host in hosts:
        addresses = _addresses(site, host.name)
        if not addresses:
            yield Finding(proxy.CHECK, Level.SKIPPED, f"{host.name}: {_DNS_LATER}")
        for address in addresses:
            for port, tls in _doors(host):
                try:
                    seen = asking.ask(
                        host.name, address, port, site.usable_ring, spool_folder, tls=tls, source=site.source
                    )
                except PermissionError as error:
                    yield Finding(
                        proxy.CHECK,
                        Level.SKIPPED,
                        f"what the tracker sees of clients: {error.filename} cannot be read by this user",
                        change="sudo smtpapi doctor",
                    )
                    continue
                yield from clock.check_other(host.name, seen.pixel.headers.get("date", ""), time.time())
                yield from proxy.check(
                    seen, settings.tracker.trusted_proxies, local=site.runs("tracker"), recorded=site.recorded
                )


def _doors(host: LinkHost) -> list[tuple[int, bool]]:
    """Return the ports that readers come by, and whether with TLS.

    Port 80 always: mail sent earlier has http.
    """
    if host.port:
        return [(host.port, host.https)]
    return [(80, False), (443, True)] if host.https else [(80, False)]


def _milters(site: Site) -> Iterator[Finding]:
    if site.postfix_config is not None:
        yield from order.check(site.postfix_config, site.settings)
    elif site.sendmail is not None:
        path = site.sendmail / "sendmail.cf"
        yield from sendmail.check(path.read_text("utf-8", "replace"), str(path), site.settings)
    else:
        yield Finding(order.CHECK, Level.SKIPPED, _NO_MTA)


def _socket(site: Site) -> Iterator[Finding]:
    config = site.postfix_config
    if config is not None:
        for attempt in reach.attempts(config, site.settings):
            yield from reach.check(attempt, site.settings)
    elif site.sendmail is not None:
        yield from reach.check(reach.direct("Sendmail", site.settings), site.settings)
    else:
        yield Finding(reach.CHECK, Level.SKIPPED, _NO_MTA)


def _signer(site: Site) -> Iterator[Finding]:
    config = site.postfix_config
    milters_in_force = (
        "" if config is None else " ".join(order.in_force(config, each) for each in config.smtpds())
    )
    signs = [each.endpoint for each in milters.read(milters_in_force) if each.signs]
    for path, check in ((signer.OPENDKIM, signer.check_opendkim), (signer.RSPAMD, signer.check_rspamd)):
        if path.exists() and (signs or config is None):
            yield from check(path.read_text("utf-8", "replace"), str(path))
    if config is not None and not signs:
        yield Finding(
            signer.CHECK,
            Level.NOTE,
            "no milter that signs is known in Postfix's lists",
            "Mail without DKIM lands in the spam folder, if nothing else signs it on its way.",
            "docs/postfix.md, Order with other milters",
        )


def _hop(site: Site) -> Iterator[Finding]:
    config = site.postfix_config
    if config is not None:
        yield from hop.check(config, site.settings, hop.header_maps(config))
    elif site.sendmail is not None:
        path = site.sendmail / "sendmail.cf"
        yield from sendmail.check_hop(path.read_text("utf-8", "replace"), str(path), site.settings)
    else:
        yield Finding(hop.CHECK, Level.SKIPPED, _NO_MTA)


def _trust(site: Site) -> Iterator[Finding]:
    found = list(trust.check_relay_hosts(site.settings))
    config = site.postfix_config
    if config is not None:
        relay_hosts = site.settings.scoped(Where(client_address="127.0.0.1")).relay_hosts
        tables = hop.header_maps(config, "header_checks")
        found += trust.check_postfix(config, site.settings, relay_hosts, tables)
    yield from found
    if not any(each.level in (Level.WARNING, Level.ERROR) for each in found):
        yield Finding(trust.CHECK, Level.OK, "nobody but this site's own is trusted, as far as can be seen")


def _clock(site: Site) -> Iterator[Finding]:
    ring = site.usable_ring
    newest = max((each.created for each in ring.keys), default=0) if ring is not None else 0
    yield from clock.check(clock.read(time.time()), newest, f"the newest key of {site.settings.keys.ring}")


def _keys(site: Site) -> Iterator[Finding]:
    users = frozenset(each.user for each in site.programs if each.role in ("milter", "tracker"))
    yield from keys.check(site.ring, users, time.time())


def _processes(site: Site) -> Iterator[Finding]:
    changed, what = site.changed()
    try:
        program = distribution("smtpapi-engagement")
        (meta,) = [each for each in program.files or () if each.name == "METADATA"]
        installed = Path(str(program.locate_file(meta))).stat().st_mtime
    except (PackageNotFoundError, OSError, ValueError):
        installed = 0.0
    programs = [processes.as_reported(each, site.settings) for each in site.programs]
    yield from processes.check(programs, changed, what, installed, time.time(), site.elsewhere)


def _spool(site: Site) -> Iterator[Finding]:
    yield from spool.check(spool.read(site.settings, time.time()))


def _store(site: Site) -> Iterator[Finding]:
    yield from store.check(*store.read(site.settings))


def _follow(site: Site) -> Iterator[Finding]:
    yield from follow.check(follow.read(site.settings), runs=site.runs("follow"))


def _versions(site: Site) -> Iterator[Finding]:
    config = site.postfix_config
    yield from versions.check(versions.read("" if config is None else config.value("mail_version")))


CHECKS: Final[dict[str, Check]] = {
    versions.CHECK: _versions,
    clock.CHECK: _clock,
    keys.CHECK: _keys,
    processes.CHECK: _processes,
    spool.CHECK: _spool,
    store.CHECK: _store,
    **ENTERED,
    follow.CHECK: _follow,
    order.CHECK: _milters,
    reach.CHECK: _socket,
    signer.CHECK: _signer,
    hop.CHECK: _hop,
    trust.CHECK: _trust,
    names.CHECK: _dns,
    certificate.CHECK: _certificate,
    proxy.CHECK: _proxy,
}


def run(name: str, site: Site) -> Iterator[Finding]:
    """Yield what one check finds. What it cannot read is a finding, too."""
    try:
        for finding in CHECKS[name](site):
            yield _as_this_user(finding)
    except Unreadable as error:
        yield Finding(
            name,
            Level.ERROR,
            f"Postfix's configuration cannot be read: {error}",
            "Postfix itself does not take it either: at its next reload it stops taking mail.",
            f"Mend the line that it names; postconf -c {site.postfix} -n must say nothing",
        )
    except OSError as error:
        yield Finding(
            name,
            Level.SKIPPED,
            f"{error.filename or name}: {error.strerror or error}",
            change="sudo smtpapi doctor",
        )


def _as_this_user(finding: Finding) -> Finding:
    """Return a finding, "not checked" where it says only that this user may not look."""
    shut = "Permission denied" in finding.what or "unable to open database file" in finding.what
    if os.geteuid() == 0 or finding.level is not Level.ERROR or not shut:
        return finding
    return replace(finding, level=Level.SKIPPED, why="", change="sudo smtpapi doctor")


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
