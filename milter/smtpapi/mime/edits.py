"""Edits under a transfer encoding, and how they are measured against the lines of the encoded part.

Nothing here knows an encoding.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from smtpapi.model.edit import Edit

MAX_LINE: Final = 990  # RFC 5321 4.5.3.1.6 allows 998; Sendmail cuts lines at 990
LOOK_EDITS: Final = 256  # edits put back between two looks at the clock


class EncodedEdits(NamedTuple):
    """Edits in encoded offsets.

    inner: of a "reencoded" one, the edits made before the encoding, in decoded offsets. encoding: the part's
    new encoding, "" where it stays.
    """

    edits: Sequence[Edit]
    inner: Sequence[Edit] = ()
    encoding: str = ""


def line_end(data: bytes, default: bytes) -> bytes:
    """What the first line of the data ends with."""
    at = data.find(b"\n")
    if at < 0:
        return default
    return b"\r\n" if data.endswith(b"\r\n", 0, at + 1) else b"\n"


def column_at(data: bytes, start: int, before: int, column: int) -> int:
    """How long the edited line is at `start`; column: what it was after the change that ended at `before`."""
    line = data.rfind(b"\n", before, start) + 1
    return start - line if line else column + start - before


def rest_of_line(data: bytes, position: int) -> int:
    """Octets from there to the line's end; where they are over the limit, how many does not matter."""
    most = position + MAX_LINE + 2
    stop = data.find(b"\n", position, most)
    if stop < 0:
        return min(len(data), most) - position
    return stop - position - data.endswith(b"\r\n", position, stop + 1)
