"""What the text of the other side may keep: all but addresses. Pure, and linear in the text."""

import re
from typing import Final

MAX_REASON: Final = 1000  # characters that are kept
_LOOKED_AT: Final = 8 * MAX_REASON  # more than is kept, as what is hidden becomes shorter
HIDDEN: Final = "<…>"
# The sign as it is, in Unicode's other widths, and as URLs, mail (also twice), HTML and programs write it.
_AT: Final = re.compile(
    r"[\uff20\ufe6b]|%(?:25)*40|=(?:3D)*40|&(?:amp;)*(?:#0{0,9}64|#x0{0,9}40|commat);|\\(?:x|u00|u\{)40\}?",
    re.IGNORECASE,
)
_QUOTED_LOCAL_PART: Final = re.compile(r'"(?:[^"\\\n]|\\.){0,320}"(?=@)')
_BETWEEN: Final = re.compile(r"([\s<>()\[\],;\"]+)")  # the rest may stand in a local part (RFC 5321 4.1.2)
_LOCAL_PART: Final = re.compile(r"<[^<>\s]{1,320}>")
_REPLY: Final = re.compile(r"(?:\A|: |[>(] |\()(?P<code>[2-5]\d\d)(?=[ -]|\Z)")
_ENHANCED: Final = re.compile(r"(?<![\d.])(?P<code>[245]\.\d{1,3}\.\d{1,3})(?![\d.])")


def without_addresses(text: str, *recipients: str) -> str:
    """Return a text with `<…>` for each address in it, as far as events keep it.

    An address is a word with an @ in it (or what is written for it), and a word in angle brackets.
    recipients: addresses that the text may be about: what stands before their @ is hidden as a word, too.
    """
    text = _QUOTED_LOCAL_PART.sub("", _AT.sub("@", text[:_LOOKED_AT]))
    pieces = _BETWEEN.split(text)
    text = "".join(HIDDEN if "@" in word else word for word in pieces)
    for name in _local_parts(recipients):
        if text.isascii() and name.isascii() and name.lower() not in text.lower():
            continue  # nearly always, and an expression takes a tenth of a millisecond to make
        whole = rf"(?<![\w.+-]){re.escape(name)}(?:\+[\w.+-]*)?(?![\w-]|\.\w)"
        text = re.sub(whole, HIDDEN, text, flags=re.IGNORECASE)
    text = _LOCAL_PART.sub(HIDDEN, text.replace(f"<{HIDDEN}>", HIDDEN))
    return "".join(sign if sign.isprintable() else " " for sign in text)[:MAX_REASON].strip()


def _local_parts(recipients: tuple[str, ...]) -> list[str]:
    """Return what stands before the @ of addresses, with its tag and without, the longest first."""
    found = set()
    for recipient in recipients:
        local = recipient.strip("<>").rpartition("@")[0] or recipient.strip("<>")
        if local[:1] == local[-1:] == '"':
            local = re.sub(r"\\(.)", r"\1", local[1:-1])
        found |= {local, local.partition("+")[0]}
    return sorted(filter(None, found), key=lambda name: (-len(name), name))


def reply_code(text: str) -> str:
    """Return the three digits of the SMTP reply (RFC 5321 4.2) in a text, "" without one."""
    found = _REPLY.search(text[:_LOOKED_AT])
    return found["code"] if found else ""


def enhanced_code(text: str) -> str:
    """Return the enhanced status code (RFC 3463 2) in a text, "" without one."""
    found = _ENHANCED.search(text[:_LOOKED_AT])
    return found["code"] if found else ""
