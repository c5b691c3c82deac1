"""A Sendmail in which mail comes back: aliases that pipe into scripts which call its submission program.

A stranger is a client that connects from the machine's address on its network, which no Relay_Hosts names.
"""

import contextlib
import fcntl
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta.mta_site import open_folders
from mta.sendmail_site import Site, running
from private_mta.sendmail import PROGRAMS, make_cf

_SIOCGIFADDR = 0x8915
# By cell, so that the script knows whom to send to.
_SCRIPT = """#!/bin/sh
LD_PRELOAD={folder}/bin/hostname.so
export LD_PRELOAD
without_trace() {{
  awk 'body {{ print; next }} /^$/ {{ body = 1 }} !/^[ \\t]/ {{ gone = /^Received:/ }} !gone'
}}
case $1 in strip-*) edit=without_trace ;; *) edit=cat ;; esac
$edit | {folder}/bin/sendmail -C{folder}/submit.cf -Ac -i -f a@sender.test "$1@rcpt.test"
"""
_SUBMIT = """\
divert(-1)
define(`_CF_DIR_', `{cf}/')
include(`{cf}/m4/cf.m4')
divert(0)dnl
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `mail.example.test')dnl
define(`confRUN_AS_USER', `daemon')dnl
define(`MSP_QUEUE_DIR', `{folder}/msp')dnl
define(`confSERVICE_SWITCH_FILE', `{folder}/sendmail/switch')dnl
define(`confDONT_BLAME_SENDMAIL', `TrustStickyBit,GroupWritableDirPathSafe')dnl
define(`RELAY_MAILER_ARGS', `TCP $h {port}')dnl
FEATURE(`msp', `[127.0.0.1]')dnl
"""
_FEATURES = """\
define(`ALIAS_FILE', `{folder}/aliases')dnl
LOCAL_DOMAIN(`pipe.test')dnl
RELAY_DOMAIN(`rcpt.test')dnl
"""


def own_address() -> str:
    """This machine's address on a network: what a client that is not on loopback connects from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):
                request = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", name.encode()))
                address = socket.inet_ntoa(request[20:24])
                if not address.startswith("127."):
                    return address
    pytest.fail("a network interface besides loopback is needed, for a client that is a stranger")


@contextlib.contextmanager
def layouts(folder: Path, cells: list[str]) -> Iterator[Site]:
    """cells: aliases @pipe.test, each leading by a pipe to the same name @rcpt.test."""
    folder.chmod(0o755)
    open_folders(folder)
    (folder / "bin").mkdir()  # where the account of the pipes can come, too
    for name in ("usr/libexec/sendmail/sendmail", "hostname.so"):
        shutil.copy(PROGRAMS / name, folder / "bin")
    script = folder / "script"
    script.write_text(_SCRIPT.format(folder=folder))
    script.chmod(0o755)
    queue = folder / "msp"
    queue.mkdir()
    os.chown(queue, 1, 1)  # daemon, by whom Sendmail runs the programs of aliases
    queue.chmod(0o770)
    (folder / "sendmail").mkdir()
    aliases = folder / "sendmail" / "aliases"
    aliases.write_text(
        "".join(f'{cell}: "|{script} {cell}"\n' for cell in cells) + "forward: other@rcpt.test\n"
    )
    with running(folder, features=_FEATURES) as site:
        mc = folder / "submit.mc"
        mc.write_text(
            _SUBMIT.format(
                cf=PROGRAMS / "usr/share/sendmail/cf", folder=folder, port=site.sendmail.ports["on"]
            )
        )
        (folder / "submit.cf").write_text(make_cf(mc))
        status, output = by_program(folder, b"", f"-C{site.sendmail.config}", "-bi")
        assert status == 0, output
        yield site


def program(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """The sendmail command, as root."""
    return subprocess.Popen(
        [str(folder / "bin" / "sendmail"), *arguments],
        env={"LD_PRELOAD": str(folder / "bin" / "hostname.so")},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def by_program(folder: Path, mail: bytes, *arguments: str) -> tuple[int, bytes]:
    """Its exit status for a mail, and what it said."""
    with program(folder, *arguments) as running:
        stated, _ = running.communicate(mail.replace(b"\r\n", b"\n"), timeout=30)
    return running.returncode, stated
