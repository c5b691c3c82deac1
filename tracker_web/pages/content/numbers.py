"""Numbers, rates and times as people read them, in the language of the page. Pure."""

from datetime import UTC, date, datetime
from functools import cache
from typing import Final

from babel import Locale, UnknownLocaleError
from babel.dates import format_skeleton
from babel.numbers import get_decimal_symbol

from tracker_web.languages.translation import current, gettext

NOTHING: Final = "\N{EN DASH}"  # where a rate has nothing to divide by, or nothing was tracked
# Groups of three digits, as ISO 80000-1 7.3.1 has them in every language: no comma or point is mistaken.
_NARROW: Final = "\u202f"
_DAY_FIRST: Final = "en_GB"  # what `en` alone means to CLDR is American: the month first

DAY: Final = "yMMMMd"  # 29 November 2026
SHORT_DAY: Final = "MMMd"  # 29 Nov
MONTH: Final = "yMMM"  # Nov 2026


def grouped(number: float) -> str:
    """Return a whole number with its digits in groups."""
    return f"{int(number):,}".replace(",", _NARROW)


def fixed(number: float, digits: int) -> str:
    """Return a number with so many digits behind its decimal sign."""
    return f"{number:.{digits}f}".replace(".", _point())


def day(at: date, form: str = DAY) -> str:
    """Return a date. form: a skeleton of CLDR: DAY, SHORT_DAY, MONTH."""
    return format_skeleton(form, at, locale=_locale(current().code))


def _point() -> str:
    return get_decimal_symbol(_locale(current().code))


@cache
def _locale(code: str) -> Locale:
    """Return what CLDR knows of a language; English for one that it does not know."""
    try:
        return Locale.parse(_DAY_FIRST if code == "en" else code.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return Locale.parse(_DAY_FIRST)


def percent(share: float | None) -> str:
    """Return a share of 1 in per cent, with one digit below ten; NOTHING for None."""
    if share is None:
        return NOTHING
    number = share * 100
    if 0 < number < 0.05:
        return f"<{_NARROW}0{_point()}1{_NARROW}%"
    digits = 1 if abs(number) < 10 and number != int(number) else 0
    return f"{fixed(number, digits)}{_NARROW}%"


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
    if seconds < 100:
        return gettext("%(count)s s", count=fixed(seconds, 1 if seconds < 10 else 0))
    if seconds < 100 * 60:
        return gettext("%(count)s min", count=fixed(seconds / 60, 0))
    if seconds < 48 * 3600:
        return gettext("%(count)s h", count=fixed(seconds / 3600, 0))
    return gettext("%(count)s d", count=fixed(seconds / 86400, 0))


def moment(text: str) -> datetime:
    """Return an event's time (contract.md 7.1) in UTC; without a zone it is UTC. Raises ValueError."""
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def instant(seconds: float) -> str:
    """Return a Unix time as an event's time is written, for `moment`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def shortened(text: str, most: int = 60) -> str:
    """Return a text with its middle left out where it is longer than `most`."""
    if len(text) <= most:
        return text
    head = most * 2 // 3
    return f"{text[:head]}…{text[len(text) - (most - head - 1) :]}"
