"""Looking at the clock: after so many items, none read ahead."""

import pytest

from smtpapi.mime.deadline import in_turns, paced


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 9])
def test_turns_are_looked_after_as_single_items_are(count: int) -> None:
    singles: list[object] = []
    turns: list[object] = []
    for item in paced(range(count), lambda: singles.append("look"), 4):
        singles.append(item)
    for some in in_turns(range(count), lambda: turns.append("look"), 4):
        turns.extend(some)
        assert len(some) <= 4
    assert turns == singles
