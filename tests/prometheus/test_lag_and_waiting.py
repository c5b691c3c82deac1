"""What the shipper's metrics are read from: how late events are stored, and what waits in a spool."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from engagement.events.model import MessageEvent
from engagement.events.record import encode
from engagement.shipper.lag import BOUNDS, Lag
from engagement.spool.read import SpoolReader
from engagement.spool.waiting import Waiting, waiting
from engagement.spool.write import SpoolWriter
from unit.event_samples import AT, hit, injection

DAY_MS = 86_400_000


@given(st.lists(st.integers(0, 2 * DAY_MS)))
def test_each_event_is_counted_once_below_the_bound_that_it_keeps(delays: list[int]) -> None:
    one, lag = hit(), Lag()
    now = AT + 3 * DAY_MS
    within = [late for late in delays if (now - late) % DAY_MS]
    for late in delays:
        lag.note(
            [
                type(one)(
                    **{name: getattr(one, name) for name in one.__struct_fields__} | {"at_ms": now - late}
                )
            ],
            now / 1000,
        )
    found = lag.read()["hit"]
    assert sum(found.counts) == len(within)
    for place, bound in enumerate(BOUNDS):
        assert sum(found.counts[: place + 1]) == sum(late <= bound * 1000 for late in within)
    assert round(found.seconds * 1000) == sum(within)


def test_kinds_of_records_are_apart_and_a_day_alone_is_no_time() -> None:
    lag = Lag()
    event = MessageEvent("id", AT - 5000, "delivery", "mx", "q", 7)
    day = AT // DAY_MS * DAY_MS
    lag.note([hit(), injection(at_ms=AT - 700), event, hit(at_ms=day), hit(at_ms=AT + 9000)], AT / 1000)
    assert {record: (sum(late.counts), late.seconds) for record, late in lag.read().items()} == {
        "hit": (2, 0.0),  # one from a clock that goes ahead
        "injection": (1, 0.7),
        "message": (1, 5.0),
    }


def test_nothing_waits_where_nothing_is(tmp_path: Path) -> None:
    assert waiting(tmp_path / "none") == Waiting(0, 0, None)
    assert waiting(tmp_path) == Waiting(0, 0, None)


@settings(max_examples=25, deadline=None)
@given(
    ages=st.lists(st.integers(1, 1_000_000), min_size=1, max_size=30),
    budget=st.integers(1, 4000),
    steps=st.integers(0, 6),
)
def test_it_says_what_the_reader_counts_one_by_one(ages: list[int], budget: int, steps: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        writer = SpoolWriter(directory, segment_size=2000)
        for age in ages:
            assert writer.append(encode(hit(at_ms=AT - age)))
        reader = SpoolReader(directory)
        left = list(ages)
        for _ in range(steps):
            left = left[len(reader.read(budget)) :]
            reader.commit()
        counted, found = SpoolReader(directory).backlog(), waiting(directory)
        assert (found.size, found.segments) == (counted.size, counted.segments)
        assert counted.records == len(left)
        if left:
            assert found.oldest_ms is not None
            assert found.oldest_ms >= AT - max(left)  # the first of each segment is looked at
            assert found.oldest_ms <= AT - left[0]
        else:
            assert found.oldest_ms is None
        writer.close()


def test_a_day_alone_waits_since_the_file_was_written_and_damage_costs_nothing(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    writer.append(encode(hit(at_ms=AT // DAY_MS * DAY_MS)))
    (segment,) = tmp_path.glob("*.open")
    written = int(segment.stat().st_mtime * 1000)
    assert waiting(tmp_path).oldest_ms == written
    data = segment.read_bytes()
    segment.write_bytes(data[:8] + b"x" + data[9:])
    found = waiting(tmp_path)
    assert found.size == len(data) - 8
    assert found.segments == 1
    writer.close()
