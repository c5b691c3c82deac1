"""Which of the languages that there are a request wants (RFC 9110 12.5.4). Pure."""

from collections.abc import Sequence
from typing import Final

_LONGEST: Final = 500  # characters of Accept-Language that are looked at; browsers send some tens
_MOST: Final = 30  # entries


def best(accepted: str, codes: Sequence[str], default: str) -> str:
    """Return the one of `codes` that Accept-Language wants most, `default` for none.

    A wish for `de-AT` is met by `de`, and one for `pt` by `pt-BR` (RFC 4647 3.4, lookup, and the way back).
    Of two that are wanted alike the first in the field is taken.
    """
    wishes = [_wish(each) for each in accepted[:_LONGEST].lower().split(",")[:_MOST]]
    for tag, weight in sorted(wishes, key=lambda wish: -wish[1]):
        if weight <= 0 or not tag:
            continue
        found = default if tag == "*" else _met(tag, codes)
        if found:
            return found
    return default


def cookie(sent: str, cookie_name: str) -> str:
    """Return the value of a cookie, "" for none. sent: the header field Cookie."""
    for each in sent.split(";"):
        name, _, value = each.strip().partition("=")
        if name == cookie_name:
            return value
    return ""


def _met(tag: str, codes: Sequence[str]) -> str:
    by_tag = {code.lower(): code for code in codes}
    shorter = tag
    while shorter:
        if shorter in by_tag:
            return by_tag[shorter]
        shorter = shorter.rpartition("-")[0]
    return next((code for low, code in by_tag.items() if low.partition("-")[0] == tag), "")


def _wish(entry: str) -> tuple[str, float]:
    tag, _, parameter = entry.partition(";")
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return tag.strip(), 1.0
    try:
        return tag.strip(), float(value)
    except ValueError:
        return tag.strip(), 0.0
