"""Numbers, rates and times as people read them. Pure."""

from datetime import UTC, datetime
from typing import Final

NOTHING: Final = "\N{EN DASH}"  # where a rate has nothing to divide by, or nothing was tracked
_NARROW: Final = "\u202f"  # groups of three digits, as ISO 80000-1 7.3.1 has them; no comma is mistaken


def grouped(number: float) -> str:
    """Return a whole number with its digits in groups."""
    return f"{int(number):,}".replace(",", _NARROW)


def percent(share: float | None) -> str:
    """Return a share of 1 in per cent, with one digit below ten; NOTHING for None."""
    if share is None:
        return NOTHING
    number = share * 100
    if 0 < number < 0.05:
        return f"<{_NARROW}0.1{_NARROW}%"
    digits = 1 if abs(number) < 10 and number != int(number) else 0
    return f"{number:.{digits}f}{_NARROW}%"


def change(now: float | None, before: float | None) -> str:
    """Return by how much a number grew, "" where there is nothing to compare with."""
    if now is None or not before:
        return ""
    by = (now - before) / before
    if abs(by) < 0.005:
        return f"±0{_NARROW}%"
    sign = "▲" if by > 0 else "▼"
    return f"{sign}{_NARROW}{grouped(abs(by) * 100 + 0.5)}{_NARROW}%"


def duration(ms: int) -> str:
    """Return milliseconds in the unit that fits: 0.8 s, 12 s, 3 min, 2 h, 4 d."""
    seconds = ms / 1000
    for size, unit, most in ((1, "s", 100), (60, "min", 100), (3600, "h", 48)):
        if seconds / size < most:
            number = seconds / size
            return f"{number:.1f} {unit}" if number < 10 and unit == "s" else f"{number:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def moment(text: str) -> datetime:
    """Return an event's time (contract.md 7.1) in UTC; without a zone it is UTC. Raises ValueError."""
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def shortened(text: str, most: int = 60) -> str:
    """Return a text with its middle left out where it is longer than `most`."""
    if len(text) <= most:
        return text
    head = most * 2 // 3
    return f"{text[:head]}…{text[len(text) - (most - head - 1) :]}"
