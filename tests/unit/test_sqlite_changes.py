"""What changes in the store in a file takes its figures and all that leads to it along."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from contract.store_samples import AT, SampleRows
from engagement.events.classify import Classification, ReaderClass
from engagement.events.rows import EventRow, RowSource
from engagement.figures.query import FigureQuery
from engagement.stores.sqlite.store import SqliteStore

DAY_MS = 86_400_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "events.db", writing=True)
    yield made
    made.close()


def relabelled_row(row: EventRow, rules: str) -> EventRow:
    """The row as later rules tell it: by a scanner."""
    assert isinstance(row.source, RowSource)
    label = Classification(ReaderClass.SCANNER, "burst", rules, certain=True)
    return msgspec.structs.replace(
        row, client="scanner", source=msgspec.structs.replace(row.source, label=label)
    )


def sides(store: SqliteStore) -> dict[str, int]:
    names = ("x_count_people_clicked", "x_count_machine_clicked", "x_count_recorded_clicked")
    query = FigureQuery(precision="day", metrics=names, from_ms=AT - DAY_MS, to_ms=AT + 2 * DAY_MS)
    return {name: n for row in store.figures(query) for name, n in row.figures.items() if n}


@pytest.mark.parametrize("message", [1, 0])
def test_an_event_that_is_told_anew_by_later_rules_changes_its_figures(
    store: SqliteStore, message: int
) -> None:
    sample = SampleRows()
    (row,) = sample.hit(message=message)
    (other,) = sample.hit(message=2, target="https://example.org/other")
    store.add([row, other])
    store.roll_up()
    assert sides(store) == {"x_count_people_clicked": 2, "x_count_recorded_clicked": 2}
    store.add([relabelled_row(row, "999")])
    store.roll_up()
    now = {"x_count_people_clicked": 1, "x_count_machine_clicked": 1, "x_count_recorded_clicked": 2}
    assert sides(store) == now
    store.add([row, relabelled_row(row, "1")])
    store.roll_up()
    assert sides(store) == now, "earlier rules change nothing"


@pytest.mark.parametrize("run", [0, 1, 3])
def test_what_led_to_erased_events_is_gone_in_every_run(store: SqliteStore, run: int) -> None:
    sample = SampleRows()
    store.add([*sample.injection(), *sample.hit(), *sample.hit(message=2, recipient="ole@example.net")])

    def lookups() -> int:
        return int(store._do(lambda each: each.execute("SELECT count(*) FROM lookup").fetchone()[0], 0))

    store._do(lambda each: each.execute("UPDATE lookup SET run = ?", (run,)), None)
    before = lookups()
    assert store.erase("ida@example.net")
    left = lookups()
    assert 0 < left < before
    assert store.erase("ole@example.net")
    assert lookups() == 0


def test_a_row_is_written_alike_whether_its_fields_are_still_to_be_made(tmp_path: Path) -> None:
    (row,) = SampleRows().hit()
    columns = []
    for number, each in enumerate((row, msgspec.structs.replace(row, source=row.fields))):
        made = SqliteStore(tmp_path / f"{number}.db", writing=True)
        made.add([each])
        made.close()
        with closing(sqlite3.connect(tmp_path / f"{number}.db")) as connection:
            columns.append(
                connection.execute("SELECT type, hits, ordinal, tries, wait FROM event").fetchall()
            )
    assert columns[0] == columns[1]
    assert columns[0][0][-2:] == (-1, -1)  # of messages alone


def test_an_event_without_a_message_is_told_anew_in_its_figures(store: SqliteStore) -> None:
    sample = SampleRows()
    row, other = (msgspec.structs.replace(each, message_id="") for each in (*sample.hit(), *sample.hit(at=1)))
    store.add([row, other])
    store.roll_up()
    before = sides(store)
    store.add([relabelled_row(row, "999")])
    store.roll_up()
    after = sides(store)
    assert before["x_count_people_clicked"] == after["x_count_people_clicked"] + 1
    assert after["x_count_machine_clicked"] == 1


def test_figures_stay_for_400_days_after_their_events_were_swept(store: SqliteStore) -> None:
    now_ms = int(time.time() * 1000)
    recent, old = (now_ms - days * DAY_MS for days in (398, 402))
    sample = SampleRows()
    for number, at_ms in enumerate((recent, old)):
        store.add([*sample.hit(at=at_ms - AT, message=number + 1, target=f"https://{number}.example/")])
    store.roll_up()
    query = FigureQuery(
        precision="day", metrics=("x_count_recorded_clicked",), from_ms=old - DAY_MS, to_ms=now_ms
    )

    def counted() -> int:
        return sum(int(row.figures["x_count_recorded_clicked"]) for row in store.figures(query))

    assert counted() == 2
    assert store.sweep(now_ms - DAY_MS) == 2
    assert counted() == 1
