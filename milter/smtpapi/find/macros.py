"""The six brace macros that senders write for Momentum's substitution engine (contract.md 5.4).

Not a template engine: every other pair of braces is the author's own and stays as it is.
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
    """Return the first `most` macro calls in order, each as (start, stop, the braces that it stands for).

    A call inside `{{{…}}}` does not count. Raises whatever `check_time` raises.
    """
    # Nearly all pages have no macro, and braces only in the style sheets at their top. So the search between
    # the first and the last brace is short. "y()", the end of "_curly()", is ruled out in half the time that
    # the whole word takes, since its characters are rare in style sheets.
    if data.find(b"y()", data.find(b"{") + 1 or len(data), data.rfind(b"}") + 1) < 0:
        return ()
    return tuple(
        (found.start(), found.end(), _BRACE[found[1]] * _TIMES[found[2]])
        for found in paced(islice(_MACRO.finditer(data), most), check_time)
        if not (data[found.start() - 1 : found.start()] == b"{" and data.startswith(b"}", found.end()))
    )
