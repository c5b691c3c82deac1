"""Rules for labels, the same for X-MSYS-API and context variables (contract.md 3.2, 3.6)."""

import re
from collections.abc import Sequence

from smtpapi.request.strict_json import Number, Value

# contract.md 3.2; what proves a consent is ours, and its limit a guess.
MAX_CAMPAIGN = 64  # bytes of UTF-8
MAX_TAGS = 10
MAX_TAG = 64  # bytes of UTF-8
MAX_REFERENCE = 255  # bytes of UTF-8
_LONGEST_ID = 20  # digits of the largest id, 2^64-1
LINE_BREAKS = re.compile(r"[\r\n\0]")  # no label may hold one of these


def wrong_type(field: str, expected: str) -> str:
    """Return the reply's text for a value of the wrong JSON type (contract.md 3.6)."""
    return f"{field} must be of type '{expected}'"


def campaign_fault(campaign: str) -> str | None:
    """Return the reply's text for what may not be a campaign, from any source; None if it may."""
    if len(campaign.encode()) > MAX_CAMPAIGN:
        return "smtpapi_campaign_id context is limited to 64 bytes"
    if LINE_BREAKS.search(campaign):
        return "smtpapi_campaign_id context must not hold line breaks"
    return None


def is_reference(text: str) -> bool:
    """Return whether this may be the reference of a consent."""
    return len(text.encode()) <= MAX_REFERENCE and not LINE_BREAKS.search(text)


def transmission_id_of(text: str) -> int | None:
    """Return the transmission id that a text of decimal digits is, None for other text (contract.md 3.7)."""
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_ID):
        return None
    return int(text) if 0 < int(text) < 1 << 64 else None


def choose_tags(values: Sequence[Value]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the first ten valid tags, without repeats, and warnings for the others (contract.md 3.2)."""
    tags: dict[str, None] = {}
    invalid = 0
    for value in values:
        if not isinstance(value, str) or isinstance(value, Number):
            invalid += value is not None
        elif not value or len(value.encode()) > MAX_TAG or LINE_BREAKS.search(value):
            invalid += 1
        else:
            tags[value] = None
    warnings = []
    if invalid:
        warnings.append(
            f"{invalid} tags ignored: not a string, empty, with line breaks or above {MAX_TAG} bytes"
        )
    if len(tags) > MAX_TAGS:
        warnings.append(f"{len(tags) - MAX_TAGS} tags ignored: a message has at most {MAX_TAGS}")
    return tuple(tags)[:MAX_TAGS], tuple(warnings)
