"""Edits of bytes: one type from a found link to the rewritten body, and the function that makes them.

Not which edits there are (`smtpapi.rewrite`), nor how a transfer encoding is applied to them
(`smtpapi.mime`).

Invariants: the edits of a sequence ascend and do not overlap. Bytes outside their spans do not change.
"""

from collections.abc import Iterable
from typing import NamedTuple


class Edit(NamedTuple):
    """One edit: it replaces data[start:stop] by new.

    start, stop: byte offsets. In a `Plan` they count from the start of the message's body, as encoded; before
    that from the start of one part, decoded or encoded.
    kind: "link", "pixel", "attribute" (a data-msys-* attribute or notation, removed), "macro" (a brace
    macro), "header" (a field of a part's own header), "reencoded" (a whole part's body, encoded anew; the
    edits inside it are `inner`, with offsets in the decoded part), "body" (in reports alone: policy put
    another body in the place of the one that came; its own edits are `inner`).
    target, name: of a link, where it leads and its name in reports; of a "header", the field's name.
    part, type: IMAP-style section number ("1" for a body without parts) and media type of the part; "" until
    the edit is in a `Plan`.
    """

    start: int
    stop: int
    new: bytes
    kind: str
    target: bytes = b""
    name: str = ""
    part: str = ""
    type: str = ""
    inner: tuple["Edit", ...] = ()


def splice(data: bytes, edits: Iterable[Edit]) -> bytes:
    """Return the data with all edits made.

    Raises ValueError for edits that do not ascend, overlap, or reach past the end of the data.
    """
    size = len(data)
    pieces = []
    position = 0
    for edit in edits:
        start, stop = edit.start, edit.stop
        if not position <= start <= stop <= size:
            raise ValueError(f"edit {start}-{stop} does not lie between {position} and {size}")
        pieces.append(data[position:start])
        pieces.append(edit.new)
        position = stop
    pieces.append(data[position:])
    return b"".join(pieces)
