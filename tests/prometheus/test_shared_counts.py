"""The table that a program's processes count in together."""

import os
import signal
import time
from multiprocessing import get_context
from multiprocessing.synchronize import Event

from engagement.metrics.shared import SharedCounts, nobody

FORK = get_context("fork")


def _count(table: SharedCounts, times: int) -> None:
    row = table.take()
    for _ in range(times):
        row.add("a")
        row.cells[row.places["b"]] += 1


def _hold(table: SharedCounts, taken: Event) -> None:
    table.take().add("a")
    taken.set()
    time.sleep(60)


def test_processes_add_up_at_once_and_after_their_end() -> None:
    table = SharedCounts(("a", "b"), 8)
    processes = [FORK.Process(target=_count, args=(table, 1000)) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert table.totals() == {"a": 6000, "b": 6000}


def test_a_row_is_free_again_once_its_process_was_killed_and_keeps_what_it_counted() -> None:
    table = SharedCounts(("a",), 2)
    for done in range(1, 6):  # more than there are rows
        taken = FORK.Event()
        process = FORK.Process(target=_hold, args=(table, taken))
        process.start()
        assert taken.wait(30)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert table.totals() == {"a": done}


def test_two_living_processes_never_share_a_row_and_one_too_many_counts_for_itself() -> None:
    table = SharedCounts(("a",), 2)
    held = []
    for _ in range(2):
        taken = FORK.Event()
        process = FORK.Process(target=_hold, args=(table, taken))
        process.start()
        assert taken.wait(30)
        held.append(process)
    third = FORK.Process(target=_count_alone, args=(table,))
    third.start()
    third.join()
    assert third.exitcode == 0
    assert table.totals() == {"a": 2}
    for process in held:
        process.kill()
        process.join()


def _count_alone(table: SharedCounts) -> None:
    row = table.take()
    row.add("a", 5)
    assert row.cells[0] == 5


def test_what_is_not_shared_counts_for_itself() -> None:
    row = nobody(("a", "b"))
    row.add("b", 3)
    assert list(row.cells) == [0, 3]
