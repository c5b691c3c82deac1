"""A private Sendmail in one folder, for the tests and to try mail with, as `private_mta.postfix` is a
Postfix.

It is not the system's Sendmail and never touches it. Configuration, queue and logs are below the given
folder, and it listens on loopback only. All mail, whatever its domain, goes to one SMTP server. The programs
are not installed, since Debian's packages exclude Postfix: `.ci/sendmail` unpacks them below
`.test/sendmail`. The configuration is a site's own part, then `etc/sendmail/smtpapi.mc` as it ships.
Starting needs root, as Sendmail does.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

_ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = _ROOT / ".test" / "sendmail"
SMTPAPI_MC = _ROOT / "etc" / "sendmail" / "smtpapi.mc"

# All that is a site's own. {…} are filled in; m4's quotes are ` and '.
_SITE = """\
divert(-1)
define(`_CF_DIR_', `{cf}/')
include(`{cf}/m4/cf.m4')
divert(0)dnl
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `mail.example.test')dnl
define(`QUEUE_DIR', `{folder}/queue')dnl
define(`confPID_FILE', `{folder}/pid')dnl
define(`STATUS_FILE', `{folder}/statistics')dnl
define(`HELP_FILE', `{folder}/help')dnl
define(`confSERVICE_SWITCH_FILE', `{folder}/switch')dnl
define(`confHOSTS_FILE', `/etc/hosts')dnl
undefine(`ALIAS_FILE')dnl
define(`confDONT_BLAME_SENDMAIL', `TrustStickyBit')dnl (the folder may lie below /tmp)
define(`confTO_IDENT', `0')dnl
define(`confTO_RESOLVER_RETRANS', `1s')dnl
define(`confTO_ICONNECT', `2s')dnl
define(`confTO_QUEUEWARN', `')dnl
define(`confMAX_MESSAGE_SIZE', `52428800')dnl
define(`confREFUSE_LA', `1000')dnl
define(`confQUEUE_LA', `1000')dnl
define(`SMART_HOST', `relay:[127.0.0.1]')dnl
define(`RELAY_MAILER_ARGS', `TCP [127.0.0.1] {next_hop}')dnl
define(`LOCAL_RELAY', `relay:[127.0.0.1]')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`accept_unresolvable_domains')dnl
{features}
{daemons}
MAILER(`local')dnl
MAILER(`smtp')dnl
define(`SMTPAPI_SOCKET', `local:{milter}')dnl
define(`SMTPAPI_PORT', `{split_port}')dnl
include(`{smtpapi}')dnl
{more}
"""


class SendmailError(RuntimeError):
    """Sendmail is not there, or did not start. The text is for the person at the terminal."""


def make_cf(mc: Path, programs: Path = PROGRAMS) -> str:
    """Return the sendmail.cf that m4 makes from this file.

    programs: where Sendmail was unpacked. Raises SendmailError where it or m4 is missing, or m4 fails.
    """
    if not (programs / "hostname.so").exists() or shutil.which("m4") is None:
        raise SendmailError(
            f"there is no Sendmail below {programs}, or no m4: run .ci/sendmail (make system does)"
        )
    done = subprocess.run(["m4", str(mc)], capture_output=True, text=True, check=False)  # noqa: S607 - m4 of the search path
    if done.returncode != 0 or done.stderr:
        raise SendmailError(f"m4 {mc}: {done.stderr.strip()}")
    return done.stdout


class PrivateSendmail:
    """A Sendmail in one folder: its configuration, its start and stop, its queue.

    ports: the names of the ordinary ports (DaemonPortOptions' Name) and their numbers. split_port: the second
    port of etc/sendmail/smtpapi.mc. next_hop: where all mail goes. milter: the filter's socket.
    features, more: lines of mc before the mailers ({folder} is the directory) and after all others.
    queue_run: how often the queue is tried.
    """

    def __init__(
        self,
        directory: Path,
        *,
        ports: Mapping[str, int],
        split_port: int,
        next_hop: int,
        milter: Path,
        features: str = "",
        more: str = "",
        queue_run: str = "1s",
        programs: Path = PROGRAMS,
    ) -> None:
        self.directory = directory.resolve()
        self.ports = dict(ports)
        self.split_port = split_port
        self.queue = self.directory / "queue"
        self.config = self.directory / "sendmail.cf"
        self.log = self.directory / "sendmail.log"
        self._next_hop = next_hop
        self._milter = milter
        self._features = features
        self._more = more
        self._queue_run = queue_run
        self._programs = programs
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Configure and start it; return when the ports listen. Raises SendmailError if they do not."""
        if os.geteuid() != 0:
            raise SendmailError("Sendmail needs root to start: run this as root or with sudo")
        self.configure()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command("-bD", f"-q{self._queue_run}", "-X", str(self.directory / "traffic.log")),
                env=self._environment(), stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._wait_for_ports()

    def configure(self) -> None:
        """Write all files anew. Raises SendmailError where m4 fails."""
        for folder in (self.directory, self.queue):
            folder.mkdir(parents=True, exist_ok=True)
        self.queue.chmod(0o700)
        (self.directory / "switch").write_text("hosts files\naliases files\n")
        (self.directory / "help").write_text("")
        mc = self.directory / "sendmail.mc"
        mc.write_text(
            _SITE.format(
                cf=self._programs / "usr/share/sendmail/cf",
                folder=self.directory,
                next_hop=self._next_hop,
                milter=self._milter,
                split_port=self.split_port,
                smtpapi=SMTPAPI_MC,
                features=self._features.replace("{folder}", str(self.directory)),
                more=self._more,
                daemons="\n".join(
                    f"DAEMON_OPTIONS(`Family=inet, Addr=127.0.0.1, Port={port}, Name={name}')dnl"
                    for name, port in self.ports.items()
                ),
            )
        )
        self.config.write_text(make_cf(mc, self._programs))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it and the processes it started; do nothing if it does not run."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, how)
            self._process.wait(5)
        except ProcessLookupError:
            self._process.wait()
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def run_queue(self) -> None:
        """Let Sendmail try all queued mail; return when it did."""
        self._run("-q", "-v")

    def new_aliases(self) -> None:
        """Make the database of the aliases that the features name."""
        self._run("-bi")

    def queued(self) -> list[str]:
        """Return the lines of mailq: who waits in the queue, and why."""
        return self._run("-bp").splitlines()

    def waiting(self) -> int:
        """Return how many mails are in the queue."""
        return sum(1 for _ in self.queue.glob("qf*"))

    def resolve(self, *addresses: str, macros: Mapping[str, str] | None = None) -> str:
        """Return what Sendmail's rules make of addresses, as `sendmail -bt` prints it, given macros."""
        commands = "".join(f".D{{{name}}}{value}\n" for name, value in (macros or {}).items())
        return self._run("-bt", given=commands + "".join(f"3,0 {address}\n" for address in addresses))

    def __enter__(self) -> "PrivateSendmail":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _command(self, *arguments: str) -> list[str]:
        return [str(self._programs / "usr/libexec/sendmail/sendmail"), f"-C{self.config}", *arguments]

    def _run(self, *arguments: str, given: str = "") -> str:
        done = subprocess.run(
            self._command(*arguments),
            input=given, env=self._environment(), capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        return done.stdout

    def _environment(self) -> dict[str, str]:
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LD_PRELOAD": str(self._programs / "hostname.so")}

    def _wait_for_ports(self, seconds: float = 15.0) -> None:
        end = time.monotonic() + seconds
        for port in (*self.ports.values(), self.split_port):
            while not _listens(port):
                if self._process is None or self._process.poll() is not None or time.monotonic() > end:
                    self.stop()
                    raise SendmailError(f"Sendmail did not start:\n{self.log.read_text(errors='replace')}")
                time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
