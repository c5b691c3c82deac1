"""An hour's figures from its minutes: the same as from the whole hour, with less read."""

import time
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engagement.stores.aggregate import (
    HOUR_MS,
    MINUTE_MS,
    Aggregate,
    Figures,
    MinuteAggregate,
    minutes_to_count,
)
from engagement.stores.minute_rollup import HOURS, MINUTES, Minute, MinuteRollup, by_turns

HOUR = ("", 500_000)
BEGINS = HOUR[1] * HOUR_MS
Hit = tuple[int, str, int, str, str, bool]  # time, type, message, class, campaign, expired


def reader(hits: list[Hit], asked: list[tuple[int, int]]) -> Callable[[int, int], Mapping[int, Minute]]:
    def read(first: int, last: int) -> Mapping[int, Minute]:
        asked.append((first % MINUTES, last - first))
        tally = MinuteAggregate(first * MINUTE_MS)
        for at, kind, message, client, campaign, expired in sorted(hits):
            if first * MINUTE_MS - 10_000 <= at < last * MINUTE_MS:
                link = f"{message}" if kind != "injection" else ""
                tally.add(at, kind, message, client, link, campaign, expired=expired)
        return tally.seen()

    return read


def whole(hits: list[Hit]) -> dict[str, Figures]:
    """By the definition: all hits in time order, each counted in its hour and campaign."""
    tallies: dict[str, Aggregate] = {}
    last: dict[tuple[str, int, str], int] = {}
    for at, kind, message, client, campaign, expired in sorted(hits):
        key = (kind, message, client)
        repeat = kind != "injection" and at - last.get(key, -10_000) < 10_000
        last[key] = at
        if at // HOUR_MS == HOUR[1]:
            for name in {"", campaign}:
                tallies.setdefault(name, Aggregate()).add(
                    kind, message, client, expired=expired, repeat=repeat
                )
    return {name: tally.figures() for name, tally in tallies.items()}


hit = st.tuples(
    st.integers(BEGINS - 15_000, BEGINS + 3 * MINUTE_MS) | st.integers(BEGINS, BEGINS + HOUR_MS + 5_000),
    st.sampled_from(("click", "open", "injection")),
    st.integers(1, 3),
    st.sampled_from(("human", "scanner", "probe")),
    st.sampled_from(("", "autumn", "spring")),
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(hit, max_size=12), max_size=6))
def test_however_the_hits_come_the_figures_are_those_of_the_whole_hour(parts: list[list[Hit]]) -> None:
    minutes = MinuteRollup()
    hits: list[Hit] = []
    told: dict[str, Figures] = {}
    for part in parts:
        hits += part
        for at, *_ in part:
            for minute in minutes_to_count(at):
                minutes.changed("", minute)
        assert minutes.bring_up(HOUR, reader(hits, []), float("inf"))
        figures, everything = minutes.figures(HOUR)
        told = figures if everything else told | figures
        minutes.written(HOUR)
        assert {name: each for name, each in told.items() if each} == whole(hits)


def test_only_the_minutes_that_changed_are_read_again() -> None:
    minutes = MinuteRollup()
    asked: list[tuple[int, int]] = []
    hits: list[Hit] = [(BEGINS + n * 20_000, "click", n, "human", "", False) for n in range(180)]
    read = reader(hits, asked)
    minutes.bring_up(HOUR, read, float("inf"))
    assert sum(count for _, count in asked) == MINUTES
    minutes.written(HOUR)
    asked.clear()
    for minute in minutes_to_count(BEGINS + 7 * MINUTE_MS + 55_000):  # it may make one in the next a repeat
        minutes.changed("", minute)
    minutes.changed("", BEGINS // MINUTE_MS - 1)  # another hour's
    assert minutes.bring_up(HOUR, read, float("inf"))
    assert asked == [(8, 1), (7, 1)]


def test_when_the_time_is_over_the_rest_waits_for_the_next_call() -> None:
    minutes = MinuteRollup()
    asked: list[tuple[int, int]] = []
    hits: list[Hit] = [(BEGINS + n * 60_000, "click", n, "human", "", False) for n in range(60)]
    calls = 1
    while not minutes.bring_up(HOUR, reader(hits, asked), time.monotonic()):
        calls += 1
    assert calls == MINUTES // 3
    assert asked[:2] == [(59, 1), (0, 2)]
    assert minutes.figures(HOUR)[0] == whole(hits)


def test_a_minute_that_changes_all_the_time_does_not_keep_the_others_waiting() -> None:
    minutes, calls = MinuteRollup(), 0
    while True:
        minutes.changed("", BEGINS // MINUTE_MS + 59)
        calls += 1
        if minutes.bring_up(HOUR, reader([], []), time.monotonic()):
            break
        assert calls < MINUTES


def test_hours_are_taken_by_turns_from_both_ends() -> None:
    hours = [("", 3), ("a", 1), ("", 5), ("", 2)]
    assert list(by_turns(hours)) == [("", 5), ("a", 1), ("", 3), ("", 2)]
    assert list(by_turns([])) == []


@pytest.mark.parametrize("forget", ["all", "hour", "others"])
def test_what_is_forgotten_is_read_as_a_whole(forget: str) -> None:
    minutes = MinuteRollup()
    asked: list[tuple[int, int]] = []
    minutes.bring_up(HOUR, reader([], asked), float("inf"))
    minutes.figures(HOUR)
    minutes.written(HOUR)
    if forget == "all":
        minutes.forget()
    elif forget == "hour":
        minutes.forget_hour(HOUR)
    else:
        for number in range(HOURS):
            minutes.bring_up(("", number), reader([], []), float("inf"))
    asked.clear()
    minutes.bring_up(HOUR, reader([], asked), float("inf"))
    assert sum(count for _, count in asked) == MINUTES
    assert minutes.figures(HOUR)[1]
