"""Find links whose visible text is itself a URL: a reader may compare it with where the link leads.

Not an HTML renderer: tags are removed and character references decoded, nothing more.
"""

import re
from typing import Final

from smtpapi.find.html_syntax.entities import decode
from smtpapi.find.model import WHITE_SPACE

# A link's text is examined only if it ends within so many bytes. A URL that is shown to readers is shorter.
# The number is a guess.
_VISIBLE: Final = 1024
_CLOSE: Final = re.compile(rb"</[aA][ \t\n\f\r/>]")
_MARKUP: Final = re.compile(rb"<[^<>]*+>")
_URL_TEXT: Final = re.compile(
    rb"(?:https?://[^\s<>]++|(?:[a-z0-9-]++\.)+[a-z]{2,24}(?::\d{1,5})?(?:[/?#][^\s<>]*+)?)",
    re.IGNORECASE,
)


def is_url(data: bytes, start: int) -> bool:
    """Return whether the text from start to a near `</a>` is a URL or a bare host."""
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
