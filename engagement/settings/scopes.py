"""Find the values in force for a connection, by its scopes (contract.md 1.3 and 2.5).

Not the reading of values (`load`). For each option by itself, the first of these that sets it wins: Peer in
the matching Listen, Peer in the ESMTP_Listener, the Listen, the ESMTP_Listener, the pathway_group, the top
level (where the option is valid there), the built-in default. The pathway stands before the scope that names
it, before all of them where policy names it, and after the ESMTP_Listener where nothing does.

Invariants: values are converted before they get here, so nothing can fail; an unknown client address matches
no Peer, an unknown port no exact Listen.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, TypeAlias

from engagement.settings.option_types.listeners import is_host_and_port
from engagement.settings.option_types.networks import Network
from engagement.settings.schema import SCOPED, ScopedOptions

DEFAULT_SCOPE = "built-in default"
_LOCAL = "127.0.0.1"  # mail without a network client counts as coming from here
_WHERE_CACHE = 4096  # client addresses a busy MTA sees within minutes

Address: TypeAlias = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Where:
    """The facts about a connection that scopes depend on.

    local_address, local_port: the MTA's own side, "" and None where it is not known. client_address: "" for
    local submission. pathway: "" means the one that the `pathway` option names.
    """

    local_address: str = ""
    local_port: int | None = None
    client_address: str = ""
    pathway: str = ""


@dataclass(frozen=True, slots=True)
class Value:
    """A value and its origin. scope: as the file writes it. line: 0 for the built-in default."""

    value: Any
    scope: str = DEFAULT_SCOPE
    file: str = ""
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """A Listen's instance. address: "" any, "[*]" any IPv6, else an address or a socket's path."""

    address: Address | str
    port: int | None = None

    @property
    def wildcard(self) -> bool:
        """Return whether it accepts connections to any address."""
        return self.address in ("", "[*]")


@dataclass(eq=False, slots=True)
class Block:
    """One scope of the file, all its appearances merged.

    kind: its name in lower case, "global" for the file itself. label: its path through the scopes, as in
    `ESMTP_Listener > Listen ":25"`. matches: a Listen, a Network or a pathway's name.
    """

    kind: str
    label: str
    matches: ListenAddress | Network | str = ""
    values: dict[str, Value] = field(default_factory=dict)
    inner: list["Block"] = field(default_factory=list)

    def of_kind(self, kind: str) -> Iterator["Block"]:
        """Yield the blocks of one kind directly inside."""
        return (block for block in self.inner if block.kind == kind)

    def serves(self, default: bool = True) -> bool:
        """Return whether the stanza is in force: by its `Enable`, else by the default."""
        found = self.values.get("enable")
        return default if found is None else bool(found.value)

    def walk(self) -> Iterator["Block"]:
        """Yield this block and all below it, in the order of the file."""
        yield self
        for block in self.inner:
            yield from block.walk()


@dataclass(frozen=True, slots=True)
class Scoped:
    """The options in force for one connection.

    values: each option's value with the scope that sets it. options: the values alone, one attribute an
    option. pathway: the effective one, "default" where nothing names one. open_peer: the network of the Peer
    whose Open_Relay trusts the client, None where none does.
    """

    values: Mapping[str, Value]
    options: ScopedOptions
    pathway: str
    open_peer: Network | None = None

    @property
    def relay_hosts(self) -> tuple[Network, ...]:
        """Return all networks whose clients are trusted: Relay_Hosts, and the Peer with Open_Relay."""
        return self.options.relay_hosts + (() if self.open_peer is None else (self.open_peer,))

    def value(self, option: str) -> Value:
        """Return the option's value and its origin, the built-in default included.

        Raises KeyError for an option that no scope has.
        """
        return self.values[option]

    @property
    def smtp_extensions(self) -> frozenset[str]:
        """Return the names of the SMTP extensions offered, in capitals."""
        return frozenset(name.upper() for name in self.options.smtp_extensions)


def address_of(text: str) -> Address | None:
    """Return the address in a text as MTAs write it; None if there is none.

    It may have brackets, the prefix "IPv6:" or a zone. An IPv4 address mapped into IPv6 is the IPv4
    address.
    """
    bare = text.strip("[]").removeprefix("IPv6:").partition("%")[0]
    try:
        found = ip_address(bare)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def listen_of(instance: str) -> ListenAddress | None:
    """Return the address that a Listen's instance names (contract.md 2.5); None if it is malformed."""
    if instance.startswith("/"):
        return ListenAddress(instance)
    host, colon, port = instance.rpartition(":")
    if not colon or not is_host_and_port(f"localhost:{port}", port_needed=True):
        return None
    if host in ("", "*"):
        return ListenAddress("", int(port))
    if host == "[*]":
        return ListenAddress("[*]", int(port))
    address = address_of(host)
    if address is None or (":" in host) != (host[0] == "["):
        return None
    return ListenAddress(address, int(port))


