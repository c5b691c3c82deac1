"""What stores count. Every figure is a sum of counters (`definitions`), every counter a sum over messages.

The numbers stand in stores: a counter never changes its meaning or number, a new one gets a new number.

Hits are counted three times side by side, by what sent them: people, unsure, machines (`classify.verdict`).
A message counts once among unique ones, where its best hit does: people before unsure before machines. So the
three add up to all, and people with unsure to what is not a machine for certain.
"""

from enum import IntEnum
from typing import Final


class Counter(IntEnum):
    """The counters, by their numbers in stores."""

    # messages taken in
    INJECTED = 1
    OPEN_TRACKED = 2
    CLICK_TRACKED = 3
    TRACKED = 4  # opens or clicks

    # what became of them
    DELIVERED = 10
    DELIVERED_FIRST = 11  # at the first try
    DELIVERED_LATER = 12
    VOLUME = 13  # bytes of what was delivered
    TIME_FIRST = 14  # milliseconds in the queue, of those delivered at the first try
    TIME_LATER = 15
    DELAYED = 16
    DELAYED_FIRST = 17
    COMPLAINTS = 18
    EXPIRATIONS = 19  # among the bounces below, too
    UNDETERMINED = 20  # bounces said in the MTA's log, by category
    HARD = 21
    SOFT = 22
    BLOCK = 23
    ADMIN = 24
    LATE_UNDETERMINED = 25  # those that came back as a mail
    LATE_HARD = 26
    LATE_SOFT = 27
    LATE_BLOCK = 28
    LATE_ADMIN = 29

    # every request, repeats and probes as well
    RECORDED_RENDERED = 30
    RECORDED_INITIAL_RENDERED = 31
    RECORDED_CLICKED = 32
    RECORDED_UNSUBSCRIBE = 33
    EXPIRED = 34  # requests of links whose time was over, in no other counter

    # hits: requests without repeats and probes
    PEOPLE_RENDERED = 40
    UNSURE_RENDERED = 41
    MACHINE_RENDERED = 42
    PEOPLE_INITIAL_RENDERED = 43
    UNSURE_INITIAL_RENDERED = 44
    MACHINE_INITIAL_RENDERED = 45
    PEOPLE_CLICKED = 46
    UNSURE_CLICKED = 47
    MACHINE_CLICKED = 48
    PEOPLE_UNSUBSCRIBE = 49
    UNSURE_UNSUBSCRIBE = 50
    MACHINE_UNSUBSCRIBE = 51

    # different messages with such a hit; RAW: different links of a message
    PEOPLE_UNIQUE_RENDERED = 60
    UNSURE_UNIQUE_RENDERED = 61
    MACHINE_UNIQUE_RENDERED = 62
    PEOPLE_UNIQUE_INITIAL_RENDERED = 63
    UNSURE_UNIQUE_INITIAL_RENDERED = 64
    MACHINE_UNIQUE_INITIAL_RENDERED = 65
    PEOPLE_UNIQUE_CLICKED = 66
    UNSURE_UNIQUE_CLICKED = 67
    MACHINE_UNIQUE_CLICKED = 68
    PEOPLE_UNIQUE_CONFIRMED = 69
    UNSURE_UNIQUE_CONFIRMED = 70
    MACHINE_UNIQUE_CONFIRMED = 71
    PEOPLE_RAW_CLICKED = 72
    UNSURE_RAW_CLICKED = 73
    MACHINE_RAW_CLICKED = 74


# Bounce classes of Momentum by category; a class that is not here is undetermined.
# Source: SparkPost's bounce classification codes.
_CATEGORIES: Final = {
    **dict.fromkeys((10, 30, 90), Counter.HARD),
    **dict.fromkeys((20, 21, 22, 23, 24, 40, 60, 70, 100), Counter.SOFT),
    **dict.fromkeys((50, 51, 52, 53, 54), Counter.BLOCK),
    **dict.fromkeys((25, 26, 80), Counter.ADMIN),
}
_LATE: Final = Counter.LATE_HARD - Counter.HARD


def bounce_counter(bounce_class: int, *, late: bool) -> int:
    """Return the counter of a bounce. bounce_class: Momentum's number. late: it came back as a mail."""
    return int(_CATEGORIES.get(bounce_class, Counter.UNDETERMINED)) + (_LATE if late else 0)
