"""Which networks an address is in, and the number of the system that announces it, if a database is there."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, Final, Protocol

from engagement.classify.model import Network
from engagement.extras import need

_LENGTHS: Final = {4: 32, 6: 128}


class AsNumbers(Protocol):
    """Finds the autonomous system of an address."""

    def of(self, address: str) -> int:
        """Return its number, 0 for not known."""


class NoAsNumbers:
    """Knows none."""

    def of(self, address: str) -> int:
        """Return 0."""
        return 0


class AsDatabase:
    """A database in MaxMind's format (GeoLite2-ASN and its like), the operator's own, read into memory.

    Mapped instead, a copy over the file would end this process by SIGBUS. A damaged one finds nothing.
    Raises NotInstalledError without the library, OSError or ValueError for a file that is none.
    """

    def __init__(self, path: Path) -> None:
        need("asn", "maxminddb")
        import maxminddb

        try:
            self._reader = maxminddb.open_database(path, maxminddb.MODE_MEMORY)
        except maxminddb.InvalidDatabaseError as error:
            raise ValueError(f"{path}: {error}") from error
        self._unreadable = (ValueError, maxminddb.InvalidDatabaseError)
        self.of = lru_cache(maxsize=4096)(self._of)

    def _of(self, address: str) -> int:
        """Return its number, 0 for not known."""
        try:
            found: Any = self._reader.get(address)
        except self._unreadable:
            return 0
        number = found.get("autonomous_system_number") if isinstance(found, dict) else None
        return number if isinstance(number, int) else 0


class Networks:
    """Networks of many rules; asking takes the same time for two and for 300,000."""

    def __init__(self, named: Iterable[tuple[str, Iterable[Network]]]) -> None:
        self._names: dict[tuple[int, int, int], set[str]] = {}
        for name, networks in named:
            for network in networks:
                key = (network.version, network.prefixlen, int(network.network_address))
                self._names.setdefault(key, set()).add(name)
        self._prefixes = sorted({(version, length) for version, length, _ in self._names})
        self.of = lru_cache(maxsize=4096)(self._of)

    def _of(self, text: str) -> frozenset[str]:
        """Return the names of rules with a network that holds the address; none for what is no address."""
        try:
            address: IPv4Address | IPv6Address = ip_address(text)
        except ValueError:
            return frozenset()
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        found: set[str] = set()
        for version, length in self._prefixes:
            if version == address.version:
                free = _LENGTHS[version] - length
                found |= self._names.get((version, length, int(address) >> free << free), set())
        return frozenset(found)
