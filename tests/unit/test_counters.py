import struct
from multiprocessing import get_context
from pathlib import Path

import pytest

from smtpapi.model.edit import Edit
from smtpapi.model.outcome import Leave, Plan, Refuse, Skip, Skipped, Why
from smtpapi.telemetry.counters import FILE_NAME, NAMES, Counters, CountersError, WorkerCounters, exposition


def test_every_reason_is_counted_under_its_name() -> None:
    assert {f"why-{why.value}" for why in Why} <= set(NAMES)
    assert {f"skip-{skip.value}" for skip in Skip} <= set(NAMES)
    assert len(set(NAMES)) == len(NAMES)


def test_an_outcome_is_counted_with_its_reasons() -> None:
    counters = Counters.create(2)
    row = counters.row(1)
    row.add_outcome(Leave(Why.UNTRUSTED))
    row.add_outcome(Refuse("550", "5.6.0", "no"))
    row.add_outcome(Plan(why=Why.NO_LINK))
    row.add_outcome(Plan(edits=(Edit(0, 1, b"", "link"),), skipped=(Skipped("1", 3, "u", Skip.OWN_HOST),)))
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


def test_the_text_is_prometheus_format() -> None:
    text = exposition(Counters.create(1).totals())
    assert text.count("# TYPE ") == 3
    assert 'smtpapi_untouched_total{reason="untrusted"} 0\n' in text
    assert 'smtpapi_skipped_total{reason="own-host"} 0\n' in text
    assert 'smtpapi_events_total{event="failed-in-change"} 0\n' in text
