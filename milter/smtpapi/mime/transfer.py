"""Views of a part's body with its transfer encoding taken off, and edits put back under it.

A view is the decoded bytes, plus the way back: edits given in decoded offsets become edits of the encoded
body. Quoted-printable is spliced in its encoded form, so that lines without an edit stay as they were; base64
has to be encoded anew as a whole, with the same line length and line ends. A 7bit or 8bit part whose edited
line would pass `MAX_LINE` octets turns into quoted-printable. Charsets are another layer: `charset`.
"""

import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from smtpapi.mime.deadline import LOOK_STEPS, Look, paced, unhurried
from smtpapi.mime.edits import (
    LOOK_EDITS,
    MAX_LINE,
    EncodedEdits,
    column_at,
    line_end,
    rest_of_line,
)
from smtpapi.mime.quoted_printable import LINE, encode_quoted_printable, quoted_printable
from smtpapi.model.edit import Edit, splice

__all__ = [
    "REENCODED",
    "Base64",
    "EncodedEdits",
    "IdentityView",
    "PartView",
    "line_end",
    "view",
]

REENCODED = "reencoded"


class PartView(Protocol):
    """What is behind a transfer encoding."""

    @property
    def data(self) -> bytes:
        """The decoded bytes."""

    def place(self, edits: Sequence[Edit], eol: bytes, look: Look = unhurried) -> EncodedEdits:
        """The edits, sorted and without overlap, in encoded offsets."""

    def encoded_offsets(self, offsets: Sequence[int]) -> list[int]:
        """Where decoded offsets, in ascending order, lie in the encoded body."""


def view(encoded: bytes, encoding: str, look: Look = unhurried) -> PartView | None:
    """The view of a body under an encoding (lower case), or None if it cannot be decoded exactly."""
    match encoding:
        case "" | "7bit" | "8bit" | "binary":
            return IdentityView(encoded)
        case "quoted-printable":
            return quoted_printable(encoded, look)
        case "base64":
            dense = encoded.translate(None, b" \t\r\n")
            try:
                return Base64(encoded, binascii.a2b_base64(dense, strict_mode=True))
            except binascii.Error:
                return None
        case _:
            return None


@dataclass(frozen=True, slots=True)
class IdentityView:
    """7bit, 8bit, binary, or no encoding named."""

    data: bytes

    def place(self, edits: Sequence[Edit], eol: bytes, look: Look = unhurried) -> EncodedEdits:
        """The edits as they are; quoted-printable for the whole part if a line would grow too long."""
        column = before = 0
        for edit in paced(edits, look, LOOK_EDITS):
            column = column_at(self.data, edit.start, before, column) + len(edit.new)
            if column + rest_of_line(self.data, edit.stop) > MAX_LINE:
                new = encode_quoted_printable(
                    splice(self.data, paced(edits, look, LOOK_EDITS)), line_end(self.data, eol), look
                )
                whole = Edit(0, len(self.data), new, REENCODED)
                return EncodedEdits([whole], edits, "quoted-printable")
            before = edit.stop
        return EncodedEdits(edits)

    def encoded_offsets(self, offsets: Sequence[int]) -> list[int]:
        """The same offsets."""
        return list(offsets)


@dataclass(frozen=True, slots=True)
class Base64:
    """RFC 2045 6.8, without any foreign character."""

    encoded: bytes
    data: bytes

    def place(self, edits: Sequence[Edit], eol: bytes, look: Look = unhurried) -> EncodedEdits:
        """One edit for the whole body; line length, line ends and what follows the last line are kept."""
        if not edits:
            return EncodedEdits(edits)
        text = self.encoded.strip(b" \t\r\n")
        first, broken, _ = text.partition(b"\n")
        length = len(first.rstrip(b" \t\r"))
        if not broken or length > MAX_LINE or length < 4:
            length = LINE
        start = self.encoded.find(text) if text else 0
        stop = start + len(text)
        ends = line_end(self.encoded, eol)
        new = binascii.b2a_base64(splice(self.data, paced(edits, look, LOOK_EDITS)), newline=False)
        lines: list[bytes] = []
        for block in range(0, len(new), length * LOOK_STEPS):
            if block:
                look()
            most = min(block + length * LOOK_STEPS, len(new))
            lines += [new[at : at + length] for at in range(block, most, length)]
        whole = self.encoded[:start] + ends.join(lines) + self.encoded[stop:]
        return EncodedEdits([Edit(0, len(self.encoded), whole, REENCODED)], edits)

    def encoded_offsets(self, offsets: Sequence[int]) -> list[int]:
        """The start: the body is replaced as a whole."""
        return [0] * len(offsets)
