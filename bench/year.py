"""Plays a year of mail to a store and compares every figure with the truth: python -m bench.year.

`--messages N`: how many; each has some six events. `--engine memory|sqlite|cassandra`: the last starts a node
of its own, as the tests do. `--seed S`: another year. `--rounds R`: how often each way of asking. Prints what
was played, and for each way the questions, the numbers compared and the differences; ends with status 1 if
there is any. The year and the truth are in tests/year/; docs/figures.md shows the table.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engagement.stores.memory import MemoryStore
from engagement.stores.port import EventStore
from year.compare import Comparison, compare
from year.make import make_year
from year.play import Clock, play


@contextmanager
def opened(engine: str, folder: Path, clock: Clock) -> Iterator[EventStore]:
    """An empty store of an engine, whose time is that of the clock."""
    if engine == "memory":
        yield MemoryStore()
    elif engine == "sqlite":
        from engagement.stores.sqlite.store import SqliteStore

        store: EventStore = SqliteStore(folder / "events.db", writing=True)
        yield store
        store.close()
    else:
        from cassandra_site import Node
        from engagement.stores.cassandra.store import CassandraStore

        node = Node("year")
        node.start()
        try:
            cluster: EventStore = CassandraStore(node.migrated("year"), now=clock)
            yield cluster
            cluster.close()
        finally:
            node.stop()


def table(found: dict[str, Comparison]) -> str:
    """What was compared, as a table."""
    lines = [
        "| figures | questions | numbers | differences |",
        "| --- | --- | --- | --- |",
        *(
            f"| {way} | {comparison.questions} | {comparison.numbers:,} | {comparison.differences} |"
            + (f" ({comparison.refused} not offered)" if comparison.refused else "")
            for way, comparison in found.items()
        ),
    ]
    questions = sum(comparison.questions for comparison in found.values())
    numbers = sum(comparison.numbers for comparison in found.values())
    differences = sum(comparison.differences for comparison in found.values())
    return "\n".join([*lines, f"| **together** | {questions} | {numbers:,} | **{differences}** |"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=2_000)
    parser.add_argument("--engine", choices=("memory", "sqlite", "cassandra"), default="memory")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", type=Path, help="where the file goes; a temporary folder if not given")
    arguments = parser.parse_args()
    clock = Clock()
    with (
        tempfile.TemporaryDirectory(dir=arguments.directory) as name,
        opened(arguments.engine, Path(name), clock) as store,
    ):
        began = time.perf_counter()
        year = make_year(arguments.messages, arguments.seed)
        done = play(year, store, arguments.seed, clock=clock)
        played = time.perf_counter()
        found = compare(year, store, arguments.seed, rounds=arguments.rounds)
        compared = time.perf_counter()
    print(f"{arguments.engine}: {arguments.messages:,} messages, {len(year.campaigns)} campaigns")
    print(", ".join(f"{n:,} {what}" for what, n in done.most_common()))
    print(f"played in {played - began:.0f} s, compared in {compared - played:.0f} s\n")
    print(table(found))
    wrong = [comparison.first for comparison in found.values() if comparison.differences]
    for first in wrong:
        print(first, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
