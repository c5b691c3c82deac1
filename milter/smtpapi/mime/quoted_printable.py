"""Decode and encode quoted-printable (RFC 2045 6.7), and put edits back into the encoded text.

Lines without an edit do not change. Hexadecimal digits may be in lower case. Malformed escapes stay as they
are. So do blanks at line ends: only a gateway can have added them, and they are never part of a link.

Invariant: the results are the same with and without `_quoted_printable.c`, which is only faster. Bodies with
malformed escapes, and everything else for which it returns None, are handled here.
"""

import binascii
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from smtpapi.mime.deadline import CHECK_BYTES, CHECK_STEPS, CheckTime, no_deadline, paced
from smtpapi.mime.edits import CHECK_EDITS, EncodedEdits, column_at, line_end, rest_of_line
from smtpapi.model.edit import Edit

try:
    from smtpapi.mime import _quoted_printable as _native
except ImportError:  # not built here: the results are the same, only slower
    _native = None  # type: ignore[assignment] # a name for a module

LINE = 76  # RFC 2045 6.7 (5)

_IN_C = _native is not None
_SOFT_BREAKS = re.compile(rb"(?:=[ \t]*\r?\n){1,1000}")
_ESCAPE = re.compile(rb"=(?:([0-9A-Fa-f]{2})|[ \t]*(?:\r?\n|\Z))")
# The most common escape comes first, which makes it a sixth faster.
_MALFORMED = re.compile(rb"=(?!3D|\r\n|[0-9A-Fa-f][0-9A-Fa-f]|\n)")
# Malformed escapes that programs decode differently. They all keep a "=" before two other characters.
_AMBIGUOUS = re.compile(rb"=(?!\r?\n)[0-9A-Fa-f]?[\0- =]")
_UNSAFE = re.compile(rb"[^ -<>-~]")
_DELIMITERS = frozenset({b'"', b"'", b">", b" "})  # never part of a well-formed escape
_LF = 10
_STRIDE = 1000  # encoded bytes between two lines in the tables: memory against bytes to count; a guess
_SAFE = bytes(code for code in range(32, 127) if code != 61)
_LINES = re.compile(rb".{1,%d}" % (LINE - 1)).findall
_UNSAFE_INSIDE = re.compile(rb"[^ -<>-~\t]")
_UNSAFE_LINE = re.compile(rb"[^ -<>-~\t]|[ \t]\Z")


def quoted_printable(
    encoded: bytes, check_time: CheckTime = no_deadline
) -> "QuotedPrintable | LooseQuotedPrintable":
    """Return the view of a quoted-printable body. Raises whatever `check_time` raises."""
    if _IN_C:
        data = _native.decode(encoded)
        return loose_quoted_printable(encoded, check_time) if data is None else QuotedPrintable(encoded, data)
    if _MALFORMED.search(encoded):
        return loose_quoted_printable(encoded, check_time)
    pieces: list[bytes] = []
    decoded_starts: list[int] = []
    encoded_starts: list[int] = []
    position = length = 0
    end = len(encoded)
    decode = binascii.a2b_qp
    while position < end:
        decoded_starts.append(length)
        encoded_starts.append(position)
        stop = encoded.find(b"\n", position + _STRIDE) + 1 or end
        piece = decode(encoded[position:stop])
        pieces.append(piece)
        length += len(piece)
        position = stop
    return QuotedPrintable(encoded, b"".join(pieces), decoded_starts, encoded_starts)


