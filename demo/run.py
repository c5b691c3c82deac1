"""`make run`: the whole product on this machine's loopback, in one folder, until Ctrl-C.

A private Postfix, the filter, the tracker and the shipper, with SQLite or a real Cassandra; one sample
newsletter; then the events as they come. It is a demonstration and a place to try one's own mail, no way to
install anything: nothing outside the folder is touched (see `postfix` for the one exception), and nothing is
left running.

Settings from the environment: RUN_DIR, PORT_SMTP, PORT_HTTP, PORT_HOP (for mail to several recipients), STORE
(sqlite, cassandra), PORT_CASSANDRA.
"""

import contextlib
import ctypes
import fcntl
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial
from pathlib import Path

from demo.postfix import PostfixError, PrivatePostfix, Smtpd
from engagement.links.keys import RingError
from engagement.links.ring_file import load_ring
from engagement.links.token import open_token
from engagement.links.types import RAW_URL, Opened
from engagement.links.urls import read_path
from engagement.settings import SettingsError, load_file
from engagement.stores import open_store
from engagement.stores.port import EventStore, StoreError

_HERE = Path(__file__).resolve().parent
_SMTPAPI = Path(sys.executable).with_name("smtpapi")
_MADE_BY = "# Made by `make run` at each start. Remove this line to keep your own changes."

_CONFIG = """\
{made_by}
# What each option means: docs/settings.md, etc/smtpapi.conf.

smtpapi {{ }}

ESMTP_Listener {{
  Listen "127.0.0.1:{smtp}" {{ }}
  open_tracking_enabled = true
  click_tracking_enabled = true
  tracking_domain = "localhost:{http}"
}}

milter {{
  socket = "unix:{socket}"
  workers = 2
  user = "root"                # a demonstration; a service has a user of its own
  counters_directory = "{run}/counters"
}}
rewriting {{
  several_recipients = split   # a copy with links of its own for each
  split_listener = "127.0.0.1:{hop}"
}}
spool {{ directory = "{run}/spool" }}
{store}
keys {{ ring = "{run}/etc/keys" }}
tracker {{ listen = "127.0.0.1:{http}" }}
"""

_SQLITE = 'store {{ path = "{run}/events.db" }}'
_CASSANDRA = """\
store {{ engine = cassandra }}
cassandra_client {{
  uri = ("name=cassandra_db;host=127.0.0.1;port={port}")
  replication = [ datacenter1 = "1" ]  # one node; a service has three or more
  shards = 1                           # and more events an hour
}}"""
_CASSANDRA_SERVER = _HERE.parent / "tests" / "cassandra_node" / "cassandra-server"


class Unable(Exception):
    """The demonstration cannot start or go on; one line that says what to do."""


class Told(Exception):
    """Ctrl-C or SIGTERM."""


@dataclass(frozen=True)
class Place:
    """Folder and ports. hop: where mail to several recipients comes back; cassandra: None for SQLite."""

    run: Path
    smtp: int
    http: int
    hop: int
    cassandra: int | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Place":
        """RUN_DIR, PORT_SMTP, PORT_HTTP, PORT_HOP, STORE, PORT_CASSANDRA. Raises Unable."""
        ports: list[int] = []
        for name, default in (
            ("PORT_SMTP", "2525"),
            ("PORT_HTTP", "8080"),
            ("PORT_CASSANDRA", "9142"),
            ("PORT_HOP", ""),
        ):
            text = environment.get(name) or default or str(ports[0] + 1)
            if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
                raise Unable(f"{name}={text}: expected a port number, 1 to 65535")
            ports.append(int(text))
        run = Path(environment.get("RUN_DIR") or ".run").absolute()
        if re.search(r"[\s\"{}]", str(run)):
            raise Unable(
                f"RUN_DIR={run}: Postfix takes no white space, quotes or braces in it; choose another"
            )
        store = environment.get("STORE") or "sqlite"
        if store not in ("sqlite", "cassandra"):
            raise Unable(f"STORE={store}: expected sqlite or cassandra")
        smtp, web, cassandra, hop = ports
        return cls(run, smtp, web, hop, cassandra if store == "cassandra" else None)

    @property
    def config(self) -> Path:
        """The configuration file in use."""
        return self.run / "etc" / "smtpapi.conf"


class Program:
    """One of our programs, its log in RUN_DIR/log."""

    def __init__(self, name: str, place: Place, *words: str) -> None:
        self.name = name
        self.log = place.run / "log" / f"{name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(_SMTPAPI), *words, "--config", str(place.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; we stop the parts in order
                preexec_fn=_die_with_parent,
            )

    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def stop(self, seconds: float = 20.0) -> None:
        """Terminate and wait."""
        if self.alive():
            self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _tail(path: Path, count: int = 8) -> str:
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return "\n".join(f"    {line}" for line in lines[-count:])


