"""The programs that run here, and whether they have read the configuration that is on the disk.

By the times at which processes began, in /proc: filter and tracker read their configuration at the start and
at a reload, and after a reload serve by new worker processes. So a worker that is older than the last change
has not read it. Not seen: a change of a program's files that were replaced without a change of time.
"""

import os
import pwd
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from engagement.settings import Settings
from engagement.shipper import status as shipper_status
from smtpapi.doctor.finding import Finding, Level

CHECK: Final = "processes"
_DRAIN: Final = 330  # seconds for which workers of before a reload may go on (docs/postfix.md: five minutes)
ROLES: Final = {
    "milter": "No mail is tracked: clients are told 451, or mail passes untouched.",
    "tracker": "No link opens.",
    "ship": "Events wait in the spool, and are dropped when it is full.",
    "follow": "Deliveries and bounces are not known.",
    "web": "Nobody sees the pages of events.",
    "webhooks": "No webhook gets an event.",
    "cluster": "What is changed on other hosts is not known here.",
}
# The checks of that name miss them, where they are needed.
_NOT_MISSED: Final = frozenset(("webhooks", "cluster"))
_UNITS: Final = {"milter": "smtpapi-milter", "tracker": "smtpapi-tracker", "ship": "smtpapi-shipper"}
_RELOAD: Final = frozenset(("milter", "tracker", "ship", "web"))  # whose units have ExecReload=
_NEEDED: Final = frozenset(("milter", "tracker", "ship"))


@dataclass(frozen=True, slots=True)
class Running:
    """One program.

    began: of each process that serves, Unix seconds: its workers, or itself where it has none.
    """

    role: str
    pid: int
    user: str
    began: tuple[float, ...]


def running(config: Path, proc: Path = Path("/proc")) -> list[Running]:
    """Return the programs that run with a configuration."""
    found: dict[int, tuple[str, float, int, str]] = {}
    parents: dict[int, int] = {}
    begins: dict[int, float] = {}
    boot = _boot_time(proc)
    ticks = os.sysconf("SC_CLK_TCK")
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            arguments = (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            columns = (folder / "stat").read_text().rpartition(")")[2].split()
            owner = folder.stat().st_uid
        except OSError:  # it ended, or is not ours to see
            continue
        pid = int(folder.name)
        parents[pid], begins[pid] = int(columns[1]), boot + int(columns[19]) / ticks
        if "resource_tracker" in " ".join(arguments):
            del begins[pid]
        if (role := role_of(arguments)) and _config_of(arguments, folder) == os.path.realpath(config):
            found[pid] = (role, begins[pid], owner, arguments[0])
    programs = []
    for pid, (role, began, owner, _) in sorted(found.items()):
        if parents[pid] in found:
            continue  # a worker
        workers = tuple(begins[each] for each in _below(pid, parents) if each in begins)
        programs.append(Running(role, pid, _user(owner), workers or (began,)))
    return programs


def as_reported(program: Running, settings: Settings) -> Running:
    """Return a program with the time at which it says that it began anew: the shipper, at a reload."""
    if program.role != "ship":
        return program
    last = shipper_status.load(Path(settings.spool.directory))
    if last is None or last.pid != program.pid:
        return program
    return replace(program, began=(max(last.began, *program.began),))


def role_of(arguments: Sequence[str]) -> str:
    """Return which of our programs a command line starts, "" for none."""
    text = " ".join(arguments)
    if found := re.search(r"-m tracker_web(\.web)?(?: |$)", text):
        return "web" if found[1] else "tracker"
    for before, word in pairwise(arguments):
        if os.path.basename(before) == "smtpapi" and word in ROLES:
            return word if not {"--once", "--status"} & set(arguments) else ""
    return ""


def _config_of(arguments: Sequence[str], folder: Path) -> str:
    named = ""
    for before, word in pairwise(arguments):
        if before == "--config":
            named = word
        elif word.startswith("--config="):
            named = word.removeprefix("--config=")
    if not named:
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            variables = []
        given = [each for each in variables if each.startswith(b"SMTPAPI_CONFIG=")]
        named = os.fsdecode(given[0].partition(b"=")[2]) if given else "/etc/smtpapi/smtpapi.conf"
    if not named.startswith("/"):
        try:
            named = os.path.join(os.readlink(folder / "cwd"), named)
        except OSError:
            return named
    return os.path.realpath(named)


def _below(pid: int, parents: dict[int, int]) -> Iterator[int]:
    for child, parent in parents.items():
        if parent == pid:
            yield child
            yield from _below(child, parents)


def _boot_time(proc: Path) -> float:
    for line in (proc / "stat").read_text().splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    return 0.0


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def check(
    programs: Sequence[Running],
    changed: float,
    what: str,
    installed: float,
    now: float,
    elsewhere: frozenset[str] = frozenset(),
) -> Iterator[Finding]:
    """Yield programs that do not run, or that run by an older configuration or an older installation.

    changed: when the configuration was changed last; what: which file. installed: when the program was. All
    times in Unix seconds. elsewhere: roles of other hosts, which are not missed.
    """
    by_role = {each.role for each in programs}
    for role in ROLES:
        if role not in by_role | elsewhere | _NOT_MISSED:
            unit = _UNITS.get(role, f"smtpapi-{role}")
            yield Finding(
                CHECK,
                Level.ERROR if role in _NEEDED else Level.NOTE,
                f"`smtpapi {role}` does not run here with this configuration",
                ROLES[role],
                f"systemctl enable --now {unit}",
            )
    for each in programs:
        unit = _UNITS.get(each.role, f"smtpapi-{each.role}")
        verb = "reload" if each.role in _RELOAD else "restart"
        oldest, newest = min(each.began), max(each.began)
        if installed > newest + 1:
            yield Finding(
                CHECK,
                Level.WARNING,
                f"`smtpapi {each.role}` (process {each.pid}) runs since before the program was installed "
                "anew",
                "It is the earlier version, and workers that it starts may mix both.",
                f"systemctl restart {unit}",
            )
        if changed <= oldest + 1:  # times of processes are known to a hundredth, of the boot to a second
            yield Finding(
                CHECK,
                Level.OK,
                f"`smtpapi {each.role}` (process {each.pid}) has the configuration of the disk",
            )
        elif newest > changed and now - newest < _DRAIN:
            yield Finding(
                CHECK,
                Level.NOTE,
                f"`smtpapi {each.role}` was reloaded; processes of before still finish their sessions",
                "They end within five minutes.",
            )
        else:
            yield Finding(
                CHECK,
                Level.WARNING,
                f"{what} was changed after `smtpapi {each.role}` (process {each.pid}) read it",
                "It works by the old configuration"
                + (
                    ": links of a new domain are 404 but for genuine ones." if each.role == "tracker" else "."
                ),
                f"smtpapi check-config && systemctl {verb} {unit}",
            )
