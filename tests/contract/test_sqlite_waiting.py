"""What SQLite does to find the events that wait for a batch of injections: hardly anything, as none do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contract.waiting_samples import event, header, injection
from engagement.events.model import names_of
from engagement.stores.sqlite.store import SqliteStore
from engagement.stores.sqlite.waiting import NAMED

NAMES = [name for number in range(500) for name in names_of(injection(number, queue_id=f"q{number}"))]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "events.db", writing=True)
    yield made
    made.close()


@contextmanager
def statements(store: SqliteStore) -> Iterator[list[str]]:
    """The statements that SQLite runs meanwhile."""
    assert store._connection is not None
    seen: list[str] = []
    store._connection.set_trace_callback(seen.append)
    yield seen
    store._connection.set_trace_callback(None)


def test_where_nothing_waits_one_statement_says_so(store: SqliteStore) -> None:
    with statements(store) as seen:
        assert store.waiting(NAMES) == ()
    assert len(seen) == 1


def test_where_something_waits_all_names_are_asked_at_once(store: SqliteStore) -> None:
    one, other, third = event(1), event(2, queue_id="q7"), event(3, queue_id="x", message_id_header="<x>")
    store.put_waiting([one, other, third])
    requested = [*NAMES, header("<1@example.org>")]
    with statements(store) as seen:
        assert set(store.waiting(requested)) == {one, other}
    assert len(seen) == 1, "few are read whole"
    store.put_waiting(event(number, queue_id="z", message_id_header="<z>") for number in range(10, 300))
    with statements(store) as seen:
        assert set(store.waiting(requested)) == {one, other}
    assert len(seen) == 2


def test_names_are_looked_up_in_their_order_of_keys(store: SqliteStore) -> None:
    assert store._connection is not None
    plan = [row[3] for row in store._connection.execute(f"EXPLAIN QUERY PLAN {NAMED}", ("[]",))]
    assert [step.split(" VIRTUAL")[0] for step in plan] == [
        "SCAN asked",
        "SEARCH waiting_name USING PRIMARY KEY (name=?)",
        "SEARCH waiting USING PRIMARY KEY (event_id=?)",
    ]


def test_an_event_that_cannot_be_read_holds_up_no_other(store: SqliteStore) -> None:
    """Damaged, or of a newer program: it stays, and what comes is carried."""
    one = event(1)
    store.put_waiting([one])
    assert store._connection is not None
    store._connection.execute("INSERT INTO waiting VALUES (x'00', 1, x'93ff')")
    assert store.waiting([*NAMES, header("<1@example.org>")]) == (one,)
    store.drop_waiting([one])
    assert store.waiting(NAMES) == ()
    assert store.sweep_waiting(1 << 50) == 0
