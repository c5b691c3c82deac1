"""What the suppression list costs: the filter's look-up, the file, the shipper's and the API's copies.

`python bench/suppression.py [ENTRIES]` makes a registry of so many entries (a million) in a folder of its
own. CPU time counts, the best of several rounds where one is short.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engagement.registry.sqlite import SqliteRegistry
from engagement.suppression import book
from engagement.suppression.book import Search
from engagement.suppression.follow import SnapshotWriter
from engagement.suppression.index import Order, SuppressionIndex
from engagement.suppression.model import Entry, MailKind, Source
from engagement.suppression.snapshot_file import load

_LOOK_UPS = 20_000


def main() -> None:
    """Measure, and print one line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("entries", nargs="?", type=int, default=1_000_000)
    count = parser.parse_args().entries
    with tempfile.TemporaryDirectory() as folder:
        _measure(Path(folder), count)


def _measure(folder: Path, count: int) -> None:
    registry = SqliteRegistry(folder / "registry.db")
    entries = (
        Entry(
            f"reader{number}@d{number % 100}.example",
            MailKind.NON_TRANSACTIONAL,
            description=_description(number),
        )
        for number in range(count)
    )
    _say("import, s", _seconds(lambda: book.add_many(registry, entries)))
    path = folder / "snapshot"
    writer = SnapshotWriter(lambda: registry, path)
    _say("the shipper's first copy, s", _seconds(writer.step))
    book.add(registry, Entry("one.more@x.example", MailKind.TRANSACTIONAL))
    _say("a change: the next copy, ms", 1000 * _seconds(writer.step))
    _say("the file, MB", path.stat().st_size / 1e6)
    _say("a worker takes the new file, ms", 1000 * min(_seconds(lambda: load(path)) for _ in range(5)))
    table = load(path)
    addresses = [f"reader{number * 7}@d{number * 7 % 100}.example" for number in range(_LOOK_UPS)]

    def look_up() -> None:
        for address in addresses:
            table.source("", address, "", MailKind.NON_TRANSACTIONAL)

    _say("a look-up, µs", 1e6 / _LOOK_UPS * min(_seconds(look_up) for _ in range(5)))
    index = SuppressionIndex(lambda: registry, timeout=3600)
    _say("the API's copy, s", _seconds(index.summary))
    for name, search, order in (
        ("the first page by recipient, ms", Search(), Order.RECIPIENT),
        ("the newest, ms", Search(), Order.NEWEST),
        ("of a domain, ms", Search(domain="d7.example"), Order.RECIPIENT),
        ("of a source, ms", Search(sources=frozenset({Source.MANUALLY_ADDED})), Order.RECIPIENT),
        ("changed since, ms", Search(from_ms=1), Order.NEWEST),
        ("by a text in the description that none has, ms", Search(description="quite"), Order.RECIPIENT),
        ("by a letter that none has, ms", Search(description="q"), Order.RECIPIENT),
        ("by a text that one has, ms", Search(description="call 000777"), Order.RECIPIENT),
        ("by a text that a third has, ms", Search(description="by phone"), Order.NEWEST),
        (
            "by a whole description of a third, ms",
            Search(description="list of may", strict=True),
            Order.RECIPIENT,
        ),
    ):
        _say(name, 1000 * min(_seconds(partial(index.find, search, order)) for _ in range(3)))
    index.close()
    registry.close()


def _description(number: int) -> str:
    """A third has a text of its own, a third one of two, a third none."""
    if number % 3 == 0:
        return f"by phone, call {number:06d}"
    return ("", "list of May", "", "list of June")[number % 4]


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _say(name: str, value: float) -> None:
    print(f"{name:48} {value:10.2f}", flush=True)


if __name__ == "__main__":
    main()
