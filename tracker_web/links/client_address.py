"""The client's address and the host name of a request, read from its headers.

Not authentication. A header counts only as far as the peer that wrote it is trusted (contract.md 6.3), and
nothing here raises, whatever a stranger sends.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address

_MAX_HOPS = 16  # entries of X-Forwarded-For read, from the right; real chains have two or three
_LOCAL_PEER = "127.0.0.1"  # what a unix socket's peer, which has no address, counts as


def host_name(host: str) -> str:
    """Return the name in a `Host` field (RFC 9110 7.2) or a `tracking_domain`.

    In lower case, without port and final dot; "" for a missing or malformed one. An IPv6 address keeps its
    brackets.
    """
    host = host.lower()
    if host.startswith("["):
        name, bracket, port = host.partition("]")
        if not bracket or (port and not _is_port(port)):
            return ""
        return name + bracket
    name, colon, port = host.partition(":")
    if colon and not _is_port(colon + port):
        return ""
    return name.removesuffix(".")


def _is_port(text: str) -> bool:
    digits = text[1:]
    return text[0] == ":" and len(digits) <= 5 and (not digits or (digits.isascii() and digits.isdigit()))


def as_address(text: str) -> Address | None:
    """Return the address in a text, which may have a port or zone; None if there is none.

    An IPv4 address mapped into IPv6 is the IPv4 address.
    """
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


class Proxies:
    """The peers whose X-Forwarded-For is trusted. networks: CIDR blocks; raises ValueError for other text."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = tuple(ip_network(network, strict=False) for network in networks)
        self._known = lru_cache(maxsize=4096)(self._lookup)

    def client(self, peer: str, forwarded: str | None) -> str:
        """Return the address of the client, "" where it cannot be known.

        peer: the socket's, "" for a unix socket. forwarded: X-Forwarded-For, None where there is no such
        header. Its entries are read from the right, as long as the one who wrote them is a trusted proxy; the
        first address that is none is the client's, and everything left of it is the client's own claim. It
        cannot be known where a trusted proxy wrote what is no address (`unknown`, an empty value, odd bytes);
        the proxy's own address is never returned instead.
        """
        if forwarded is None:
            return self._known(peer)[0] if peer else ""
        at, trusted = self._known(peer or _LOCAL_PEER)
        if not trusted:
            return at if peer else ""
        for entry in reversed(forwarded.rsplit(",", _MAX_HOPS)[-_MAX_HOPS:]):
            address, trusted = self._known(entry.strip()[:64])
            if not address:
                return ""
            at = address
            if not trusted:
                break
        return at

    def trust(self, peer: str) -> bool:
        """Return whether a socket's peer ("" for a unix socket's) is a trusted proxy."""
        return self._known(peer or _LOCAL_PEER)[1]

    def _lookup(self, text: str) -> tuple[str, bool]:
        """Return the address in its canonical spelling, and whether it is a trusted proxy."""
        address = as_address(text)
        if address is None:
            return "", False
        trusted = any(
            address in network
            for network in self._networks
            if isinstance(network, IPv6Network) == isinstance(address, IPv6Address)
        )
        return str(address), trusted
