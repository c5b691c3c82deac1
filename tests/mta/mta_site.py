"""A running filter with a configuration of its own, for tests over the milter protocol and with real MTAs."""

import os
import re
import signal
import smtplib
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engagement.events.model import Injection
from engagement.events.record import decode
from engagement.links.keys import SECRET_SIZE, Ring
from engagement.links.model import Opened
from engagement.links.ring_file import save_ring
from engagement.links.token import open_token
from engagement.links.urls import read_path
from engagement.spool.read import SpoolReader
from mta.site_parts import DOMAIN
from private_mta.postfix import PrivatePostfix
from smtpapi.telemetry.counters import Counters

SECRET = bytes(range(SECRET_SIZE))
SMTPAPI = Path(sys.executable).with_name("smtpapi")

LISTENER = f"""
ESMTP_Listener {{
  Listen ":25" {{ }}
  click_tracking_enabled = true
  open_tracking_enabled = true
  tracking_domain = "{DOMAIN}"
}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert isinstance(port, int)
    return port


# Nothing is timed here: a wait ends as soon as it can, and a machine that does other work too gets its time.
_SLOWNESS = 3


def until(done: Callable[[], object], seconds: float = 10.0, what: str = "it") -> None:
    """Wait for something to become true. seconds: what it may take on a machine of its own."""
    seconds *= _SLOWNESS
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"waited {seconds} s in vain for {what}"
        time.sleep(0.02)


class Filter:
    """The process `smtpapi milter` and its files below one folder."""

    def __init__(
        self,
        folder: Path,
        listener: str = LISTENER,
        *,
        workers: int = 1,
        milter: str = "",
        more: str = "",
        socket_path: Path | None = None,
        program: tuple[str, ...] = (str(SMTPAPI),),
    ) -> None:
        self.folder = folder
        self.socket = socket_path or folder / "milter.sock"
        self.config = folder / "smtpapi.conf"
        self.log = folder / "milter.log"
        self.spool = folder / "spool"
        self._program = program
        self._template = (listener, workers, milter, more)
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.spool.mkdir(exist_ok=True)
        self.ring = Ring().rotated(SECRET, 1)
        save_ring(folder / "keys", self.ring)
        self.configure(listener)

    def configure(self, listener: str, text: str | None = None) -> None:
        """Write the configuration; text replaces all of it."""
        _, workers, milter, more = self._template
        user = 'user = "root"' if os.geteuid() == 0 else ""
        self.config.write_text(
            text
            or f"""smtpapi {{ debug_level = DEBUG }}
milter {{ socket = "unix:{self.socket}" workers = {workers} {milter or user}
  counters_directory = "{self.folder}/counters" }}
spool {{ directory = "{self.spool}" }}
keys {{ ring = "{self.folder}/keys" }}
{more}
{listener}
"""
        )

    def start(self, seconds: float = 15.0) -> "Filter":
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._program, "milter", "--config", str(self.config)], stdout=log, stderr=log
            )
        until(lambda: "ready:" in self.log_text() or self.ended(), seconds, "the filter")
        assert not self.ended(), self.log_text()
        return self

    def ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def stop(self, seconds: float = 20.0) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def __enter__(self) -> "Filter":
        return self.start()

    def __exit__(self, *what: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()

    def hup(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def workers(self) -> list[int]:
        assert self.process is not None
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(word) for word in path.read_text().split()]

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def counts(self) -> dict[str, int]:
        return Counters.open(self.folder / "counters").totals()

    def links(self, body: bytes) -> list[Opened]:
        """What all tracked links in these octets hold."""
        urls = re.findall(rb"https?://" + DOMAIN.replace(".", r"\.").encode() + rb"(/[^\s\"'<>]+)", body)
        found = []
        for path in urls:
            requested = read_path(path)
            assert requested is not None, path
            found.append(open_token(requested.token, self.ring))
        return found

    def injections(self) -> list[Injection]:
        """The events in the spool so far."""
        events = [decode(entry.record) for entry in SpoolReader(self.spool).read()]
        return [event for event in events if isinstance(event, Injection)]


def open_folders(folder: Path) -> None:
    """Let others in: pytest makes its folders for the user alone, and Postfix delivers as another."""
    for place in (folder, *folder.parents):
        mode = place.stat().st_mode
        if not mode & 0o005 and place != Path.home():
            place.chmod(mode | 0o055)


@dataclass
class Mta:
    """The running pair. ports: by what they are for."""

    postfix: PrivatePostfix
    filter: Filter
    ports: dict[str, int]

    def send(self, port: str, recipients: list[str], message: bytes, sender: str = "a@sender.test") -> None:
        with smtplib.SMTP("127.0.0.1", self.ports[port], timeout=30) as smtp:
            smtp.sendmail(sender, recipients, message)

    def delivered(self, recipient: str, seconds: float = 15.0) -> bytes:
        """The octets that follow Postfix's own delivery lines, CRLF, of the mail to this recipient."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for file in self.postfix.delivered():
                lines = file.read_bytes()
                if f"X-Original-To: {recipient}\n".encode() in lines:
                    return lines.replace(b"\n", b"\r\n")
            time.sleep(0.03)
        raise AssertionError(f"nothing came for {recipient}: {self.postfix.last_lines(10)}")
