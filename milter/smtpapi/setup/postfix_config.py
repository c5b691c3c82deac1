"""What a Postfix is configured to do, read by its own postconf(1). Nothing is changed here."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

POSTCONF: Final = "/usr/sbin/postconf"


class Unreadable(Exception):
    """Postfix's configuration could not be read. The text is for the person at the terminal."""


@dataclass(frozen=True, slots=True)
class Service:
    """One entry of master.cf.

    name, kind: its first two columns. chroot: whether it runs in the queue directory. command: the program.
    own: its `-o` options as written. options: the same with `$name` filled in.
    """

    name: str
    kind: str
    chroot: bool
    command: str
    own: Mapping[str, str]
    options: Mapping[str, str]

    @property
    def place(self) -> str:
        """The name by which postconf(1) knows it."""
        return f"{self.name}/{self.kind}"


@dataclass(frozen=True, slots=True)
class PostfixConfig:
    """What main.cf and master.cf say.

    written: main.cf as written. values: every parameter, `$name` filled in.
    """

    folder: Path
    written: Mapping[str, str]
    values: Mapping[str, str]
    services: tuple[Service, ...]
    complaints: tuple[str, ...] = ()

    @property
    def queue_directory(self) -> Path:
        """The folder that chrooted services see as the root."""
        return Path(self.values["queue_directory"])

    def value(self, name: str, service: Service | None = None) -> str:
        """Return the value in force, for a service or for all; "" for none."""
        if service is not None and name in service.options:
            return service.options[name]
        return self.values.get(name, "")

    def smtpds(self) -> tuple[Service, ...]:
        """Return the services that take mail by SMTP from a network."""
        return tuple(each for each in self.services if each.command == "smtpd")

    def service(self, place: str) -> Service | None:
        """Return a service by its name and type, as in `split/unix`; None where there is none."""
        return next((each for each in self.services if each.place == place), None)


def read(folder: Path) -> PostfixConfig:
    """Return the configuration in a folder. Raises Unreadable where postconf(1) cannot be run or fails."""
    written, complaints = run(folder, "-n")
    values = dict(_pairs(run(folder, "-x")[0]))
    own = _by_service(run(folder, "-P")[0])
    options = _by_service(run(folder, "-Px")[0])
    by_default = values.get("compatibility_level", "0").split(".")[0] in ("", "0")  # chroot = y before 3.0
    services = [
        Service(
            columns[0],
            columns[1],
            columns[4] == "y" or (columns[4] == "-" and by_default),
            columns[7],
            own.get("/".join(columns[:2]), {}),
            options.get("/".join(columns[:2]), {}),
        )
        for columns in (line.split() for line in run(folder, "-M")[0])
        if len(columns) > 7
    ]
    return PostfixConfig(folder, dict(_pairs(written)), values, tuple(services), tuple(complaints))


def _pairs(lines: list[str]) -> list[tuple[str, str]]:
    return [(name, value.strip()) for name, _, value in (line.partition(" =") for line in lines)]


def _by_service(lines: list[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for place, value in _pairs(lines):
        service, _, name = place.rpartition("/")
        found.setdefault(service, {})[name] = value
    return found


def run(folder: Path, *arguments: str) -> tuple[list[str], list[str]]:
    """Run postconf(1); return its lines and its complaints. Raises Unreadable where it cannot or fails."""
    command = [POSTCONF, "-c", str(folder), *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - the program is fixed, the folder the operator's own
            command, capture_output=True, text=True, errors="replace", check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unreadable(f"{command[0]}: {error}") from None
    if done.returncode != 0:
        raise Unreadable(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.splitlines(), done.stderr.splitlines()
