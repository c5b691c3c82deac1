"""The filter's copy of the suppression list (engagement.suppression.snapshot, snapshot_file, follow)."""

import random
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.registry.port import RegistryError
from engagement.registry.sqlite import SqliteRegistry
from engagement.suppression import book, snapshot_file
from engagement.suppression.follow import SnapshotWriter
from engagement.suppression.model import Entry, MailKind, Source, key_of, normalised
from engagement.suppression.snapshot import EMPTY, Hash, SnapshotError, Table, decoded, hash_of
from engagement.suppression.snapshot_file import SnapshotFile, load, write

T, N = MailKind.TRANSACTIONAL, MailKind.NON_TRANSACTIONAL
GOLDEN = Path(__file__).parent.parent / "golden_suppression" / "version-1.snapshot"
GOLDEN_ENTRIES = (
    Entry("ida.holm@example.net", N, Source.LIST_UNSUBSCRIBE),
    Entry("ida.holm@example.net", T, Source.BOUNCE_RULE),
    Entry("jörg@xn--bcher-kva.example", N, Source.SPAM_COMPLAINT),
    Entry("kim@example.net", N, Source.UNSUBSCRIBE_LINK, list_id="news.example.com"),
    Entry("kim@example.net", N, Source.COMPLIANCE, tenant="31"),
)


def table_of(*entries: Entry) -> Table:
    return EMPTY.changed({hash_of(each.key): each.source for each in entries})


def test_the_form_of_version_1_is_read_and_written_for_good() -> None:
    assert table_of(*GOLDEN_ENTRIES).encoded(1_793_001_722_000) == GOLDEN.read_bytes()
    table = load(GOLDEN)
    assert len(table) == len(GOLDEN_ENTRIES)
    for each in GOLDEN_ENTRIES:
        assert table.source(each.tenant, each.recipient, each.list_id, each.type) is each.source
    assert table.source("", "kim@example.net", "", N) is None
    assert table.source("", normalised("Jörg@Bücher.example."), "", N) is Source.SPAM_COMPLAINT
    assert table.source("", "kim@example.net", "NEWS.example.com", N) is Source.UNSUBSCRIBE_LINK


hashes = st.tuples(st.integers(0, 5), st.integers(0, 5))  # so few that first halves are equal
changes = st.dictionaries(hashes, st.one_of(st.none(), st.sampled_from(Source)))


@given(st.lists(changes, max_size=5))
def test_a_changed_table_is_that_of_all_entries(steps: list[dict[Hash, Source | None]]) -> None:
    expected: dict[Hash, Source] = {}
    table = EMPTY
    for step in steps:
        before = table
        table = table.changed(step)
        for name, source in step.items():
            expected.pop(name, None)
            if source is not None:
                expected[name] = source
        assert table.encoded(0) == EMPTY.changed(expected).encoded(0)
        assert (table is before) == (table.encoded(0) == before.encoded(0))
    assert decoded(table.encoded(7)).encoded(7) == table.encoded(7)


@given(st.integers(0, 10_000), st.integers(1, 255), st.booleans())
def test_a_damaged_snapshot_is_none(place: int, change: int, cut: bool) -> None:
    whole = bytearray(GOLDEN.read_bytes())
    at = place % len(whole)
    if cut:
        del whole[at:]
    else:
        whole[at] ^= change
    if 48 <= at < 64 and not cut:
        return  # zeros that the head keeps for later
    with pytest.raises(SnapshotError):
        decoded(bytes(whole))


def a_million(*there: Entry) -> Table:
    draw = random.Random(11)
    firsts = array("Q", sorted(draw.getrandbits(64) for _ in range(1_000_000)))
    seconds, sources = array("Q", bytes(8_000_000)), array("B", bytes(1_000_000))
    return Table(firsts, seconds, sources).changed({hash_of(each.key): each.source for each in there})


