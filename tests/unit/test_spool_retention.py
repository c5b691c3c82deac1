"""The spool's retention: what nobody can use any more goes, counted, and nothing that is younger."""

import fcntl
import json
import os
import threading
import time
from pathlib import Path

import pytest

from engagement.events.record import encode
from engagement.shipper import loop, status
from engagement.shipper.loop import Shipper
from engagement.spool import retention
from engagement.spool.format import MAGIC, frame
from engagement.spool.read import CORRUPT, SpoolReader
from engagement.spool.retention import GRACE, RemovedFiles, SpoolRetention
from engagement.stores.memory import MemoryStore
from engagement.stores.port import StoreError
from unit.event_samples import AT, hit

DAY = 86400.0
NOW = AT / 1000
AGE = 30 * DAY


def segment(
    directory: Path, number: int, *ages: float, written: float | None = None, tail: bytes = b""
) -> Path:
    """A finished segment of events that are so old (seconds), last written when its youngest happened."""
    directory.mkdir(exist_ok=True)
    path = directory / f"h-1-{number}-000000.ready"
    records = [frame(encode(hit(at_ms=int((NOW - age) * 1000)))) for age in ages]
    path.write_bytes(MAGIC + b"".join(records) + tail)
    at = NOW - (min(ages, default=0) if written is None else written)
    os.utime(path, (at, at))
    return path


def aside(directory: Path, name: str, age: float) -> Path:
    (directory / CORRUPT).mkdir(parents=True, exist_ok=True)
    path = directory / CORRUPT / name
    path.write_bytes(b"damaged")
    os.utime(path, (NOW - age, NOW - age))
    return path


def outdated(directory: Path) -> SpoolRetention:
    return SpoolRetention(directory, AGE, loop._moment)


def twice(what: SpoolRetention, directory: Path) -> RemovedFiles:
    assert what.remove(SpoolReader(directory), NOW, 0.0) == RemovedFiles()
    return what.remove(SpoolReader(directory), NOW, GRACE)


def test_what_is_older_than_the_retention_goes_with_its_count(tmp_path: Path) -> None:
    old = segment(tmp_path, 1, 40 * DAY, 31 * DAY)
    young = segment(tmp_path, 2, 29 * DAY)
    gone = [aside(tmp_path, f"h-1-1-000000.8.{sort}", 31 * DAY) for sort in ("record", "rest", "segment")]
    remaining = [aside(tmp_path, "h-1-2-000000.8.rest", 29 * DAY), aside(tmp_path, "notes.txt", 99 * DAY)]
    assert twice(outdated(tmp_path), tmp_path) == RemovedFiles(set_aside=3, segments=1, records=2)
    assert [path.exists() for path in (old, *gone)] == [False] * 4
    assert [path.exists() for path in (young, *remaining)] == [True] * 3


@pytest.mark.parametrize("young", range(3))
def test_one_younger_record_keeps_its_segment(tmp_path: Path, young: int) -> None:
    """Also when the file's own time says otherwise, as after a copy that set it anew."""
    ages = [40 * DAY] * 3
    ages[young] = 29 * DAY
    path = segment(tmp_path, 1, *ages, written=40 * DAY)
    assert twice(outdated(tmp_path), tmp_path) == RemovedFiles()
    assert path.exists()


def test_a_file_written_lately_stays_whatever_its_records_say(tmp_path: Path) -> None:
    """A clock that was wrong when they happened does not end them."""
    path = segment(tmp_path, 1, 400 * DAY, written=1 * DAY)
    assert twice(outdated(tmp_path), tmp_path) == RemovedFiles()
    assert path.exists()


def test_a_clock_that_was_wrong_for_less_than_an_hour_takes_nothing(tmp_path: Path) -> None:
    path, other = segment(tmp_path, 1, 1 * DAY), aside(tmp_path, "h-1-1-000000.8.rest", 1 * DAY)
    what = outdated(tmp_path)
    for look in range(6):
        wrong = NOW + (365 * DAY if look % 2 else 0)
        assert what.remove(SpoolReader(tmp_path), wrong, look * 3600.0) == RemovedFiles()
    assert path.exists()
    assert other.exists()


def test_a_segment_somebody_writes_stays(tmp_path: Path) -> None:
    path = segment(tmp_path, 1, 40 * DAY)
    path = path.rename(path.with_suffix(".open"))
    with path.open("rb+") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        assert twice(outdated(tmp_path), tmp_path) == RemovedFiles()
    assert twice(outdated(tmp_path), tmp_path) == RemovedFiles(segments=1, records=1)


def test_what_was_shipped_is_not_counted_as_lost(tmp_path: Path) -> None:
    segment(tmp_path, 1, 40 * DAY, 40 * DAY, 40 * DAY)
    reader = SpoolReader(tmp_path)
    assert len(reader.read(1)) == 3
    (tmp_path / "cursor.json").write_text(
        json.dumps({"version": 1, "positions": {"h-1-1-000000": reader._segments["h-1-1-000000"].position}})
    )
    assert twice(outdated(tmp_path), tmp_path) == RemovedFiles(segments=1, records=0)


def test_damage_is_as_old_as_its_file(tmp_path: Path) -> None:
    path = segment(tmp_path, 1, 40 * DAY, tail=frame(b"no event") + b"\x05\x00\x00\x00torn", written=31 * DAY)
    assert twice(outdated(tmp_path), tmp_path) == RemovedFiles(segments=1, records=2)
    assert not path.exists()


class Down(MemoryStore):
    """Never to be reached."""

    def add(self, events: object) -> int:
        raise StoreError("down for good")


def test_the_shipper_ends_it_while_the_store_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loop, "SWEEP_SECONDS", 0.02)
    monkeypatch.setattr(loop, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(loop, "LONGEST_WAIT", 0.01)
    monkeypatch.setattr(retention, "GRACE", 0.01)
    old, young = segment(tmp_path, 1, 40 * DAY, 35 * DAY), segment(tmp_path, 2, 29 * DAY)
    stop = threading.Event()
    shipper = Shipper(tmp_path, Down(), retention=int(AGE), now=lambda: NOW)
    thread = threading.Thread(target=shipper.run, args=(stop,))
    thread.start()
    deadline = time.monotonic() + 10
    while old.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    stop.set()
    thread.join()
    assert not old.exists()
    assert young.exists()
    assert "2 event(s) in 1 segment(s) removed unshipped" in caplog.text
    state = status.load(tmp_path)
    assert state is not None
    assert state.outdated == 2
