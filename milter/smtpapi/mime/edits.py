"""Edits of an encoded part, and their place in its lines.

Nothing here depends on a particular encoding.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from smtpapi.model.edit import Edit

MAX_LINE: Final = 990  # RFC 5321 4.5.3.1.6 allows 998; Sendmail cuts lines at 990
CHECK_EDITS: Final = 256  # edits between two checks of the time; a guess, as in `deadline`


class EncodedEdits(NamedTuple):
    """Edits in encoded offsets.

    inner: for a "reencoded" edit, the edits inside it, in decoded offsets. encoding: the new encoding of the
    part, "" where it stays.
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
    """Return the number of octets from position to the line's end; just over `MAX_LINE` for longer lines."""
    most = position + MAX_LINE + 2
    stop = data.find(b"\n", position, most)
    if stop < 0:
        return min(len(data), most) - position
    return stop - position - data.endswith(b"\r\n", position, stop + 1)
