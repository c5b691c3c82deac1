"""The memory that all processes' messages share, without any process (smtpapi.mta.body_memory)."""

from smtpapi.mta.body_memory import BodyMemory, BodyMemoryTable


def test_all_processes_together_keep_to_the_limit() -> None:
    table = BodyMemoryTable(4)
    for number in (1, 2, 3):
        table.begin(number)
    one, two, three = (table.share(number, 100) for number in (1, 2, 3))
    assert one.take(40)
    assert two.take(50)
    assert table.taken() == 90
    assert not three.take(11)
    assert three.take(10)
    assert table.taken() == 100
    assert not one.take(1)
    two.give(20)
    assert table.taken() == 80
    assert one.take(20)


def test_what_a_process_took_is_free_when_it_has_ended_and_when_another_begins() -> None:
    table = BodyMemoryTable(4)
    table.begin(3)
    assert table.share(3, 100).take(60)
    table.begin(1)
    assert table.taken() == 60
    assert not table.share(1, 100).take(41)
    table.end(3)
    assert table.taken() == 0
    assert table.share(1, 100).take(100)
    table.begin(1)
    assert table.taken() == 0


def test_a_process_that_nobody_counts_yet_counts_for_itself() -> None:
    table = BodyMemoryTable(4)
    assert not table.share(2, 100).take(101)
    assert table.share(2, 100).take(100)
    assert not table.share(2, 100).take(1)


def test_one_process_alone_has_the_limit_for_itself() -> None:
    memory = BodyMemory(10)
    assert memory.take(10)
    assert not memory.take(1)
    memory.give(3)
    assert memory.take(3)
    assert BodyMemory(10).take(10), "each its own"
