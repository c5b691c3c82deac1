"""The filter alone, driven over the milter protocol: messages a second with one worker and with two.

    sudo python bench/filter_alone.py [--rounds 5] [--seconds 2] [--size 10 50] [--clients 8] [--json]

Ours and the filter without work (bench/ready_filter.py), each with 1 and 2 workers, in turns, in one run, on
unix sockets. Client processes play the MTA on the same cores, each with one connection at a time and ten
messages on it: envelope, header and body are sent at once, since none of it is answered (no-reply flags),
then the end of the message, whose answers are read to the last. Processor times are milliseconds of one
message, from /proc. Every message must be tracked by the filter's own count, else the run fails.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import socket
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.filters import Ours, letter, ready_filter, tracked
from bench.machine import busy_seconds, processor_seconds

_PACKET = struct.Struct("!IB")
_OFFER = struct.pack("!III", 6, 0x1FF, 0x1FFFFF)
# What both filters ask for, and our client relies on: no answers to connect, HELO, MAIL, RCPT, header fields
# and body; DATA and the end of the header are not even told.
_SILENT = 0x1000 | 0x2000 | 0x4000 | 0x8000 | 0x80 | 0x80000 | 0x200 | 0x40
_ON_ONE_CONNECTION = 10


def packet(command: str, payload: bytes = b"") -> bytes:
    return _PACKET.pack(len(payload) + 1, ord(command)) + payload


def macros(command: str, **values: str) -> bytes:
    pairs = "".join(
        f"{name if len(name) == 1 else f'{{{name}}}'}\0{value}\0" for name, value in values.items()
    )
    return packet("D", command.encode() + pairs.encode())


class Connection:
    """The MTA's side of one connection."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        self._socket.connect(path)
        self._unread = b""
        self._socket.sendall(packet("O", _OFFER))
        command, payload = self._next()
        _, _, self.protocol = struct.unpack_from("!III", payload)
        assert command == "O", command

    def opened(self) -> None:
        """The client's connection and greeting."""
        address = b"client.example\0" + b"4" + struct.pack("!H", 40000) + b"127.0.0.1\0"
        self._socket.sendall(
            macros("C", daemon_addr="127.0.0.1", daemon_port="25", daemon_name="mail.example.test")
            + packet("C", address)
            + packet("H", b"client.example\0")
        )

    def exchange(self, data: bytes) -> tuple[str, int]:
        """Send a whole message; the verdict, and the octets of the new body."""
        self._socket.sendall(data)
        size = 0
        while True:
            command, payload = self._next()
            if command == "b":
                size += len(payload)
            elif command in "acrtdy":
                return command, size

    def close(self) -> None:
        self._socket.sendall(packet("Q"))
        self._socket.close()

    def _next(self) -> tuple[str, bytes]:
        head = self._exactly(5)
        length, command = _PACKET.unpack(head)
        return chr(command), self._exactly(length - 1)

    def _exactly(self, count: int) -> bytes:
        while len(self._unread) < count:
            more = self._socket.recv(262144)
            if not more:
                raise SystemExit("the filter hung up")
            self._unread += more
        found, self._unread = self._unread[:count], self._unread[count:]
        return found


def check_silent(path: Path) -> None:
    connection = Connection(str(path))
    connection.close()
    if connection.protocol & _SILENT != _SILENT:
        raise SystemExit(f"{path}: the filter asked for {connection.protocol:#x}, not all of {_SILENT:#x}")


class Template:
    """One mail as packets; only recipient and queue id differ from message to message."""

    def __init__(self, raw: bytes) -> None:
        header, _, body = raw.partition(b"\r\n\r\n")
        fields = [line.partition(b":") for line in header.split(b"\r\n")]
        self._content = b"".join(packet("L", name + b"\0" + value + b"\0") for name, _, value in fields)
        for start in range(0, len(body), 65535):
            self._content += packet("B", body[start : start + 65535])

    def message(self, number: int) -> bytes:
        queue_id = f"4b{number:09d}"
        return (
            macros("M", i=queue_id)
            + packet("M", b"<news@sender.test>\0")
            + packet("R", b"<%09d@rcpt.test>\0" % number)
            + self._content
            + macros("E", i=queue_id)
            + packet("E")
        )


def client(
    path: str, raw: bytes, first: int, seconds: float, done: multiprocessing.Queue[tuple[int, float]]
) -> None:
    """Messages until the time is up; says how many, and its own processor seconds."""
    template, number = Template(raw), first
    spent, end = time.process_time(), time.monotonic() + seconds
    while time.monotonic() < end:
        connection = Connection(path)
        connection.opened()
        for _ in range(_ON_ONE_CONNECTION):
            verdict, size = connection.exchange(template.message(number))
            if verdict not in "ac" or size < len(raw) // 2:
                raise SystemExit(f"the filter answered {verdict}, with {size} octets of a new body")
            number += 1
        connection.close()
    done.put((number - first, time.process_time() - spent))


