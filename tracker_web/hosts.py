"""Which names the tracker answers to: for links, and for the page.

Not DNS: names are compared as `Host` gives them, without port and letter case.
"""

from dataclasses import dataclass

from engagement.settings import Settings
from tracker_web.client import as_address, host_name

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the tracker listens. path: of a unix socket; if "", host (without brackets) and port count."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_listen(text: str) -> Listen:
    """`host:port`, `[IPv6]:port`, `:port` (every address) or `unix:/path`. Raises ValueError."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/"):
            raise ValueError(f"{text!r}: a unix socket needs an absolute path")
        return Listen(path=path)
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r}: expected address:port, such as 127.0.0.1:8080")
    return Listen(host=host.removeprefix("[").removesuffix("]") or "0.0.0.0", port=int(port))  # noqa: S104 - ":port" means it


def page_hosts(settings: Settings) -> frozenset[str]:
    """The names under which the page may be seen: those of loopback, and the listen address."""
    listen = parse_listen(settings.tracker.listen)
    own = as_address(listen.host)
    if listen.path or (own is not None and own.is_unspecified):
        return _LOOPBACK
    return _LOOPBACK | {host_name(str(listen))}


def tracking_hosts(settings: Settings) -> frozenset[str]:
    """The names under which links are answered."""
    named = {host_name(domain) for domain in (*settings.tracking_domains(), *settings.tracker.hosts)}
    listen = parse_listen(settings.tracker.listen)
    own = as_address(listen.host)
    if listen.path or listen.host == "localhost" or (own and (own.is_loopback or own.is_unspecified)):
        named |= _LOOPBACK
    if not listen.path:
        named.add(host_name(str(listen)))
    return frozenset(named - {""})
