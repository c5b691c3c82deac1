"""What one client can cost that asks for one link without pause, over one connection.

    python bench/flood.py [--seconds 30] [--variants] [--json]

The tracker runs as it is served, with one worker. variants: each request has its own User-Agent. Printed: how
many were answered, how many the spool tells of, in how many events, how many bytes these are in a day's
time, and how many bytes the spool held at most.
"""

import argparse
import json
import socket
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import program  # noqa: F401 - finds what follows
from bench.tracker import AGENT, HOST, TARGET, configuration, served
from engagement.events.model import Hit
from engagement.events.record import decode
from engagement.links.model import Identity, Kind, Link
from engagement.links.ring_file import load_ring
from engagement.links.token import copy_sealer
from engagement.spool.fold import WINDOW
from engagement.spool.names import directory_size
from engagement.spool.read import SpoolReader


def flood(port: int, path: str, seconds: float, spool: Path, variants: bool) -> tuple[int, int]:
    """Return how many were answered, and the most bytes that the spool held."""
    answered = most = 0
    end = time.monotonic() + seconds
    with socket.create_connection(("127.0.0.1", port)) as connection:
        while time.monotonic() < end:
            for number in range(200):
                agent = f"{AGENT} {answered + number}" if variants else AGENT
                connection.sendall(
                    f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: {agent}\r\n\r\n".encode()
                )
                answer = b""
                while b"\r\n\r\n" not in answer:
                    answer += connection.recv(65536)
                assert TARGET in answer
            answered += 200
            most = max(most, directory_size(spool))
    return answered, most


def measure(seconds: float, variants: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bench-flood-") as name:
        folder = Path(name)
        config, ring = configuration(folder, 1)
        now = int(time.time())
        identity = Identity(b"m" * 16, 42, "ida@example.net", now, now + 31_536_000, campaign="autumn")
        link = (
            copy_sealer(load_ring(ring).signing, identity).seal(Kind.CLICK, Link(TARGET, "banner")).decode()
        )
        with served("fast", folder, config, ring, Namespace(workers=1, threads=1)) as (port, _):
            answered, most = flood(port, f"/f/a/{link}", seconds, folder / "spool", variants)
            time.sleep(WINDOW + 1)
        entries = SpoolReader(folder / "spool").read(1 << 30)
        hits = [event for entry in entries if isinstance(event := decode(entry.record), Hit)]
        written = sum(len(entry.record) + 8 for entry in entries)
        return {
            "answered": answered,
            "told": sum(hit.hits for hit in hits),
            "events": len(hits),
            "bytes a day": round(written / seconds * 86_400),
            "most bytes": most,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--variants", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = measure(arguments.seconds, arguments.variants)
    print(json.dumps(result) if arguments.json else "\n".join(f"{name}: {n:,}" for name, n in result.items()))


if __name__ == "__main__":
    main()