class Table:
    """All scopes of one file, and the search through them."""

    def __init__(self, top: Block | None = None) -> None:
        self.top = top or Block("global", "Global")
        self.scoped = lru_cache(maxsize=_WHERE_CACHE)(self._scoped)
        self._pathways: frozenset[str] | None = None

    def _scoped(self, where: Where) -> Scoped:
        return self.along(self._listener_rows(where), where.pathway)

    def along(self, rows: Iterable[Block], pathway: str = "") -> Scoped:
        """Return the options in force where these listener scopes apply, narrowest first."""
        narrow = list(rows)
        naming = next((at for at, block in enumerate(narrow) if "pathway" in block.values), len(narrow))
        named = narrow[naming].values["pathway"].value if naming < len(narrow) else ""
        name = pathway or named or SCOPED["pathway"].default
        at = 0 if pathway else naming  # contract.md 1.3: before the scope that names it
        own, groups = self.pathway_rows(name)
        order = [*narrow[:at], *own, *narrow[at:], *groups, self.top]
        values = {
            option: _first(order, option) or Value(declared.default) for option, declared in SCOPED.items()
        }
        options = ScopedOptions(**{option: found.value for option, found in values.items()})
        return Scoped(values, options, name, _open_peer(order))

    def pathway_rows(self, name: str) -> tuple[list[Block], list[Block]]:
        """Return the pathway's own scopes, in a group first, and that group (contract.md 1.3)."""
        groups = list(self.top.of_kind("pathway_group"))
        found = [
            (block, group) for group in groups for block in group.of_kind("pathway") if block.matches == name
        ]
        own = [block for block, _ in found[:1]]
        own += [block for block in self.top.of_kind("pathway") if block.matches == name]
        return own, [group for _, group in found[:1]]

    def pathways(self) -> frozenset[str]:
        """Return the names of all pathways of the file."""
        if self._pathways is None:
            names = (str(block.matches) for block in self.top.walk() if block.kind == "pathway")
            self._pathways = frozenset(names)
        return self._pathways

    def _listener_rows(self, where: Where) -> Iterator[Block]:
        """Yield rows 1 to 4."""
        listener, listen = self._listener(where)
        if listener is None:
            return
        client = address_of(where.client_address or _LOCAL)
        if listen is not None:
            yield from longest_peer(listen, client)
        yield from longest_peer(listener, client)
        if listen is not None:
            yield listen
        yield listener

    def _listener(self, where: Where) -> tuple[Block | None, Block | None]:
        """Return the listener of the connection, and the Listen in it that matches, if any.

        Where no Listen matches, this is the first listener that is in force.
        """
        listeners = list(self.top.of_kind("esmtp_listener"))
        local = address_of(where.local_address)
        if where.client_address or where.local_address or where.local_port is not None:
            served = [
                (rank, listener, listen)
                for listener in listeners
                for listen in listener.of_kind("listen")
                if listen.serves(listener.serves()) and (rank := _rank(listen.matches, where, local))
            ]
            if served:
                best = max(served, key=lambda found: found[0])  # the first of equals
                return best[1], best[2]
        return next((each for each in listeners if each.serves()), None), None


def longest_peer(block: Block, client: Address | None) -> Iterator[Block]:
    """Yield the Peer directly inside with the longest network that holds the client; none or one."""
    best: Block | None = None
    longest = -1
    for peer in block.of_kind("peer"):
        network = peer.matches
        assert not isinstance(network, ListenAddress | str)
        if client is not None and client in network and network.prefixlen > longest:
            best, longest = peer, network.prefixlen
    if best is not None:
        yield best


def longest_covering(block: Block, peer: Block) -> Iterator[Block]:
    """Yield the Peer directly inside the block that holds the whole network of another one; none or one."""
    inner = peer.matches
    assert not isinstance(inner, ListenAddress | str)
    yield from longest_peer(block, inner.network_address)


def _rank(listen: object, where: Where, local: Address | None) -> int:
    """Return how well a Listen matches a connection: 0 not at all, 3 exactly, 2 by family, 1 by any address.

    Without a port from the MTA only wildcards match (contract.md 2.5).
    """
    assert isinstance(listen, ListenAddress)
    if isinstance(listen.address, str) and not listen.wildcard:
        return 3 if listen.address == where.local_address else 0
    if where.local_port is not None and where.local_port != listen.port:
        return 0
    if listen.address == "":
        return 1
    if listen.address == "[*]":
        family = local or address_of(where.client_address)
        return 2 if family is not None and family.version == 6 else 0
    return 3 if where.local_port is not None and local == listen.address else 0


def _open_peer(order: Iterable[Block]) -> Network | None:
    """Return the network of the Peer whose Open_Relay is in force and true."""
    found = next((block for block in order if "open_relay" in block.values), None)
    if found is None or not found.values["open_relay"].value or found.kind != "peer":
        return None
    assert not isinstance(found.matches, ListenAddress | str)
    return found.matches


def _first(rows: Iterable[Block], option: str) -> Value | None:
    return next((row.values[option] for row in rows if option in row.values), None)
