"""The deadline of a message, for the loops over its bytes.

No message may take longer than `limits.time_budget`. Every loop over its bytes therefore calls `check_time`
after about `CHECK_BYTES` bytes or `CHECK_STEPS` short steps. One call of C over the whole body (a search, a
codec) is bounded by `limits.max_message_size` instead. The loops know neither the clock nor the deadline.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

CheckTime = Callable[[], None]  # returns in time, or raises OverTimeError

# Two guesses that nothing has contradicted: a check after so much work costs little beside the work, and the
# work takes little of `limits.time_budget`, which is 2 s by default.
CHECK_BYTES: Final = 4096
CHECK_STEPS: Final = 2048

_Item = TypeVar("_Item")


class OverTimeError(Exception):
    """The message's time is used up."""


def no_deadline() -> None:
    """Do nothing: the check for callers without a deadline."""


def paced(items: Iterable[_Item], check_time: CheckTime, every: int = CHECK_STEPS) -> Iterator[_Item]:
    """Yield the items, none read ahead, and check the time after each `every` of them.

    Raises whatever `check_time` raises.
    """
    for number, item in enumerate(items, 1):
        yield item
        if not number % every:
            check_time()


def in_turns(
    items: Sequence[_Item], check_time: CheckTime, every: int = CHECK_STEPS
) -> Iterator[Sequence[_Item]]:
    """Yield the items in slices of `every`, and check the time after each full slice.

    Raises whatever `check_time` raises.
    """
    if len(items) < every:
        yield items
        return
    for start in range(0, len(items), every):
        yield items[start : start + every]
        if len(items) - start >= every:
            check_time()
