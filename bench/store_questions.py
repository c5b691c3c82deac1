"""How long each filter and pair of filters takes in SQLite, over a month of mail (`store_mail`).

`--file PATH --events N` makes the file if it is not there, with its figures, and tells how fast that went.
Then each question is asked `--rounds` times about different values, the latest 100 events of each answer.
Told are milliseconds of the processor: middle and worst of SQLite's part, the middle of the whole, with
fields. Questions that the store does not offer say so.
"""

import argparse
import json
import random
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from itertools import combinations, islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.store_mail import DAYS, START, Mail
from engagement.events.fields import Fields
from engagement.stores.port import FigureQuery, Query, UnsupportedQueryError
from engagement.stores.sqlite import plan, reading
from engagement.stores.sqlite.store import SqliteStore
from engagement.stores.sqlite.terms import Terms

_DAY = 86_400_000
_PORTION = 1_700  # events: what the shipper reads of the spool at a time
Filter = Callable[[Fields, random.Random], dict[str, Any]]


def _field(option: str, name: str) -> Filter:
    return lambda event, _chance: {option: (event[name],)} if event.get(name) else {}


FILTERS: dict[str, Filter] = {
    "time": lambda _event, chance: {"to_ms": START + chance.randrange(DAYS * _DAY)},
    "type": _field("types", "type"),
    "rare type": lambda _event, chance: {"types": (chance.choice(("spam_complaint", "link_unsubscribe")),)},
    "several types": lambda _event, _chance: {"types": ("open", "initial_open", "click", "bounce", "delay")},
    "class": lambda _event, chance: {"classes": (chance.choice(("human", "scanner", "proxy", "prefetch")),)},
    "people": lambda _event, _chance: {"classes": ("human", "proxy")},
    "campaign": _field("campaigns", "campaign_id"),
    "domain": _field("domains", "recipient_domain"),
    "sending domain": lambda _event, chance: {
        "sending_domains": (f"sender{chance.randrange(5)}.example.org",)
    },
    "tag": lambda _event, chance: {"tags": (chance.choice(("nl", "single")),)},
    "bounce class": lambda _event, _chance: {"bounce_classes": (10,)},
    "recipient": _field("recipients", "rcpt_to"),
    "message": _field("messages", "message_id"),
    "transmission": _field("transmissions", "transmission_id"),
    "Message-ID": _field("message_id_headers", "x_message_id_header"),
    "queue id": _field("queue_ids", "x_queue_id"),
    "event id": _field("ids", "event_id"),
    "link": lambda _event, _chance: {"ordinals": (-1,)},
}


def fill(path: Path, count: int) -> None:
    """Fill a file as the shipper does, and tell how fast."""
    store, rows = SqliteStore(path, writing=True), Mail(count).rows()
    done, began, spent, marked = 0, time.process_time(), 0.0, 0
    while batch := list(islice(rows, _PORTION)):
        start = time.process_time()
        store.add(batch)
        spent += time.process_time() - start
        done += len(batch)
        if done // 100_000 > marked:
            marked = done // 100_000
            print(f"{done:10,} rows, {done / spent:8,.0f} rows/s of the processor with figures", flush=True)
    store.roll_up()
    store.close()
    print(
        f"{done:,} rows, {path.stat().st_size / done:.0f} bytes each, {time.process_time() - began:.0f} s",
        flush=True,
    )


def samples(store: SqliteStore, count: int) -> list[Fields]:
    """Events from all over the month."""
    chance, found = random.Random(3), list[Fields]()
    while len(found) < count:
        found += store.find(Query(to_ms=START + chance.randrange(_DAY, DAYS * _DAY), limit=1))
    return found


def queries_of(events: list[Fields], *filters: Filter) -> Iterator[Query]:
    chance = random.Random(5)
    for event in events:
        values: dict[str, Any] = {}
        for each in filters:
            values |= each(event, chance)
        yield Query(limit=100, **values)


def timed(path: Path, store: SqliteStore, queries: list[Query]) -> tuple[float, float, float, int]:
    """Milliseconds of the processor, and the middle number of events; negative if it is not offered.

    The middle and the worst of SQLite's part with the choice of the index, and the middle of the whole.
    """
    connection, terms = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True), Terms()
    lines(connection, terms, Query(limit=1))
    part, whole, sizes = list[float](), list[float](), list[int]()
    for query in queries:
        began = time.process_time()
        try:
            lines(connection, terms, query)
            part.append((time.process_time() - began) * 1000)
            began = time.process_time()
            sizes.append(len(list(store.find(query))))
        except UnsupportedQueryError:
            return -1.0, -1.0, -1.0, 0
        whole.append((time.process_time() - began) * 1000)
    connection.close()
    middle = statistics.median
    return middle(part), max(part), middle(whole), int(middle(sizes))


def lines(connection: sqlite3.Connection, terms: Terms, query: Query) -> None:
    """What `find` does but for making fields of the rows."""
    narrowed = reading.resolve(connection, terms, query)
    if not narrowed.is_empty:
        connection.execute(*plan.page(narrowed, reading.lead(connection, narrowed), query.limit)).fetchall()


def figures(store: SqliteStore) -> dict[str, float]:
    """Middle times of what pages ask of figures."""
    end = START + DAYS * _DAY
    questions: dict[str, FigureQuery] = {
        "one metric by hour, 30 days": FigureQuery(
            START, end, "hour", series=True, metrics=("count_clicked",)
        ),
        "all metrics by day": FigureQuery(START, end, series=True),
        "minutes of a day": FigureQuery(START + _DAY, START + 2 * _DAY, "1min", series=True),
        "100 campaigns by clicks": FigureQuery(
            START, end, by="campaign", metrics=("count_clicked",), limit=100, order_by="count_clicked"
        ),
        "100 domains by clicks": FigureQuery(
            START, end, by="domain", metrics=("count_clicked",), limit=100, order_by="count_clicked"
        ),
        "one campaign by day": FigureQuery(START, end, campaigns=("campaign-300",), series=True),
    }
    medians = {}
    for name, query in questions.items():
        taken = []
        for _ in range(7):
            began = time.process_time()
            store.figures(query)
            taken.append((time.process_time() - began) * 1000)
        medians[name] = statistics.median(taken)
    return medians


def report(path: Path, count: int, rounds: int, *, pairs: bool, as_json: bool) -> None:
    """Ask about each filter, and print what it takes; make the file if it is not there."""
    if not path.exists():
        fill(path, count)
    store = SqliteStore(path)
    events = samples(store, rounds)
    medians: dict[str, Any] = {}
    chosen: list[tuple[str, ...]] = [(name,) for name in FILTERS]
    if pairs:
        chosen += combinations(FILTERS, 2)
    for names in chosen:
        queries = list(queries_of(events, *(FILTERS[name] for name in names)))
        medians[" + ".join(names)] = timed(path, store, queries)
        if not as_json:
            middle, worst, whole, size = medians[" + ".join(names)]
            line = "not offered" if middle < 0 else f"{middle:8.2f} {worst:8.2f} {whole:8.2f} {size:5}"
            print(f"{' + '.join(names):34} {line}", flush=True)
    counted = figures(store)
    if as_json:
        print(json.dumps({"events": medians, "figures": counted}))
        return
    for name, middle in counted.items():
        print(f"{name:34} {middle:8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--pairs", action="store_true", help="all pairs of filters as well")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    report(arguments.file, arguments.events, arguments.rounds, pairs=arguments.pairs, as_json=arguments.json)


if __name__ == "__main__":
    main()