class Counting(Sequence[int]):
    """Counts how often one of its numbers is read."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = numbers
        self.read = 0

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: Any) -> Any:
        self.read += 1
        return self.numbers[place]


def test_among_a_million_entries_some_twenty_are_read() -> None:
    there = [Entry(f"reader{number}@example.com", N) for number in range(0, 200, 2)]
    firsts, seconds, sources = a_million(*there).columns
    counting = Counting(firsts)
    table = Table(cast("array[int]", counting), seconds, sources)
    for number in range(200):
        counting.read = 0
        found = table.source("", f"reader{number}@example.com", "", N)
        assert (found is not None) == (number % 2 == 0)
        assert counting.read <= 25


@pytest.mark.long
def test_a_million_entries_are_looked_up_in_microseconds(tmp_path: Path) -> None:
    """A bound of time, so it wants a machine that does nothing else."""
    write(tmp_path / "snapshot", a_million().encoded(0))
    mapped = load(tmp_path / "snapshot")
    addresses = [f"reader{number}@example.com" for number in range(2000)]
    best = float("inf")
    for _ in range(20):
        began = time.perf_counter()
        for address in addresses:
            mapped.source("", address, "", N)
        best = min(best, (time.perf_counter() - began) / len(addresses))
    assert best < 5e-6, f"{best * 1e6:.2f} µs"


def test_a_file_is_followed_while_it_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "snapshot"
    reports: list[str] = []
    file = SnapshotFile(path, reports.append, recheck=0.01)
    assert len(file.current()) == 0
    assert len(reports) == 1
    assert "nobody is suppressed" in reports[0]
    file.start()
    try:
        first, second = Entry("a@example.com", N), Entry("b@example.com", N)
        write(path, table_of(first).encoded(0))
        wait(lambda: len(file.current()) == 1)
        held = file.current()
        write(path, table_of(first, second).encoded(0))
        wait(lambda: len(file.current()) == 2)
        assert held.source("", "a@example.com", "", N) is Source.MANUALLY_ADDED  # it goes on with what it has
    finally:
        file.close()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"nonsense" * 20, "no snapshot"),
        (GOLDEN.read_bytes()[:-1], "damaged"),
        (GOLDEN.read_bytes()[:8] + b"\x02" + GOLDEN.read_bytes()[9:], "newer program"),
    ],
)
def test_what_cannot_be_read_leaves_the_last_list_in_force(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "snapshot"
    write(path, table_of(*GOLDEN_ENTRIES).encoded(0))
    reports: list[str] = []
    file = SnapshotFile(path, reports.append)
    assert reports == []
    snapshot_file.write(path, content)
    for _ in range(3):
        file.check()
        assert len(file.current()) == len(GOLDEN_ENTRIES)
    (report,) = reports
    assert word in report
    path.unlink()
    file.check()
    file.check()
    assert len(file.current()) == len(GOLDEN_ENTRIES)
    assert len(reports) == 2
    write(path, table_of().encoded(0))
    file.check()
    assert len(file.current()) == 0


def test_the_writer_follows_the_registry(tmp_path: Path) -> None:
    registry = SqliteRegistry(tmp_path / "registry.db")
    path = tmp_path / "snapshot"
    writer = SnapshotWriter(lambda: registry, path)
    assert writer.step()
    assert not writer.step()
    book.add(registry, Entry("a@example.com", N, Source.SPAM_COMPLAINT))
    assert writer.step()
    assert load(path).source("", "a@example.com", "", N) is Source.SPAM_COMPLAINT
    book.add(registry, Entry("a@example.com", N, Source.SPAM_COMPLAINT, "said so"))
    assert not writer.step()  # the table is the same
    book.remove(registry, "a@example.com")
    assert writer.step()
    assert len(load(path)) == 0
    book.add_many(registry, (Entry(f"r{number}@example.com", T) for number in range(2500)))
    assert writer.step()
    assert len(load(path)) == 2500
    path.unlink()
    assert writer.step()
    again = SnapshotWriter(lambda: SqliteRegistry(tmp_path / "registry.db"), path)
    assert not again.step()  # what is there is right


def test_a_writer_whose_registry_fails_says_so_once_and_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    working = False

    def opened() -> SqliteRegistry:
        if not working:
            raise RegistryError("no host can be reached")
        return SqliteRegistry(tmp_path / "registry.db")

    writer = SnapshotWriter(opened, tmp_path / "snapshot")
    assert not writer.attempt()
    assert not writer.attempt()
    assert caplog.text.count("no host can be reached") == 1
    working = True
    stop = threading.Event()
    thread = threading.Thread(target=writer.run, args=(stop,))
    thread.start()
    wait((tmp_path / "snapshot").exists)
    stop.set()
    thread.join()


def wait(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_key_tells_apart_what_is_joined() -> None:
    assert key_of("", "a@b", "", N) != key_of("a@b", "", "", N)
