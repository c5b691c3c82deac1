"""Somebody removes or replaces what is in use: the store's file, its write-ahead log, the spool's folder."""

import logging
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from contract.store_samples import SampleRows
from engagement.events.ids import EventIds
from engagement.events.record import encode
from engagement.shipper.lock import ShipperLock, is_held
from engagement.shipper.loop import Shipper
from engagement.spool.write import SpoolWriter
from engagement.stores.port import Query, StoreError
from engagement.stores.sqlite.store import SqliteStore
from smtpapi.commands import main
from unit.event_samples import AT, hit


def _wait(what: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def _remove(path: Path) -> None:
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()


def _replace(path: Path) -> None:
    """As a restore does: another file under the same name."""
    other = path.with_name("backup.db")
    SqliteStore(other, writing=True).close()
    _remove(path)
    other.rename(path)


@pytest.mark.parametrize("change", [_remove, _replace])
def test_h8_events_stay_in_the_spool_when_the_store_s_file_goes(
    tmp_path: Path, change: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """300 answered events were carried into a file that had no name any more."""
    path, spool = tmp_path / "events.db", tmp_path / "spool"
    store, writer, ids = SqliteStore(path, writing=True), SpoolWriter(spool), EventIds(b"8 chance")
    shipper = Shipper(spool, store)
    writer.append(encode(hit(id=ids.next(AT))))
    assert shipper.drain()
    change(path)
    for number in range(300):
        writer.append(encode(hit(id=ids.next(AT + number), at_ms=AT + number)))
    writer.close()
    with caplog.at_level(logging.ERROR):
        assert not shipper.drain()
    assert "was removed or replaced while it was in use" in caplog.text
    assert shipper.status.failing
    assert shipper.drain()
    store.close()
    assert len(list(SqliteStore(path).find(Query(limit=1000)))) == 300


def test_h8_a_reader_sees_the_file_that_is_there_now(tmp_path: Path, sample: SampleRows) -> None:
    path = tmp_path / "events.db"
    writer = SqliteStore(path, writing=True)
    writer.add(sample.hit())
    reader = SqliteStore(path)
    assert len(list(reader.find(Query()))) == 1
    _remove(path)
    with pytest.raises(StoreError):
        writer.add(sample.hit())
    writer.add(sample.hit() + sample.hit(at=60_000))
    assert len(list(reader.find(Query()))) == 2


def test_h23_the_log_shrinks_after_a_long_reader(tmp_path: Path, sample: SampleRows) -> None:
    """It kept its 102 MB after 24,000 clicks beside one; a disk of 60 MB stayed full."""
    path = tmp_path / "events.db"
    store = SqliteStore(path, writing=True)
    store.add(sample.hit())
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM event").fetchone()
    log = Path(f"{path}-wal")
    for _ in range(30):
        store.add([row for number in range(1000) for row in sample.hit(at=number, message=number)])
        if log.stat().st_size > 40_000_000:
            break
    assert log.stat().st_size > 32_768_000, "a reader keeps the log from being carried over"
    reader.execute("COMMIT")
    reader.close()
    store.add(sample.hit(at=5))
    assert log.stat().st_size <= 16_384_000


def test_h25_a_spool_folder_that_is_removed_is_told_of_with_its_events(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = tmp_path / "spool"
    writer, ids = SpoolWriter(spool, group_ms=10), EventIds(b"8 chance")
    lock = ShipperLock(spool)
    assert lock.take()
    store = SqliteStore(tmp_path / "events.db", writing=True)
    shipper, stop = Shipper(spool, store, lock=lock), threading.Event()
    writer.append(encode(hit(id=ids.next(AT))))
    runs = threading.Thread(target=shipper.run, args=(stop,))
    runs.start()
    try:
        _wait(lambda: len(list(store.find(Query()))) == 1)
        with caplog.at_level(logging.ERROR):
            shutil.rmtree(spool)
            writer.append(encode(hit(id=ids.next(AT + 1))))
            _wait(lambda: "with 2 event(s), cannot be made safe" in caplog.text)
            _wait(lambda: "the folder was removed while events were shipped from it" in caplog.text)
        writer.append(encode(hit(id=ids.next(AT + 2))))
        writer.close()
        _wait(lambda: len(list(store.find(Query()))) >= 2)
        assert is_held(spool), "the lock stands in the folder that is there now"
    finally:
        stop.set()
        runs.join()
        lock.release()
        store.close()


def test_h25_status_says_that_the_folder_is_not_there(tmp_path: Path) -> None:
    config = tmp_path / "smtpapi.conf"
    config.write_text(f'smtpapi {{ }}\nspool {{ directory = "{tmp_path}/gone" }}\n')
    output = CliRunner().invoke(main, ["ship", "--status", "--config", str(config)]).output
    assert f"spool     {tmp_path}/gone is not there: it was removed, with what waited in it, or" in output
    assert not os.path.exists(tmp_path / "gone")
