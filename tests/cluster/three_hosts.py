"""Hosts in network namespaces of their own, who share one real Cassandra. Not a test.

A bridge has them all. The database is behind an address of its own on it, so a host can be cut off from the
database while readers still reach it: its neighbour entry for that address is made to lead nowhere, and what
it sends there is lost without a word, as with a broken switch.
"""

import http.client
import os
import random
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from cassandra_site import Node
from cassandra_wire import Wire
from engagement.cluster.sealing import make
from engagement.links.keys import Key
from engagement.links.ring_file import load_ring
from engagement.spool.read import SpoolReader
from milter_client import MilterClient
from mta.mta_site import SMTPAPI, until

TARGET = "https://shop.example/a?x=1"
DOMAIN = "track.example.test"
HTML = (
    b"Subject: news\r\nContent-Type: text/html; charset=us-ascii\r\n"
    b'X-MSYS-API: {"campaign_id":"load"}\r\n\r\n'
    b'<html><body><a href="' + TARGET.encode() + b'">go</a></body></html>\r\n'
)
SOON = {"connect_timeout": 2000, "request_timeout": 2000}  # milliseconds until the driver gives up


def ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"


class Network:
    """The bridge, and the wire to the database."""

    def __init__(self, node: Node) -> None:
        self.name = f"sc{os.getpid() % 100_000}"
        self.net = f"10.213.{random.randrange(256)}"
        ip("link", "add", self.name, "type", "bridge")
        try:
            ip("addr", "add", f"{self.net}.254/24", "dev", self.name)
            ip("addr", "add", f"{self.net}.253/24", "dev", self.name)
            ip("link", "set", self.name, "up")
            self.wire = Wire(node.port, f"{self.net}.253")
        except BaseException:
            ip("link", "del", self.name)
            raise

    def close(self) -> None:
        self.wire.close()
        ip("link", "del", self.name)