class Demonstration:
    """Start, show, stop."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.programs: list[Program] = []
        milter = "unix:milter/milter.sock"
        self.postfix = PrivatePostfix(
            place.run / "postfix",
            [Smtpd(place.smtp, {"smtpd_milters": milter})],
            maildir=place.run / "maildir",
            log=place.run / "log" / "postfix.log",
            options={"milter_default_action": "tempfail"},
            hop_port=place.hop,
        )

    def prepare(self) -> None:
        """Folders, configuration, keys; everything that can be wrong is found here. Raises Unable."""
        if os.geteuid() != 0:
            raise Unable("make run needs root, as Postfix does: use `sudo make run`")
        try:
            for name in ("etc", "log", "spool"):
                (self.place.run / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unable(
                f"{error.filename}: {error.strerror}; choose another folder with RUN_DIR=…"
            ) from error
        self._lock()
        self.postfix.stop()  # one that a killed run left behind
        for name, port in (
            ("PORT_SMTP", self.place.smtp),
            ("PORT_HTTP", self.place.http),
            ("PORT_HOP", self.place.hop),
        ):
            _check_port(name, port)
        config = self.place.config
        if not config.exists() or config.read_text().startswith(_MADE_BY):
            config.write_text(
                _CONFIG.format(
                    made_by=_MADE_BY,
                    smtp=self.place.smtp,
                    http=self.place.http,
                    hop=self.place.hop,
                    socket=self.postfix.milter_socket,
                    run=self.place.run,
                    store=(_CASSANDRA if self.place.cassandra else _SQLITE).format(
                        run=self.place.run, port=self.place.cassandra
                    ),
                )
            )
        ring = Path(load_file(config).keys.ring)
        if not ring.exists():
            subprocess.run(
                [str(_SMTPAPI), "keys", "init", "--ring", str(ring)], check=True, capture_output=True
            )

    def _lock(self) -> None:
        self._lock_file = (self.place.run / "lock").open("a+")
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock_file.seek(0)
            pid = self._lock_file.read().strip()
            raise Unable(
                f"already running in {self.place.run} (process {pid}): use that one, stop it with Ctrl-C "
                f"there or `kill {pid}`, or choose other RUN_DIR, PORT_SMTP and PORT_HTTP"
            ) from None
        self._lock_file.truncate(0)
        self._lock_file.write(str(os.getpid()))
        self._lock_file.flush()

    def start(self) -> None:
        """Start all parts and wait until each answers. Raises Unable."""
        if self.place.cassandra:
            self._start_cassandra(self.place.cassandra)
        for name, word in (("tracker", "tracker"), ("shipper", "ship"), ("milter", "milter")):
            self.programs.append(Program(name, self.place, word))
        self.postfix.start()
        for what, answers in (
            ("milter", partial(_answers_unix, self.postfix.milter_socket)),
            ("tracker", partial(_answers_http, self.place.http)),
        ):
            end = time.monotonic() + 20
            while not answers():
                self.check()
                if time.monotonic() > end:
                    raise Unable(f"the {what} does not answer; its log says:\n{_tail(self._log_of(what))}")
                time.sleep(0.05)

    def _start_cassandra(self, port: int) -> None:
        print(
            "Starting a real Cassandra, one node (the first time it is downloaded, some 90 MiB)", flush=True
        )
        self._cassandra("start", "--port", str(port))
        done = subprocess.run(
            [str(_SMTPAPI), "store", "migrate", "--config", str(self.place.config)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise Unable(f"no tables in Cassandra: {(done.stdout + done.stderr).strip()}")

    def _cassandra(self, *words: str) -> None:
        verb, *rest = words
        folder = self.place.run / "cassandra"
        with (self.place.run / "log" / "cassandra.log").open("a+") as log:
            done = subprocess.run(
                [sys.executable, str(_CASSANDRA_SERVER), verb, "--dir", str(folder), *rest],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False, start_new_session=True,
            )  # fmt: skip
        if done.returncode != 0:
            log_says = _tail(self.place.run / "log" / "cassandra.log")
            raise Unable(f"Cassandra: `{verb}` failed; its log says:\n{log_says}")

    def _log_of(self, name: str) -> Path:
        return self.place.run / "log" / f"{name}.log"

    def check(self) -> None:
        """Raise Unable when a part has died."""
        for program in self.programs:
            if not program.alive():
                raise Unable(
                    f"the {program.name} ended (status {program.process.returncode}); "
                    f"{program.log} says:\n{_tail(program.log)}"
                )

    def stop(self) -> None:
        """Mail first, then what it needs, the events last, so that none is left in the spool."""
        with contextlib.suppress(PostfixError, OSError, subprocess.SubprocessError):
            self.postfix.stop()
        for name in ("milter", "tracker", "shipper"):
            for program in self.programs:
                if program.name == name:
                    program.stop()
        if self.place.cassandra:
            with contextlib.suppress(Unable):
                self._cassandra("stop")

    # -- what is shown

    def send_sample(self) -> Path:
        """Send the newsletter; the file it was delivered to. Raises Unable."""
        before = set(self.postfix.delivered())
        done = subprocess.run(
            [
                str(_SMTPAPI), "send", "--server", f"127.0.0.1:{self.place.smtp}", "--from",
                "bounce@lighthouse.example", "--to", "friend@example.test", str(_HERE / "newsletter.eml"),
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise Unable(f"the sample was not taken: {(done.stdout + done.stderr).strip()}")
        end = time.monotonic() + 20
        while time.monotonic() < end:
            for file in self.postfix.delivered():
                if file not in before:
                    return file
            self.check()
            time.sleep(0.05)
        raise Unable(f"the sample was not delivered; Postfix says:\n{_tail(self.postfix.log)}")

    def show(self, delivered: Path) -> None:
        """The links of the sample, before and after, and what to do next."""
        ring = load_ring(Path(load_file(self.place.config).keys.ring))
        bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
        print(f"\n{bold}A newsletter was sent and delivered{plain} to\n  {delivered}\n")
        print(f"{bold}Its links, before and after:{plain}")
        first = ""
        for kind, url in _tracked_urls(delivered, self.place.http):
            requested = read_path(re.sub(r"^https?://[^/]+", "", url).encode())
            if requested is None:
                continue
            opened = open_token(requested.token, ring)
            first = first or (url if opened.link else "")
            print(f"  {kind:5} {_shown(opened)}\n     -> {url if len(url) < 100 else url[:97] + '...'}")
        example = f"curl -sI '{first}'" if first else ""
        print(
            f"""
{bold}Try it:{plain}
  open      http://localhost:{self.place.http}/            the latest events
  click     {example or "any link above"}
  send      .venv/bin/smtpapi send --server 127.0.0.1:{self.place.smtp} --to you@example.test FILE.eml
            (or any SMTP client at 127.0.0.1:{self.place.smtp}; every address is delivered to
            {self.postfix.maildir}/new/)
  look      .venv/bin/smtpapi decode URL, .venv/bin/smtpapi preview FILE.eml
  settings  {self.place.config}
  logs      {self.place.run}/log/

