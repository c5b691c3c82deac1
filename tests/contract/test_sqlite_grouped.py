"""Figures by sending domain and by tag in SQLite: from sums of days that are over, or counted from rows.

Whichever it is, they are those that all events together give (`figures_from`).
"""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from contract.figure_story import Message, Parts, at, fill
from engagement.events.classify import Classification, ReaderClass
from engagement.events.ids import EventIds
from engagement.figures.from_events import figures_from, window
from engagement.figures.query import FigureQuery, FigureRow, Grouping, UnsupportedQueryError
from engagement.links.model import Kind, Link
from engagement.stores.port import LabelledHit
from engagement.stores.sqlite.counting import grouped
from engagement.stores.sqlite.store import SqliteStore
from tracker_web.api.metrics.counted import read

_DAY = 86_400_000
_LATER = at(0, day=30)  # every day of these stories is over then
_GROUPS: tuple[Grouping, ...] = ("sending_domain", "tag")
# No AMP clicks: stores tell their links from those of the HTML, and the fields of events do not.
_KINDS = (Kind.OPEN, Kind.CLICK, Kind.INITIAL_OPEN, Kind.AMP_OPEN, Kind.CLICK)
_LINKS = (None, Link(b"https://example.org/foot", "foot"), Link(b"https://example.org/bye", "", True))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "events.db", writing=True)
    yield made
    made.close()


def settle(store: SqliteStore, now_ms: int = _LATER) -> int:
    """Have all days that are over counted; return how many times a day was."""
    store.roll_up()
    days = 0
    while store._write(lambda connection: grouped.settle(connection, store._terms, now_ms), nothing=False):
        days += 1
    return days


