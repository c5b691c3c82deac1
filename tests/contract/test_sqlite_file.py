"""What is SQLite's own: the file, its schema, readers beside the writer."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from contract.old_sqlite import old_file
from contract.store_samples import AT, SampleRows
from engagement.links.model import Kind
from engagement.settings.schema import StoreStanza
from engagement.stores import open_store
from engagement.stores.port import FigureQuery, Query, StoreError
from engagement.stores.sqlite import migrate
from engagement.stores.sqlite.counting import counted
from engagement.stores.sqlite.store import SqliteStore


def stanza(path: Path, engine: str = "sqlite") -> StoreStanza:
    return StoreStanza(engine=engine, path=str(path))


def test_a_reader_may_come_before_the_file(tmp_path: Path, sample: SampleRows) -> None:
    path = tmp_path / "lib" / "events.db"
    reader = open_store(stanza(path))
    assert list(reader.find(Query())) == []
    assert dict(reader.counts(Query())) == {}
    mark = reader.arrivals("").mark
    assert not path.parent.exists()
    writer = open_store(stanza(path), writing=True)
    writer.add(sample.hit())
    assert len(list(reader.find(Query()))) == 1
    assert len(reader.arrivals(mark).events) == 1
    writer.close()
    reader.close()


def test_a_reader_may_come_before_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    sqlite3.connect(path).close()
    path.touch()
    assert list(open_store(stanza(path)).find(Query())) == []


def test_readers_and_the_writer_do_not_wait_for_each_other(tmp_path: Path, sample: SampleRows) -> None:
    path = tmp_path / "events.db"
    writer = SqliteStore(path, writing=True)
    writer.add(sample.hit())
    seen: list[int] = []
    stop = threading.Event()

    def read() -> None:
        reader = SqliteStore(path)
        while not stop.is_set():
            seen.append(len(list(reader.find(Query()))))
        reader.close()

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(1, 60):
        writer.add(sample.hit(at=number) + sample.hit(at=number))
    stop.set()
    for thread in threads:
        thread.join()
    assert seen
    assert all(number % 2 == 1 for number in seen)  # a transaction is seen whole or not at all
    writer.close()


def test_the_files_are_not_for_everybody(tmp_path: Path, sample: SampleRows) -> None:
    store = SqliteStore(tmp_path / "lib" / "events.db", writing=True)
    store.add(sample.hit())
    files = list((tmp_path / "lib").iterdir())
    assert len(files) == 3
    assert [path.stat().st_mode & 0o007 for path in files] == [0, 0, 0]
    store.close()


def test_one_store_is_shared_by_threads(tmp_path: Path, sample: SampleRows) -> None:
    store = SqliteStore(tmp_path / "events.db", writing=True)
    rows = [sample.hit(at=number) for number in range(40)]
    failed: list[BaseException] = []

    def work(part: int) -> None:
        try:
            for row in rows[part::4]:
                store.add(row)
                list(store.find(Query(limit=5)))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(list(store.find(Query()))) == 40
    store.close()


def test_migrating_twice_changes_nothing(tmp_path: Path, sample: SampleRows) -> None:
    path = tmp_path / "events.db"
    for _ in range(2):
        store = SqliteStore(path, writing=True)
        store.add(sample.hit())
        store.close()
    assert len(list(SqliteStore(path).find(Query()))) == 2


def test_many_may_migrate_at_once(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    program = "import sys; from pathlib import Path; from engagement.stores.sqlite.store import SqliteStore; "
    program += "SqliteStore(Path(sys.argv[1]), writing=True).close()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(path)], env=environment) for _ in range(4)
    ]
    assert [process.wait(30) for process in running] == [0, 0, 0, 0]
    with sqlite3.connect(path) as connection:
        assert migrate.check(connection, "")
    connection.close()


def test_a_migration_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = (
        *migrate.migrations(),
        migrate.Migration(
            2, "0002-broken.sql", "CREATE TABLE one (a INTEGER);\nCREATE TABLE one (a INTEGER);\n"
        ),
    )
    monkeypatch.setattr(migrate, "migrations", lambda: scripts)
    path = tmp_path / "events.db"
    with pytest.raises(StoreError, match="one already exists"):
        SqliteStore(path, writing=True)
    connection = sqlite3.connect(path)
    assert migrate.version(connection) == 0
    assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    connection.close()


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_file_of_an_earlier_schema_keeps_its_events(
    tmp_path: Path, sample: SampleRows, number: int
) -> None:
    path = tmp_path / "events.db"
    events = [*sample.injection(), *sample.hit(), *sample.hit(at=1, unsubscribe=True), *sample.hit(at=2)]
    old_file(path, events, number)
    before = sqlite3.connect(path, isolation_level=None)
    before.execute("DELETE FROM event WHERE place = ?", (len(events),))
    before.close()
    store, new = SqliteStore(path, writing=True), SqliteStore(tmp_path / "new.db", writing=True)
    new.add(events[:-1])
    new.roll_up()
    for _ in range(2):
        assert list(store.find(Query())) == list(new.find(Query()))
        assert dict(store.counts(Query())) == dict(new.counts(Query()))
        mark = store.arrivals("").mark
        assert mark == str(len(events))  # the place of the row that is gone is not given again
        store.roll_up()
        assert dict(store.totals(Query())) == dict(new.totals(Query()))
    store.add(events[-1:])
    assert [event["event_id"] for event in store.arrivals(mark).events] == [events[-1].event_id]
    store.add(events)  # told again they take the place of what was kept as JSON
    assert list(store._ask("SELECT count(*) FROM body WHERE substr(record, 1, 1) = x'7b'", [])) == [(0,)]
    assert len(list(store.find(Query()))) == len(events)
    store.close()
    new.close()


@pytest.fixture
def older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of the schema before, without events."""
    path = tmp_path / "events.db"
    scripts = migrate.migrations()[:2]
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "migrations", lambda: scripts)
        connection = sqlite3.connect(path, isolation_level=None)
        migrate.migrate(connection, str(path))
        connection.close()
    return path


