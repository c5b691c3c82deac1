"""Event ids: unique whatever the clock does, in the order of time, and valid UUIDs."""

import random
import threading
import uuid

import pytest

from engagement.events.ids import EventIds, derived, is_event_id


def test_ids_are_version_7_uuids_with_their_time() -> None:
    made = uuid.UUID(EventIds(b"12345678").next(1_793_001_722_373))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == 1_793_001_722_373
    assert is_event_id(str(made))


def test_ids_of_one_process_sort_by_time_and_then_by_order() -> None:
    ids = EventIds(b"12345678")
    made = [ids.next(1000 + number // 5000) for number in range(20_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_ids_are_unique_while_the_clock_jumps() -> None:
    """A day back, a day on, over the same milliseconds again and again."""
    ids, chance = EventIds(b"12345678"), random.Random(7)
    clock = [chance.choice((5, 6, 7, 86_400_005, 86_400_006)) for _ in range(50_000)]
    assert len({ids.next(now) for now in clock}) == len(clock)


def test_ids_of_two_processes_differ() -> None:
    first, second = EventIds(b"12345678"), EventIds(b"12345679")
    assert first.next(5) != second.next(5)


def test_ids_are_unique_between_threads() -> None:
    ids, made = EventIds(b"12345678"), []

    def work() -> None:
        made.extend([ids.next(5) for _ in range(2000)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8000


@pytest.mark.parametrize("now", [-1, 0, (1 << 48) - 1, 1 << 60])
def test_a_clock_out_of_range_gives_ids_all_the_same(now: int) -> None:
    ids = EventIds(b"12345678")
    made = {ids.next(now) for _ in range(3)}
    assert len(made) == 3
    assert all(map(is_event_id, made))


def test_derived_ids_are_others_and_always_the_same() -> None:
    ids = EventIds(b"12345678")
    own = [ids.next(5) for _ in range(200)]
    further = [derived(name, part) for name in own for part in (1, 2, 3)]
    assert len({*own, *further}) == 800
    assert all(map(is_event_id, further))
    assert derived(own[0], 1) == derived(own[0], 1)
    with pytest.raises(ValueError, match="part"):
        derived(own[0], 4)


def test_a_node_has_8_bytes() -> None:
    with pytest.raises(ValueError, match="8 bytes"):
        EventIds(b"short")
