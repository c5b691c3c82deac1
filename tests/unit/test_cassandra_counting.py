"""What a campaign's life and old figures add up to from rows of the cluster."""

from engagement.stores.aggregate import Figure
from engagement.stores.cassandra.figures.counting import (
    life_of,
    pack_counters,
    pack_flags,
    totals_by_hour,
    unpack_counters,
)

A, B = b"a" * 16, b"b" * 16


def test_each_message_counts_once_by_who_saw_it_at_best() -> None:
    lines = [
        (A, 2, pack_flags({(60, b""): 2, (70, b"x"): 1})),
        (A, 3, pack_flags({(60, b""): 0, (70, b"y"): 1})),
        (B, 1, pack_flags({(60, b""): 0})),
    ]
    assert life_of(lines) == ({60: 2, 71: 2}, 6)
    assert life_of(lines[:1]) == ({62: 1, 71: 1}, 2)
    assert life_of(reversed(lines)) == life_of(lines)
    assert life_of([]) == ({}, 0)


def test_counters_come_back_as_they_were_packed() -> None:
    assert unpack_counters(pack_counters({62: 1, 60: 3})) == {60: 3, 62: 1}


def test_old_figures_are_those_of_their_hour() -> None:
    cells = {(100, 7, number, "spring", "click"): number + 1 for number in range(6)}
    found = totals_by_hour({**cells, (3, 7, 0, "spring", "click"): 99})
    assert found == {("spring", 7): {"click": Figure(1, 2, 3, 4, 5, 6)}}