def test_a_reader_of_an_older_schema_is_told_so(older: Path) -> None:
    reader = SqliteStore(older)
    with pytest.raises(StoreError, match=r"number 2, this program needs 5.*shipper"):
        list(reader.find(Query()))
    SqliteStore(older, writing=True).close()
    assert list(reader.find(Query())) == []
    reader.close()


def test_a_migration_says_what_it_does(older: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    SqliteStore(older, writing=True).close()
    SqliteStore(older, writing=True).close()
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "bringing up its schema from number 2 to 5",
        "that writes all of the file anew",
        "its schema has number 5",
    ]


def test_a_migration_without_room_is_not_begun(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = older.stat().st_size
    for free in (3 * size - 1, 3 * size):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        if free < 3 * size:
            with pytest.raises(StoreError, match=r"events\.db: .* bytes free .* make room"):
                SqliteStore(older, writing=True)
            connection = sqlite3.connect(older)
            assert migrate.version(connection) == 2
            connection.close()
        else:
            SqliteStore(older, writing=True).close()


def test_figures_follow_when_another_process_has_written(tmp_path: Path, sample: SampleRows) -> None:
    one = SqliteStore(tmp_path / "events.db", writing=True)
    other = SqliteStore(tmp_path / "events.db", writing=True)
    for store in (one, other, one):
        store.add(sample.hit(message=sample.hit()[0].at_ms))
        assert store.roll_up() == 1
    one.add(sample.hit(at=-30_000))
    other.add(sample.hit(at=30_000))
    one.roll_up()
    assert one.totals(Query())["click"].recorded == 5
    other.add(sample.hit(at=60_000))
    one.add(sample.hit(at=90_000))
    other.roll_up()
    assert one.totals(Query()) == other.totals(Query())
    assert one.totals(Query())["click"].recorded == 7
    assert one.roll_up() == 0
    one.close()
    other.close()


def test_no_row_is_passed_over_that_another_process_wrote_between(tmp_path: Path, sample: SampleRows) -> None:
    one = SqliteStore(tmp_path / "events.db", writing=True)
    other = SqliteStore(tmp_path / "events.db", writing=True)
    for number, store in enumerate((one, other, one, one, other, other, one)):
        store.add(sample.hit(at=number * 20_000))
    one.roll_up()
    assert one.totals(Query())["click"].counted == 7
    one.close()
    other.close()


def test_a_row_told_otherwise_before_its_figures_counts_as_it_is(tmp_path: Path, sample: SampleRows) -> None:
    store = SqliteStore(tmp_path / "events.db", writing=True)
    (row,) = sample.hit()
    store.add([row])
    scanner = row.fields | {"x_client_class": "scanner", "x_client_rules": "2"}
    store.add([replace(row, client="scanner", source=scanner), *sample.hit(at=1, message=2)])
    store.add(sample.hit(at=2, message=3))
    store.roll_up()
    clicks = store.totals(Query())["click"]
    assert (clicks.counted, clicks.people) == (3, 2)
    assert store.recount(AT // 86_400_000) == 0
    store.close()


def test_figures_of_days_that_an_earlier_program_swept_stay(tmp_path: Path, sample: SampleRows) -> None:
    """It removed events and marked no day."""
    day = 86_400_000
    store = SqliteStore(tmp_path / "events.db", writing=True)
    store.add([*sample.hit(), *sample.hit(at=3 * day, message=2)])
    store.roll_up()
    assert store.sweep(AT + day) == 1
    with closing(sqlite3.connect(tmp_path / "events.db")) as connection, connection:
        connection.execute("DELETE FROM partial_day")
    assert store.is_whole(AT // day)
    assert store.recount(AT // day) == 0
    assert not store.is_whole(AT // day)
    (row,) = store.figures(FigureQuery(metrics=("count_clicked",)))
    assert row.figures == {"count_clicked": 2}
    assert store.recount(AT // day + 3) == 0
    assert store.is_whole(AT // day + 3)
    store.close()


def test_a_recount_mends_what_is_wrong_and_tells_how_much(tmp_path: Path, sample: SampleRows) -> None:
    store = SqliteStore(tmp_path / "events.db", writing=True)
    store.add(
        [
            *sample.injection(at=0),
            *sample.hit(at=1),
            *sample.hit(Kind.OPEN, at=2, message=2, campaign="spring"),
        ]
    )
    store.roll_up()
    day = AT // 86_400_000

    def cells() -> list[tuple[int, ...]]:
        with closing(sqlite3.connect(tmp_path / "events.db")) as connection:
            return sorted(connection.execute("SELECT * FROM fig WHERE n <> 0"))

    right = cells()
    cubes = ", ".join(str(int(cube)) for cube in counted.LEVELS)
    for damage in ("UPDATE fig SET n = n + 3", "DELETE FROM fig"):
        with closing(sqlite3.connect(tmp_path / "events.db")) as connection, connection:
            wrong = connection.execute(f"{damage} WHERE cube IN ({cubes})").rowcount
        assert cells() != right
        assert store.recount(day) == wrong > 0
        assert cells() == right
        assert store.recount(day) == 0
    store.close()


def test_a_later_programs_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for writing in (True, False):
        with pytest.raises(StoreError, match="number 99, this program knows"):
            list(SqliteStore(path, writing=writing).find(Query()))


def test_a_file_that_is_no_database_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    path.write_text("Dear diary, " * 100)
    with pytest.raises(StoreError, match=r"events\.db: file is not a database"):
        SqliteStore(path, writing=True)


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "lib").write_text("a file")
    with pytest.raises(StoreError, match=r"lib/events\.db"):
        SqliteStore(tmp_path / "lib" / "events.db", writing=True)


def test_a_store_that_failed_works_again_when_the_cause_is_gone(tmp_path: Path, sample: SampleRows) -> None:
    path = tmp_path / "events.db"
    store = SqliteStore(path, writing=True)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    store._connection.execute("PRAGMA busy_timeout = 10")  # type: ignore[union-attr] # open by now
    with pytest.raises(StoreError, match="locked"):
        store.add(sample.hit())
    blocker.execute("ROLLBACK")
    blocker.close()
    store.add(sample.hit())
    assert len(list(store.find(Query()))) == 1
    store.close()


def test_what_was_added_survives_a_killed_process(tmp_path: Path, sample: SampleRows) -> None:
    path = tmp_path / "events.db"
    child = os.fork()
    if child == 0:
        store = SqliteStore(path, writing=True)
        store.add(sample.hit())
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    assert len(list(SqliteStore(path).find(Query()))) == 1


def test_a_forked_child_opens_the_file_anew(tmp_path: Path, sample: SampleRows) -> None:
    store = SqliteStore(tmp_path / "events.db", writing=True)
    store.add(sample.hit())
    child = os.fork()
    if child == 0:
        found = len(list(store.find(Query())))
        os._exit(0 if found == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    store.add(sample.hit(at=1))
    assert len(list(store.find(Query()))) == 2
    store.close()


def test_a_reader_who_may_not_write_to_the_folder_reads_all_the_same(
    tmp_path: Path, sample: SampleRows
) -> None:
    """The page's user is not the shipper's; without a writer there is no shared memory to join."""
    path = tmp_path / "lib" / "events.db"
    writer = SqliteStore(path, writing=True)
    writer.add(sample.hit())
    writer.close()
    path.chmod(0o644)
    path.parent.chmod(0o555)
    if os.geteuid() == 0:
        for folder in path.parent.parents:
            folder.chmod(folder.stat().st_mode | 0o011)
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setuid(65534)
        store = SqliteStore(path)
        first, second = len(list(store.find(Query()))), len(list(store.find(Query())))
        # Such a connection does not see a writer that comes later, so it is made anew for each question.
        os._exit(0 if (first, second, store._connection) == (1, 1, None) else 1)
    assert os.waitpid(child, 0)[1] == 0
    path.parent.chmod(0o755)


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "events.db", writing=True)
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.sweep(0)


def test_an_engine_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="known: sqlite"):
        open_store(stanza(tmp_path, "parchment"))
