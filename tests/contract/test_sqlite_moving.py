"""An existing SQLite store moves to the new tables while events come and questions are asked."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from contract.old_sqlite import old_file
from contract.store_samples import AT, SampleRows
from engagement.events.classify import Classification, ReaderClass
from engagement.events.rows import EventRow, RowSource
from engagement.links.model import Kind
from engagement.stores.memory import MemoryStore
from engagement.stores.port import EventStore, FigureQuery, LabelledHit, Query
from engagement.stores.sqlite.earlier import before, before_rows
from engagement.stores.sqlite.store import SqliteStore

HOUR = 3_600_000
QUERIES = (
    Query(),
    Query(limit=7),
    Query(types=("click",)),
    Query(campaigns=("spring",)),
    Query(recipients=("ida@example.net",)),
    Query(domains=("example.org",)),
    Query(classes=("scanner",)),
    Query(tags=("nl",)),
    Query(messages=(f"{3:032x}",)),
    Query(from_ms=AT, to_ms=AT + 5 * HOUR, expired=True),
)


def samples(sample: SampleRows, count: int = 120) -> list[EventRow]:
    """Rows of a site, without repeats."""
    chance, rows = random.Random(4), list[EventRow]()
    for number in range(count):
        message = 1 + number % 40
        if number < 40:
            rows += sample.injection(at=-number * 50_000, message=message)
        rows += sample.hit(
            chance.choice((Kind.OPEN, Kind.CLICK)),
            number * 200_000,
            message=message,
            recipient="Ida@Example.net" if message % 2 else "ole@example.org",
            campaign="spring" if message % 3 else "autumn",
            agent=chance.choice(("Firefox", "curl/8")),
            expired=number % 17 == 0,
            unsubscribe=number % 11 == 0,
            tags=("nl",) if message % 5 else (),
        )
    return rows


def answers(store: EventStore) -> list[object]:
    """What users see."""
    found: list[object] = [list(store.find(query)) for query in QUERIES]
    found += [dict(store.counts(query)) for query in QUERIES]
    found.append([dict(store.totals(query)) for query in (Query(), Query(campaigns=("spring",)))])
    found.append([each.hit.id for each in store.hits(AT, AT + 100 * HOUR)])
    return found


def figures(store: EventStore) -> list[object]:
    return [
        store.figures(FigureQuery(series=True)),
        store.figures(FigureQuery(precision="hour", series=True, by="campaign")),
        store.figures(FigureQuery(by="domain")),
        store.figures(FigureQuery(by="link")),
        store.figures(FigureQuery(by="machine")),
        store.figures(FigureQuery(precision="life", by="campaign")),
    ]


def left(store: SqliteStore) -> int:
    """Events that have not moved."""
    if not store._ask("SELECT 1 FROM sqlite_schema WHERE name = 'event_before'", []):
        return 0
    return int(store._ask("SELECT count(*) FROM event_before", [])[0][0])


def new_store(path: Path, rows: list[EventRow]) -> SqliteStore:
    store = SqliteStore(path, writing=True)
    store.add(rows)
    store.roll_up()
    return store


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A portion is small."""
    monkeypatch.setattr(before, "PORTION", 5)


@pytest.mark.usefixtures("slowly")
@pytest.mark.parametrize("rolled", [True, False])
def test_readers_see_the_same_at_each_step(tmp_path: Path, sample: SampleRows, *, rolled: bool) -> None:
    rows, path = samples(sample), tmp_path / "events.db"
    old_file(path, rows, rolled=rolled)
    expected = new_store(tmp_path / "new.db", rows)
    store, reader = SqliteStore(path, writing=True), SqliteStore(path)
    if not rolled:
        while left(store) and store._ask("SELECT 1 FROM stale_hour", []):
            store.roll_up(0.0)
    steps, before_it = 0, left(store)
    while before_it:
        assert answers(reader) == answers(expected)
        store.roll_up(0.0)
        before_it, steps = left(store), steps + 1
    assert steps > 5 or not rolled
    store.roll_up()
    assert answers(reader) == answers(expected)
    assert figures(reader) == figures(expected)
    assert not store._ask("SELECT 1 FROM sqlite_schema WHERE name LIKE '%_before'", [])
    for each in (store, reader, expected):
        each.close()


@pytest.mark.usefixtures("slowly")
def test_the_newest_move_first(tmp_path: Path, sample: SampleRows) -> None:
    rows, path = samples(sample), tmp_path / "events.db"
    old_file(path, rows, rolled=True)
    store = SqliteStore(path, writing=True)
    store.roll_up(0.0)
    newest = max(row.at_ms for row in rows)
    assert store._ask("SELECT max(at_ms) FROM event", []) == [(newest,)]
    assert store._ask("SELECT max(at_ms) FROM event_before", []) < [(newest,)]
    store.close()


