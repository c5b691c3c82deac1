"""Elements whose content is text to the tokenizer: where that text ends (WHATWG HTML 13.2.5.2 to 31).

Not their meaning. `noscript` is not one of them: without scripts, as in mail, its content is markup.
"""

import re
from typing import Final

from smtpapi.mime.deadline import CHECK_BYTES, CheckTime, no_deadline

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
# Both cases of each letter are written out: only without IGNORECASE does `re` search for the common
# beginning.
_CLOSE: Final = {
    name: re.compile(
        b"</" + b"".join(b"[%c%c]" % (sign, sign ^ 0x20) for sign in name) + rb"(?=[ \t\n\f\r/>])"
    )
    for name in NAMES
}


def end(data: bytes, name: bytes, position: int, limit: int, check_time: CheckTime = no_deadline) -> int:
    """Return where the end tag begins that closes the element of that name; limit if none does.

    position: where the element's content begins. Raises whatever `check_time` raises.
    """
    if name == b"plaintext":
        return limit
    if name == b"script":
        return _script_end(data, position, limit, check_time)
    close = _CLOSE[name].search(data, position, limit)
    return limit if close is None else close.start()


def _script_end(data: bytes, position: int, limit: int, check_time: CheckTime) -> int:
    escaped = twice = False
    check_at = position + CHECK_BYTES
    while turn := _SCRIPT_TURN.search(data, position, limit):
        position = turn.end()
        if position > check_at:
            check_time()
            check_at = position + CHECK_BYTES
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
