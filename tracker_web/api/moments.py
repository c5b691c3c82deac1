"""Times in requests, in every form that clients send (contract.md 8.3): with or without seconds and zone."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import marshmallow

_FORM: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(Z|z|[+ -]\d\d:?\d\d)?)?",
    re.ASCII,
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# A day within the years 1 to 9999: so each moment has a date in every zone.
_FIRST_MS: Final = -62_135_596_800_000 + 86_400_000
_LAST_MS: Final = 253_402_300_799_999 - 86_400_000
_WRONG: Final = "must be a time such as 2026-11-01T08:00 or 2026-11-01T08:00:00Z"


def unix_ms(text: str, zone: str = "UTC") -> int:
    """Return Unix milliseconds of a time. zone: that of a time which names none, such as Europe/Oslo.

    Year 1 begins, and year 9999 ends, a day within. A blank before the offset counts as the plus that it was
    before a form was decoded. Raises ValueError.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(_WRONG)
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    made = datetime(year, month, day, hour, minute, min(second, 59))  # noqa: DTZ001 - its zone comes below
    made += timedelta(seconds=second - min(second, 59))
    if second > 60:
        raise ValueError(_WRONG)
    offset = found[8] or ""
    if not offset:
        made = made.replace(tzinfo=zone_of(zone))
    elif offset in "Zz":
        made = made.replace(tzinfo=UTC)
    else:
        away = timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:]))
        made = made.replace(tzinfo=UTC) + (away if offset[0] == "-" else -away)
    found_ms = (made - _EPOCH) // timedelta(milliseconds=1) + int((found[7] or "")[:3].ljust(3, "0"))
    return min(max(found_ms, _FIRST_MS), _LAST_MS)


def zone_of(name: str) -> ZoneInfo:
    """Return a time zone by its name in the database of time zones. Raises ValueError for another name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("must be the name of a time zone, such as UTC or Europe/Oslo") from error


class Moment(marshmallow.fields.String):
    """A time, left as text: what zone it is in, another parameter says."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str:
        text = str(super()._deserialize(value, attr, data, **options))
        try:
            unix_ms(text)
        except (ValueError, OverflowError) as error:
            raise marshmallow.ValidationError(_WRONG) from error
        return text


class Zone(marshmallow.fields.String):
    """The name of a time zone."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str:
        text = str(super()._deserialize(value, attr, data, **options))
        try:
            zone_of(text)
        except ValueError as error:
            raise marshmallow.ValidationError(str(error)) from error
        return text
