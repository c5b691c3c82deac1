"""The memory that mail under way may take: one limit for all processes."""

from concurrent.futures import ThreadPoolExecutor

from smtpapi.mta.body_memory import BodyMemory, BodyMemoryTable


def test_h5_what_one_process_takes_no_other_can() -> None:
    table = BodyMemoryTable(8)
    for number in (2, 5):
        table.begin(number)
    one, other = table.share(2, 100), table.share(5, 100)
    assert one.take(60)
    assert not other.take(41)
    assert other.take(40)
    assert not one.take(1)
    one.give(60)
    assert other.take(60)


def test_h5_what_a_process_took_is_free_once_it_is_gone() -> None:
    table = BodyMemoryTable(8)
    table.begin(1)
    table.begin(2)
    assert table.share(2, 100).take(100)
    assert not table.share(1, 100).take(1)
    table.end(2)
    assert table.share(1, 100).take(100)
    table.end(1)
    table.begin(2)  # another process, in the place of the one before
    assert table.share(2, 100).take(100)


def test_h5_each_process_goes_by_its_own_limit() -> None:
    """After a reload that changes it."""
    table = BodyMemoryTable(8)
    table.begin(1)
    table.begin(2)
    before, after = table.share(1, 100), table.share(2, 200)
    assert after.take(150)
    assert not before.take(1)
    assert after.take(50)


def test_h5_alone_a_process_has_all_and_threads_do_not_lose_count() -> None:
    memory = BodyMemory(1000)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: memory.take(10), range(400)))
    assert taken.count(True) == 100
    for _ in range(100):
        memory.give(10)
    assert memory.take(1000)
    assert not memory.take(1)
