"""How long Cassandra takes for each filter and pair of filters, over a month of mail (`store_mail`).

    python -m bench.store_cassandra_reads --cassandra PORT [--events N] [--node PID] [--pairs] [--days D]

The keyspace is that of `bench.pages`, filled if it is empty; --days: of a fill that was ended before. Each
question is asked `--rounds` times about other values, the newest 100 events of each answer; the first, which
prepares statements, is told apart. Milliseconds by the clock, then of the processor: here, and with --node in
the node, its compiler and compactions included. Asks are round trips, each of several statements.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any

from bench import month
from bench.store_mail import DAYS
from bench.store_questions import FILTERS, queries_of
from engagement.stores.cassandra.connection import Connection
from engagement.stores.port import EventStore, Query, UnsupportedQueryError


def seconds_of(pid: int) -> float:
    """Seconds of the processor that a process has used."""
    if not pid:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Counts:
    """How many round trips and statements there were."""

    def __init__(self) -> None:
        self.asks = self.statements = 0

    def several(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def counted(connection: Connection, several: Any) -> Any:
            self.asks += bool(several)
            self.statements += len(several)
            return method(connection, several)

        return counted

    def one(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def counted(connection: Connection, name: str, values: Any) -> Any:
            self.asks += 1
            self.statements += 1
            return method(connection, name, values)

        return counted


@contextmanager
def counted() -> Iterator[Counts]:
    """Count what is asked within."""
    counts = Counts()
    originals = Connection.read, Connection.read_several, Connection.stream_several
    Connection.read = counts.one(originals[0])  # type: ignore[method-assign] # counted
    Connection.read_several = counts.several(originals[1])  # type: ignore[method-assign] # counted
    Connection.stream_several = counts.several(originals[2])  # type: ignore[method-assign] # counted
    yield counts
    Connection.read, Connection.read_several, Connection.stream_several = originals  # type: ignore[method-assign] # counted


def measured(store: EventStore, queries: list[Query], pid: int) -> str:
    """Ask, and return a line of numbers."""
    taken, found = [], 0
    here, there = time.process_time(), seconds_of(pid)
    with counted() as counts:
        for query in queries:
            began = time.perf_counter()
            try:
                found += len(list(store.find(query)))
            except UnsupportedQueryError:
                return "not offered"
            taken.append((time.perf_counter() - began) * 1000)
    turns = len(queries)
    here, there = (time.process_time() - here) / turns * 1000, (seconds_of(pid) - there) / turns * 1000
    return (
        f"{found // turns:5} {taken[0]:7.0f} {statistics.median(taken[1:]):7.0f} {max(taken[1:]):7.0f}"
        f" {here:6.0f} {there:6.0f} {counts.asks / turns:6.1f} {counts.statements / turns:6.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    month.options(parser)
    parser.add_argument("--days", type=int, default=DAYS, help="of the month that there are")
    parser.add_argument("--node", type=int, default=0, help="process id of the node")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--pairs", action="store_true", help="all pairs of filters as well")
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "smtpapi.conf"
        config.write_text(f"smtpapi {{ }}\n{month.stanzas(given)}")
        store = month.filled(given, config)
        events = month.samples(store, given.rounds + 1, given.days)
        chosen: list[tuple[str, ...]] = [(name,) for name in FILTERS]
        if given.pairs:
            chosen += combinations(FILTERS, 2)
        print(f"{'newest 100 by':34}  rows   first  median   worst   here   node   asks  statements")
        for names in chosen:
            name = " + ".join(names)
            if given.only in name:
                queries = list(queries_of(events, *(FILTERS[each] for each in names)))
                print(f"{name:34} {measured(store, queries, given.node)}", flush=True)
        store.close()


if __name__ == "__main__":
    main()