@dataclass(frozen=True, slots=True)
class QuotedPrintable:
    """A body in which every "=" begins a well-formed escape, so that offsets are found by counting bytes.

    decoded_starts, encoded_starts: where some of the lines begin, so that few bytes have to be counted. They
    are empty where C does the counting.
    """

    encoded: bytes
    data: bytes
    decoded_starts: Sequence[int] = field(default=(), repr=False)
    encoded_starts: Sequence[int] = field(default=(), repr=False)

    def place(self, edits: Sequence[Edit], eol: bytes, check_time: CheckTime = no_deadline) -> EncodedEdits:
        """Return the edits in encoded offsets, with their new bytes encoded.

        Raises whatever `check_time` raises.
        """
        text = self.encoded
        if _IN_C:
            placed = _native.place(text, edits, b"=" + line_end(text, eol), Edit)
            if placed is not None:
                return EncodedEdits(placed)
        spans = []
        encoded = decoded = 0
        for edit in paced(edits, check_time, CHECK_EDITS):
            start = self._offset(edit.start, encoded, decoded)
            stop = self._end(start, edit)
            spans.append((_past_soft_breaks(text, start) if text.startswith(b"=", start) else start, stop))
            encoded, decoded = stop, edit.stop
        return EncodedEdits(_spliced(self.encoded, edits, spans, eol, check_time))

    def _offset(self, offset: int, encoded: int, decoded: int) -> int:
        """Return where that decoded offset lies. encoded, decoded: a known place before it."""
        line = bisect_right(self.decoded_starts, offset) - 1
        if line >= 0 and self.encoded_starts[line] > encoded:
            encoded, decoded = self.encoded_starts[line], self.decoded_starts[line]
        return _after(self.encoded, encoded, offset - decoded)

    def _end(self, start: int, edit: Edit) -> int:
        """Return where the edit's span ends: nearly always at the next delimiter, which is tried first."""
        text = self.encoded
        length = edit.stop - edit.start
        if length and (mark := self.data[edit.stop : edit.stop + 1]) in _DELIMITERS:
            stop = text.find(mark, start, start + 4 * length + 8)
            if stop > start and text[stop - 1] != _LF and len(binascii.a2b_qp(text[start:stop])) == length:
                return stop
        return _after(text, start, length)

    def encoded_offsets(self, offsets: Sequence[int]) -> list[int]:
        """Return the first byte of the escape or character at each decoded offset. offsets: ascending."""
        if not offsets:
            return []
        if _IN_C and (places := _native.encoded_offsets(self.encoded, offsets)) is not None:
            return places
        found = []
        encoded = decoded = 0
        for offset in offsets:
            encoded, decoded = self._offset(offset, encoded, decoded), offset
            found.append(_past_soft_breaks(self.encoded, encoded))
        return found


@dataclass(frozen=True, slots=True)
class LooseQuotedPrintable:
    """A body with malformed escapes; offsets are found in a table of the well-formed ones."""

    encoded: bytes
    data: bytes
    decoded_starts: Sequence[int] = field(repr=False)
    encoded_starts: Sequence[int] = field(repr=False)

    def place(self, edits: Sequence[Edit], eol: bytes, check_time: CheckTime = no_deadline) -> EncodedEdits:
        """Return the edits in encoded offsets, with their new bytes encoded.

        Raises whatever `check_time` raises.
        """
        spans = []
        for edit in paced(edits, check_time, CHECK_EDITS):
            start = _past_soft_breaks(self.encoded, self._offset(edit.start))
            spans.append((start, self._offset(edit.stop)))
        return EncodedEdits(_spliced(self.encoded, edits, spans, eol, check_time))

    def encoded_offsets(self, offsets: Sequence[int]) -> list[int]:
        """Return the first byte of the escape or character at each decoded offset. offsets: ascending."""
        return [_past_soft_breaks(self.encoded, self._offset(offset)) for offset in offsets]

    def ambiguous_at(self, start: int, stop: int) -> bool:
        """Return whether data[start:stop] is encoded with an escape that programs decode differently."""
        if stop <= start:
            return False
        end = self._offset(stop)
        found = _AMBIGUOUS.search(self.encoded, self._offset(start), end + 3)  # the bytes after it count too
        return found is not None and found.start() < end

    def _offset(self, offset: int) -> int:
        """Return the end of the unit before that decoded offset."""
        if not offset:
            return 0
        run = bisect_right(self.decoded_starts, offset - 1) - 1
        within = offset - self.decoded_starts[run]
        encoded = self.encoded_starts[run] + within
        escape = _ESCAPE.match(self.encoded, self.encoded_starts[run])
        return escape.end() if escape is not None and escape[1] is not None else encoded


def loose_quoted_printable(encoded: bytes, check_time: CheckTime = no_deadline) -> LooseQuotedPrintable:
    """Return the view of a body that may hold malformed escapes. Raises whatever `check_time` raises."""
    pieces: list[bytes] = []
    decoded_starts: list[int] = []
    encoded_starts: list[int] = []
    length = position = 0

    def add(piece: bytes, start: int) -> None:
        nonlocal length
        if piece:
            decoded_starts.append(length)
            encoded_starts.append(start)
            pieces.append(piece)
            length += len(piece)

    for escape in paced(_ESCAPE.finditer(encoded), check_time):
        add(encoded[position : escape.start()], position)
        if escape[1] is not None:
            add(bytes.fromhex(escape[1].decode("ascii")), escape.start())
        position = escape.end()
    add(encoded[position:], position)
    return LooseQuotedPrintable(encoded, b"".join(pieces), decoded_starts, encoded_starts)


