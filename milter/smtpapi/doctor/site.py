"""What the doctor looks at: the configuration, the MTA, the hosts of links, and how to ask for them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from engagement.links import domains_file
from engagement.links.keys import Ring
from engagement.settings import Settings, Where
from engagement.settings.schema import DEFAULT_DOMAIN, PrivacyMode
from engagement.settings.scopes import listen_of
from smtpapi.doctor.host import keys, processes
from smtpapi.doctor.web import names
from smtpapi.setup import link_names, postfix_config


@dataclass(frozen=True, slots=True)
class LinkHost:
    """A host of links. port: 0 where it is the scheme's own. https: whether links to it are written so."""

    name: str
    port: int = 0
    https: bool = False


@dataclass(frozen=True)
class Site:
    """Everything that checks share. resolvers: named by the operator, () for the system's.

    postfix, sendmail: their folders, None where there is no such MTA. source: address to ask from, "" for
    any.
    """

    config: Path
    settings: Settings
    postfix: Path | None
    sendmail: Path | None
    resolvers: tuple[names.Server, ...] = ()
    authoritative_port: int = 53
    source: str = ""
    elsewhere: frozenset[str] = frozenset()

    @cached_property
    def postfix_config(self) -> postfix_config.PostfixConfig | None:
        """Postfix's configuration, None where there is no Postfix. Raises Unreadable."""
        return None if self.postfix is None else postfix_config.read(self.postfix)

    @cached_property
    def ring(self) -> keys.RingFacts:
        """The key ring."""
        return keys.read(Path(self.settings.keys.ring))

    @property
    def usable_ring(self) -> Ring | None:
        """The key ring, None where it cannot be used."""
        return self.ring.ring

    @cached_property
    def programs(self) -> list[processes.Running]:
        """Our programs that run with this configuration."""
        return processes.running(self.config)

    @cached_property
    def servers(self) -> tuple[names.Server, ...]:
        """The resolvers to ask. Raises OSError where there is none."""
        return self.resolvers or names.system_servers()

    @cached_property
    def schemes(self) -> frozenset[str]:
        """The schemes by which links are written here."""
        options = self.settings.scoped(Where()).options
        found = {options.click_tracking_scheme, options.open_tracking_scheme}
        blocks = [*self.settings.table.top.walk()]
        listeners = [block for block in blocks if block.kind == "esmtp_listener"]
        named = {
            str(block.values[option].value)
            for block in blocks
            for option in ("click_tracking_scheme", "open_tracking_scheme")
            if option in block.values
        }
        # Where every listener says its own, the built-in default is in force nowhere.
        return frozenset(named or found) if listeners else frozenset(found | named)

    @property
    def recorded(self) -> bool:
        """Whether hits are recorded with their whole address."""
        return self.settings.privacy.mode is PrivacyMode.FULL and not self.settings.privacy.truncate_addresses

    def runs(self, role: str) -> bool:
        """Return whether one of our programs runs here."""
        return any(each.role == role for each in self.programs)

    def link_hosts(self) -> Iterator[LinkHost]:
        """Yield the hosts that links name: of the configuration, of tenants, of links sent that live yet.

        Without the built-in default.
        """
        https = "https" in self.schemes
        named = dict.fromkeys((*self.settings.tracking_domains(), *self.settings.tracker.hosts), https)
        known = {domains_file.host_of(each) for each in named}
        named |= {name: https for name in link_names.sent(self.settings) if name not in known}
        named |= link_names.of_tenants(self.settings)
        for domain in sorted(named.keys() - {DEFAULT_DOMAIN}):
            listen = listen_of(domain)
            if listen is not None and listen.port is not None:
                yield LinkHost(str(listen.address), listen.port, named[domain])
            else:
                host, _, port = domain.partition(":") if domain.count(":") == 1 else (domain, "", "")
                yield LinkHost(host.strip("[]"), int(port or 0), named[domain])

    def changed(self) -> tuple[float, str]:
        """Return when the configuration was changed last (Unix seconds), and the file that was."""
        values = [each for block in self.settings.table.top.walk() for each in block.values.values()]
        files = {
            self.config,
            *(Path(each.file) for each in (*values, *self.settings.origins.values()) if each.file),
        }
        files |= {Path(each) for each in (self.settings.policy.file,) if each}
        found = [(path.stat().st_mtime, str(path)) for path in files if path.exists()]
        return max(found, default=(0.0, str(self.config)))