{bold}Events as they come{plain} (Ctrl-C stops everything):""",
            flush=True,
        )

    def follow(self, store: EventStore, mark: str) -> None:
        """Print a line for each event until something ends us. seen: the store may tell one twice."""
        seen: dict[str, None] = {}
        while True:
            try:
                arrivals = store.arrivals(mark)
            except StoreError:
                arrivals = None  # locked for a moment by the shipper
            if arrivals is not None:
                mark = arrivals.mark
                for event in arrivals.events:
                    if str(event["event_id"]) not in seen:
                        seen[str(event["event_id"])] = None
                        print(_line(event), flush=True)
                while len(seen) > 10_000:
                    del seen[next(iter(seen))]
            self.check()
            time.sleep(0.3)


def _line(event: Mapping[str, object]) -> str:
    moment = datetime.fromisoformat(str(event["timestamp"])).astimezone()
    words = [
        f"{moment:%H:%M:%S}",
        f"{event['type']!s:16}",
        str(event.get("rcpt_to") or "-"),
        f"campaign={event.get('campaign_id') or '-'}",
    ]
    machine = event.get("x_client_class")
    if machine not in (None, "human"):
        words[1] = f"{event['type']} ({machine})".ljust(16)
    if event.get("target_link_url"):
        words.append(f"link={event.get('target_link_name') or RAW_URL} {event['target_link_url']}")
    return "  " + "  ".join("".join(c if c.isprintable() else "?" for c in word) for word in words)


def _tracked_urls(file: Path, port: int) -> Iterator[tuple[str, str]]:
    """Tracked links of a delivered file, by part, each once."""
    message = message_from_bytes(file.read_bytes(), policy=policy.default)
    assert isinstance(message, EmailMessage)
    for part in message.walk():
        if part.get_content_maintype() == "text":
            text = part.get_content()
            for url in dict.fromkeys(re.findall(rf"https?://localhost:{port}/[^\s\"'<>\])]+", text)):
                yield part.get_content_subtype(), url


def _shown(opened: Opened) -> str:
    if opened.link is None:
        return f"({opened.kind.name.lower().replace('_', ' ')} pixel)"
    return f"{opened.link.target.decode()}  [{opened.link.name or RAW_URL}]"


def _check_port(name: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError as error:
            raise Unable(f"port {port}: {error.strerror}; choose another with {name}=…") from error
        except OSError as error:
            raise Unable(
                f"port {port} is in use by another program (`ss -ltnp sport = :{port}` names it): "
                f"stop that, or choose another port with `make run {name}={port + 1}`"
            ) from error


def _answers_unix(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _answers_http(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/", headers={"Host": f"localhost:{port}"})
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _told(number: int, frame: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # while stopping, a second Ctrl-C must not leave half of it
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Told


def main() -> int:
    """Run the demonstration; the exit status."""
    signal.signal(signal.SIGINT, _told)
    signal.signal(signal.SIGTERM, _told)
    demonstration = None
    try:
        demonstration = Demonstration(Place.from_environment(os.environ))
        demonstration.prepare()
        try:
            demonstration.start()
            store = open_store(load_file(demonstration.place.config))
            mark = store.arrivals("").mark
            demonstration.show(demonstration.send_sample())
            demonstration.follow(store, mark)
        finally:
            demonstration.stop()
    except Told:
        print("\nstopped")
        return 0
    except (Unable, PostfixError, SettingsError, RingError, StoreError) as error:
        print(f"make run: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
