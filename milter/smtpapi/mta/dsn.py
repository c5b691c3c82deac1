"""The options of RCPT TO that tell who is to be reported to, and about whom (RFC 3461 4), and their xtext.

Not what reports say. A recipient that takes another's place takes over NOTIFY and ORCPT, so that the sender
is told about the address they wrote to.
"""

import binascii
import re
from collections.abc import Iterable

_NOT_XTEXT = re.compile(r"\+(?![0-9A-F]{2})|[^\x21-\x7e]|=")
_TO_ENCODE = re.compile(r"[^\x21-\x7e]|[+=]")


def from_xtext(text: str) -> str:
    """Decode (RFC 3461 4). Raises ValueError for what is no xtext, or no UTF-8 inside."""
    if _NOT_XTEXT.search(text):
        raise ValueError("not xtext (RFC 3461 4)")
    return re.sub(rb"\+(..)", lambda match: binascii.unhexlify(match[1]), text.encode("ascii")).decode(
        "utf-8"
    )


def to_xtext(text: str) -> str:
    """Encode ASCII text (RFC 3461 4)."""
    return _TO_ENCODE.sub(lambda match: f"+{ord(match[0]):02X}", text)


def original(options: Iterable[bytes]) -> str:
    """The address that ORCPT names, "" without a readable one (RFC 3461 4.2)."""
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
    """The options of a recipient added: NOTIFY and ORCPT of the one whose place it takes.

    named: whom ORCPT names where options have none; "" leaves it out, as for what ASCII cannot say.
    """
    kept = [
        option.decode("ascii")
        for option in options
        if option.upper().startswith((b"NOTIFY=", b"ORCPT=")) and option.isascii()
    ]
    if named and named.isascii() and not any(option.upper().startswith("ORCPT=") for option in kept):
        kept.append(f"ORCPT=rfc822;{to_xtext(named)}")
    return " ".join(kept)
