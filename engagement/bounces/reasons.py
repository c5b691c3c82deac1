"""What the text of the other side may keep: all but addresses. Pure, and linear in the text."""

import re
from typing import Final

MAX_REASON: Final = 1000  # characters that are kept
_LOOKED_AT: Final = 8 * MAX_REASON  # more than is kept, as what is hidden becomes shorter
HIDDEN: Final = "<…>"
_QUOTED_LOCAL_PART: Final = re.compile(r'"[^"\n]{0,70}"(?=@)')
_BETWEEN: Final = re.compile(r"([\s<>()\[\]{},;\"'`|]+)")
_AT: Final = ("@", "\uff20", "%40", "=40", "&#64;", "&#x40;")  # also as URLs and mail encode it
_LOCAL_PART: Final = re.compile(r"<[^<>\s]{1,320}>")
_REPLY: Final = re.compile(r"(?:\A|: |[>(] |\()(?P<code>[2-5]\d\d)(?=[ -]|\Z)")
_ENHANCED: Final = re.compile(r"(?<![\d.])(?P<code>[245]\.\d{1,3}\.\d{1,3})(?![\d.])")


def without_addresses(text: str) -> str:
    """Return a text with `<…>` for each address in it, as far as events keep it.

    An address is a word with an @ in it (or what URLs write for it), and a word in angle brackets.
    """
    text = _QUOTED_LOCAL_PART.sub("", text[:_LOOKED_AT])
    pieces = _BETWEEN.split(text)
    text = "".join(HIDDEN if any(sign in word.lower() for sign in _AT) else word for word in pieces)
    text = _LOCAL_PART.sub(HIDDEN, text.replace(f"<{HIDDEN}>", HIDDEN))
    return "".join(sign if sign.isprintable() else " " for sign in text)[:MAX_REASON].strip()


def reply_code(text: str) -> str:
    """Return the three digits of the SMTP reply (RFC 5321 4.2) in a text, "" without one."""
    found = _REPLY.search(text[:_LOOKED_AT])
    return found["code"] if found else ""


def enhanced_code(text: str) -> str:
    """Return the enhanced status code (RFC 3463 2) in a text, "" without one."""
    found = _ENHANCED.search(text[:_LOOKED_AT])
    return found["code"] if found else ""
