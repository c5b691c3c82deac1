"""Run the whole product on this machine's loopback, in one folder, until Ctrl-C: `make run`.

This starts a private Postfix, the filter, the tracker, the shipper, the follower of Postfix's log and the
page of events, with SQLite or a real Cassandra. It sends one sample newsletter and prints events as they
come. It is a demonstration and a place to try one's own mail. It installs nothing: nothing outside the folder
is changed (`private_mta.postfix` names the one exception), and nothing is left running.

Settings from the environment: RUN_DIR, PORT_SMTP, PORT_HTTP, PORT_HOP (for mail to several recipients),
PORT_WEB, STORE (sqlite, cassandra), PORT_CASSANDRA.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

from demo.parts import SMTPAPI, Program, answers_http, answers_unix, cassandra, check_port, tail
from demo.place import MADE_BY, SERVICES, TRANSPORTS, Place, Unable
from demo.show import follow, show
from engagement.access.keys import ApiKeys
from engagement.links.keys import RingError
from engagement.registry import open_registry
from engagement.registry.port import RegistryError
from engagement.settings import SettingsError, load_file
from engagement.stores import open_store
from engagement.stores.port import StoreError
from private_mta.postfix import PostfixError, PrivatePostfix, Smtpd

_KEY = "make run"  # the name of the API key
_NEWSLETTER = Path(__file__).resolve().parent / "newsletter.eml"


class Stopped(Exception):
    """Ctrl-C or SIGTERM ended the demonstration."""


class Demonstration:
    """All parts together: started, shown, stopped."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.programs: list[Program] = []
        milter = "unix:milter/milter.sock"
        self.postfix = PrivatePostfix(
            place.run / "postfix",
            [Smtpd(place.smtp, {"smtpd_milters": milter})],
            maildir=place.run / "maildir",
            log=place.run / "log" / "postfix.log",
            options={"milter_default_action": "tempfail", "transport_maps": TRANSPORTS},
            hop_port=place.hop,
        )
        self.postfix.more_services = SERVICES

    def prepare(self) -> None:
        """Make folders, configuration and keys.

        Raises Unable for everything that would keep the parts from starting.
        """
        if os.geteuid() != 0:
            raise Unable("make run needs root, as Postfix does: use `sudo make run`")
        try:
            for name in ("etc", "log", "spool", "metrics"):
                (self.place.run / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unable(
                f"{error.filename}: {error.strerror}; choose another folder with RUN_DIR=…"
            ) from error
        self._lock()
        self.postfix.stop()  # it may still run after an earlier run was killed
        for name, port in (
            ("PORT_SMTP", self.place.smtp),
            ("PORT_HTTP", self.place.http),
            ("PORT_HOP", self.place.hop),
            ("PORT_WEB", self.place.web),
        ):
            check_port(name, port)
        config = self.place.config
        if not config.exists() or config.read_text().startswith(MADE_BY):
            config.write_text(self.place.configuration(self.postfix.milter_socket))
        ring = Path(load_file(config).keys.ring)
        if not ring.exists():
            subprocess.run(
                [str(SMTPAPI), "keys", "init", "--ring", str(ring)], check=True, capture_output=True
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
                f"there or `kill {pid}`, or choose other RUN_DIR, PORT_SMTP, PORT_HTTP and PORT_WEB"
            ) from None
        self._lock_file.truncate(0)
        self._lock_file.write(str(os.getpid()))
        self._lock_file.flush()

    def start(self) -> None:
        """Start all parts and wait until each answers. Raises Unable or PostfixError where one does not."""
        if self.place.cassandra:
            self._start_cassandra(self.place.cassandra)
        for name, verb in (
            ("tracker", "tracker"),
            ("shipper", "ship"),
            ("milter", "milter"),
            ("web", "web"),
            ("follower", "follow"),
            ("webhooks", "webhooks"),
        ):
            self.programs.append(Program(name, self.place, verb))
        self.postfix.start()
        for what, answers in (
            ("milter", partial(answers_unix, self.postfix.milter_socket)),
            ("tracker", partial(answers_http, self.place.http)),
            ("web", partial(answers_http, self.place.web)),
        ):
            end = time.monotonic() + 20
            while not answers():
                self.check()
                if time.monotonic() > end:
                    raise Unable(f"the {what} does not answer; its log says:\n{tail(self._log_of(what))}")
                time.sleep(0.05)
        next(program for program in self.programs if program.name == "web").give_way()
        self._write_url()
        self._write_key()

    def _write_key(self) -> None:
        """Write a key of the HTTP API, with every scope, to a file that only root reads. Raises Unable.

        One from an earlier run is kept.
        """
        file = self.place.api_key
        try:
            with closing(open_registry(load_file(self.place.config))) as registry:
                keys = ApiKeys(registry)
                if file.exists() and keys.find(file.read_text("ascii").strip()):
                    return
                keys.revoke(_KEY)
                key = keys.add(_KEY, ("all",))
        except (RegistryError, OSError, ValueError) as error:
            raise Unable(f"no key for the API: {error}") from error
        file.touch(0o600)
        file.chmod(0o600)
        file.write_text(f"{key}\n")

    def _write_url(self) -> None:
        """Write the URL that opens the page signed in to a file that only root reads. Raises Unable."""
        done = subprocess.run(
            [str(SMTPAPI), "web", "--url", "--config", str(self.place.config)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise Unable(f"no address for the page: {(done.stdout + done.stderr).strip()}")
        file = self.place.web_url
        file.touch(0o600)
        file.chmod(0o600)
        file.write_text(done.stdout)

    def _start_cassandra(self, port: int) -> None:
        print(
            "Starting a real Cassandra, one node (the first time it is downloaded, some 90 MiB)", flush=True
        )
        cassandra(self.place, "start", "--port", str(port))
        done = subprocess.run(
            [str(SMTPAPI), "store", "migrate", "--config", str(self.place.config)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise Unable(f"no tables in Cassandra: {(done.stdout + done.stderr).strip()}")

    def _log_of(self, name: str) -> Path:
        return self.place.run / "log" / f"{name}.log"

    def check(self) -> None:
        """Check that all parts run. Raises Unable if one has died."""
        for program in self.programs:
            if not program.alive():
                raise Unable(
                    f"the {program.name} ended (status {program.process.returncode}); "
                    f"{program.log} says:\n{tail(program.log)}"
                )

    def stop(self) -> None:
        """Stop all parts: Postfix first, and the shipper last, so that no event is left in the spool."""
        with contextlib.suppress(PostfixError, OSError, subprocess.SubprocessError):
            self.postfix.stop()
        for name in ("webhooks", "milter", "tracker", "web", "follower", "shipper"):
            for program in self.programs:
                if program.name == name:
                    program.stop()
        if self.place.cassandra:
            with contextlib.suppress(Unable):
                cassandra(self.place, "stop")

    def send_sample(self) -> Path:
        """Send the newsletter and return the file it was delivered to. Raises Unable where it is not."""
        before = set(self.postfix.delivered())
        done = subprocess.run(
            [
                str(SMTPAPI), "send", "--server", f"127.0.0.1:{self.place.smtp}", "--from",
                "bounce@lighthouse.example", "--to", "friend@example.test", str(_NEWSLETTER),
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
        raise Unable(f"the sample was not delivered; Postfix says:\n{tail(self.postfix.log)}")


def _stop(number: int, frame: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # while stopping, a second Ctrl-C must not leave half of it
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped


def main() -> int:
    """Run the demonstration and return the exit status."""
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    demonstration = None
    try:
        demonstration = Demonstration(Place.from_environment(os.environ))
        demonstration.prepare()
        try:
            demonstration.start()
            store = open_store(load_file(demonstration.place.config))
            mark = store.arrivals("").mark
            show(demonstration.place, demonstration.postfix.maildir, demonstration.send_sample())
            follow(store, mark, demonstration.check)
        finally:
            demonstration.stop()
    except Stopped:
        print("\nstopped")
        return 0
    except (Unable, PostfixError, SettingsError, RingError, StoreError) as error:
        print(f"make run: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
