"""Repeats are counted in few bytes, exactly, and none that was answered is lost."""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engagement.events.model import Hit
from engagement.events.record import decode, encode
from engagement.events.rows import rows
from engagement.spool import fold
from engagement.spool.erasure import RecipientTraces
from engagement.spool.fold import ROOM, Folding
from engagement.spool.names import directory_size
from engagement.spool.read import SpoolReader
from engagement.spool.write import SpoolWriter
from engagement.stores.memory import MemoryStore
from engagement.stores.port import Query
from engagement.stores.sqlite.store import SqliteStore
from unit.event_samples import AT, IDS, hit, identity


def stored_hits(directory: Path) -> list[Hit]:
    """All hits of the directory, as a reader that comes later finds them."""
    reader = SpoolReader(directory)
    found: list[Hit] = []
    while entries := reader.read():
        for entry in entries:
            event = decode(entry.record)
            assert isinstance(event, Hit)
            found.append(event)
    assert reader.set_aside_count == 0
    return found


SIGNALS = 0b100_0000_0000_0001_0001  # in three bytes of the record


def record(at_ms: int = AT, **changes: Any) -> bytes:
    return encode(hit(at_ms=at_ms, **{"signals": SIGNALS} | changes))


@pytest.mark.parametrize("signals", [0, 1, SIGNALS])
def test_h6_repeats_of_one_client_cost_a_number_and_not_a_record_each(tmp_path: Path, signals: int) -> None:
    """In each version of the record: 0 is of a tracker that knew no signals."""
    folding = Folding(SpoolWriter(tmp_path))
    for number in range(10_000):
        assert folding.append(record(AT + number // 10, signals=signals))
    assert directory_size(tmp_path) < 2_000
    folding.close()
    found = stored_hits(tmp_path)
    assert [each.hits for each in found] == [1, 1, 9_998]
    assert [each.at_ms for each in found] == [AT, AT, AT + 999]
    assert {each.signals for each in found} == {signals}
    assert directory_size(tmp_path) < 2_000
    assert not list(tmp_path.glob("*.repeats"))


def test_what_differs_in_more_than_time_is_told_apart(tmp_path: Path) -> None:
    folding = Folding(SpoolWriter(tmp_path))
    ways: list[dict[str, Any]] = [
        {},
        {"user_agent": "curl/8.0"},
        {"signals": 1},
        {"method": "HEAD"},
        {"host": "h"},
        {"expired": True},
    ]
    others: list[dict[str, Any]] = [
        {"client_address": "203.0.113.10"},
        {"whose": identity(2)},
        {"client_address": "2001:db8::1"},
    ]
    for _ in range(4):
        for changes in ways[:3] + others:
            assert folding.append(record(**changes))
    folding.close()
    found = Counter(
        (each.user_agent, each.method, each.signals, each.client_address, each.packed)
        for each in stored_hits(tmp_path)
    )
    assert len(found) == 6
    assert set(found.values()) == {3}  # the first two, and those that repeat them


def test_a_client_that_asks_in_ever_new_ways_fills_a_bounded_room(tmp_path: Path) -> None:
    """By one link and one client, be its addresses as many as a /64 has; the number stays exact."""
    folding = Folding(SpoolWriter(tmp_path))
    for number in range(2_000):
        changes = {"user_agent": f"Agent {number}", "client_address": f"2001:db8::{number % 500:x}"}
        assert folding.append(record(AT + number, **changes))
    assert directory_size(tmp_path) < 2 * (ROOM + 200) + 1_000
    folding.close()
    assert sum(each.hits for each in stored_hits(tmp_path)) == 2_000


@pytest.mark.parametrize(
    "address",
    ["2001:db8:1111:2222:3333:4444:5555:6666", "2001:db8::1", "203.0.113.9", "255.255.255.255", ""],
)
def test_an_address_of_any_length_is_a_client(tmp_path: Path, address: str) -> None:
    """Most addresses of IPv6 that people have are longer than 31 characters."""
    folding = Folding(SpoolWriter(tmp_path))
    for number in range(1_000):
        assert folding.append(record(AT + number, client_address=address))
    folding.close()
    assert [each.hits for each in stored_hits(tmp_path)] == [1, 1, 998]


def test_what_finds_no_room_in_a_segment_is_left_to_the_reader(tmp_path: Path) -> None:
    class Full(SpoolWriter):
        full = False

        def append(self, record: bytes, events: int = 1) -> bool:
            return not self.full and super().append(record, events)

    writer = Full(tmp_path)
    folding = Folding(writer)
    for number in range(10):
        assert folding.append(record(AT + number))
    writer.full = True
    folding.close()
    assert sorted(each.hits for each in stored_hits(tmp_path)) == [1, 1, 8]
    assert writer.dropped == 0


def test_a_segment_that_cannot_be_made_safe_keeps_the_file_of_repeats(tmp_path: Path) -> None:
    class Unsafe(SpoolWriter):
        def make_safe(self) -> bool:
            return False

    folding = Folding(Unsafe(tmp_path))
    for number in range(10):
        assert folding.append(record(AT + number))
    folding.close()
    hits = {each.id: each.hits for each in stored_hits(tmp_path)}  # told twice, as one event
    assert sum(hits.values()) == 10
    assert len(list(tmp_path.glob("*.repeats"))) == 1


def test_a_forked_child_lets_the_parents_file_go(tmp_path: Path) -> None:
    """Else its lock outlives the parent, and nobody reads what a killed parent had counted."""
    child = os.fork()
    if child == 0:
        folding = Folding(SpoolWriter(tmp_path))
        for number in range(10):
            folding.append(record(AT + number))
        grandchild = os.fork()
        if grandchild == 0:
            time.sleep(30)
            os._exit(0)
        (tmp_path / "grandchild").write_text(str(grandchild))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    try:
        assert sum(each.hits for each in stored_hits(tmp_path)) == 10
    finally:
        os.kill(int((tmp_path / "grandchild").read_text()), signal.SIGKILL)


def test_threads_wait_for_the_disk_together(tmp_path: Path) -> None:
    """With sync always one fdatasync serves all hits that wait for it."""
    both = threading.Barrier(2, timeout=10)

    class Slow(SpoolWriter):
        def append(self, record: bytes, events: int = 1) -> bool:
            both.wait()  # breaks, and raises, if the other one cannot come in
            return super().append(record, events)

    folding = Folding(Slow(tmp_path, sync="always"), always=True)
    hits = [record(AT, whose=identity(number)) for number in range(2)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(folding.append, hits)) == [True, True]
    folding.close()


def test_a_span_ends_and_the_next_one_begins_with_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold, "WINDOW", 0.2)
    folding = Folding(SpoolWriter(tmp_path), group=0.01)
    for number in range(4):
        folding.append(record(AT + number))
    deadline = time.monotonic() + 10
    while list(tmp_path.glob("*.repeats")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [each.hits for each in stored_hits(tmp_path)] == [1, 1, 2]  # without a hit that ends it
    folding.append(record(AT + 100))
    folding.append(record(AT + 300))
    folding.append(record(AT + 250))  # a clock set back
    folding.close()
    assert [each.hits for each in stored_hits(tmp_path)] == [1, 1, 2, 1, 1, 1]


@pytest.mark.parametrize("always", [False, True])
def test_a_killed_process_loses_no_repeat(tmp_path: Path, always: bool) -> None:
    child = os.fork()
    if child == 0:
        folding = Folding(SpoolWriter(tmp_path, sync="always" if always else "group"), always=always)
        recorded = all([folding.append(record(AT + number)) for number in range(100)])
        recorded = recorded and all([folding.append(record(AT, whose=identity(2))) for _ in range(3)])
        (tmp_path / "kept").write_text(str(recorded))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert (tmp_path / "kept").read_text() == "True"
    reader = SpoolReader(tmp_path)
    found = [decode(entry.record) for entry in reader.read()]
    assert sorted(each.hits for each in found if isinstance(each, Hit)) == [1, 1, 1, 1, 1, 98]
    reader.commit()
    assert not list(tmp_path.glob("*.repeats"))
    assert SpoolReader(tmp_path).read() == ()


def test_the_file_of_a_living_process_is_left_to_it(tmp_path: Path) -> None:
    folding = Folding(SpoolWriter(tmp_path))
    for _ in range(3):
        folding.append(record())
    reader = SpoolReader(tmp_path)
    assert len(reader.read()) == 2
    reader.commit()
    assert len(list(tmp_path.glob("*.repeats"))) == 1
    folding.close()


def test_told_twice_it_is_the_same_event(tmp_path: Path) -> None:
    """A process killed after its segment was written and before its repeats file was removed."""
    folding = Folding(SpoolWriter(tmp_path))
    for number in range(8):
        folding.append(record(AT + number))
    (path,) = tmp_path.glob("*.repeats")
    shutil.copy(path, tmp_path / "kept")
    folding.close()
    (tmp_path / "kept").rename(path)
    found = stored_hits(tmp_path)
    assert [each.hits for each in found] == [1, 1, 6, 6]
    assert found[2] == found[3]


@pytest.mark.parametrize("spoiled", [0, 1])
def test_a_state_that_a_power_cut_tore_costs_one_hit(tmp_path: Path, spoiled: int) -> None:
    folding = Folding(SpoolWriter(tmp_path))
    for number in range(8):
        folding.append(record(AT + number))
    (path,) = tmp_path.glob("*.repeats")
    data = bytearray(path.read_bytes())
    folding.close()
    states = len(data) - 72  # two of 36 bytes
    data[states + 36 * spoiled + 20] ^= 1
    for file in tmp_path.iterdir():
        file.unlink()
    path.write_bytes(data)
    assert [each.hits for each in stored_hits(tmp_path)] == [6 - spoiled]


def test_a_spool_without_room_drops_repeats_and_counts_them(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, max_size=400)
    folding = Folding(writer)
    recorded = [folding.append(record(AT + number)) for number in range(20)]
    assert recorded == [True] + [False] * 19
    assert writer.dropped == 19
    folding.close()


def test_h6_the_spool_keeps_to_its_share_of_the_disk(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(mount)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("only root mounts")
    writer = SpoolWriter(mount / "spool", max_share=10)
    folding = Folding(writer)
    try:
        recorded = sum(folding.append(record(AT, whose=identity(number))) for number in range(2_000))
        assert directory_size(mount / "spool") <= 2 * 1024 * 1024 // 10
        assert writer.dropped == 2_000 - recorded
        folding.close()
        assert len(stored_hits(mount / "spool")) == recorded > 100
    finally:
        folding.close()
        subprocess.run(["umount", str(mount)], check=True)


def test_an_erasure_waits_for_repeats_and_for_where_they_go(tmp_path: Path) -> None:
    folding = Folding(SpoolWriter(tmp_path))
    for _ in range(3):
        folding.append(record())
    reader = SpoolReader(tmp_path)
    reader.read()
    traces = RecipientTraces(tmp_path, "ida.holm@example.net")
    waiting = traces.segments()
    assert len(waiting) == 2
    folding.close()  # what was counted is in a segment now
    waiting = traces.left(waiting)
    assert len(waiting) == 1
    reader.read()
    reader.commit()
    assert traces.left(waiting) == set()


_HITS = st.lists(
    st.tuples(
        st.integers(0, 2_500),  # milliseconds since the one before
        st.sampled_from([1, 2]),  # the second one's link has expired
        st.sampled_from(
            [("Firefox/140.0", "GET", SIGNALS), ("curl/8.0", "GET", 1), ("Firefox/140.0", "HEAD", 0)]
        ),
        st.sampled_from([1, 1, 4_000]),  # what the step is divided by
    ),
    max_size=60,
)


@settings(max_examples=25, deadline=None)
@given(_HITS)
def test_h6_figures_are_those_of_a_record_for_each_hit(
    several: list[tuple[int, int, tuple[str, str, int], int]],
) -> None:
    at = AT
    events = []
    for step, message, (agent, method, signals), factor in several:
        at += step // factor
        values: dict[str, Any] = {
            "user_agent": agent,
            "method": method,
            "expired": message == 2,
            "signals": signals,
            "id": IDS.next(at),
        }
        events.append(hit(at_ms=at, whose=identity(message), **values))
    for directory, folded in _counted(events):
        single = MemoryStore()
        single.add([row for event in events for row in rows(event)])
        stores = MemoryStore(), SqliteStore(directory / "events.db", writing=True)
        for store in stores:
            store.add([row for event in folded for row in rows(event)])
            store.roll_up()
            query = Query(expired=True)
            assert dict(store.counts(query)) == dict(single.counts(query))
            assert dict(store.totals(query)) == dict(single.totals(query))
            assert dict(store.counts(Query())) == dict(single.counts(Query()))
            store.close()


def _counted(events: list[Hit]) -> Iterator[tuple[Path, list[Hit]]]:
    with tempfile.TemporaryDirectory() as name:
        folding = Folding(SpoolWriter(Path(name), group_ms=1), group=0.001)
        for event in events:
            assert folding.append(encode(event))
        folding.close()
        yield Path(name), stored_hits(Path(name))


def test_repeats_are_on_the_disk_soon_though_no_answer_waits_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(fold.os, "fdatasync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    folding = Folding(SpoolWriter(tmp_path, group_ms=10), group=0.01)

    def until(size: int) -> None:
        deadline = time.monotonic() + 60
        while size not in synced and time.monotonic() < deadline:
            time.sleep(0.01)
        assert size in synced

    for whose in (identity(1), identity(2)):
        for number in range(3):
            folding.append(record(AT + number, whose=whose))
        (counts,) = tmp_path.glob("*.repeats")
        until(counts.stat().st_size)
    folding.close()


@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("how", ["short", "full"])
def test_a_repeat_for_which_there_is_no_room_is_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, how: str
) -> None:
    """At the first, second or third writing of the file of repeats."""
    real, writes = os.pwrite, [0]

    def raising(descriptor: int, data: bytes, place: int) -> int:
        writes[0] += 1
        if writes[0] != at:
            return real(descriptor, data, place)
        if how == "full":
            raise OSError(28, "No space left on device")
        return real(descriptor, data[:-3], place)

    folding = Folding(SpoolWriter(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(fold.os, "pwrite", raising)
        assert all([folding.append(record(AT + number)) for number in range(8)])
    folding.close()
    assert sum(each.hits for each in stored_hits(tmp_path)) == 8
    assert writes[0] > at


def test_repeats_that_cannot_be_made_safe_are_refused_and_later_ones_are_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = os.fdatasync

    def raising(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".repeats"):
            raise OSError(5, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(fold.os, "fdatasync", raising)
    folding = Folding(SpoolWriter(tmp_path, sync="always"), always=True)
    recorded = [folding.append(record(AT + number)) for number in range(6)]
    assert recorded == [True, True, False, True, True, True]
    folding.close()
    assert [each for each in caplog.messages if "repeats" in each] == [
        "spool: repeats cannot be made safe (Input/output error). Look at the disk."
    ]
    assert [each.hits for each in stored_hits(tmp_path)].count(1) >= 5


def test_repeats_that_cannot_be_told_stay_for_the_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folding = Folding(SpoolWriter(tmp_path))
    for number in range(6):
        folding.append(record(AT + number))
    (file,) = tmp_path.glob("*.repeats")

    def raising(_descriptor: int, _size: int, _place: int) -> bytes:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(fold.os, "pread", raising)
        folding.close()
    assert f"spool: {file}: Input/output error" in caplog.messages
    assert file.exists()
    assert sum(each.hits for each in stored_hits(tmp_path)) == 6
