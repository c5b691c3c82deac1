"""Find settings of Postfix by which mail bypasses the filter, with Postfix's own postconf(1).

Not whether Postfix runs. Nothing is changed.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

_ASKED = ("smtpd_milters", "smtpd_proxy_filter", "receive_override_options")
_LOOPBACK = re.compile(r"(?:\[?(?:127\.[\d.]+|::1)\]?|localhost):(\w+)$")


class Unreadable(Exception):
    """Postfix's configuration could not be read. The text is for the person at the terminal."""


class Smtpd(NamedTuple):
    """One smtpd of master.cf. service: its first column. options: the values in force for it, by name."""

    service: str
    options: Mapping[str, str]

    @property
    def proxy(self) -> str:
        """Return where it sends each message before it is queued, "" for nowhere."""
        return self.options["smtpd_proxy_filter"]

    @property
    def has_milters(self) -> bool:
        """Return whether it has milters."""
        without = "no_milters" in self.options["receive_override_options"]
        return bool(self.options["smtpd_milters"]) and not without


def smtpds(folder: Path) -> list[Smtpd]:
    """Return the smtpds of the Postfix whose configuration is in this folder.

    Raises Unreadable where postconf(1) cannot be run or fails.
    """
    main = dict(zip(_ASKED, _postconf(folder, "-hx", *_ASKED), strict=True))
    own: dict[str, dict[str, str]] = {}
    for line in _postconf(folder, "-Px"):
        place, _, value = line.partition(" =")
        service, _, name = place.rpartition("/")
        if name in _ASKED:
            own.setdefault(service, {})[name] = value.strip()
    services = [line.split() for line in _postconf(folder, "-M")]
    return [
        Smtpd(columns[0], main | own.get("/".join(columns[:2]), {}))
        for columns in services
        if len(columns) > 7 and columns[7] == "smtpd"
    ]


def advice(found: list[Smtpd], hop_port: int | None = None) -> Iterator[str]:
    """Yield warnings about smtpds. hop_port: of the second pass, which only the filter's own mail may use."""
    behind = [
        each
        for each in found
        if not each.proxy
        and each.has_milters
        and (place := _LOOPBACK.match(each.service))
        and place[1] != str(hop_port)
    ]
    for each in found:
        if each.proxy and not behind:
            alone = "its milters are not shown mail" if each.has_milters else "no milter is asked there"
            yield (
                f"Postfix's smtpd {each.service} hands mail to smtpd_proxy_filter {each.proxy}: {alone}. "
                "Nothing that comes in there is tracked until the smtpd on loopback that the proxy gives "
                "mail back to has the filter in its smtpd_milters (docs/postfix.md)"
            )


def _postconf(folder: Path, *arguments: str) -> list[str]:
    command = ["/usr/sbin/postconf", "-c", str(folder), *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - the program is fixed, the folder the operator's own
            command, capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unreadable(f"{command[0]}: {error}") from None
    if done.returncode != 0:
        raise Unreadable(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.splitlines()
