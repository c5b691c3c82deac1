"""The values of an event's fields: decimal text, times, valid Unicode, JSON objects, a recipient's hash.

Which fields an event has: `fields`.
"""

import hmac
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

# Levels of metadata. Our filter writes no deeper ones, and Python's own limit of about 1,000 is far away.
_DEPTH: Final = 64


def timestamp(ms: int) -> str:
    """Return Unix milliseconds as ISO 8601 in UTC, to the millisecond (contract.md 7.1)."""
    seconds, rest = divmod(ms, 1000)
    prefix = _second(seconds)
    return f"{prefix}.{rest:03d}Z" if prefix else "9999-12-31T23:59:59.999Z"


@lru_cache(maxsize=4096)  # hundreds of events share a second, and thousands of links one mailing
def _second(seconds: int) -> str:
    """Return Unix seconds as ISO 8601 without a zone, "" after the year 9999 (of a wrong clock)."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]
    except (ValueError, OverflowError, OSError):
        return ""


def filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that have a value, with valid text. False is a value; 0, "" and [] are none."""
    result: dict[str, Any] = {}
    for name, value in fields.items():
        if value:
            # Nearly all are such text, and a call for each would take longer than what it finds out.
            sound = type(value) is str and value.isascii() and "\0" not in value
            result[name] = value if sound else _valid_inside(value)
        elif value is False:
            result[name] = False
    return result


def valid(text: str) -> str:
    """Return the text with lone surrogates, which UTF-8 cannot hold, and NUL replaced."""
    if not text.isascii():
        errors = "surrogateescape" if _escaped(text) else "replace"
        text = text.encode("utf-8", errors).decode("utf-8", "replace")
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}") if "\0" in text else text


def _escaped(text: str) -> bool:
    """Return whether all surrogates of the text stand for bytes (`surrogateescape`)."""
    return all("\udc80" <= character <= "\udcff" for character in text if "\ud800" <= character <= "\udfff")


def _valid_inside(value: Any) -> Any:
    sort = type(value)
    if sort is str:
        return value if value.isascii() and "\0" not in value else valid(value)
    if sort is list:
        return [_valid_inside(item) for item in value]
    if sort is dict:
        return {valid(name): _valid_inside(item) for name, item in value.items()}
    return value


def recipient_hash(recipient: str, hash_key: bytes) -> str:
    """Return the keyed hash of an address, 40 hexadecimal digits; "" without a key or an address."""
    if not recipient or not hash_key:
        return ""
    return hmac.new(hash_key, valid(recipient).lower().encode(), sha256).hexdigest()[:40]


def recipient_fields(recipient: str, hashed: str) -> dict[str, Any]:
    """Return the fields that name a recipient. hashed: of `recipient_hash`."""
    if not recipient:
        return {}
    lower = valid(recipient).lower()
    return {
        "rcpt_to": lower,
        "raw_rcpt_to": recipient,
        "rcpt_hash": hashed,
        "recipient_domain": domain_of(lower),
    }


def domain_of(address: str) -> str:
    """Return the domain of an address in lower case, "" for none."""
    return address.rpartition("@")[2].strip("<> ").lower() if "@" in address else ""


def json_object(text: str) -> dict[str, Any]:
    """Return the object in JSON text; an empty one for other text, and for one that is nested too deep."""
    if not text or (text.count("[") + text.count("{") > _DEPTH and _depth(text) > _DEPTH):
        return {}
    try:
        value = _JSON.decode(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _depth(text: str) -> int:
    """Return how deep JSON text is nested. Brackets inside strings count too, so it may be less deep."""
    depth = most = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth += 1 if bracket in "[{" else -1
        most = max(most, depth)
    return most


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")  # RFC 8259 6


def _float(number: str) -> float:
    """Return a number that a double holds. Raises ValueError for one that is too large."""
    value = float(number)
    if math.isinf(value):
        raise ValueError(f"{number} is too large for a double")
    return value


_JSON: Final = json.JSONDecoder(parse_constant=_refuse, parse_float=_float)
