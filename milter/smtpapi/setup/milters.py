"""Postfix's lists of milters (smtpd_milters and its kind), read and written (postconf(5)).

Pure. Not what a milter answers (`smtpapi.doctor.mta.reach`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Programs that sign mail, by the names of their sockets and the ports that their documentation uses:
# OpenDKIM, dkimpy-milter, OpenARC, rspamd's proxy, and amavisd-milter, whose amavis may sign.
_SIGNERS: Final = re.compile(
    r"dkim|openarc|rspamd|amavis|:(?:8891|8892|8893|12301|11332)\b|\b(?:8891|8892|8893|12301|11332)@"
)
_ITEM: Final = re.compile(r"\{(?P<braced>[^{}]*)\}|(?P<bare>[^\s,{}]+)")


@dataclass(frozen=True, slots=True)
class Milter:
    """One entry. text: as it was written. endpoint: what to connect to, or a `$name` that stands for some.

    options: those in braces.
    """

    text: str
    endpoint: str
    options: Mapping[str, str]

    @property
    def signs(self) -> bool:
        """Whether a program is named here that is known to sign mail."""
        return _SIGNERS.search(self.endpoint.lower()) is not None


def read(value: str) -> tuple[Milter, ...]:
    """Return the entries of a list in their order."""
    return tuple(_read(found) for found in _ITEM.finditer(value))


def _read(found: re.Match[str]) -> Milter:
    if found["bare"] is not None:
        return Milter(found["bare"], found["bare"], {})
    endpoint, *options = re.split(r"[\s,]+", found["braced"].strip(" \t\r\n,"))
    pairs = (option.partition("=") for option in options)
    return Milter(found.group(), endpoint, {name: value for name, _, value in pairs})


def written(milters: Iterable[str]) -> str:
    """Return entries as one value without blanks, which `postconf -P` takes as well."""
    return ",".join(re.sub(r"\s*([{},])\s*", r"\1", text).replace(" ", ",") for text in milters)


def same_place(endpoint: str, socket: str, queue_directory: Path) -> bool:
    """Return whether an endpoint of Postfix leads to the socket of our configuration (`milter.socket`).

    A path is relative to the queue directory, and so is an absolute one where smtpd is chrooted.
    """
    family, _, rest = socket.partition(":")
    if family in ("unix", "local"):
        kind, _, path = endpoint.partition(":")
        return kind in ("unix", "local") and rest in (path, str(queue_directory / path.lstrip("/")))
    port, _, address = rest.partition("@")
    return endpoint.removeprefix("inet6:").removeprefix("inet:") in (
        f"{address}:{port}",
        f"[{address}]:{port}",
    )


def seen_from(socket: str, queue_directory: Path) -> str:
    """Return our socket as the smtpd of that directory sees it: its folder may be mounted there, too."""
    family, _, rest = socket.partition(":")
    path = Path(rest)
    here = queue_directory / path.parent.name
    if family not in ("unix", "local") or path.is_relative_to(queue_directory):
        return socket
    there = here.is_dir() and not here.is_symlink() and path.parent.is_dir()
    mounted = there and here.samefile(path.parent)
    return f"{family}:{here / path.name}" if mounted else socket


def endpoint_for(socket: str, queue_directory: Path) -> str:
    """Return how Postfix writes our socket: below its queue directory as a relative path."""
    family, _, rest = socket.partition(":")
    if family in ("unix", "local"):
        path = Path(rest)
        inside = path.is_relative_to(queue_directory)
        return f"unix:{path.relative_to(queue_directory) if inside else path}"
    port, _, address = rest.partition("@")
    return f"inet:[{address}]:{port}" if ":" in address else f"inet:{address}:{port}"
