"""The six brace macros that senders write for Momentum's substitution engine (contract.md 5.4).

Not a template engine: every other pair of braces is the author's own and is never looked at.
"""

import re
import sys
from itertools import islice
from typing import Final

from smtpapi.mime.deadline import CheckTime, no_deadline, paced

_MACRO: Final = re.compile(
    rb"\{\{[ \t\r\n]*+(opening|closing)_(single|double|triple)_curly\(\)[ \t\r\n]*+\}\}"
)
_BRACE: Final = {b"opening": b"{", b"closing": b"}"}
_TIMES: Final = {b"single": 1, b"double": 2, b"triple": 3}


def scan(
    data: bytes, most: int = sys.maxsize, check_time: CheckTime = no_deadline
) -> tuple[tuple[int, int, bytes], ...]:
    """(start, stop, braces) of the first `most` macro calls, in order; a call inside `{{{…}}}` is none."""
    # Pages have their braces at the top, in style sheets: both ends are found at once, little lies between.
    # There, "y()" is the end of "_curly()", whose rare signs are missed in half the time.
    if data.find(b"y()", data.find(b"{") + 1 or len(data), data.rfind(b"}") + 1) < 0:
        return ()
    return tuple(
        (found.start(), found.end(), _BRACE[found[1]] * _TIMES[found[2]])
        for found in paced(islice(_MACRO.finditer(data), most), check_time)
        if not (data[found.start() - 1 : found.start()] == b"{" and data.startswith(b"}", found.end()))
    )
