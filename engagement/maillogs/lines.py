"""The head of a line in a log: when, where and by which program.

Forms: RFC 3339 as rsyslog and journalctl write it, RFC 5424, and the traditional one of syslog and of
Postfix's own `maillog_file` (RFC 3164 4.1.2), which has neither year nor zone. Invariants: any bytes are a
line or none, nothing raises, and the time is linear in the length.
"""

import re
from datetime import UTC, datetime
from typing import Final

from engagement.maillogs.facts import Line

MAX_LINE: Final = 65_536  # bytes that are looked at, so that no line costs more than a moment
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HEAD: Final = re.compile(
    r"(?:<\d{1,3}>(?:1 )?)?"
    r"(?:(?P<iso>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)"
    rf"|(?P<month>{'|'.join(_MONTHS)}) {{1,2}}(?P<day>\d{{1,2}})(?: (?P<year>\d{{4}}))?"
    r" (?P<clock>\d\d:\d\d:\d\d)(?:\.(?P<part>\d{1,9}))?)"
    r"(?: <[a-z0-9]{1,16}\.[a-z]{1,16}>)?"  # FreeBSD's syslogd -v
    r" \S{1,255} (?P<program>[^\s\[\]:]{1,128})"
    r"(?:(?:\[(?P<pid>\d{1,10})\])?: ?(?:\[ID \d{1,10} [a-z0-9]{1,16}\.[a-z]{1,16}\] )?"  # Solaris's number
    r"| (?P<process>\d{1,10}|-) \S{1,32} (?:-|(?:\[(?:[^\]\\]|\\.)*+\])++) \ufeff?)"  # RFC 5424 6
    r"(?P<text>.*)",
    re.ASCII | re.DOTALL,
)
_AHEAD_MS: Final = 86_400_000  # a clock may be wrong, and a zone misread; further ahead it was last year
_SKEW_MS: Final = 60_000  # the writer's clock may be a little ahead
_MAX_MS: Final = 1 << 48  # what an event's id can hold


def parsed(line: bytes, now_ms: int) -> Line | None:
    """Return what the line's head says; None for a line without one.

    now_ms: Unix milliseconds, from which the year follows where the stamp has none.
    """
    found = _HEAD.match(line.lstrip(b"\0")[:MAX_LINE].decode("utf-8", "replace").rstrip("\r\n"))
    if found is None:
        return None
    at_ms = _of_iso(found["iso"], now_ms) if found["iso"] else _of_traditional(found, now_ms)
    if at_ms is None or not 0 <= at_ms < _MAX_MS:
        return None
    return Line(at_ms, found["program"], found["text"], found["pid"] or (found["process"] or "").strip("-"))


def _of_iso(text: str, now_ms: int) -> int | None:
    try:
        moment = datetime.fromisoformat(text.replace(",", "."))
        return _milliseconds(moment, now_ms)
    except (ValueError, OverflowError, OSError):
        return None


def _of_traditional(found: re.Match[str], now_ms: int) -> int | None:
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    years = [int(found["year"])] if found["year"] else [now.year + 1 - back for back in range(10)]
    for year in years:
        try:
            text = f"{year:04}-{_MONTHS.index(found['month']) + 1:02}-{int(found['day']):02} {found['clock']}"
            moment = datetime.fromisoformat(text)  # without a zone: local time
            at_ms = _milliseconds(moment, now_ms)
        except (ValueError, OverflowError, OSError):
            continue  # 29 February
        if found["year"] or at_ms <= now_ms + _AHEAD_MS:
            return at_ms + (int(found["part"][:3].ljust(3, "0")) if found["part"] else 0)
    return None


def _milliseconds(moment: datetime, now_ms: int) -> int:
    """Return Unix milliseconds. A moment without a zone is local time, as syslog writes it.

    Of an hour that clocks show twice, when summer ends, the newest counts that is not ahead of now.
    """
    first, second = (round(moment.replace(fold=fold).timestamp() * 1000) for fold in (0, 1))
    return second if first < second <= now_ms + _SKEW_MS else first
