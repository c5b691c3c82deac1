"""Edits made: bytes outside their spans are the input's, byte for byte."""

from collections.abc import Iterable

from smtpapi.model.outcome import Edit


def apply_edits(body: bytes, edits: Iterable[Edit]) -> bytes:
    """The body with all edits made. They ascend and do not overlap; ValueError otherwise."""
    pieces = []
    position = 0
    for edit in edits:
        if edit.start < position or edit.stop < edit.start or edit.stop > len(body):
            raise ValueError(f"edit {edit.start}-{edit.stop} does not follow one that ends at {position}")
        pieces.append(body[position : edit.start])
        pieces.append(edit.new)
        position = edit.stop
    pieces.append(body[position:])
    return b"".join(pieces)
