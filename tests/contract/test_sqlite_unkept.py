"""In SQLite a message without an injection has no row of its own: its events and `lookup` tell all of it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from contract.figure_story import Message, Parts, at
from engagement.figures.query import FigureQuery
from engagement.links.model import Kind
from engagement.stores.port import Query
from engagement.stores.sqlite.store import SqliteStore

_NAMES = ("count_clicked", "count_unique_clicked", "count_raw_clicked")


def lines(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def write(path: Path, *parts: Parts) -> None:
    """Tell parts, each as a process of its own."""
    for part in parts:
        store = SqliteStore(path, writing=True)
        for rows in part:
            store.add(rows)
        store.roll_up()
        store.close()


def clicked(path: Path, precision: str) -> list[int]:
    query = FigureQuery(from_ms=at(0), to_ms=at(24), precision=precision, metrics=_NAMES)
    if precision == "life":
        query = FigureQuery(precision="life", by="campaign", metrics=_NAMES)
    (row,) = SqliteStore(path).figures(query)
    return [row.figures[name] for name in _NAMES]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


def test_it_is_unique_once_however_many_portions_it_comes_in(path: Path) -> None:
    message = Message(1, "ida@a.example", "spring")
    write(path, [message.hit(Kind.CLICK, at(1))], [message.hit(Kind.CLICK, at(2))])
    assert clicked(path, "day") == [2, 1, 1]
    assert lines(path, "SELECT * FROM message") == []
    assert len(list(SqliteStore(path).find(Query(recipients=("ida@a.example",))))) == 2
    assert len(list(SqliteStore(path).find(Query(transmissions=("1",))))) == 2


def test_an_injection_that_comes_late_tells_its_events_the_sender(path: Path) -> None:
    message = Message(1, "ida@a.example", "spring", friendly_from="news@one.example")
    write(path, [message.hit(Kind.CLICK, at(1))], [message.comes_in(at(0))], [message.hit(Kind.CLICK, at(2))])
    found = list(SqliteStore(path).find(Query(sending_domains=("one.example",))))
    assert [event["type"] for event in found] == ["click", "click", "injection"]
    assert {event["subject"] for event in found} == {"Spring"}
    assert clicked(path, "day") == [2, 1, 1]


def test_nothing_leads_to_it_when_its_recipient_is_erased(path: Path) -> None:
    message = Message(1, "ida@a.example", "spring")
    write(path, [message.hit(Kind.CLICK, at(1))])
    store = SqliteStore(path, writing=True)
    assert store.erase("Ida@a.example") == 1
    store.add(message.hit(Kind.CLICK, at(2)))
    store.roll_up()
    store.close()
    assert clicked(path, "day") == [2, 2, 2]
    assert clicked(path, "life") == [2, 1, 1]
    assert len(lines(path, "SELECT * FROM lookup")) == 2  # of the one that came afterwards


def test_an_erased_message_leaves_no_lookup(path: Path) -> None:
    message = Message(1, "ida@a.example", "")
    write(path, [message.hit(Kind.OPEN, at(1))])
    store = SqliteStore(path, writing=True)
    assert store.erase("ida@a.example") == 1
    store.close()
    assert lines(path, "SELECT * FROM lookup") == lines(path, "SELECT * FROM message") == []
