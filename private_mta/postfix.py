"""A private Postfix in one folder: for `make run` and for the tests.

It is not the system's Postfix and never touches it. Configuration, queue, data and log are below the given
folder, and it listens on loopback only. All mail, whatever its domain, is delivered to one Maildir (or where
`transport_maps` says). The folder may be below one that only root can enter (/root). Files that unprivileged
Postfix processes reach by an absolute path are then below /run, and the Maildir is in the queue folder, with
a link to it. Starting needs root, as Postfix does.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

_SHIPPED = Path(__file__).resolve().parents[1] / "etc" / "postfix"
_MASTER = """\
postlog   unix-dgram n - n - 1 postlogd
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
smtp      unix - - n - - smtp
relay     unix - - n - - smtp
showq     unix n - n - - showq
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
virtual   unix - n {chroot} - - virtual
lmtp      unix - - n - - lmtp
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
"""


class PostfixError(RuntimeError):
    """Postfix did not start or stop. The text is for the person at the terminal."""


@dataclass(frozen=True)
class Smtpd:
    """One listening smtpd. options: main.cf parameters that hold for this port only."""

    port: int
    options: Mapping[str, str] = field(default_factory=dict)
    address: str = "127.0.0.1"

    def line(self) -> str:
        """Return the master.cf entry."""
        options = "".join(f"\n  -o {{ {name} = {value} }}" for name, value in self.options.items())
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port} inet n - n - - smtpd{options}\n"


def _others_may_enter(folder: Path) -> bool:
    return all(place.stat().st_mode & 0o001 for place in (folder, *folder.parents) if place.exists())


class PrivatePostfix:
    """A Postfix in one folder: its configuration, its start and stop, its Maildir, log and queue.

    maildir, log: below the folder unless named. options: main.cf parameters. hop_port: of the hop of
    etc/postfix, which makes a copy for each recipient; None without the hop.
    """

    def __init__(
        self,
        directory: Path,
        smtpds: Sequence[Smtpd],
        *,
        maildir: Path | None = None,
        options: Mapping[str, str] | None = None,
        log: Path | None = None,
        hop_port: int | None = None,
    ) -> None:
        self.directory = directory.resolve()
        self.smtpds = tuple(smtpds)
        self.maildir = Path(os.path.abspath(maildir or directory / "maildir"))
        self.config = self.directory / "etc"
        self.data = self.directory / "data"
        if not _others_may_enter(self.directory):
            self.data = Path("/run") / f"smtpapi-postfix-{hashlib.sha256(bytes(self.data)).hexdigest()[:12]}"
        self.queue = self.directory / "queue"
        self.log = (log or directory / "mail.log").resolve()
        self.more_services = ""  # master.cf lines
        self._options = dict(options or {})
        self._hop_port = hop_port
        owner = int(os.environ.get("SUDO_UID", "0"))
        self._owner = pwd.getpwuid(owner) if owner >= 100 else pwd.getpwnam("nobody")
        self._open = _others_may_enter(self.maildir.parent)

    @property
    def milter_socket(self) -> Path:
        """Return the socket for a milter to bind; `smtpd_milters = unix:milter/milter.sock` finds it."""
        return self.queue / "milter" / "milter.sock"

    def start(self) -> None:
        """Configure and start it; return when the ports listen. Raises PostfixError if they do not."""
        self._make_folders()
        self.configure()
        self._run("start")
        self._wait_for_listener()

    def configure(self) -> None:
        """Write main.cf and master.cf anew from smtpds and options."""
        main = self._main() | self._hop_options() | self._options
        (self.config / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in main.items()))
        (self.config / "master.cf").write_text(
            _MASTER.format(chroot="n" if self._open else "y")
            + "".join(smtpd.line() for smtpd in self.smtpds)
            + self._hop("master.cf.hop")
            + self.more_services
        )
        (self.config / "smtpapi_hop").write_text(self._hop("smtpapi_hop"))

    def reload(self) -> None:
        """Let Postfix read a changed configuration. Raises PostfixError where that fails."""
        self._run("reload")

    def stop(self) -> None:
        """Stop it; do nothing if it does not run. Raises PostfixError where it does not stop."""
        if self.running():
            self._run("stop")
        if not self.data.is_relative_to(self.directory):
            shutil.rmtree(self.data, ignore_errors=True)

    def running(self) -> bool:
        """Return whether this folder's master process runs."""
        return subprocess.run(self._command("status"), capture_output=True, check=False).returncode == 0

    def flush(self) -> None:
        """Let Postfix try all queued mail now."""
        subprocess.run(
            ["/usr/sbin/postqueue", "-c", str(self.config), "-f"], capture_output=True, check=False
        )

    def delivered(self) -> Iterator[Path]:
        """Return the files in the Maildir, oldest first."""
        new = self.maildir / "new"
        files = [file for file in new.iterdir() if file.is_file()] if new.is_dir() else []
        return iter(sorted(files, key=lambda file: (file.stat().st_mtime_ns, file.name)))

    def queued(self) -> int:
        """Return how many mails are in the queue."""
        folders = ("maildrop", "incoming", "active", "deferred", "hold")
        return sum(1 for name in folders for path in (self.queue / name).rglob("*") if path.is_file())

    def __enter__(self) -> "PrivatePostfix":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _main(self) -> dict[str, str]:
        return {
            "compatibility_level": "3.6",
            "queue_directory": str(self.queue),
            "data_directory": str(self.data),
            "maillog_file": str(self.log),
            "maillog_file_prefixes": str(self.log.parent),
            "myhostname": "mail.example.test",
            "mydestination": "",
            "mynetworks": "127.0.0.0/8 [::1]/128",
            "inet_interfaces": "loopback-only",
            "inet_protocols": "all" if any(":" in smtpd.address for smtpd in self.smtpds) else "ipv4",
            "smtpd_relay_restrictions": "permit_mynetworks, reject",
            "smtpd_recipient_restrictions": "permit_mynetworks, reject",
            "smtpd_client_connection_count_limit": "0",
            "smtputf8_enable": "yes",
            "alias_maps": "",
            "alias_database": "",
            "local_recipient_maps": "",
            "biff": "no",
            "append_dot_mydomain": "no",
            "notify_classes": "",
            "disable_dns_lookups": "yes",
            "smtp_host_lookup": "native",
            "message_size_limit": "104857600",
            "mailbox_size_limit": "0",
            "virtual_mailbox_limit": "0",
            # Every domain is ours, and every address has the one mailbox.
            "virtual_mailbox_domains": "static:all",
            "virtual_mailbox_base": str(self.maildir.parent) if self._open else "/",
            "virtual_mailbox_maps": f"static:{self.maildir.name}/",
            "virtual_uid_maps": f"static:{self._owner.pw_uid}",
            "virtual_gid_maps": f"static:{self._owner.pw_gid}",
        }

    def _hop(self, name: str) -> str:
        """Return a file of etc/postfix with this Postfix's paths and ports in it; "" without the hop."""
        if self._hop_port is None:
            return ""
        text = (_SHIPPED / name).read_text()
        places = {
            ":10026": f":{self._hop_port}",
            "/etc/postfix/": f"{self.config}/",
            "unix:smtpapi/": "unix:milter/",
        }
        for shipped, ours in places.items():
            text = text.replace(shipped, ours)
        return text

    def _hop_options(self) -> dict[str, str]:
        lines = [line for line in self._hop("main.cf.hop").splitlines() if line and not line.startswith("#")]
        entries = "\n".join(lines).replace("\n ", " ").splitlines()
        return {name.strip(): value.strip() for name, _, value in (entry.partition("=") for entry in entries)}

    def _make_folders(self) -> None:
        if shutil.which("postfix", path="/usr/sbin:/usr/local/sbin") is None:
            raise PostfixError("postfix is not installed: apt-get install postfix (make system does it)")
        if os.geteuid() != 0:
            raise PostfixError("Postfix needs root to start: run this as root or with sudo")
        postfix = pwd.getpwnam("postfix")
        for folder in (self.directory, self.config, self.queue, self.log.parent, self.maildir.parent):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.directory, self.queue):
            folder.chmod(0o755)
        self.data.mkdir(exist_ok=True)
        os.chown(self.data, postfix.pw_uid, postfix.pw_gid)
        self.data.chmod(0o700)
        if not self._open:
            inside = self.queue / self.maildir.name
            inside.mkdir(exist_ok=True)
            if not self.maildir.is_symlink():
                self.maildir.symlink_to(os.path.relpath(inside, self.maildir.parent))
        for folder in (self.maildir, *(self.maildir / name for name in ("new", "cur", "tmp"))):
            folder.mkdir(exist_ok=True)
            os.chown(folder, self._owner.pw_uid, self._owner.pw_gid)
        milter = self.milter_socket.parent
        milter.mkdir(exist_ok=True)
        os.chown(milter, 0, postfix.pw_gid)
        milter.chmod(0o2750)  # setgid: the socket gets the group postfix

    def _command(self, verb: str) -> list[str]:
        return ["/usr/sbin/postfix", "-c", str(self.config), verb]

    def _run(self, verb: str) -> None:
        done = subprocess.run(self._command(verb), capture_output=True, text=True, check=False, timeout=60)
        if done.returncode != 0:
            raise PostfixError(f"postfix {verb} failed: {done.stderr.strip() or self.last_lines()}")

    def last_lines(self, count: int = 5) -> str:
        """Return the end of the mail log."""
        return (
            "\n".join(self.log.read_text(errors="replace").splitlines()[-count:]) if self.log.exists() else ""
        )

    def _wait_for_listener(self, seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        while not self.running():
            if time.monotonic() > end:
                raise PostfixError(f"Postfix died at its start; its log says:\n{self.last_lines()}")
            time.sleep(0.05)
