"""Lists of networks for policies (msys.cidr), from files in the form of rbldnsd.

A line is a network, then `:a:text`; a line that is only `:a:text` holds for the lines after it. Lines that
begin with # or ! are comments. The narrowest network that holds an address counts.
"""

import ipaddress
import os
import threading
import time
from pathlib import Path

_LARGEST = 64 * 1024 * 1024  # bytes of a list: some two million networks, held in memory; a guess
_TYPES = ("rbldnsd", "empty")


class ListError(ValueError):
    """Raised for a list that cannot be defined, read or asked."""


class _List:
    def __init__(self, source: Path | None, value: str, default: bytes | None, refresh: float) -> None:
        self.source = source
        self.value = value
        self.default = default
        self.refresh = refresh
        self.read_at = float("-inf")
        self.stamp: tuple[int, int] | None = None
        # By IP version and prefix length: the networks' numbers and what is said of them.
        self.networks: dict[int, dict[int, dict[int, bytes]]] = {}


class NetworkLists:
    """The lists of one configuration, by name. Threads share it; a list is replaced as a whole."""

    def __init__(self, folders: tuple[Path, ...] = ()) -> None:
        self._folders = folders
        self._lists: dict[str, _List] = {}
        self._lock = threading.Lock()

    def define(
        self, name: str, kind: str, source: str, value: str, default: bytes | None, refresh: float
    ) -> None:
        """Add a list and read it; a list of that name that says the same stays. Raises `ListError`."""
        if kind not in _TYPES:
            raise ListError(f"type {kind}: only rbldnsd and empty are built (docs/policy-lua.md)")
        if value not in ("a", "txt"):
            raise ListError(f"value {value}: a or txt")
        path = self._found(source) if kind == "rbldnsd" else None
        with self._lock:
            before = self._lists.get(name)
            if before is not None and (before.source, before.value, before.default) == (path, value, default):
                return
            made = _List(path, value, default, refresh)
            self._read(made)
            self._lists[name] = made

    def query(self, name: str, address: str) -> bytes | None:
        """Return what the list says of an address, its default for one that it lacks. Raises `ListError`."""
        found = self._lists.get(name)
        if found is None:
            raise ListError(f"no list is named {name}")
        if found.refresh and time.monotonic() - found.read_at > found.refresh:
            with self._lock:
                try:
                    self._read(found)
                except ListError:
                    found.read_at = time.monotonic()  # what was read before stays
        try:
            queried = ipaddress.ip_address(address)
        except ValueError:
            raise ListError(f"{address!r} is no address") from None
        mapped = getattr(queried, "ipv4_mapped", None)
        queried = mapped or queried
        number, bits = int(queried), queried.max_prefixlen
        networks = found.networks.get(queried.version, {})
        for length in sorted(networks, reverse=True):
            answer = networks[length].get(number >> (bits - length))
            if answer is not None:
                return answer
        return found.default

    def reload(self, name: str) -> None:
        """Read a list again. Raises `ListError`."""
        found = self._lists.get(name)
        if found is None:
            raise ListError(f"no list is named {name}")
        with self._lock:
            found.stamp = None
            self._read(found)

    def _found(self, source: str) -> Path:
        path = Path(source)
        if path.is_absolute():
            return path
        return next((each / path for each in self._folders if (each / path).exists()), path)

    def _read(self, found: _List) -> None:
        found.read_at = time.monotonic()
        if found.source is None:
            return
        try:
            state = os.stat(found.source)
            if found.stamp == (state.st_mtime_ns, state.st_size):
                return
            if state.st_size > _LARGEST:
                raise ListError(f"{found.source}: larger than {_LARGEST} bytes")
            text = found.source.read_text("utf-8", "replace")
        except OSError as error:
            raise ListError(f"{found.source}: {error.strerror}") from None
        found.networks = _networks(text, found.value, str(found.source))
        found.stamp = (state.st_mtime_ns, state.st_size)


def _networks(text: str, value: str, name: str) -> dict[int, dict[int, dict[int, bytes]]]:
    """Return the networks of a file. Raises `ListError` for a line that is none."""
    found: dict[int, dict[int, dict[int, bytes]]] = {}
    default = ("127.0.0.2", "")
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line[0] in "#!;":
            continue
        if line.startswith(":"):
            default = _answer(line, default)
            continue
        if line.startswith("$"):
            continue
        word, rest = _cut(line)
        try:
            network = ipaddress.ip_network(word, strict=False)
        except ValueError:
            raise ListError(f"{name}:{number}: {word!r} is no network") from None
        address, txt = _answer(rest, default) if rest else default
        shown = (address if value == "a" else txt or address).encode()
        key = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
        found.setdefault(network.version, {}).setdefault(network.prefixlen, {})[key] = shown
    return found


def _cut(line: str) -> tuple[str, str]:
    """Return network and `:a:text` of a line; in IPv6 a blank stands before the colon."""
    head, colon, tail = line.partition(":")
    if colon and "." in head and " " not in head:
        return head, ":" + tail
    word, _, rest = line.partition(" ")
    return word, rest.strip()


def _answer(text: str, default: tuple[str, str]) -> tuple[str, str]:
    parts = text.split(":", 2)
    if not text.startswith(":"):
        return default[0], text
    address = parts[1].strip() if len(parts) > 1 else ""
    return address or default[0], parts[2].strip() if len(parts) > 2 else default[1]
