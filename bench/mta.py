"""What tracking costs in a real Postfix: messages a second, processor time, the hop, and latency.

    sudo python bench/mta.py [filter] [hop] [latency] [--rounds 5] [--messages 400] [--workers 2] [--json]

One private Postfix on loopback with several smtpd ports, all in one run, in turns, unix sockets, delivery to
discard:

    none    no milter
    ready   a pymilter filter without work (bench/ready_filter.py): gives the bytes that ours would give
    ours    smtpapi milter: clicks and opens tracked, records written; a quoted-printable mail with 20 links

filter: one recipient a mail (a new one each), 20 sessions, a connection a mail, at 10 kB and 50 kB. hop: 10
recipients a mail, each copy through the hop of etc/postfix; beside it the same hop with no milter, into which
a static header_checks sends all mail. latency: one session, one mail after another.

Processor time is that of the processes and their ended children, from /proc. Every mail of `ours` must be
tracked by the filter's own count, one is fetched and its links opened, and each recipient must be delivered
to; else the run fails. "others" is what the rest of the machine took of its cores: a round with much of it
says little. "idle" is what nobody took: with much of it the rates are not the processors'. "pace" is how fast
the cores were (machine.py); "at full pace" are milliseconds times it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import smtplib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.filters import ROOT, Ours, letter, ready_filter, tracked
from bench.machine import Pace, busy_seconds, client_seconds, free_port, processor_seconds
from private_mta.postfix import PrivatePostfix, Smtpd

KINDS = ("none", "ready", "ours")
SIZES = (10, 50)  # kB
RECIPIENTS = 10
MAILDIR_DOMAIN = "kept.test"  # its mail is kept in the Maildir, to look at


# --- what is measured --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Run:
    """One kind's turn. Rates are a second; processor times milliseconds for one mail.

    accepted: mails of the client. delivered: recipients, until the last. others: what everybody else took of
    the cores, idle: what nobody did, 0 to 1. pace: of the cores, 1 the fastest of the whole run.
    """

    accepted: float
    delivered: float
    postfix: float
    filter: float
    others: float
    idle: float
    pace: float


class Bench:
    """The Postfix and the filters of one run. Ports by (kind, size), "hop-none", "hop-ours"."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder = folder
        names = [*((kind, size) for kind in KINDS for size in SIZES), "hop-none", "hop-ours"]
        self.ports: dict[object, int] = {name: free_port() for name in names}
        self.hop_port, self.hop_none_port = free_port(), free_port()
        ours = "unix:milter/milter.sock"
        smtpds = [
            Smtpd(self.ports[kind, size], {"smtpd_milters": self._milter(kind, size)})
            for kind in KINDS
            for size in SIZES
        ]
        smtpds += [
            Smtpd(self.ports["hop-ours"], {"smtpd_milters": ours}),
            Smtpd(self.ports["hop-none"], {"cleanup_service_name": "cleanup_static"}),
        ]
        self.postfix = PrivatePostfix(
            folder / "postfix",
            smtpds,
            maildir=folder / "maildir",
            options={
                "virtual_mailbox_domains": MAILDIR_DOMAIN,
                "default_transport": "discard",
                "milter_default_action": "tempfail",
                # Else cleanup sleeps up to a second whenever mail comes faster than it goes.
                "in_flow_delay": "0s",
                "smtpapi_hop_milters": ours,
            },
            hop_port=self.hop_port,
        )
        self.postfix.more_services = self._static_hop()
        self.ours = Ours(folder / "ours", self.postfix.milter_socket, workers, self.hop_port)
        self.letters: dict[int, Path] = {}
        self.pace = Pace()
        self.filters: dict[object, int] = {}
        self._log_at = 0

    @staticmethod
    def _milter(kind: str, size: int) -> str:
        return {"none": "", "ready": f"unix:milter/ready{size}.sock", "ours": "unix:milter/milter.sock"}[kind]

    def _static_hop(self) -> str:
        """The same second pass without a milter, and a first pass that sends all mail there."""
        text = (ROOT / "etc" / "postfix" / "master.cf.hop").read_text()
        (block,) = re.findall(r"(?m)^127\.0\.0\.1:10026 .*\n(?:  .*\n)+", text)
        block = block.replace(":10026", f":{self.hop_none_port}").replace("$smtpapi_hop_milters", "")
        checks = self.folder / "static_checks"
        checks.write_text(f"/^Message-ID:/ FILTER split:[127.0.0.1]:{self.hop_none_port}\n")
        return (
            f"{block.rstrip()}\ncleanup_static unix n - n - 0 cleanup\n  -o header_checks=regexp:{checks}\n"
        )

    @contextmanager
    def running(self, workers: int) -> Iterator[Bench]:
        with ExitStack() as stack:
            stack.enter_context(self.postfix)
            self.filters["ours"] = stack.enter_context(self.ours.running()).pid
            for size in SIZES:
                raw = letter(size)
                self.letters[size] = self.folder / f"letter{size}"
                # smtp-source ends lines by itself.
                self.letters[size].write_bytes(raw.replace(b"\r\n", b"\n"))
                body, field = tracked(self.ours.site(), raw, "100reader@rcpt.test")
                place = self.postfix.milter_socket.with_name(f"ready{size}.sock")
                ready = ready_filter(self.folder, place, workers, body, field)
                self.filters["ready", size] = stack.enter_context(ready).pid
            yield self

    @property
    def master(self) -> int:
        return int((self.postfix.queue / "pid" / "master.pid").read_text())

    def filter_of(self, kind: str, size: int) -> int | None:
        return self.filters.get("ours" if kind.endswith("ours") else (kind, size))

    def look(self) -> None:
        """One mail of each way, kept and opened."""
        for size in SIZES:
            for port, recipients in (
                (self.ports["ours", size], [f"one{size}@{MAILDIR_DOMAIN}"]),
                (self.ports["hop-ours"], [f"two{size}@{MAILDIR_DOMAIN}", f"three{size}@{MAILDIR_DOMAIN}"]),
            ):
                with smtplib.SMTP("127.0.0.1", port, timeout=30) as smtp:
                    smtp.sendmail("news@sender.test", recipients, letter(size))
                for recipient in recipients:
                    self.ours.check(self._delivered(recipient), recipient)

    def _delivered(self, recipient: str) -> bytes:
        line = f"X-Original-To: {recipient}\n".encode()
        end = time.monotonic() + 20
        while time.monotonic() < end:
            for file in self.postfix.delivered():
                if line in (raw := file.read_bytes()):
                    return raw
            time.sleep(0.05)
        raise SystemExit(f"nothing came for {recipient}:\n{self.postfix.last_lines(10)}")

    # -- one turn

    def take(self, kind: str, size: int, messages: int, *, port: int, recipients: int = 1) -> Run:
        """Send so many mails and wait until all are delivered."""
        pid = self.filter_of(kind, size)
        counts = self.ours.counts() if kind.endswith("ours") else {}
        self._skip_log()
        command = ["smtp-source", "-s", "20", "-m", str(messages), "-N", "-r", str(recipients)]
        command += ["-F", str(self.letters[size]), "-f", "news@sender.test", "-t", "reader@rcpt.test"]
        expected = messages * recipients
        before = self._used(pid)
        with self.pace.taken() as pace:
            started = time.perf_counter()
            subprocess.run([*command, f"127.0.0.1:{port}"], check=True, timeout=120)
            accepted = time.perf_counter() - started
            self._wait_delivered(expected)
            delivered = time.perf_counter() - started
        used = (now - then for now, then in zip(self._used(pid), before, strict=True))
        postfix, filter_, all_, client = used
        if kind.endswith("ours"):
            self._check_tracked(counts, expected)
        cores = delivered * (os.cpu_count() or 1)
        return Run(
            messages / accepted,
            expected / delivered,
            postfix / messages * 1000,
            filter_ / messages * 1000,
            max(0.0, (all_ - postfix - filter_ - client) / cores),
            max(0.0, 1 - all_ / cores),
            pace[0],
        )

    def _used(self, pid: int | None) -> tuple[float, float, float, float]:
        """Seconds that Postfix, the filter, all processes, and the client with this one have used."""
        filter_ = processor_seconds(pid) if pid else 0.0
        return processor_seconds(self.master), filter_, busy_seconds(), client_seconds()

    def _check_tracked(self, before: dict[str, int], expected: int) -> None:
        after = self.ours.counts()
        done = {name: after[name] - before[name] for name in after if after[name] != before[name]}
        if done.get("tracked") != expected or done.get("events-dropped"):
            raise SystemExit(f"{expected} mails were to be tracked, the filter counts {done}")

    def _skip_log(self) -> None:
        self._log_at = self.postfix.log.stat().st_size

    def _wait_delivered(self, expected: int) -> None:
        """By Postfix's log; what is not sent fails the run."""
        found, end, tail = 0, time.monotonic() + 120, b""
        with self.postfix.log.open("rb") as log:
            log.seek(self._log_at)
            while found < expected:
                data = tail + log.read()
                data, newline, tail = data.rpartition(b"\n")
                for line in (data + newline).splitlines():
                    if b"status=deferred" in line or b"status=bounced" in line or b"reject:" in line:
                        raise SystemExit(line.decode(errors="replace"))
                    found += b"postfix/discard[" in line and b"status=sent" in line
                if time.monotonic() > end:
                    raise SystemExit(f"{found} of {expected} delivered:\n{self.postfix.last_lines(10)}")
                time.sleep(0.01)

    def filter_rounds(self, rounds: int, messages: int) -> dict[int, list[dict[str, Run]]]:
        """By size; in each round all kinds, each round beginning with another."""
        found: dict[int, list[dict[str, Run]]] = {size: [] for size in SIZES}
        for size in SIZES:
            for kind in KINDS:
                self.take(kind, size, messages // 4, port=self.ports[kind, size])  # warm up
        for number in range(rounds):
            for size in SIZES:
                order = KINDS[number % 3 :] + KINDS[: number % 3]
                found[size].append(
                    {kind: self.take(kind, size, messages, port=self.ports[kind, size]) for kind in order}
                )
        return found

    def hop_rounds(self, rounds: int, messages: int) -> dict[int, list[dict[str, Run]]]:
        kinds = ("hop-none", "hop-ours")
        found: dict[int, list[dict[str, Run]]] = {size: [] for size in SIZES}
        for number in range(rounds):
            for size in SIZES:
                found[size].append(
                    {
                        kind: self.take(kind, size, messages, port=self.ports[kind], recipients=RECIPIENTS)
                        for kind in (kinds if number % 2 else kinds[::-1])
                    }
                )
        return found

    def latencies(self, size: int, count: int) -> dict[str, list[float]]:
        """Milliseconds of MAIL to the last 250, one mail at a time, the kinds in turns."""
        raw = letter(size)
        found: dict[str, list[float]] = {kind: [] for kind in KINDS}
        before = self.ours.counts()
        self._skip_log()
        with ExitStack() as stack:
            sessions = {
                kind: stack.enter_context(smtplib.SMTP("127.0.0.1", self.ports[kind, size], timeout=30))
                for kind in KINDS
            }
            for number in range(count + 5):
                for kind, smtp in sessions.items():
                    started = time.perf_counter()
                    smtp.sendmail("news@sender.test", [f"{number}@rcpt.test"], raw)
                    spent = time.perf_counter() - started
                    if number >= 5:
                        found[kind].append(spent * 1000)
                    time.sleep(0.015)  # for its delivery
        self._wait_delivered((count + 5) * len(KINDS))
        self._check_tracked(before, count + 5)
        return found


# --- what is said ------------------------------------------------------------------------------------


def median(rounds: Sequence[dict[str, Run]], kind: str, what: str) -> float:
    return float(statistics.median(getattr(each[kind], what) for each in rounds))


def ratio(rounds: Sequence[dict[str, Run]], what: str, kind: str, to: str) -> float:
    """The median of the rounds' own ratios."""
    return float(statistics.median(getattr(each[kind], what) / getattr(each[to], what) for each in rounds))


def filter_figures(rounds: Sequence[dict[str, Run]]) -> dict[str, float]:
    rewriting = statistics.median(each["ours"].filter - each["ready"].filter for each in rounds)
    full = statistics.median(
        each["ours"].filter * each["ours"].pace - each["ready"].filter * each["ready"].pace for each in rounds
    )
    share = statistics.median(
        (each["ours"].filter - each["ready"].filter) / each["ours"].postfix for each in rounds
    )
    return {
        "ours/ready": ratio(rounds, "accepted", "ours", "ready"),
        "ours/none": ratio(rounds, "accepted", "ours", "none"),
        "ours/ready of medians": median(rounds, "ours", "accepted") / median(rounds, "ready", "accepted"),
        "ours/ready, delivered": ratio(rounds, "delivered", "ours", "ready"),
        "rewriting ms": rewriting,
        "  at full pace": full,
        "rewriting/Postfix": share,
    }


def latency_figures(found: dict[str, list[float]]) -> dict[str, float]:
    medians = {kind: statistics.median(times) for kind, times in found.items()}
    added = medians["ours"] - medians["none"]
    return {**medians, "added": added, "share": added / medians["ours"]}


def print_rounds(rounds: Sequence[dict[str, Run]], kinds: Sequence[str]) -> None:
    print(
        f"{'':10}{'accepted/s':>11}{'(rounds)':>14}{'delivered/s':>12}"
        + f"{'Postfix ms':>11}{'filter ms':>10}{'others':>8}{'idle':>6}{'pace':>6}"
    )
    for kind in kinds:
        rates = [each[kind].accepted for each in rounds]
        print(
            f"{kind:10}{statistics.median(rates):11.0f}{f'{min(rates):.0f}-{max(rates):.0f}':>14}"
            f"{median(rounds, kind, 'delivered'):12.0f}{median(rounds, kind, 'postfix'):11.2f}"
            f"{median(rounds, kind, 'filter'):10.2f}{median(rounds, kind, 'others'):8.0%}"
            f"{median(rounds, kind, 'idle'):6.0%}{median(rounds, kind, 'pace'):6.2f}"
        )


def print_figures(figures: dict[str, float], goals: dict[str, str]) -> None:
    for name, figure in figures.items():
        print(f"  {name:24}{figure:8.2f}   {goals.get(name, '')}".rstrip())
    print()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", metavar="filter|hop|latency", help="default: all three")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=400, help="of each kind in a round")
    parser.add_argument("--workers", type=int, default=2, help="of both filters")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    what = arguments.what or ["filter", "hop", "latency"]
    if unknown := set(what) - {"filter", "hop", "latency"}:
        parser.error(f"{', '.join(sorted(unknown))}: expected filter, hop or latency")
    report: dict[str, object] = {"workers": arguments.workers, "load before": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory(prefix="bench-mta-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with Bench(folder, arguments.workers).running(arguments.workers) as bench:
            bench.look()
            if not arguments.json:
                load = os.getloadavg()[0]
                print(
                    f"{arguments.workers} workers, {os.cpu_count()} cores, load average {load:.1f} before\n"
                )
            if "filter" in what:
                report["filter"] = report_filter(bench, arguments)
            if "hop" in what:
                report["hop"] = report_hop(bench, arguments)
            if "latency" in what:
                report["latency"] = report_latency(bench, arguments)
    if arguments.json:
        print(json.dumps(report))


def report_filter(bench: Bench, arguments: argparse.Namespace) -> dict[int, object]:
    report: dict[int, object] = {}
    for size, rounds in bench.filter_rounds(arguments.rounds, arguments.messages).items():
        figures = filter_figures(rounds)
        report[size] = {"figures": figures, "rounds": dump(rounds)}
        if not arguments.json:
            print(f"The filter in Postfix, {size} kB, {arguments.messages} mails a round")
            print_rounds(rounds, KINDS)
            goals = {
                "ours/ready": f"to reach {0.85 if size == 10 else 0.75}",
                "rewriting ms": f"at most {0.7 if size == 10 else 1.5}",
                "rewriting/Postfix": "at most 0.35" if size == 50 else "",
            }
            print_figures(figures, goals)
    return report


def report_hop(bench: Bench, arguments: argparse.Namespace) -> dict[int, object]:
    report: dict[int, object] = {}
    count = max(1, arguments.messages // 8)
    for size, rounds in bench.hop_rounds(max(1, arguments.rounds * 3 // 5), count).items():
        figures = {"ours/none": ratio(rounds, "delivered", "hop-ours", "hop-none")}
        report[size] = {"figures": figures, "rounds": dump(rounds)}
        if not arguments.json:
            print(f"The hop, {size} kB, {count} mails to {RECIPIENTS} recipients a round; ms are of a mail")
            print_rounds(rounds, ("hop-none", "hop-ours"))
            print_figures(figures, {"ours/none": "deliveries, to reach 0.5"})
    return report


def report_latency(bench: Bench, arguments: argparse.Namespace) -> dict[int, object]:
    report: dict[int, object] = {}
    for size in SIZES:
        found = bench.latencies(size, min(100, arguments.messages))
        figures = latency_figures(found)
        report[size] = figures
        if not arguments.json:
            print(f"One mail of {size} kB at a time, ms from MAIL to the last 250, medians")
            print_figures(figures, {"added": "under 10 at 50 kB", "share": "of the transaction"})
    return report


def dump(rounds: Sequence[dict[str, Run]]) -> list[dict[str, object]]:
    return [{kind: asdict(run) for kind, run in each.items()} for each in rounds]


if __name__ == "__main__":
    main()
