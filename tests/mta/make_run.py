"""`make run` as a process, as its user starts it. Not a test."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mta.mta_site import free_port, until

_ROOT = Path(__file__).parents[2]


class MakeRun:
    """command: starts it, if not the program that `make run` starts. more: its environment, beside."""

    def __init__(
        self,
        folder: Path,
        smtp: int,
        http: int,
        command: Sequence[str] = (sys.executable, "-m", "demo.run"),
        more: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.smtp, self.http = smtp, http
        self.out = folder.parent / f"{folder.name}.out"
        environment = dict(os.environ, RUN_DIR=str(folder), PORT_SMTP=str(smtp), PORT_HTTP=str(http))
        self.web = free_port()
        environment["PORT_HOP"], environment["PORT_WEB"] = str(free_port()), str(self.web)
        environment |= more or {}
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                command, cwd=_ROOT, env=environment, stdout=out, stderr=out, start_new_session=True
            )

    def text(self) -> str:
        return self.out.read_text()

    def until(self, text: str, seconds: float = 30) -> None:
        until(lambda: text in self.text() or self.process.poll() is not None, seconds, text)
        assert text in self.text(), self.text()

    def send(self, recipient: str) -> None:
        """Hand a mail in, as its user would."""
        program = Path(sys.executable).with_name("smtpapi")
        mail = _ROOT / "demo" / "newsletter.eml"
        server = f"127.0.0.1:{self.smtp}"
        subprocess.run([program, "send", "--server", server, "--to", recipient, mail], check=True)

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)

    def processes(self) -> list[str]:
        """Command lines of all that is still there of it."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(self.folder) in line:
                found.append(line)
        return found
