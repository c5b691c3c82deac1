"""A day's mail in a short time: do memory, file handles, spool and store stay what they are?

    python -m bench.soak [--mails 100000] [--seconds 480] [--plot FILE.svg]

The programs are those that run on a server: filter, tracker, shipper and web, as `smtpapi` starts them, with
SQLite. A client plays the MTA over the milter protocol and keeps to the rate that brings so many mails in so
many seconds; of each mail, readers fetch the pixel or click a link of its own, some often. Meanwhile the
filter is told to reload, as an operator does some twenty times a day. Every five seconds each program's
memory and file handles are written down, and the size of spool and store.

At the end: what was sent, answered and stored, which must be the same, and the growth of each curve from its
second quarter to its last. "steady" is up to 5 % of memory, no handle more, and an empty spool; anything else
ends with status 1.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench import program  # noqa: F401 - finds what follows
from bench.filters import DOMAIN, letter, wait_for
from bench.machine import free_port
from bench.tracker import stop, wait_for_port
from engagement.links.keys import Ring
from engagement.links.ring_file import save_ring
from milter_client import MilterClient

PROGRAMS = ("milter", "tracker", "ship", "web")
RELOADS = 20  # a day
MEMORY_GROWTH = 0.05
_STEP = 5.0  # seconds between two looks
_ON_ONE_CONNECTION = 10
_LINK = re.compile(rb"https://" + DOMAIN.encode() + rb"(/[fq]/[A-Za-z0-9/_-]+)")
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "curl/8.9.1",
)


@dataclass(slots=True)
class Curves:
    """What was seen at each look. By program: resident memory in MB, file handles. In MB: spool, store."""

    seconds: list[float] = field(default_factory=list)
    memory: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in PROGRAMS})
    handles: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in PROGRAMS})
    spool: list[float] = field(default_factory=list)
    store: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Sent:
    """What the client did."""

    mails: int = 0
    hits: int = 0
    retried: int = 0  # requests: the server had closed the idle connection
    late: float = 0.0  # seconds behind its rate at the worst


class Site:
    """The four programs in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool, self.store = folder / "spool", folder / "events.db"
        self.socket, self.port = folder / "milter.sock", free_port()
        self.config = folder / "smtpapi.conf"
        self.pids: dict[str, int] = {}
        self.spool.mkdir()
        save_ring(folder / "keys", Ring().rotated(os.urandom(32), int(time.time()) - 10))
        self.config.write_text(
            "smtpapi { }\n"
            f'milter {{ socket = "unix:{self.socket}" workers = 2 user = "root"\n'
            f'  counters_directory = "{folder}/counters" }}\n'
            f'spool {{ directory = "{self.spool}" }}\nstore {{ path = "{self.store}" }}\n'
            f'keys {{ ring = "{folder}/keys" }}\n'
            f'tracker {{ listen = "127.0.0.1:{self.port}" workers = 2 hosts = ( "{DOMAIN}" ) }}\n'
            f'web {{ listen = "127.0.0.1:{free_port()}" token_file = "{folder}/token" }}\n'
            f'registry {{ path = "{folder}/registry.db" }}\n'
            "ESMTP_Listener {\n  click_tracking_enabled = true\n  open_tracking_enabled = true\n"
            '  click_tracking_scheme = "https"\n  open_tracking_scheme = "https"\n'
            f'  tracking_domain = "{DOMAIN}"\n}}\n'
        )

    @contextmanager
    def running(self) -> Iterator[Site]:
        with ExitStack() as stack:
            for name in PROGRAMS:
                stack.enter_context(self._program(name))
            wait_for_port(self.port)
            yield self

    @contextmanager
    def _program(self, name: str) -> Iterator[None]:
        command = [str(Path(sys.executable).with_name("smtpapi")), name, "--config", str(self.config)]
        log = self.folder / f"{name}.log"
        with log.open("ab") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
        self.pids[name] = process.pid
        try:
            if name == "milter":
                wait_for(self.socket, process, log)
            yield
        finally:
            stop(process)

    def stored(self) -> dict[str, int]:
        """Return what the store counts, by type."""
        command = [str(Path(sys.executable).with_name("smtpapi")), "stats", "--config", str(self.config)]
        output = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout
        found = {}
        for name in ("count_injected", "x_count_recorded_rendered", "x_count_recorded_clicked"):
            found[name] = sum(map(int, re.findall(rf'"{name}": (\d+)', output)))
        return found


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    with suppress(FileNotFoundError, ProcessLookupError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *(one for child in children for one in family(int(child)))]
    return []


