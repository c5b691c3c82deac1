"""Whose mail is tracked: relay hosts, and what hands strangers' mail in again.

Why it matters: docs/decisions/0016-trust.md.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from engagement.settings import Settings
from engagement.settings.option_types.networks import Network
from smtpapi.doctor.finding import Finding, Level
from smtpapi.doctor.mta.order import in_force, ours_in
from smtpapi.doctor.mta.proxy_filter import behind_proxies, unseen
from smtpapi.setup.postfix_config import PostfixConfig

CHECK: Final = "trust"
_LOOPBACK: Final = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


def check_relay_hosts(settings: Settings) -> Iterator[Finding]:
    """Yield networks in Relay_Hosts that hold strangers."""
    for block in settings.table.top.walk():
        value = block.values.get("relay_hosts")
        if value is None:
            continue
        place = f"{value.file}:{value.line}: Relay_Hosts"
        networks: Sequence[Network] = value.value
        for network in networks:
            if network.prefixlen == 0:
                yield Finding(
                    CHECK,
                    Level.ERROR,
                    f"{place} holds {network}, which is everybody",
                    "Anybody's mail has redirects made in your name, and up to a thousand bcc of their "
                    "choice.",
                    'Relay_Hosts = ("127.0.0.0/8" "::1/128"), and the networks of your own servers',
                )
            elif not network.is_private and network.num_addresses > 2 ** (16 if network.version == 4 else 80):
                yield Finding(
                    CHECK,
                    Level.WARNING,
                    f"{place} holds {network}, {network.num_addresses:.0e} public addresses",
                    "Whoever sends from one of them is trusted without a login.",
                    "Name the addresses of your own servers alone",
                )


def check_postfix(
    config: PostfixConfig,
    settings: Settings,
    relay_hosts: Sequence[Network],
    header_checks: Mapping[str, str],
) -> Iterator[Finding]:
    """Yield ways by which Postfix gives strangers' mail to the filter as its own.

    relay_hosts: in force for mail from loopback. header_checks: text of Postfix's tables of that name.
    """
    hop = settings.rewriting.split_listener.rpartition(":")[2]
    for table, text in header_checks.items():
        if found := re.search(r"^[^#\n]*received[^\n]*\sIGNORE\b", text, re.MULTILINE | re.IGNORECASE):
            yield Finding(
                CHECK,
                Level.ERROR,
                f"{table} takes Received fields out: {found.group().strip()[:60]}",
                "They tell strangers' mail from your own when a content filter, a pipe or a list hands it "
                "in again: "
                "without them strangers have links made in your name.",
                "Take the line out of header_checks; to hide a name outside use smtp_header_checks instead",
            )
    for service in config.smtpds():
        target = config.value("content_filter", service)
        if not target or service.name.rpartition(":")[2] == hop:
            continue
        yield from _check_content_filter(service.name, target, relay_hosts)
    for proxied in behind_proxies(config.smtpds(), config):
        if unseen(proxied, config, hop):
            yield Finding(
                CHECK,
                Level.ERROR,
                f"smtpd {proxied.name} hands mail to smtpd_proxy_filter "
                f"{config.value('smtpd_proxy_filter', proxied)}, "
                "whose milters are not shown mail, and no smtpd behind it asks the filter",
                "Nothing that comes in there is tracked.",
                "-o smtpd_milters=$smtpapi_milter at the smtpd on loopback that the proxy gives mail back to",
            )
    yield from _check_again(config, settings, hop)
    yield from _check_networks(config, relay_hosts)


def _check_content_filter(name: str, target: str, relay_hosts: Sequence[Network]) -> Iterator[Finding]:
    found = re.search(r"\[?((?:\d+\.){3}\d+|[0-9a-f]*:[0-9a-f:]+)\]?:\w+$", target)
    address = found[1] if found else ""
    inside = not address or any(
        ipaddress.ip_address(address) in network
        for network in (*_LOOPBACK, *relay_hosts)
        if network.version == ipaddress.ip_address(address).version
    )
    if not inside:
        yield Finding(
            CHECK,
            Level.WARNING,
            f"content_filter of smtpd {name} is {target}, and {address} is not in Relay_Hosts",
            "What it gives back is a stranger's to the filter: your own mail is not tracked behind it.",
            f'Relay_Hosts = ("127.0.0.0/8" "::1/128" "{address}") for the listener behind the content filter',
        )


def _check_again(config: PostfixConfig, settings: Settings, hop: str) -> Iterator[Finding]:
    """Yield doors by which strangers' mail is handed in again, and which ask the filter."""
    filters = {config.value("content_filter", each) for each in config.smtpds()} - {""}
    doors = [
        each.name
        for each in config.smtpds()
        if re.match(r"(127\.|localhost:|\[::1\])", each.name)
        and each.name.rpartition(":")[2] != hop
        and not config.value("content_filter", each)
        and ours_in(config, settings, in_force(config, each))[1] >= 0
    ]
    if filters and doors:
        yield Finding(
            CHECK,
            Level.NOTE,
            f"a content filter ({', '.join(sorted(filters))}) may hand strangers' mail in again at "
            f"{', '.join(doors)}",
            "It is told by its Received fields (docs/postfix.md, Content filters); a program that drops "
            "them would "
            "have strangers' mail tracked.",
            "Leave Received fields in; where the filter stands before the content filter, -o smtpd_milters= "
            "at the door",
        )
    pipes = [each.name for each in config.services if each.command == "pipe"]
    if pipes and ours_in(config, settings, config.value("non_smtpd_milters"))[1] >= 0:
        yield Finding(
            CHECK,
            Level.NOTE,
            f"pipes ({', '.join(pipes)}) may hand strangers' mail in again by sendmail(1)",
            "It is told by Received and Delivered-To, which the scripts must leave in.",
            "Local_Submission = false in smtpapi.conf, if a script of yours drops them",
        )


def _check_networks(config: PostfixConfig, relay_hosts: Sequence[Network]) -> Iterator[Finding]:
    outside = []
    for text in re.split(r"[\s,]+", config.value("mynetworks")):
        try:
            network = _unmapped(ipaddress.ip_network(text.replace("[", "").replace("]", ""), strict=False))
        except ValueError:
            continue
        if not any(_within(network, each) for each in (*_LOOPBACK, *relay_hosts)):
            outside.append(str(network))
    if outside:
        yield Finding(
            CHECK,
            Level.NOTE,
            f"Postfix relays for {', '.join(outside)} (mynetworks), and Relay_Hosts does not name it",
            "Mail of those clients passes untracked unless they log in.",
            f"Relay_Hosts = (… {' '.join(f'{chr(34)}{each}{chr(34)}' for each in outside)}), if it is your "
            "own mail",
        )


def _unmapped(network: Network) -> Network:
    """Return the network of IPv4 addresses that one of IPv6 stands for (RFC 4291 2.5.5.2), else the same.

    Debian writes loopback into mynetworks both ways: 127.0.0.0/8 [::ffff:127.0.0.0]/104.
    """
    if isinstance(network, ipaddress.IPv4Network) or network.prefixlen < 96:
        return network
    address = network.network_address.ipv4_mapped
    return network if address is None else ipaddress.IPv4Network((address, network.prefixlen - 96))


def _within(network: Network, other: Network) -> bool:
    return (
        network.version == other.version
        and other.network_address <= network.network_address  # type: ignore[operator] # of one version, see above
        and network.broadcast_address <= other.broadcast_address  # type: ignore[operator] # likewise
    )
