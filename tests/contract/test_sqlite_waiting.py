"""What SQLite does to find the events that wait for a batch of injections: hardly anything, as none do."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from contract.waiting_samples import event, header, injected, injection, queue
from engagement.events.model import Injection, MessageName, names_of
from engagement.stores.sqlite.codes import RUN_BITS
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


def in_runs_of_their_own(store: SqliteStore, count: int, **given: bytes) -> list[Injection]:
    sent = [injection(number, number * 1000, **given) for number in range(1, count + 1)]
    for number, one in enumerate(sent, 1):
        store.add(injected(one))
        assert store._connection is not None
        values = (number << RUN_BITS,)
        store._connection.execute("UPDATE state SET value = ? WHERE name = 'next'", values)
    return sent


@pytest.mark.parametrize("runs", [1, 3, 4, 5, 9])
def test_a_queue_id_that_was_used_again_is_looked_for_as_far_back_as_is_needed(
    store: SqliteStore, runs: int
) -> None:
    sent = in_runs_of_their_own(store, runs)
    name, seen = queue("4XyZ12abcdz9s"), list[Sequence[Injection]]()

    def enough(whose: MessageName, found: Sequence[Injection]) -> bool:
        assert whose == name
        seen.append(found)
        return sufficient in found

    newest_first = tuple(sent[::-1])
    assert store.injections([name]) == {name: newest_first}
    sufficient = sent[-1]
    assert store.injections([name, header("<x>")], enough) == {name: (sufficient,)}
    assert seen == [[sufficient]]
    sufficient = sent[0]
    assert store.injections([name], enough) == {name: newest_first}
    first = header("<1@example.org>")
    assert store.injections([first], lambda *_: True) == {first: (sent[0],)}


def test_runs_with_nothing_newer_than_the_time_that_is_given_are_passed_by(store: SqliteStore) -> None:
    """Not the newest four, which the program of before may have written to."""
    sent = in_runs_of_their_own(store, 7, message_id=b"")
    name = queue("4XyZ12abcdz9s")
    since = [len(store.injections([name], None, one.at_ms)[name]) for one in sent]
    assert since == [7, 6, 5, 4, 4, 4, 4]
    assert store._connection is not None
    store._connection.execute("DELETE FROM state WHERE name LIKE 'injected %'")  # as a file of before
    assert len(store.injections([name], None, sent[-1].at_ms)[name]) == 7
