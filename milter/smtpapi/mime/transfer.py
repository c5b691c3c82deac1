"""Decode a part's body, and turn edits of the decoded bytes into edits of the encoded body.

A view holds the decoded bytes and knows how to place edits. Quoted-printable is edited in its encoded form,
so that lines without an edit do not change. Base64 is encoded anew as a whole, with the same line length and
line ends. A 7bit or 8bit part in which an edited line would pass `MAX_LINE` octets becomes quoted-printable.
Charsets are another layer: `charset`.
"""

import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from smtpapi.mime.deadline import CHECK_STEPS, CheckTime, no_deadline, paced
from smtpapi.mime.edits import (
    CHECK_EDITS,
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
    """A part's body without its transfer encoding."""

    @property
    def data(self) -> bytes:
        """The decoded bytes."""

    def place(self, edits: Sequence[Edit], eol: bytes, check_time: CheckTime = no_deadline) -> EncodedEdits:
        """Return the edits in encoded offsets. edits: ascending, without overlap.

        Raises whatever `check_time` raises.
        """

    def encoded_offsets(self, offsets: Sequence[int]) -> list[int]:
        """Return where decoded offsets lie in the encoded body. offsets: in ascending order."""


def view(encoded: bytes, encoding: str, check_time: CheckTime = no_deadline) -> PartView | None:
    """Return the view of a body under an encoding, or None if it cannot be decoded exactly.

    encoding: in lower case. Raises whatever `check_time` raises.
    """
    match encoding:
        case "" | "7bit" | "8bit" | "binary":
            return IdentityView(encoded)
        case "quoted-printable":
            return quoted_printable(encoded, check_time)
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
    """A body under 7bit, 8bit, binary, or no named encoding."""

    data: bytes

    def place(self, edits: Sequence[Edit], eol: bytes, check_time: CheckTime = no_deadline) -> EncodedEdits:
        """Return the edits as they are, or one that encodes the whole body if a line would grow too long.

        Raises whatever `check_time` raises.
        """
        column = before = 0
        for edit in paced(edits, check_time, CHECK_EDITS):
            column = column_at(self.data, edit.start, before, column) + len(edit.new)
            if column + rest_of_line(self.data, edit.stop) > MAX_LINE:
                new = encode_quoted_printable(
                    splice(self.data, paced(edits, check_time, CHECK_EDITS)),
                    line_end(self.data, eol),
                    check_time,
                )
                whole = Edit(0, len(self.data), new, REENCODED)
                return EncodedEdits([whole], edits, "quoted-printable")
            before = edit.stop
        return EncodedEdits(edits)

    def encoded_offsets(self, offsets: Sequence[int]) -> list[int]:
        """Return the same offsets."""
        return list(offsets)


@dataclass(frozen=True, slots=True)
class Base64:
    """A body under base64 (RFC 2045 6.8) without any character that does not belong there."""

    encoded: bytes
    data: bytes

    def place(self, edits: Sequence[Edit], eol: bytes, check_time: CheckTime = no_deadline) -> EncodedEdits:
        """Return one edit for the whole body, which keeps its line length and line ends.

        Raises whatever `check_time` raises.
        """
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
        new = binascii.b2a_base64(splice(self.data, paced(edits, check_time, CHECK_EDITS)), newline=False)
        lines: list[bytes] = []
        for block in range(0, len(new), length * CHECK_STEPS):
            if block:
                check_time()
            most = min(block + length * CHECK_STEPS, len(new))
            lines += [new[at : at + length] for at in range(block, most, length)]
        whole = self.encoded[:start] + ends.join(lines) + self.encoded[stop:]
        return EncodedEdits([Edit(0, len(self.encoded), whole, REENCODED)], edits)

    def encoded_offsets(self, offsets: Sequence[int]) -> list[int]:
        """Return 0 for each offset: the body is replaced as a whole."""
        return [0] * len(offsets)