def memory(pid: int) -> float:
    """Return the megabytes that are a process's share of what it maps (PSS), with its children's."""
    total = 0
    for each in family(pid):
        with suppress(OSError):
            found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{each}/smaps_rollup").read_text(), re.MULTILINE)
            total += int(found[1]) if found else 0
    return total / 1024


def handles(pid: int) -> float:
    """Return how many files a process and its children have open."""
    total = 0
    for each in family(pid):
        with suppress(OSError):
            total += len(os.listdir(f"/proc/{each}/fd"))
    return float(total)


def size(path: Path) -> float:
    """Return the megabytes of a file, with those that SQLite keeps beside it, or of a folder."""
    files = path.rglob("*") if path.is_dir() else path.parent.glob(f"{path.name}*")
    total = 0
    for each in files:
        with suppress(FileNotFoundError):
            total += each.stat().st_size
    return total / 1e6


def look(site: Site, began: float, curves: Curves) -> None:
    """Write down what is to be seen now."""
    curves.seconds.append(time.monotonic() - began)
    for name, pid in site.pids.items():
        curves.memory[name].append(memory(pid))
        curves.handles[name].append(handles(pid))
    curves.spool.append(size(site.spool))
    curves.store.append(size(site.store))


def fetch(readers: http.client.HTTPConnection, path: str, agent: str) -> bool:
    """Fetch a pixel or a link; return whether the server had closed the idle connection, as a reload does."""
    retried = False
    while True:
        try:
            readers.request("GET", path, headers={"Host": DOMAIN, "User-Agent": agent})
            answered = readers.getresponse()
        except ConnectionError:
            assert not retried, "closed twice"
            retried = True
            readers.close()
            continue
        answered.read()
        assert answered.status in (200, 302), answered.status
        return retried


def play(site: Site, mails: int, seconds: float, ended: threading.Event, sent: Sent) -> None:
    """Send the day's mail at its rate, and read of it as readers do."""
    chance, raw = random.Random(1), letter(20)
    began = time.monotonic()
    readers = http.client.HTTPConnection("127.0.0.1", site.port)
    client: MilterClient | None = None
    try:
        for number in range(mails):
            due = began + number * seconds / mails
            if (wait := due - time.monotonic()) > 0:
                time.sleep(wait)
            sent.late = max(sent.late, -wait)
            if ended.is_set():
                return
            if client is None or number % _ON_ONE_CONNECTION == 0:
                if client is not None:
                    client.quit()
                client = MilterClient(site.socket)
                client.connect()
            recipient = f"<{number % 50_000}@rcpt.test>".encode()
            answer = client.message(b"<news@sender.test>", [recipient], raw, queue_id=f"4b{number:09d}")
            sent.mails += 1
            paths = _LINK.findall(answer.body.replace(b"=\r\n", b""))
            for _ in range(chance.choice((0, 0, 1, 1, 2))):
                sent.retried += fetch(readers, chance.choice(paths).decode(), chance.choice(_AGENTS))
                sent.hits += 1
    finally:
        readers.close()
        ended.set()


