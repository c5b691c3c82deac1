"""Changes of a part's bytes, and how they are measured against its lines.

What every view of `transfer` and `charset` is given and gives. Nothing here knows an encoding.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

MAX_LINE: Final = 990  # RFC 5321 4.5.3.1.6 allows 998; Sendmail cuts lines at 990
LOOK_CHANGES: Final = 256  # changes put back between two looks at the clock


class Change(NamedTuple):
    """data[start:stop] becomes new; kind, target and name as in `outcome.Edit`."""

    start: int
    stop: int
    new: bytes
    kind: str
    target: bytes = b""
    name: str = ""


class EncodedEdits(NamedTuple):
    """Changes in encoded offsets. inner: of a "reencoded" one. encoding: the part's new encoding, or ""."""

    changes: Sequence[Change]
    inner: Sequence[Change] = ()
    encoding: str = ""


def splice(data: bytes, changes: Sequence[Change]) -> bytes:
    """The data with all changes made."""
    pieces = []
    position = 0
    for change in changes:
        pieces.append(data[position : change.start])
        pieces.append(change.new)
        position = change.stop
    pieces.append(data[position:])
    return b"".join(pieces)


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
