"""Which time a page is about: read from its URL, and put back into one. Pure; all in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

from engagement.figures.increments import Level
from tracker_web.languages.translation import N_, gettext
from tracker_web.pages.content.numbers import day

DAY_MS: Final = int(Level.DAY)
PRESETS: Final = {
    "today": N_("Today"),
    "yesterday": N_("Yesterday"),
    "7d": N_("Last 7 days"),
    "30d": N_("Last 30 days"),
    "month": N_("This month"),
    "last-month": N_("Last month"),
    "12m": N_("Last 12 months"),
}
DEFAULT: Final = "30d"
_HOURLY: Final = 3 * DAY_MS  # a series of up to three days is by hour,
_DAILY: Final = 190 * DAY_MS  # of half a year by day, else by month
_EPOCH: Final = date(1970, 1, 1)
_FIRST: Final = date(2000, 1, 1)  # no mail of ours is older, and a chart has a point for each month
_LAST: Final = date(2099, 12, 31)


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days from `first` to `last`, both inclusive.

    preset: a key of PRESETS, "" for days that were chosen.
    """

    first: date
    last: date
    preset: str = ""

    @property
    def from_ms(self) -> int:
        """Return where it begins, Unix milliseconds."""
        return (self.first - _EPOCH).days * DAY_MS

    @property
    def to_ms(self) -> int:
        """Return where it ends, exclusive."""
        return ((self.last - _EPOCH).days + 1) * DAY_MS

    @property
    def precision(self) -> str:
        """Return the increment that a series of it is shown in (`increments.PRECISIONS`)."""
        length = self.to_ms - self.from_ms
        return "hour" if length <= _HOURLY else "day" if length <= _DAILY else "month"

    @property
    def before(self) -> "Period":
        """Return the period of the same length that ended when this one began; a month has the one before."""
        if self.preset in ("month", "last-month"):
            last = self.first - timedelta(days=1)
            return Period(last.replace(day=1), last)
        days = (self.last - self.first).days + 1
        if (self.first - _FIRST).days < days:
            return Period(_FIRST, _FIRST)
        return Period(self.first - timedelta(days=days), self.first - timedelta(days=1))

    @property
    def title(self) -> str:
        """Return it in words."""
        if self.preset:
            return gettext(PRESETS[self.preset])
        if self.first == self.last:
            return day(self.first)
        if (self.first.year, self.first.month) == (self.last.year, self.last.month):
            # for translators: both in one month, "1 to 29 November 2026"
            return gettext("%(number)s to %(last)s", number=self.first.day, last=day(self.last))
        return gettext("%(first)s to %(last)s", first=day(self.first), last=day(self.last))


@dataclass(frozen=True, slots=True)
class View:
    """What a page of figures shows: its period, whether it is compared, and what is counted.

    unique: messages, else every hit.
    """

    period: Period
    compare: bool = False
    unique: bool = True

    def query(self, **changes: object) -> dict[str, str]:
        """Return the URL's parameters, of this view with changes of its fields."""
        view = replace(self, **changes)  # type: ignore[arg-type] # checked by dataclasses
        period = view.period
        found = (
            {"period": period.preset}
            if period.preset
            else {"from": period.first.isoformat(), "to": period.last.isoformat()}
        )
        if found == {"period": DEFAULT}:
            found = {}
        if view.compare:
            found["compare"] = "previous"
        if not view.unique:
            found["count"] = "total"
        return found


def preset(name: str, now_ms: int) -> Period:
    """Return a period by its name, the default for one that is not known."""
    today = datetime.fromtimestamp(now_ms // 1000, UTC).date()
    name = name if name in PRESETS else DEFAULT
    first, last = today - timedelta(days=29), today
    if name == "today":
        first = today
    elif name == "yesterday":
        first = last = today - timedelta(days=1)
    elif name == "7d":
        first = today - timedelta(days=6)
    elif name == "month":
        first = today.replace(day=1)
    elif name == "last-month":
        last = today.replace(day=1) - timedelta(days=1)
        first = last.replace(day=1)
    elif name == "12m":
        first = (today.replace(day=1) - timedelta(days=330)).replace(day=1)
    return Period(first, last, name)


def view_of(parameters: Mapping[str, str], now_ms: int) -> View:
    """Return the view that a URL's parameters ask for; what is no date counts as not given."""
    first, last = _date(parameters.get("from", "")), _date(parameters.get("to", ""))
    if first is not None or last is not None:
        first = first or last
        last = last or datetime.fromtimestamp(now_ms // 1000, UTC).date()
        assert first is not None
        period = Period(min(first, last), max(first, last))
    else:
        period = preset(parameters.get("period", DEFAULT), now_ms)
    return View(
        period, compare=parameters.get("compare") == "previous", unique=parameters.get("count") != "total"
    )


def _date(text: str) -> date | None:
    try:
        found = date.fromisoformat(text[:10])
    except ValueError:
        return None
    return min(max(found, _FIRST), _LAST)