@dataclass(frozen=True, slots=True)
class Taken:
    """rate: messages a second. filter, client: processor ms of one. others: of the cores, 0 to 1."""

    rate: float
    filter: float
    client: float
    others: float


def take(path: Path, pid: int, raw: bytes, first: int, clients: int, seconds: float) -> tuple[Taken, int]:
    done: multiprocessing.Queue[tuple[int, float]] = multiprocessing.Queue()
    before, started = (processor_seconds(pid), busy_seconds()), time.monotonic()
    crew = [
        multiprocessing.Process(target=client, args=(str(path), raw, first + n * 1_000_000, seconds, done))
        for n in range(clients)
    ]
    for each in crew:
        each.start()
    results = [done.get(timeout=seconds + 60) for _ in crew]
    for each in crew:
        each.join()
    lasted = time.monotonic() - started
    filter_, all_ = processor_seconds(pid) - before[0], busy_seconds() - before[1]
    count, spent = sum(number for number, _ in results), sum(used for _, used in results)
    others = (all_ - filter_ - spent) / lasted / (os.cpu_count() or 1)
    return Taken(count / lasted, filter_ / count * 1000, spent / count * 1000, max(0.0, others)), count


@contextmanager
def filters(folder: Path, size: int) -> Iterator[dict[str, tuple[Path, int, Ours | None]]]:
    """By name: socket, process, and what counts its messages."""
    found: dict[str, tuple[Path, int, Ours | None]] = {}
    with ExitStack() as stack:
        for workers in (1, 2):
            place = folder / f"ours{workers}.sock"
            ours = Ours(folder / f"ours{workers}", place, workers)
            found[f"ours, {workers}"] = place, stack.enter_context(ours.running()).pid, ours
            body, field = tracked(ours.site(), letter(size), "000000001@rcpt.test")
            place = folder / f"ready{workers}.sock"
            process = stack.enter_context(ready_filter(folder, place, workers, body, field))
            found[f"ready, {workers}"] = place, process.pid, None
        yield found


def measure(arguments: argparse.Namespace, size: int) -> list[dict[str, Taken]]:
    """Each round all filters, forwards and backwards in turn."""
    raw, rounds, first = letter(size), [], 1
    with tempfile.TemporaryDirectory(prefix="bench-milter-") as name, filters(Path(name), size) as running:
        for path, *_ in running.values():
            check_silent(path)
        for number in range(arguments.rounds + 1):
            names = list(running) if number % 2 else list(running)[::-1]
            taken = {}
            for each in names:
                path, pid, ours = running[each]
                before = ours.counts()["tracked"] if ours else 0
                seconds = arguments.seconds if number else 0.5  # the first round warms up
                taken[each], count = take(path, pid, raw, first, arguments.clients, seconds)
                first += 100_000
                if ours and ours.counts()["tracked"] - before != count:
                    raise SystemExit(f"{count} messages sent, the filter counts {ours.counts()}")
            if number:
                rounds.append(taken)
    return rounds


def figures(rounds: Sequence[dict[str, Taken]]) -> dict[str, float]:
    def of(kind: str) -> float:
        return statistics.median(each[f"{kind}, 2"].rate / each[f"{kind}, 1"].rate for each in rounds)

    return {"ours, 2 workers to 1": of("ours"), "ready, 2 workers to 1": of("ready")}


def print_table(size: int, rounds: Sequence[dict[str, Taken]]) -> None:
    print(f"The filter alone, {size} kB")
    print(f"{'workers':12}{'messages/s':>11}{'(rounds)':>14}{'filter ms':>10}{'client ms':>10}{'others':>8}")
    for name in sorted(rounds[0]):
        taken = [each[name] for each in rounds]
        rates = [each.rate for each in taken]
        print(
            f"{name:12}{statistics.median(rates):11.0f}{f'{min(rates):.0f}-{max(rates):.0f}':>14}"
            f"{statistics.median(each.filter for each in taken):10.2f}"
            f"{statistics.median(each.client for each in taken):10.2f}"
            f"{statistics.median(each.others for each in taken):8.0%}"
        )
    for name, figure in figures(rounds).items():
        print(f"  {name:24}{figure:8.2f}   {'to reach 1.4' if name.startswith('ours') else ''}".rstrip())
    print()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--size", type=int, nargs="+", default=[10, 50], help="kB")
    parser.add_argument("--clients", type=int, default=8, help="processes")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    report: dict[int, object] = {}
    if not arguments.json:
        print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} before\n")
    for size in arguments.size:
        rounds = measure(arguments, size)
        report[size] = {
            "figures": figures(rounds),
            "rounds": [{name: asdict(taken) for name, taken in each.items()} for each in rounds],
        }
        if not arguments.json:
            print_table(size, rounds)
    if arguments.json:
        print(json.dumps(report))


if __name__ == "__main__":
    main()
