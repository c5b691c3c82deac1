"""Which targets are refused: those inside the network, and other ports than the two of the web.

The name alone says little: what it leads to is looked at when it is connected to, in `connect`.
"""

import ipaddress
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

PORTS: Final = {"http": 80, "https": 443}  # contract.md 8.2
LONGEST: Final = 2048  # characters, as for tracked links

# What `ipaddress` holds for global and yet leads, or may lead, inside.
_INSIDE: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            "100.64.0.0/10",  # shared by carriers (RFC 6598)
            "192.88.99.0/24",  # 6to4's relays (RFC 7526)
            "64:ff9b::/96",  # IPv4 through NAT64 (RFC 6052)
            "64:ff9b:1::/48",  # the same, local (RFC 8215)
            "2002::/16",  # 6to4 (RFC 3056)
            "2001::/32",  # Teredo (RFC 4380)
            "5f00::/16",  # segment routing (RFC 9602)
            "::/96",  # IPv4 as IPv6, no longer in use (RFC 4291 2.5.5.1)
        ),
    )
)


class Place(NamedTuple):
    """Where a target is. host: without brackets, in lower case. path: with the query."""

    scheme: str
    host: str
    port: int
    path: str


def is_inside(address: str) -> bool:
    """Return whether an IP address is no public one, or stands for one. Raises ValueError for no address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return not ip.is_global or ip.is_multicast or ip.is_reserved or any(ip in block for block in _INSIDE)


def place_of(target: str) -> Place:
    """Return where a URL leads. Raises ValueError, with the reason, for what is no URL of a target."""
    if len(target) > LONGEST or not target.isascii() or not target.isprintable() or " " in target:
        raise ValueError(f"must be a URL of at most {LONGEST} ASCII characters, without spaces")
    parts = urlsplit(target)
    if parts.scheme.lower() not in PORTS or not parts.hostname:
        raise ValueError("must be a URL that begins with https:// or http:// and a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must hold no user and password; use auth_type and auth_credentials")
    scheme = parts.scheme.lower()
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(scheme, parts.hostname.lower(), parts.port or PORTS[scheme], path)


def is_allowed(place: Place, allowed: Sequence[str]) -> bool:
    """Return whether the configuration names the target (webhooks.allow_targets)."""
    host = f"[{place.host}]" if ":" in place.host else place.host
    return host in allowed or f"{host}:{place.port}" in allowed


def refusal(target: str, allowed: Sequence[str]) -> str:
    """Return why a target is refused as it is written, "" if it is not."""
    try:
        place = place_of(target)
    except ValueError as error:
        return str(error)
    if is_allowed(place, allowed):
        return ""
    if place.port != PORTS[place.scheme]:
        return f"must be at port {PORTS[place.scheme]}; webhooks.allow_targets can name others"
    name = place.host.rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return inside(place.host)
    try:
        return inside(place.host) if is_inside(place.host) else ""
    except ValueError:
        return ""  # a name, looked at when it is connected to


def inside(what: str) -> str:
    """Return the reason for a target that is inside the network."""
    return f"must not be inside the network ({what}); webhooks.allow_targets can name exceptions"
