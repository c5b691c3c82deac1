"""The options of RCPT TO for delivery status notifications (RFC 3461 4), and their encoding, xtext.

Not the content of such notifications. A recipient that replaces another inherits NOTIFY and ORCPT, so that
the sender is notified about the address they wrote to.
"""

import binascii
import re
from collections.abc import Iterable

_NOT_XTEXT = re.compile(r"\+(?![0-9A-F]{2})|[^\x21-\x7e]|=")
_TO_ENCODE = re.compile(r"[^\x21-\x7e]|[+=]")


def from_xtext(text: str) -> str:
    """Decode xtext (RFC 3461 4). Raises ValueError for text that is not xtext, or does not hold UTF-8."""
    if _NOT_XTEXT.search(text):
        raise ValueError("not xtext (RFC 3461 4)")
    return re.sub(rb"\+(..)", lambda match: binascii.unhexlify(match[1]), text.encode("ascii")).decode(
        "utf-8"
    )


def to_xtext(text: str) -> str:
    """Encode ASCII text as xtext (RFC 3461 4)."""
    return _TO_ENCODE.sub(lambda match: f"+{ord(match[0]):02X}", text)


def original(options: Iterable[bytes]) -> str:
    """Return the address that ORCPT names, "" without a readable one (RFC 3461 4.2).

    options: the parameters of one RCPT TO.
    """
    for option in options:
        name, _, value = option.partition(b"=")
        kind, _, address = value.partition(b";")
        if name.upper() == b"ORCPT" and kind.lower() == b"rfc822":
            try:
                return from_xtext(address.decode("ascii"))
            except ValueError:
                return ""
    return ""


def inherited(options: Iterable[bytes], named: str) -> str:
    """Return the options of a recipient that replaces another: that one's NOTIFY and ORCPT.

    options: those of the replaced recipient. named: the address for ORCPT where options have none. ORCPT is
    left out if that is "" or not ASCII.
    """
    taken = [
        option.decode("ascii")
        for option in options
        if option.upper().startswith((b"NOTIFY=", b"ORCPT=")) and option.isascii()
    ]
    if named and named.isascii() and not any(option.upper().startswith("ORCPT=") for option in taken):
        taken.append(f"ORCPT=rfc822;{to_xtext(named)}")
    return " ".join(taken)
