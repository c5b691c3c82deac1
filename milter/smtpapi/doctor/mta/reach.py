"""Whether Postfix reaches the filter: as its user, from its chroot, up to an answer of the milter protocol.

It is tried by a child process that goes into the chroot and becomes Postfix's user, as smtpd does. That needs
root; without it only the connection itself is tried.
"""

import grp
import json
import os
import pwd
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engagement.settings import Settings
from smtpapi.doctor.finding import Finding, Level
from smtpapi.doctor.mta.order import in_force, ours_in
from smtpapi.setup import milters
from smtpapi.setup.postfix_config import PostfixConfig

CHECK: Final = "socket"
_SECONDS: Final = 5.0  # for one answer: nothing here waits for a person or a distant host
# SMFIC_OPTNEG: version 6, every action, every step (sendmail's mfdef.h).
_HELLO: Final = struct.pack(">IcIII", 13, b"O", 6, 0x1FF, 0x1FFFFF)


@dataclass(frozen=True, slots=True)
class Attempt:
    """How smtpd gets to the filter. chroot: "" for none. trouble: why it does not, "" if it does.

    step: what failed: chroot, connect or answer.
    """

    service: str
    endpoint: str
    chroot: str
    trouble: str = ""
    step: str = ""


def attempts(config: PostfixConfig, settings: Settings) -> Iterator[Attempt]:
    """Yield what comes of each way in which an smtpd would connect, tried once each."""
    known: set[tuple[str, bool]] = set()
    for service in config.smtpds():
        found, place = ours_in(config, settings, in_force(config, service))
        if place < 0 or (found[place].endpoint, service.chroot) in known:
            continue
        known.add((found[place].endpoint, service.chroot))
        queue = config.queue_directory
        user = config.value("mail_owner") or "postfix"
        yield _tried(f"smtpd {service.name}", found[place].endpoint, queue, user, chroot=service.chroot)


def direct(program: str, settings: Settings) -> Attempt:
    """Return what comes of connecting as root does, for an MTA that asks the filter as root: Sendmail."""
    endpoint = milters.endpoint_for(settings.milter.socket, Path("/nowhere"))
    return _tried(program, endpoint, Path("/"), "root", chroot=False)


def _tried(service: str, endpoint: str, folder: Path, user: str, *, chroot: bool) -> Attempt:
    inside = str(folder) if chroot else ""
    order = {"queue": str(folder), "chroot": inside, "endpoint": endpoint, "uid": -1, "gid": -1}
    if os.geteuid() == 0:
        account = pwd.getpwnam(user)
        order |= {"uid": account.pw_uid, "gid": account.pw_gid}
    try:
        done = subprocess.run(  # noqa: S603 - this very Python and module
            [sys.executable, "-P", "-m", "smtpapi.doctor.mta.reach", json.dumps(order)],
            capture_output=True,
            text=True,
            check=False,
            timeout=3 * _SECONDS,
        )
        step, _, trouble = done.stdout.strip().partition(" ")
    except (OSError, subprocess.TimeoutExpired) as error:
        return Attempt(service, endpoint, inside, str(error), "connect")
    if step == "done":
        return Attempt(service, endpoint, inside)
    return Attempt(service, endpoint, inside, trouble or done.stderr.strip()[-200:], step or "connect")


def check(attempt: Attempt, settings: Settings) -> Iterator[Finding]:
    """Yield what an attempt says."""
    folder = folder_access(settings)
    place = Path(settings.milter.socket.partition(":")[2]).parent
    if not attempt.trouble:
        where = f" from its chroot {attempt.chroot}" if attempt.chroot else ""
        yield Finding(CHECK, Level.OK, f"{attempt.service} reaches {attempt.endpoint}{where}")
        return
    change = "systemctl start smtpapi-milter; journalctl -u smtpapi-milter says why it does not run"
    if "Permission denied" in attempt.trouble:
        change = f"install -d -o smtpapi -g postfix -m 2750 {place}; systemctl restart smtpapi-milter"
    elif attempt.step == "chroot":
        change = "Run the doctor as root"
    elif attempt.step == "answer":
        change = "ss -xlp shows who holds the socket; systemctl restart smtpapi-milter"
    yield Finding(
        CHECK,
        Level.ERROR,
        f"{attempt.service} does not reach the filter at {attempt.endpoint}: {attempt.trouble}"
        + (f" ({folder})" if folder else ""),
        "Clients are told 451 and keep their mail (with default_action=accept it goes out untracked).",
        change,
    )


def folder_access(settings: Settings) -> str:
    """Return owner, group and mode of the socket and its folder, "" for a socket of TCP."""
    family, _, path = settings.milter.socket.partition(":")
    if family not in ("unix", "local"):
        return ""
    return "; ".join(_access(each) for each in (Path(path).parent, Path(path)))


def _access(path: Path) -> str:
    try:
        found = path.stat()
    except OSError as error:
        return f"{path}: {error.strerror}"
    return f"{path} is {_name(found.st_uid, found.st_gid)} {stat.S_IMODE(found.st_mode):04o}"


def _name(uid: int, gid: int) -> str:
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    try:
        return f"{user}:{grp.getgrgid(gid).gr_name}"
    except KeyError:
        return f"{user}:{gid}"


def _child(order: dict[str, str | int]) -> str:
    """Connect as smtpd would and return one line; runs in a process of its own."""
    endpoint, chroot = str(order["endpoint"]), str(order["chroot"])
    try:
        os.chdir(str(order["queue"]))
        if order["uid"] != -1:
            if chroot:
                os.chroot(chroot)
            os.setgroups([])
            os.setgid(int(order["gid"]))
            os.setuid(int(order["uid"]))
    except OSError as error:
        return f"chroot {error.strerror}"
    family, _, rest = endpoint.partition(":")
    try:
        if family in ("unix", "local"):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(_SECONDS)
            connection.connect(rest)
        else:
            host, _, port = rest.rpartition(":")
            connection = socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS)
    except OSError as error:
        return f"connect {error.strerror or error}"
    with connection:
        try:
            connection.sendall(_HELLO)
            answer = connection.recv(64)
            connection.sendall(struct.pack(">Ic", 1, b"Q"))
        except OSError as error:
            return f"answer {error.strerror or error}"
    return "done" if answer[4:5] == b"O" else "answer what listens there is no milter"


if __name__ == "__main__":
    sys.stdout.write(_child(json.loads(sys.argv[1])))