def played(seed: int) -> Parts:
    """Some messages over three days: of several senders and sets of tags, with repeats and the unusual."""
    chance, parts, injections = Random(seed), list[Any](), list[Any]()
    for number in range(1, 25):
        labels: dict[str, Any] = {
            "tags": chance.choice(((), ("red",), ("red", "blue"), ("blue", "old"))),
            "friendly_from": f"news@{chance.choice(('one', 'two', 'three'))}.example",
            "opens": chance.random() < 0.5,
            "size": chance.choice((0, 700)),
        }
        if number % 6:  # else the one before is told again
            message = Message(number, "ida@a.example", "spring", **labels)
        moment = at(chance.randrange(50), chance.randrange(60))
        injections.append(message.comes_in(moment))
        kind, known = chance.choice((("delivery", 0), ("bounce", 10), ("delay", 0), ("expiration", 20)))
        numbers = {"num_retries": chance.randint(-1, 2), "queue_time": chance.choice((-1, 0, 400))}
        parts.append(message.becomes(kind, moment + 500, bounce_class=known, **numbers))
        if chance.random() < 0.2:
            kind = chance.choice(("out_of_band", "spam_complaint"))
            parts.append(message.becomes(kind, moment + 90_000, bounce_class=50))
        moment += chance.choice((1_000, 3_600_000, _DAY // 2))
        for _ in range(chance.randrange(7)):
            moment += chance.choice((0, 3_000, 9_999, 10_000, 900_000, _DAY // 3))
            client = chance.choice(("human", "human", "proxy", "scanner", "prefetch", "probe"))
            labels = {"certain": chance.random() < 0.7, "hits": chance.choice((1, 1, 4))}
            labels["expired"] = chance.random() < 0.1
            kind_of_hit = chance.choice(_KINDS)
            if kind_of_hit is Kind.CLICK:
                labels["link"] = chance.choice(_LINKS)
            parts.append(message.hit(kind_of_hit, moment, client, **labels))
    chance.shuffle(parts)  # as of several spools
    return injections + parts


def expected(store: SqliteStore, query: FigureQuery, group: Grouping) -> tuple[FigureRow, ...]:
    return figures_from(read(store, *window(query), (), "", most=1 << 40), query, group)


def differences(store: SqliteStore) -> list[tuple[Grouping, FigureQuery]]:
    """The questions that are answered otherwise than all events say."""
    wrong = []
    for group, precision, series, (first, last) in product(
        _GROUPS, ("hour", "day"), (False, True), ((0, 72), (5, 31))
    ):
        query = FigureQuery(at(first), at(last), precision, series, by="campaign")
        if store.grouped(group, query) != expected(store, query, group):
            wrong.append((group, query))
    return wrong


@pytest.mark.parametrize("seed", range(3))
def test_they_are_what_all_events_together_give(store: SqliteStore, seed: int) -> None:
    parts = played(seed)
    fill(store, parts[:-12])
    assert differences(store) == [], "counted from rows"
    assert settle(store) >= 6
    assert settle(store) == 0, "no day is counted twice"
    assert differences(store) == [], "from sums"
    fill(store, parts[-12:])
    assert differences(store) == [], "with what came late"
    settle(store)
    assert differences(store) == []
    machine = Classification(ReaderClass.SCANNER, "burst", "2", certain=True)
    found = store.hits(at(0), at(100))
    assert store.relabel([LabelledHit(hit, machine) for hit, _ in found[::3]], at(100))
    assert differences(store) == [], "with other labels"
    settle(store)
    assert store.sweep(at(20))
    assert differences(store) == [], "with a day that is removed in part"
    settle(store)
    assert differences(store) == []
    assert store.erase("ida@a.example")
    assert differences(store) == []
    assert store.grouped("tag", FigureQuery(at(0), at(72), by="campaign")) == ()


def test_an_injection_that_comes_late_gives_the_hits_before_it_their_sender(store: SqliteStore) -> None:
    """Nothing of their own day changes by it, but what they are joined with."""
    message = Message(1, "ida@a.example", "spring", friendly_from="news@one.example", tags=("red",))
    injection = message.comes_in(at(23))
    fill(store, [message.hit(Kind.CLICK, at(5, day=1))])
    settle(store)
    query = FigureQuery(at(0, day=1), at(0, day=2), by="campaign", metrics=("count_clicked",))
    assert store.grouped("sending_domain", query) == ()
    fill(store, [injection])
    assert [(row.group, dict(row.figures)) for row in store.grouped("sending_domain", query) or ()] == [
        ("one.example", {"count_clicked": 1})
    ]
    settle(store)
    assert differences(store) == []


def test_days_that_are_over_are_not_counted_again(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, played(1))
    settle(store, at(3, day=2))  # an hour of the third day is not over, the second day not for long
    counted, original = [], grouped._counted

    def spy(connection: Any, tenant: int, group: Grouping, span: tuple[int, int], *more: Any) -> Any:
        counted.append(span)
        return original(connection, tenant, group, span, *more)

    monkeypatch.setattr(grouped, "_counted", spy)
    store.grouped("sending_domain", FigureQuery(at(0), at(72), "hour", by="campaign"))
    store.grouped("tag", FigureQuery(at(6), at(22), "hour", by="campaign"))
    assert counted == [(at(24), at(72))]


def test_one_value_and_all_of_them(store: SqliteStore) -> None:
    fill(store, played(2))
    query = FigureQuery(at(0), at(72), "day", by="campaign", metrics=("count_injected",))
    every = {row.group: dict(row.figures) for row in store.grouped("sending_domain", query) or ()}
    assert set(every) == {"one.example", "two.example", "three.example"}
    for _ in ("from rows", "from sums"):
        some = store.grouped("sending_domain", query, ("one.example", "nobody.example"))
        assert {row.group: dict(row.figures) for row in some or ()} == {"one.example": every["one.example"]}
        whole = FigureQuery(at(0), at(72), "day", metrics=("count_injected",))
        (row,) = store.grouped("sending_domain", whole, ("two.example",)) or ()
        assert (row.group, dict(row.figures)) == ("", every["two.example"])
        (row,) = store.grouped("tag", whole, ("red",)) or ()
        assert row.figures["count_injected"] > 0
        settle(store)


def test_tags_that_no_list_holds_are_left_to_the_events(store: SqliteStore) -> None:
    """Of a customer's tags a hundred are listed; the others are in the records alone."""
    many = [
        Message(n, "ida@a.example", "spring", tags=(f"t{n}",)).comes_in(at(1, n % 60)) for n in range(1, 103)
    ]
    fill(store, many)
    query = FigureQuery(at(0), at(24), by="campaign")
    assert store.grouped("tag", query) is None
    assert store.grouped("sending_domain", query) == expected(store, query, "sending_domain")
    assert settle(store) == 1, "of the sending domains alone"


def test_too_much_to_count_is_refused_until_its_sums_are_there(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, played(3))
    monkeypatch.setattr(grouped, "MOST_COUNTED", 20)
    query = FigureQuery(at(0), at(72), by="campaign")
    with pytest.raises(UnsupportedQueryError, match="less time"):
        store.grouped("tag", query)
    settle(store)
    assert store.grouped("tag", query)


def test_the_shipper_makes_the_sums_when_it_has_nothing_else_to_do(store: SqliteStore) -> None:
    message = Message(1, "ida@a.example", "spring", friendly_from="news@one.example")
    message.injection = message.injection._replace(id=EventIds(b"8 chance").next(1_700_000_000_000))
    store.add(message.hit(Kind.OPEN, 1_700_000_000_000))
    store.roll_up(1.0)
    connection = store._connection
    assert connection is not None
    query = "SELECT count(*) FROM fig WHERE cube >= 20"
    assert connection.execute(query).fetchone() == (0,), "it had figures to make"
    store.roll_up(5.0)
    assert connection.execute(query).fetchone()[0] == 2, "a stamp of each group: the hit has neither"


def test_rows_are_read_by_time_and_sums_by_their_key(store: SqliteStore) -> None:
    fill(store, played(1))
    settle(store)
    connection, plans = store._connection, list[str]()
    assert connection is not None
    queries: list[str] = []
    connection.set_trace_callback(queries.append)
    for precision in ("hour", "day"):
        for group in _GROUPS:
            store.grouped(group, FigureQuery(at(0), at(72), precision, by="campaign"))
            grouped._counted(connection, 0, group, (at(0), at(72)), (3_600_000, _DAY))
    connection.set_trace_callback(None)
    for statement in dict.fromkeys(queries):
        if " FROM " in statement or "\nFROM " in statement:
            plans += [line[3] for line in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
    read = [step for step in plans if any(f" {table} " in f"{step} " for table in ("event", "fig", "hourly"))]
    assert any("event USING PRIMARY KEY (tenant=? AND at_ms>? AND at_ms<?)" in step for step in read), read
    assert any("fig USING PRIMARY KEY (tenant=? AND cube=? AND bucket=?" in step for step in read), read
    assert not any(step.startswith("SCAN") for step in read), read


def test_many_tags_of_a_day_with_sums_and_of_one_without_keep_apart(store: SqliteStore) -> None:
    parts = [
        Message(n, "ida@a.example", "spring", tags=(f"t{n % 31}",)).comes_in(at(1 + n // 45 * 30, n % 45))
        for n in range(1, 90)
    ]
    fill(store, parts)
    assert any(settle(store, at(hour)) for hour in range(24, 24 * 9))
    query = FigureQuery(at(0), at(48), by="campaign")
    found = store.grouped("tag", query)
    assert found is not None
    assert sorted(found, key=repr) == sorted(expected(store, query, "tag"), key=repr)
    assert settle(store), "only the first day had sums"