def hit_of(row: EventRow) -> LabelledHit:
    assert isinstance(row.source, RowSource)
    assert row.source.label is not None
    return LabelledHit(row.source.event, row.source.label)  # type: ignore[arg-type] # of a hit


@pytest.mark.usefixtures("slowly")
def test_what_is_written_meanwhile_finds_its_messages(tmp_path: Path, sample: SampleRows) -> None:
    rows, path = samples(sample), tmp_path / "events.db"
    old_file(path, rows, rolled=True)
    expected = new_store(tmp_path / "new.db", rows)
    store = SqliteStore(path, writing=True)
    clicks = [row for row in rows if row.type == "click" and not row.expired]
    label = Classification(ReaderClass.SCANNER, "burst", "2", certain=True)
    work: list[Callable[[EventStore], object]] = [
        lambda each: each.add(clicks[0:1] + clicks[-1:]),  # replays
        lambda each: each.relabel([LabelledHit(hit_of(row).hit, label) for row in clicks[3:9]], AT),
        lambda each: each.erase("ole@example.org"),
    ]
    late = [sample.hit(at=9_000_000 + number, message=1 + number, campaign="spring") for number in range(8)]
    work += [lambda each, some=some: each.add(some) for some in late]  # type: ignore[misc] # bound early
    for step in work:
        assert step(store) == step(expected)
        store.roll_up(0.0)
        expected.roll_up()
        assert answers(store) == answers(expected)
    store.roll_up()
    assert answers(store) == answers(expected)
    assert figures(store) == figures(expected)
    assert store.past_labels(clicks[4].event_id) == expected.past_labels(clicks[4].event_id)
    store.close()
    expected.close()


def test_old_events_are_swept_from_both(tmp_path: Path, sample: SampleRows) -> None:
    rows, path = samples(sample), tmp_path / "events.db"
    old_file(path, rows, rolled=True)
    store, memory = SqliteStore(path, writing=True), MemoryStore()
    memory.add(rows)
    while store.sweep(AT + HOUR, 7) == 7:
        pass
    while memory.sweep(AT + HOUR, 7) == 7:
        pass
    assert [event["event_id"] for event in store.find(Query(expired=True))] == [
        event["event_id"] for event in memory.find(Query(expired=True))
    ]
    store.close()


PROGRAM = """
import sys, time
from pathlib import Path
from engagement.stores.sqlite.earlier import before, before_rows
from engagement.stores.sqlite.store import SqliteStore
before.PORTION = 3
store = SqliteStore(Path(sys.argv[1]), writing=True)
print("open", flush=True)
while True:
    store.roll_up(0.0)
    time.sleep(0.05)  # else a quick machine is done before it is killed
"""


def test_a_killed_mover_goes_on_where_it_was(tmp_path: Path, sample: SampleRows) -> None:
    """Killed at any moment, each event is in one place, and its figures with it."""
    rows, path = samples(sample, 300), tmp_path / "events.db"
    old_file(path, rows)
    expected = new_store(tmp_path / "new.db", rows)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    chance, moved = random.Random(8), set[int]()
    for _ in range(12):
        mover = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(path)], env=environment, stdout=subprocess.PIPE
        )
        assert mover.stdout is not None
        if chance.random() < 0.8:
            mover.stdout.readline()
        time.sleep(chance.random() * 0.15)
        mover.send_signal(signal.SIGKILL)
        mover.wait()
        mover.stdout.close()
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
        reader = SqliteStore(path)
        try:
            found = [event["event_id"] for event in reader.find(Query(expired=True))]
        finally:
            moved.add(left(reader))
            reader.close()
        assert sorted(found) == sorted(row.event_id for row in rows)
    assert len(moved) > 2
    store = SqliteStore(path, writing=True)
    store.roll_up()
    assert answers(store) == answers(expected)
    assert figures(store) == figures(expected)
    store.close()
    expected.close()


def test_rows_of_several_messages_are_in_the_order_of_coming(tmp_path: Path, sample: SampleRows) -> None:
    path = tmp_path / "events.db"
    old_file(path, samples(sample))
    SqliteStore(path, writing=True).close()
    connection = sqlite3.connect(path)
    found = before_rows.rows(connection, [bytes.fromhex(f"{number:032x}") for number in (3, 2)], [])
    connection.close()
    places = [place for place, _, _ in found]
    assert {row.message_id for _, row, _ in found} == {f"{2:032x}", f"{3:032x}"}
    assert places == sorted(places)
