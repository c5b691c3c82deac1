"""The filters that benchmarks of the milter run, and the mail that they are given.

Ours with a configuration of its own, and `ready_filter.py`, which gives ready bytes without any work.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from bench.program import ROOT
from engagement.links.keys import Ring
from engagement.links.model import Kind
from engagement.links.ring_file import load_ring, save_ring
from engagement.links.token import open_token
from engagement.links.urls import read_path
from engagement.settings import load_file
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.outcome import Plan
from smtpapi.pipeline.transaction import Site, consider
from smtpapi.rewrite import raw_message
from smtpapi.telemetry.counters import Counters

LINKS = 20
DOMAIN = "track.example.test"


def letter(kilobytes: int) -> bytes:
    """A quoted-printable HTML mail of about that size with `LINKS` links, CRLF."""
    size = kilobytes * 1000
    head = (
        "From: News <news@sender.test>\nTo: reader@rcpt.test\nSubject: Spring news\n"
        f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S', time.gmtime())} +0000\n"
        "Message-ID: <spring@sender.test>\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n"
        "Content-Transfer-Encoding: quoted-printable\n\n"
    )
    rows = [
        f'<tr><td style=3D"padding: 10px">\n<a href=3D"https://shop.example/stories/{number}?utm_source=3Dnews'
        f'&amp;id=3D{number * 7919}"=\n target=3D"_blank" style=3D"color:#fff">Read more</a></td></tr>\n'
        for number in range(LINKS)
    ]
    opening = '<html><body bgcolor=3D"#eeeeee">\n<table width=3D"600">\n'
    ending = "</table>\n</body></html>\n"
    cell = '<tr><td align=3D"left" style=3D"font-size:13px;line-height:22px;">=\n'
    paragraph = "<p>Some words about it =E2=80=93 with a dash &amp; an entity.</p>\n"
    filler = cell + paragraph * 3 + "</td></tr>\n"
    fixed = head + opening + "".join(rows) + ending
    left = max(0, size - len(fixed) - fixed.count("\n"))
    fillers = left // (len(filler) + filler.count("\n"))
    body = "".join(
        row + filler * (fillers * (n + 1) // LINKS - fillers * n // LINKS) for n, row in enumerate(rows)
    )
    return (head + opening + body + ending).replace("\n", "\r\n").encode()


def tracked(site: Site, raw: bytes, recipient: str) -> tuple[bytes, tuple[str, str]]:
    """The body that the filter makes of it, and the header field that it adds."""
    message = raw_message.split(raw)
    envelope = Envelope(Client("127.0.0.1"), "news@sender.test", (recipient,), "4bXyZ")
    outcome = consider(site, envelope, message.message, now=time.time(), tick=time.monotonic).outcome
    assert isinstance(outcome, Plan), outcome
    assert outcome.why is None, outcome.why
    body = message.apply(outcome).partition(b"\r\n\r\n")[2]
    (added,) = [change for change in outcome.headers if change.value is not None and not change.index]
    return body, (added.name, added.value or "")


def wait_for(path: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until someone answers on the socket."""
    for _ in range(400):
        if process.poll() is not None:
            break
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                time.sleep(0.05)
            else:
                return
    raise SystemExit(f"{path}: nobody answers\n{log.read_text(errors='replace')}")


@contextmanager
def program(command: Sequence[str], socket_path: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A filter, until it is left."""
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        wait_for(socket_path, process, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def ready_filter(
    folder: Path, place: Path, workers: int, body: bytes, field: tuple[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """The filter without work on a socket, giving that body and adding that field, until it is left."""
    ready = folder / f"{place.stem}.body"
    ready.write_bytes(body)
    command = [sys.executable, str(ROOT / "bench" / "ready_filter.py")]
    command += [str(place), str(workers), str(ready), *field]
    with program(command, place, folder / f"{place.stem}.log") as process:
        yield process


class Ours:
    """Configuration and keys of `smtpapi milter` in a folder of its own."""

    def __init__(self, folder: Path, socket_path: Path, workers: int, hop_port: int | None = None) -> None:
        self.folder, self.socket, self.workers = folder, socket_path, workers
        folder.mkdir(parents=True)
        self.config = folder / "smtpapi.conf"
        save_ring(folder / "keys", Ring().rotated(os.urandom(32), int(time.time()) - 10))
        rewriting = ""
        if hop_port is not None:
            rewriting = f'rewriting {{ several_recipients = split split_listener = "127.0.0.1:{hop_port}" }}'
        self.config.write_text(
            "smtpapi { }\n"
            f'milter {{ socket = "unix:{socket_path}" workers = {workers} user = "root"\n'
            f'  counters_directory = "{folder}/counters" }}\n'
            f'spool {{ directory = "{folder}/spool" }}\n'
            f'keys {{ ring = "{folder}/keys" }}\n'
            f"{rewriting}\n"
            "ESMTP_Listener {\n  click_tracking_enabled = true\n  open_tracking_enabled = true\n"
            f'  click_tracking_scheme = "https"\n  open_tracking_scheme = "https"\n'
            f'  tracking_domain = "{DOMAIN}"\n}}\n'
        )
        (folder / "spool").mkdir()

    def site(self) -> Site:
        """The same decisions, in this process."""
        return Site.build(load_file(self.config), load_ring(self.folder / "keys"))

    def running(self) -> AbstractContextManager[subprocess.Popen[bytes]]:
        command = [str(Path(sys.executable).with_name("smtpapi")), "milter", "--config", str(self.config)]
        return program(command, self.socket, self.folder / "log")

    def counts(self) -> dict[str, int]:
        return Counters.open(self.folder / "counters").totals()

    def check(self, delivered: bytes, recipient: str) -> None:
        """A delivered mail must hold the recipient's own links, all of them."""
        decoded = delivered.replace(b"=\r\n", b"").replace(b"=\n", b"").replace(b"=3D", b"=")
        ring = load_ring(self.folder / "keys")
        kinds = []
        for path in re.findall(rb"https://" + DOMAIN.encode() + rb"(/[^\s\"'<>]+)", decoded):
            requested = read_path(path)
            assert requested is not None, path
            opened = open_token(requested.token, ring)
            if opened.identity.recipient != recipient:
                raise SystemExit(f"a link of {opened.identity.recipient} in the mail of {recipient}")
            kinds.append(opened.kind)
        if kinds.count(Kind.CLICK) != LINKS or kinds.count(Kind.OPEN) != 1:
            raise SystemExit(f"the mail that was looked at has {kinds}, not {LINKS} clicks and an open")
