"""The memory that mail under way may take: one limit for all processes."""

from concurrent.futures import ThreadPoolExecutor

from smtpapi.mta.body_memory import BodyMemory, Rooms


def test_h5_what_one_process_takes_no_other_can() -> None:
    rooms = Rooms(8)
    for number in (2, 5):
        rooms.begin(number)
    one, other = rooms.room(2, 100), rooms.room(5, 100)
    assert one.take(60)
    assert not other.take(41)
    assert other.take(40)
    assert not one.take(1)
    one.give(60)
    assert other.take(60)


def test_h5_what_a_process_took_is_free_once_it_is_gone() -> None:
    rooms = Rooms(8)
    rooms.begin(1)
    rooms.begin(2)
    assert rooms.room(2, 100).take(100)
    assert not rooms.room(1, 100).take(1)
    rooms.end(2)
    assert rooms.room(1, 100).take(100)
    rooms.end(1)
    rooms.begin(2)  # another process, in the place of the one before
    assert rooms.room(2, 100).take(100)


def test_h5_each_process_goes_by_its_own_limit() -> None:
    """After a reload that changes it."""
    rooms = Rooms(8)
    rooms.begin(1)
    rooms.begin(2)
    before, after = rooms.room(1, 100), rooms.room(2, 200)
    assert after.take(150)
    assert not before.take(1)
    assert after.take(50)


def test_h5_alone_a_process_has_all_and_threads_do_not_lose_count() -> None:
    room = BodyMemory(1000)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: room.take(10), range(400)))
    assert taken.count(True) == 100
    for _ in range(100):
        room.give(10)
    assert room.take(1000)
    assert not room.take(1)
