"""The clock: right as the kernel sees it (adjtimex(2)), and not before what is on the disk."""

import ctypes
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from smtpapi.doctor.finding import Finding, Level

CHECK: Final = "clock"
_TIME_ERROR: Final = 5  # adjtimex(2): the clock is not synchronized
_APART: Final = 60  # seconds; more than any answer takes
_SLACK: Final = 300  # seconds by which the tracker counts hits past the expiry, for clocks that disagree


@dataclass(frozen=True, slots=True)
class Clock:
    """What the clock says.

    now: Unix seconds. synchronized: as the kernel says, None where it cannot be asked. error: seconds.
    """

    now: float
    synchronized: bool | None
    error: float = 0.0


def read(now: float) -> Clock:
    """Return the clock as the kernel sees it."""
    buffer = ctypes.create_string_buffer(256)  # struct timex has 208 bytes; all zero asks and sets nothing
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    except (OSError, AttributeError):
        return Clock(now, None)
    if state < 0:
        return Clock(now, None)
    (most,) = struct.unpack_from("@l", buffer.raw, 24)  # maxerror, microseconds
    return Clock(now, state != _TIME_ERROR, most / 1e6)


def check_other(host: str, date: str, now: float) -> Iterator[Finding]:
    """Yield where the host that answers for links has another time. date: of its answer, "" for none."""
    try:
        there = parsedate_to_datetime(date).timestamp()
    except ValueError:
        return
    if abs(there - now) > _APART:
        yield Finding(
            CHECK,
            Level.WARNING,
            f"the clock of {host} is {there - now:+.0f} s from this one's",
            "Clicks seem to come before their mail was sent, or hours after; verdicts and figures go wrong.",
            "timedatectl set-ntp true (or start chronyd) on both hosts",
        )


def check(clock: Clock, newest: float, what: str) -> Iterator[Finding]:
    """Yield what is wrong with the clock.

    newest: Unix seconds of the newest thing on the disk; what: its name.
    """
    if newest > clock.now + _SLACK:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"the clock is {newest - clock.now:.0f} s behind {what}",
            "Links, events and figures get times of the past; expiry and prefetch verdicts go wrong.",
            "timedatectl set-ntp true (or start chronyd)",
        )
    elif clock.synchronized is None:
        yield Finding(CHECK, Level.SKIPPED, "the kernel does not say whether the clock is right")
    elif not clock.synchronized:
        yield Finding(
            CHECK,
            Level.WARNING,
            "nothing keeps the clock right (the kernel says: not synchronized)",
            "Times of mail and clicks drift apart; with several hosts figures of an hour fall into another.",
            "timedatectl set-ntp true (or start chronyd); in a container: on its host",
        )
    elif clock.error > 1:
        yield Finding(
            CHECK,
            Level.WARNING,
            f"the clock may be wrong by {clock.error:.1f} s",
            "Whether a click came before its delivery decides whether a person made it.",
            "chronyc sources, or timedatectl timesync-status",
        )
    else:
        yield Finding(CHECK, Level.OK, f"the clock is synchronized, within {clock.error * 1000:.0f} ms")