class Host:
    """One host: its namespace, its files, its programs."""

    def __init__(
        self, network: Network, folder: Path, number: int, node: Node, keyspace: str, key: Path
    ) -> None:
        self.name = f"host{number}"
        self.address = f"{network.net}.{number}"
        self.folder = folder
        self.space = f"{network.name}h{number}"
        self.spool = folder / "spool"
        self.ring = folder / "keys"
        self.stopped = folder / "stopped.json"
        self.objections = folder / "objections"
        self.rules = folder / "classify"
        self.snapshot = folder / "suppressed.snapshot"
        self.socket = folder / "milter.sock"
        self.config = folder / "smtpapi.conf"
        self._network = network
        self._link = f"{network.name}v{number}"
        folder.mkdir()
        self.objections.touch()
        stanza = node.stanza(keyspace, **SOON).replace(
            f"host=127.0.0.1;port={node.port}", f"host={network.net}.253;port={network.wire.port}"
        )
        self.config.write_text(
            f"""smtpapi {{ }}
milter {{ socket = "unix:{self.socket}" workers = 1 user = "root" counters_directory = "{folder}/counters" }}
spool {{ directory = "{self.spool}" }}
keys {{ ring = "{self.ring}" }}
smtpapi_cluster {{ name = "{keyspace}" host = {self.name} key_file = "{key}" directory = "{folder}/cluster" }}
tracker {{ listen = "{self.address}:8080" workers = 1 stop_list = "{self.stopped}"
  hosts = ( "{self.name}.example.test" ) trusted_proxies = ( "{network.net}.0/24" ) }}
privacy {{ objections = "{self.objections}" }}
classify {{ rules = "{self.rules}" }}
suppression {{ snapshot = "{self.snapshot}" }}
store {{ engine = cassandra }}
{stanza}
ESMTP_Listener {{
  Listen ":25" {{ }}
  click_tracking_enabled = true
  open_tracking_enabled = false
  tracking_domain = "{DOMAIN}"
}}
"""
        )
        ip("netns", "add", self.space)
        try:
            ip("link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns", self.space)
            ip("link", "set", self._link, "master", network.name, "up")
            ip("-n", self.space, "addr", "add", f"{self.address}/24", "dev", "eth0")
            ip("-n", self.space, "link", "set", "eth0", "up")
            ip("-n", self.space, "link", "set", "lo", "up")
        except BaseException:
            ip("netns", "del", self.space)
            raise

    def close(self) -> None:
        with suppress(AssertionError):  # it goes with its other end
            ip("link", "del", self._link)
        ip("netns", "del", self.space)

    # -- programs

    @contextmanager
    def runs(self, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
        """A program of this host, until the block ends."""
        with (self.folder / f"{arguments[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                [*self._inside(), SMTPAPI, *arguments, "--config", self.config],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(60)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, 9)

    def say(self, *arguments: str, status: int = 0) -> str:
        """What a command of this host prints."""
        done = subprocess.run(
            [*self._inside(), SMTPAPI, *arguments, "--config", self.config],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == status, (
            f"{self.name} {arguments}: {done.returncode} {done.stdout}{done.stderr}"
        )
        return done.stdout + done.stderr

    def status_after(self, *arguments: str) -> int:
        """The exit status of a command of this host."""
        command = [*self._inside(), str(SMTPAPI), *arguments, "--config", str(self.config)]
        return subprocess.run(command, capture_output=True, check=False, timeout=120).returncode

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _inside(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.space)

    # -- the way to the database

    def cut(self) -> None:
        ip("-n", self.space, "neigh", "replace", f"{self._network.net}.253", "lladdr", "02:00:00:00:00:01",
           "dev", "eth0", "nud", "permanent")  # fmt: skip

    def mend(self) -> None:
        ip("-n", self.space, "neigh", "del", f"{self._network.net}.253", "dev", "eth0")

    # -- what is asked of it

    def status_of(self, path: str, agent: str, client: str) -> int:
        """The status that the tracker answers."""
        connection = http.client.HTTPConnection(self.address, 8080, timeout=30)
        try:
            connection.request(
                "GET", path, headers={"Host": DOMAIN, "User-Agent": agent, "X-Forwarded-For": client}
            )
            answer = connection.getresponse()
            answer.read()
            assert answer.status != 302 or answer.headers["Location"] == TARGET
            return answer.status
        finally:
            connection.close()

    def answers(self) -> bool:
        with suppress(OSError):
            self.status_of("/robots.txt", "probe", "192.0.2.1")
            return True
        return False

    def ring_keys(self) -> tuple[Key, ...]:
        return load_ring(self.ring).keys if self.ring.exists() else ()

    def signing(self) -> int:
        return load_ring(self.ring).signing.id

    def link(self, number: int) -> str:
        """The path of a link in mail that this host's filter has just rewritten.

        number: makes it a mail of its own. Two that are the same are one sent again (decision 0007).
        """
        named = f"Message-ID: <{number}@{self.name}>\r\n".encode()
        client = MilterClient(self.socket)
        client.connect()
        answer = client.message(b"a@sender.test", [b"b@rcpt.test"], named + HTML)
        client.quit()
        found = re.search(rb"https?://" + re.escape(DOMAIN.encode()) + rb"(/f/a/[^\"]+)", answer.body)
        assert found is not None, answer
        return found[1].decode()

    def waiting(self) -> int:
        return SpoolReader(self.spool).backlog().records


@contextmanager
def hosts(node: Node, folder: Path, keyspace: str, count: int = 3) -> Iterator[list[Host]]:
    """So many hosts of one cluster, without any program; the first has a key ring, the others get it."""
    key = folder / "cluster.key"
    make(key)
    with ExitStack() as stack:
        network = Network(node)
        stack.callback(network.close)
        found = []
        for number in range(1, count + 1):
            host = Host(network, folder / f"host{number}", number, node, keyspace, key)
            stack.callback(host.close)
            found.append(host)
        yield found


@contextmanager
def running(hosts: Sequence[Host], *programs: tuple[str, ...]) -> Iterator[None]:
    """These programs on all hosts."""
    with ExitStack() as stack:
        for program in programs:
            for host in hosts:
                stack.enter_context(host.runs(*program))
        yield


class Load(threading.Thread):
    """Mail through one host's filter, whose links are followed on all hosts at once.

    clicked: how many clicks were led on; dead: the links that were not, with host and status.
    """

    def __init__(self, source: Host, hosts: Sequence[Host], pause: float = 0.05) -> None:
        super().__init__(daemon=True)
        self.clicked = 0
        self.sent = 0
        self.dead: list[tuple[str, str, int]] = []
        self.error: BaseException | None = None
        self.over = threading.Event()
        self._source = source
        self._hosts = hosts
        self._pause = pause

    def run(self) -> None:
        try:
            while not self.over.wait(self._pause):
                self.sent += 1
                path = self._source.link(self.sent)
                number = int(self._source.name[-1])
                client = f"198.{18 + number}.{self.sent >> 8 & 255}.{self.sent & 255}"
                for host in self._hosts:
                    status = host.status_of(path, f"{self._source.name}-{self.sent}", client)
                    if status == 302:
                        self.clicked += 1
                    else:
                        self.dead.append((self._source.name, host.name, status))
        except BaseException as error:  # told by `end`
            self.error = error

    def end(self) -> None:
        self.over.set()
        self.join(120)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error


def within(seconds: float, done: Callable[[], object], what: str) -> float:
    """Wait, and return how long it took."""
    began = time.monotonic()
    until(done, seconds, what)
    return time.monotonic() - began


def same_keys(hosts: Sequence[Host]) -> bool:
    """Whether all have the same ring."""
    return all(host.ring_keys() == hosts[0].ring_keys() != () for host in hosts)