def encode_quoted_printable(data: bytes, eol: bytes, check_time: CheckTime = no_deadline) -> bytes:
    """Return the data encoded. Its line ends stay as they are; soft breaks end with `eol`.

    Raises whatever `check_time` raises.
    """
    soft = b"=" + eol
    if _IN_C and (encoded := _native.encode(data, soft)) is not None:
        return encoded
    lines = []
    *ended, last = data.split(b"\n")
    for line in paced(ended, check_time):
        bare, carriage = (line[:-1], b"\r") if line.endswith(b"\r") else (line, b"")
        lines.append(_wrapped(_escaped_line(bare, check_time), 0, 0, soft, check_time) + carriage)
    lines.append(_wrapped(_escaped_line(last, check_time), 0, 0, soft, check_time))
    return b"\n".join(lines)


def _escaped_line(line: bytes, check_time: CheckTime) -> bytes:
    if len(line) <= CHECK_BYTES:
        return _UNSAFE_LINE.sub(_escape, line)
    pieces = []
    for at in range(0, len(line), CHECK_BYTES):
        check_time()
        unsafe = _UNSAFE_INSIDE if at + CHECK_BYTES < len(line) else _UNSAFE_LINE
        pieces.append(unsafe.sub(_escape, line[at : at + CHECK_BYTES]))
    return b"".join(pieces)


def _escape(found: re.Match[bytes]) -> bytes:
    return b"=%02X" % found[0][0]


def _after(text: bytes, position: int, missing: int) -> int:
    """Return the least offset with `missing` decoded bytes of well-formed text between `position` and it."""
    while missing:
        stop = position + missing
        escapes = text.count(b"=", position, stop)
        if not escapes:
            return stop
        cut = text.rfind(b"=", position if missing < 2 else stop - 2, stop)
        if cut >= 0:  # an escape yields one byte at most, so taking it whole never goes too far
            stop = cut + (2 if text.startswith(b"=\n", cut) else 3)
        missing -= stop - position - 2 * escapes - text.count(b"=\r\n", position, stop)
        position = stop
    return position


def _past_soft_breaks(encoded: bytes, position: int) -> int:
    while encoded.startswith(b"=", position) and (soft := _SOFT_BREAKS.match(encoded, position)):
        if soft.end() == len(encoded):  # a soft break at the end of the body stays after an edit
            return encoded.rfind(b"=")
        position = soft.end()
    return position


def _spliced(
    encoded: bytes, edits: Sequence[Edit], spans: Sequence[tuple[int, int]], eol: bytes, check_time: CheckTime
) -> list[Edit]:
    """Return the edits with their new bytes encoded, and with soft breaks so that no line is too long."""
    soft = b"=" + line_end(encoded, eol)
    placed = []
    column = before = 0
    pairs = zip(edits, spans, strict=True)
    for edit, (start, stop) in paced(pairs, check_time, CHECK_EDITS):
        if stop < start:
            stop = start
        column = column_at(encoded, start, before, column)
        new = edit.new
        if new.translate(None, _SAFE):
            new = _UNSAFE.sub(_escape, new)
        new = _wrapped(new, column, rest_of_line(encoded, stop), soft)
        line = new.rfind(b"\n") + 1
        column = len(new) - line if line else column + len(new)
        placed.append(Edit(start, stop, new, *edit[3:]))
        before = stop
    return placed


def _wrapped(text: bytes, column: int, rest: int, soft: bytes, check_time: CheckTime = no_deadline) -> bytes:
    """Return encoded text for `column`, with the soft breaks that it and `rest` octets after it need."""
    if column + len(text) + rest <= LINE:
        return text
    room = max(LINE - 1 - column, 0)
    if len(text) <= room:
        lines = [text]
        last = column + len(text)
    else:
        lines = _cut(text, room, check_time)
        last = len(lines[-1])
    if rest and last + rest > LINE:
        lines.append(b"")
    return soft.join(lines)


def _cut(text: bytes, room: int, check_time: CheckTime) -> list[bytes]:
    """Cut the text into pieces: the first fits in `room`, the others in a line; no escape is cut."""
    if b"=" not in text:
        return [text[:room], *_LINES(text, room)]
    lines = []
    position = 0
    while len(text) - position > room:
        stop = position + room
        escape = text.rfind(b"=", max(position, stop - 2), stop)
        if escape >= 0:
            stop = escape
        lines.append(text[position:stop])
        if not len(lines) % CHECK_STEPS:
            check_time()
        position, room = stop, LINE - 1
    lines.append(text[position:])
    return lines
