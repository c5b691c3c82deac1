"""The clock, as the loops over a message see it.

No message may take longer than `limits.time_budget`. Whatever loops over its bytes therefore looks at the
clock again after about `LOOK_EVERY` bytes or `LOOK_STEPS` short steps; one call of C over the whole body (a
search, a codec) is bounded by `limits.max_message_size` instead. Who looks knows neither clock nor deadline.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

Look = Callable[[], None]  # returns in time, or raises OverTimeError

LOOK_EVERY: Final = 4096
LOOK_STEPS: Final = 2048

_Item = TypeVar("_Item")


class OverTimeError(Exception):
    """The message's time is used up."""


def unhurried() -> None:
    """There is no deadline."""


def paced(items: Iterable[_Item], look: Look, every: int = LOOK_STEPS) -> Iterator[_Item]:
    """The items, none read ahead, with a look at the clock after each `every` of them."""
    for number, item in enumerate(items, 1):
        yield item
        if not number % every:
            look()


def in_turns(items: Sequence[_Item], look: Look, every: int = LOOK_STEPS) -> Iterator[Sequence[_Item]]:
    """The items, `every` at a time, with a look at the clock after each time that there were so many."""
    if len(items) < every:
        yield items
        return
    for start in range(0, len(items), every):
        yield items[start : start + every]
        if len(items) - start >= every:
            look()
