"""Does every reader land exactly where the author pointed? Location against the target, byte for byte.

    python bench/redirects.py [--count 100000] [--live 2000] [--seed N] [--json]

Targets are generated over all that `engagement.links.urls.refusal` lets pass: schemes in any letter case,
names, IPv4, IPv6, ports, empty and odd paths, every printable character, percent signs that escape nothing,
lengths up to the limit. `--count` of them go through the WSGI callable, `--live` through a running tracker
over a socket; a part goes by a path that a gateway escaped. Exit 1 if one differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote_to_bytes

from engagement.links.keys import Key, KeyStatus, Ring
from engagement.links.model import Identity, Kind, Link
from engagement.links.payload import MAX_TARGET
from engagement.links.ring_file import RingFile, save_ring
from engagement.links.token import copy_sealer
from engagement.links.urls import click_url, refusal
from tracker_web.links.application import LinksApplication
from tracker_web.links.client_address import Proxies

ROOT = Path(__file__).resolve().parent.parent
HOST = "track.example.com"
PRINTABLE = [chr(code) for code in range(0x21, 0x7F) if code != ord("\\")]
PIECES = ["?", "&", "=", "&&", "?a=1&b=", "%20", "%E2%82%AC", "%", "%zz", "#", "//", "/../", "/./", ";", "+"]
PIECES += ["'", "@", ":", "[]"]


def target(chance: random.Random) -> bytes:
    """One URL an author might have written, or a program for them."""
    scheme = chance.choice(["http", "https", "https", "https", "HTTPS", "Http"])
    kind = chance.random()
    if kind < 0.9:
        label = "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789"
        names = [
            "".join(chance.choices(label, k=chance.randrange(1, 12))) for _ in range(chance.choice((1, 2, 3)))
        ]
        host = ".".join([*names, chance.choice(["com", "example", "co.uk", "xn--p1ai", "museum"])])
    elif kind < 0.95:
        host = ".".join(str(chance.randrange(256)) for _ in range(4))
    else:
        host = f"[2001:db8::{chance.randrange(65536):x}]"
    port = f":{chance.randrange(1, 65536)}" if chance.random() < 0.1 else ""
    shape = chance.random()
    if shape < 0.05:
        tail = ""
    elif shape < 0.5:
        tail = "/" + "".join(chance.choices([*PRINTABLE, *PIECES], k=chance.randrange(60)))
    elif shape < 0.97:
        tail = chance.choice("/?#") + "".join(chance.choices(PRINTABLE, k=chance.randrange(200)))
    else:
        tail = "/" + "".join(chance.choices(PRINTABLE, k=chance.randrange(2000, 4000)))
    return f"{scheme}://{host}{port}{tail}".encode("ascii")[:MAX_TARGET]


def targets(chance: random.Random, count: int) -> Iterator[bytes]:
    while count:
        made = target(chance)
        if refusal(made) is None:
            count -= 1
            yield made


def escaped(chance: random.Random, path: str) -> str:
    """The path as some gateway might pass it on."""
    way = chance.random()
    if way < 0.8:
        return path
    if way < 0.95:
        return "".join(
            f"%{ord(each):02x}" if chance.random() < 0.1 and each != "/" else each for each in path
        )
    return path + chance.choice(["?utm_source=gateway", "%27", ".", "?", "&x=1", "%3E"])


class Keys(RingFile):
    def __init__(self, ring: Ring) -> None:
        self.ring = ring

    def current(self) -> Ring:
        return self.ring

    def refreshed(self) -> Ring:
        return self.ring


class Through:
    """Both ways to ask, with one key ring."""

    def __init__(self, ring: Ring) -> None:
        now = int(time.time())
        identity = Identity(os.urandom(16), 42, "ida@example.net", now, now + 1000, campaign="autumn")
        self.sealer = copy_sealer(ring.signing, identity)
        self.app = LinksApplication(
            keys=Keys(ring),
            event_id=lambda now_ms: "",
            spool=None,
            otherwise=lambda environ, start: [],
            hosts=frozenset({HOST}),
            proxies=Proxies(()),
            lost=lambda error: None,
        )

    def path(self, url: bytes) -> str:
        link = click_url("https", HOST, self.sealer.seal(Kind.CLICK, Link(url)))
        return link.decode("ascii").removeprefix(f"https://{HOST}")

    def callable(self, path: str) -> bytes:
        seen: list[tuple[str, dict[str, str]]] = []
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": unquote_to_bytes(path.partition("?")[0]).decode("latin-1"),
            "HTTP_HOST": HOST,
        }

        def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:
            seen.append((status, dict(headers)))

        list(self.app(environ, start))  # type: ignore[arg-type] # the writer a server returns is not used
        ((status, headers),) = seen
        return headers.get("Location", status).encode("latin-1")


class Live:
    """A running tracker and one connection to it."""

    def __init__(self, folder: Path, ring: Ring) -> None:
        save_ring(folder / "keys", ring)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        (folder / "smtpapi.conf").write_text(
            f'smtpapi {{ }}\nkeys {{ ring = "{folder / "keys"}" }}\n'
            f'spool {{ directory = "{folder / "spool"}" }}\nstore {{ path = "{folder / "events.db"}" }}\n'
            f'tracker {{ listen = "127.0.0.1:{port}" workers = 1 hosts = ( "{HOST}" ) }}\n'
        )
        command = [sys.executable, "-m", "tracker_web", "--config", str(folder / "smtpapi.conf")]
        path = os.pathsep.join((str(ROOT), str(ROOT / "milter")))
        variables = os.environ | {"PYTHONPATH": path}
        self.process = subprocess.Popen(command, env=variables, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                self.connection = socket.create_connection(("127.0.0.1", port), timeout=30)
                break
            except OSError:
                time.sleep(0.1)
        self.reader = self.connection.makefile("rb")

    def __call__(self, path: str) -> bytes:
        self.connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode("ascii"))
        status = self.reader.readline()
        found, length = b"", 0
        while (line := self.reader.readline()) not in (b"\r\n", b""):
            name, _, value = line[:-2].partition(b": ")
            if name.lower() == b"location":
                found = value
            if name.lower() == b"content-length":
                length = int(value)
        self.reader.read(length)
        return found or status

    def close(self) -> None:
        self.reader.close()
        self.connection.close()
        self.process.terminate()
        self.process.wait(timeout=20)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--live", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    ring = Ring((Key(1, KeyStatus.SIGNING, 0, os.urandom(32)),))
    through = Through(ring)
    different: list[tuple[str, str]] = []

    def compare(url: bytes, found: bytes) -> None:
        if found != url:
            different.append((url.decode("latin-1"), found.decode("latin-1")))

    for url in targets(chance, arguments.count):
        compare(url, through.callable(escaped(chance, through.path(url))))
    if arguments.live:
        with tempfile.TemporaryDirectory(prefix="bench-redirects-") as folder:
            live = Live(Path(folder), ring)
            try:
                for url in targets(chance, arguments.live):
                    compare(url, live(escaped(chance, through.path(url))))
            finally:
                live.close()
    if arguments.json:
        print(json.dumps({"callable": arguments.count, "live": arguments.live, "different": len(different)}))
    else:
        print(f"{arguments.count} through the callable, {arguments.live} live: {len(different)} differ")
        for expected, led_to in different[:10]:
            print(f"  {expected!r}\n  {led_to!r}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
