"""What the clients of this worker did lately, by their addresses: sessions, connections, messages.

Lua policies ask for it (msys.audit, `ac:inbound_session_count`). Nothing is noted until one of them may. Each
worker knows its own sessions alone. Times are seconds of one clock, whichever.
"""

import threading
from collections.abc import Hashable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from smtpapi.policy.windows import Windows

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
KINDS = ("connections", "receptions", "rejections")
_SECONDS = 10  # of one window: a count may begin so much too early; a guess
_RETAINED = 2 * 3600 // _SECONDS  # windows: as far back as the monitors of Momentum's manual look


class Traffic:
    """The sessions and counts of one process. Threads share it. noting: whether anything is noted."""

    def __init__(self) -> None:
        self.noting = False
        self._open: dict[int, Address] = {}
        self._counts = {kind: Windows(_SECONDS, _RETAINED) for kind in KINDS}
        self._lock = threading.Lock()

    def opened(self, session: int, client: str, now: float) -> None:
        """Note a new session. client: its address; any other text is not noted."""
        if self.noting and (address := address_of(client)) is not None:
            with self._lock:
                self._open[session] = address
                self._counts["connections"].add(address, 1, now)

    def closed(self, session: int) -> None:
        """Note the end of a session."""
        if self.noting:
            with self._lock:
                self._open.pop(session, None)

    def answered(self, client: str, now: float, *, accepted: bool) -> None:
        """Note a message that was accepted or refused."""
        if self.noting and (address := address_of(client)) is not None:
            with self._lock:
                self._counts["receptions" if accepted else "rejections"].add(address, 1, now)

    def sessions(self, network: Network) -> int:
        """Return how many sessions from a network are open."""
        with self._lock:
            return sum(address in network for address in self._open.values())

    def count(self, kind: str, network: Network, since: float, until: float) -> int:
        """Return what came from a network in that time, to ten seconds. kind: one of `KINDS`."""
        with self._lock:
            return total_in(self._counts[kind], network, since, until)


def total_in(windows: Windows, network: Network, since: float, until: float) -> int:
    """Return the sum for the addresses of a network, which are the keys."""
    if network.num_addresses == 1:
        return int(windows.of(network.network_address, since, until))

    version, mask, base = network.version, int(network.netmask), int(network.network_address)

    def is_within(key: Hashable) -> bool:  # `in` takes three times as long
        return (
            isinstance(key, IPv4Address | IPv6Address) and key.version == version and int(key) & mask == base
        )

    return int(windows.total(is_within, since, until))


def address_of(text: str) -> Address | None:
    """Return the address that a text is, None for any other; IPv4 in IPv6 is IPv4."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


TRAFFIC = Traffic()  # of this process: sessions begin far from where policies ask for them
