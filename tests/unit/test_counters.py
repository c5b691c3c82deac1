import struct
from multiprocessing import get_context
from pathlib import Path

import pytest

from smtpapi.model.edit import Edit
from smtpapi.model.outcome import Discard, Leave, Plan, Refuse, Skip, Skipped, Why
from smtpapi.telemetry.counters import BOUNDS, FILE_NAME, NAMES, Counters, CountersError, WorkerCounters


def test_every_reason_is_counted_under_its_name() -> None:
    assert {f"why-{why.value}" for why in Why} <= set(NAMES)
    assert {f"skip-{skip.value}" for skip in Skip} <= set(NAMES)
    assert len(set(NAMES)) == len(NAMES)


def test_an_outcome_is_counted_with_its_reasons() -> None:
    counters = Counters.create(2)
    row = counters.row(1)
    row.add_outcome(Leave(Why.UNTRUSTED), 0.0)
    row.add_outcome(Refuse("550", "5.6.0", "no"), 0.0)
    row.add_outcome(Plan(why=Why.NO_LINK), 0.0)
    tracked = Plan(edits=(Edit(0, 1, b"", "link"),), skipped=(Skipped("1", 3, "u", Skip.OWN_HOST),))
    row.add_outcome(tracked, 0.0)
    counted = {name: count for name, count in counters.totals().items() if count}
    assert counted == {
        "messages": 4,
        "untouched": 2,
        "refused": 1,
        "tracked": 1,
        "edits": 1,
        "why-untrusted": 1,
        "why-no-link": 1,
        "skip-own-host": 1,
    }


def test_an_unknown_name_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        Counters.create(1).row(0).add("no-such-thing")


def _count(row: WorkerCounters, times: int) -> None:
    for _ in range(times):
        row.add("messages")


def test_processes_sum_up_and_a_file_can_be_read_meanwhile(tmp_path: Path) -> None:
    counters = Counters.create(4, tmp_path)
    context = get_context("fork")
    children = [context.Process(target=_count, args=(counters.row(number), 1000)) for number in range(1, 4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert counters.totals()["messages"] == 3000
    assert Counters.open(tmp_path).totals() == counters.totals()


def test_a_file_of_another_version_is_not_misread(tmp_path: Path) -> None:
    Counters.create(1, tmp_path)
    path = tmp_path / FILE_NAME
    good = path.read_bytes()
    for bad in (b"short", b"\0" * len(good), good[:8] + struct.pack("<I", 1) + good[12:], good[:-1]):
        path.write_bytes(bad)
        with pytest.raises(CountersError):
            Counters.open(tmp_path)


def test_each_outcome_has_its_times() -> None:
    counters = Counters.create(3)
    for row, seconds in ((0, 0.0), (1, BOUNDS[0]), (2, BOUNDS[0] + 1e-6), (1, 1.0), (2, 5.5)):
        counters.row(row).add_outcome(Plan(), seconds)
    counters.row(1).add_outcome(Discard(), 0.5)
    counters.row(1).add_outcome(Plan(why=Why.SPLIT), 0.5)
    times = counters.times()
    counts = dict(zip((*BOUNDS, None), times["tracked"].counts, strict=True))
    assert {bound: count for bound, count in counts.items() if count} == {
        BOUNDS[0]: 2,  # what is on a bound belongs below it
        BOUNDS[1]: 1,
        1.0: 1,
        None: 1,
    }
    assert times["tracked"].seconds == pytest.approx(6.5 + 2 * BOUNDS[0], abs=1e-5)
    assert {name for name, took in times.items() if sum(took.counts)} == {"tracked", "discarded", "split"}