def soak(folder: Path, mails: int, seconds: float) -> tuple[Curves, Sent, dict[str, int]]:
    """Run the day; return the curves, what was sent, and what the store counts in the end."""
    curves, sent, ended = Curves(), Sent(), threading.Event()
    with Site(folder).running() as site:
        player = threading.Thread(target=play, args=(site, mails, seconds, ended, sent))
        began, reloaded = time.monotonic(), 0
        player.start()
        while not ended.wait(_STEP):
            look(site, began, curves)
            if time.monotonic() - began > (reloaded + 1) * seconds / (RELOADS + 1):
                reloaded += 1
                for name in ("tracker", "milter"):
                    os.kill(site.pids[name], signal.SIGHUP)
        player.join()
        stored: dict[str, int] = {}
        for _ in range(60):
            stored = site.stored()
            if stored["count_injected"] >= sent.mails and counted_hits(stored) >= sent.hits:
                break
            time.sleep(1)
        time.sleep(_STEP)
        look(site, began, curves)
    return curves, sent, stored


def counted_hits(stored: dict[str, int]) -> int:
    """Return opens and clicks together."""
    return stored["x_count_recorded_rendered"] + stored["x_count_recorded_clicked"]


def growth(curve: list[float]) -> float:
    """Return how much the last quarter lies above the second, as a part of that."""
    early, late = quarters(curve)
    return late / early - 1 if early else 0.0


def quarters(curve: list[float]) -> tuple[float, float]:
    """Return the medians of the second quarter and of the last."""
    quarter = max(1, len(curve) // 4)
    return statistics.median(curve[quarter : 2 * quarter] or curve), statistics.median(curve[-quarter:])


def faults(curves: Curves, sent: Sent, stored: dict[str, int]) -> Iterator[str]:
    """Yield what is not steady, or not there."""
    for name in PROGRAMS:
        if (grown := growth(curves.memory[name])) > MEMORY_GROWTH:
            yield f"{name}: memory grew by {grown:.1%}"
        if curves.handles[name][-1] > statistics.median(curves.handles[name]) + 1:
            yield f"{name}: {curves.handles[name][-1]:.0f} file handles at the end"
    if curves.spool[-1] > 1:
        yield f"{curves.spool[-1]:.1f} MB left in the spool"
    if stored["count_injected"] != sent.mails:
        yield f"{sent.mails} mails sent, {stored['count_injected']} stored"
    if not sent.hits <= counted_hits(stored) <= sent.hits + sent.retried:
        yield f"{sent.hits} requests answered, {counted_hits(stored)} stored"


def main() -> int:
    """Soak, print the table, and say what is not steady."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mails", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--plot", type=Path, help="needs matplotlib")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-soak-") as name:
        curves, sent, stored = soak(Path(name), arguments.mails, arguments.seconds)
    print(
        f"{sent.mails} mails, {sent.hits} requests ({sent.retried} again) in {curves.seconds[-1]:.0f} s; "
        f"at worst {sent.late:.1f} s late"
    )
    print(f"stored: {stored}")
    print(f"\n{'program':10}{'MB, 2nd quarter':>17}{'last':>8}{'growth':>9}{'handles':>9}{'at the end':>12}")
    for each in PROGRAMS:
        early, late = quarters(curves.memory[each])
        print(
            f"{each:10}{early:17.1f}{late:8.1f}{growth(curves.memory[each]):9.1%}"
            f"{statistics.median(curves.handles[each]):9.0f}{curves.handles[each][-1]:12.0f}"
        )
    print(
        f"spool: {max(curves.spool):.1f} MB at most, {curves.spool[-1]:.2f} at the end; "
        f"store: {curves.store[-1]:.0f} MB"
    )
    if arguments.plot:
        from bench.peers import plots

        plots.soak(curves, arguments.plot)
    found = list(faults(curves, sent, stored))
    print("steady" if not found else "not steady: " + "; ".join(found))
    return bool(found)


if __name__ == "__main__":
    raise SystemExit(main())
