"""Elements whose content is text to the tokenizer: where that text ends (WHATWG HTML 13.2.5.2 to 31).

Not their meaning. `noscript` is none of them here: mail readers run no script, and then it is markup.
"""

import re
from typing import Final

NAMES: Final = (
    b"script",
    b"style",
    b"title",
    b"textarea",
    b"xmp",
    b"iframe",
    b"noembed",
    b"noframes",
    b"plaintext",
)

_SCRIPT_TURN: Final = re.compile(rb"<!--|-->|<(/?)script(?=[ \t\n\f\r/>])", re.IGNORECASE)
_AFTER_NAME: Final = frozenset(b" \t\n\f\r/>")


def end(data: bytes, name: bytes, position: int, limit: int) -> int:
    """Offset of the end tag that closes the element whose content begins at position; limit if none does."""
    if name == b"plaintext":
        return limit
    if name == b"script":
        return _script_end(data, position, limit)
    length = len(name)
    place = data.find(b"</", position, limit)
    while place >= 0:
        after = place + 2 + length
        if after < limit and data[after] in _AFTER_NAME and data[place + 2 : after].lower() == name:
            return place
        place = data.find(b"</", place + 2, limit)
    return limit


def _script_end(data: bytes, position: int, limit: int) -> int:
    escaped = twice = False
    while turn := _SCRIPT_TURN.search(data, position, limit):
        position = turn.end()
        if turn[1] is None:
            if turn[0] == b"-->":
                escaped = twice = False
            elif not escaped:
                escaped = True
                position -= 2  # 13.2.5.19: "<!-->" opens and closes
        elif turn[1] and not twice:
            return turn.start()
        elif escaped:
            twice = not turn[1]
    return limit
