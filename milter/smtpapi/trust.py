"""Who may steer tracking: a session that logged in, or a client address in the scope's Relay_Hosts.

Not what they ask for. Mail from anyone else passes byte for byte, X-MSYS-API included (contract.md 3.5): the
header can multiply recipients and make this installation sign redirects.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from smtpapi.envelope import Client

LOCAL = "127.0.0.1"  # what local submission counts as (contract.md 2.5)


def is_local(client: Client) -> bool:
    """Whether the mail came without a network: by sendmail(1) or over a unix socket."""
    return not client.address or client.address.startswith("/")


def client_address(client: Client) -> str:
    """The client's IP address as text. Local submission counts as loopback."""
    return LOCAL if is_local(client) else client.address


def is_trusted(client: Client, relay_hosts: Iterable[IPv4Network | IPv6Network]) -> bool:
    """Whether header, policy and configuration act on this client's mail. Unreadable is untrusted."""
    if client.login:
        return True
    address = _read(client_address(client))
    return address is not None and any(address in network for network in relay_hosts)


@lru_cache(maxsize=4096)  # the same few clients send nearly all mail
def _read(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return _plain(ip_address(text))
    except ValueError:
        return None


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """IPv4 in IPv6's clothes (RFC 4291 2.5.5.2) is IPv4; zones of link-local addresses go."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.scope_id is not None:
            return IPv6Address(int(address))
    return address
