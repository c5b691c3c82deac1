"""Whether what a reader sees of a link is itself a URL, which a reader may compare with where it leads.

Not an HTML renderer: tags are taken out, character references decoded, and the rest is looked at.
"""

import re
from typing import Final

from smtpapi.find.html_syntax.entities import decode
from smtpapi.find.model import WHITE_SPACE

_VISIBLE: Final = 1024  # bytes after the tag in which its text must end to be examined
_CLOSE: Final = re.compile(rb"</[aA][ \t\n\f\r/>]")
_MARKUP: Final = re.compile(rb"<[^<>]*+>")
_URL_TEXT: Final = re.compile(
    rb"(?:https?://[^\s<>]++|(?:[a-z0-9-]++\.)+[a-z]{2,24}(?::\d{1,5})?(?:[/?#][^\s<>]*+)?)",
    re.IGNORECASE,
)


def is_url(data: bytes, start: int) -> bool:
    """Tell whether the text from start to the next `</a>` is a URL or a bare host; False if none is near."""
    close = _CLOSE.search(data, start, start + _VISIBLE)
    if close is None:
        return False
    text = data[start : close.start()]
    if b"<" in text:
        text = _MARKUP.sub(b"", text)
    if b"." not in text and b"://" not in text:
        return False
    text = decode(text).replace(b"\xc2\xa0", b" ").strip(WHITE_SPACE)
    return _URL_TEXT.fullmatch(text) is not None
