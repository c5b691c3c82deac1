"""Edits under a transfer encoding, and how they are measured against the lines of the encoded part.

Nothing here knows an encoding.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from smtpapi.model.edit import Edit

MAX_LINE: Final = 990  # RFC 5321 4.5.3.1.6 allows 998; Sendmail cuts lines at 990
CHECK_EDITS: Final = 256  # edits put back between two checks of the time


class EncodedEdits(NamedTuple):
    """Edits in encoded offsets.

    inner: of a "reencoded" one, the edits made before the encoding, in decoded offsets. encoding: the part's
    new encoding, "" where it stays.
    """

    edits: Sequence[Edit]
    inner: Sequence[Edit] = ()
    encoding: str = ""


def line_end(data: bytes, default: bytes) -> bytes:
    """Return the line end of the data's first line, b"\\n" or b"\\r\\n"; default where it has none."""
    at = data.find(b"\n")
    if at < 0:
        return default
    return b"\r\n" if data.endswith(b"\r\n", 0, at + 1) else b"\n"


def column_at(data: bytes, start: int, before: int, column: int) -> int:
    """Return the column of the edited line at `start`, in octets.

    column: the column after the edit that ended at `before`.
    """
    line = data.rfind(b"\n", before, start) + 1
    return start - line if line else column + start - before


def rest_of_line(data: bytes, position: int) -> int:
    """Return the number of octets from there to the line's end, counted to just over `MAX_LINE` at most."""
    most = position + MAX_LINE + 2
    stop = data.find(b"\n", position, most)
    if stop < 0:
        return min(len(data), most) - position
    return stop - position - data.endswith(b"\r\n", position, stop + 1)
