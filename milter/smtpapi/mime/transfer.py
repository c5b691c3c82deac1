"""Views of a part's body with its transfer encoding taken off, and edits put back under it.

A view is the decoded bytes, plus the way back: changes given in decoded offsets become changes of the encoded
body. Quoted-printable is spliced in its encoded form, so that lines without an edit stay as they were; base64
has to be encoded anew as a whole, with the same line length and line ends. A 7bit or 8bit part whose edited
line would pass `MAX_LINE` octets turns into quoted-printable. Charsets are another layer: `charset`.
"""

import binascii
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from smtpapi.mime.budget import LOOK_EVERY, LOOK_STEPS, Look, paced, unhurried

MAX_LINE = 990  # RFC 5321 4.5.3.1.6 allows 998; Sendmail cuts lines at 990
LOOK_CHANGES = 256  # changes put back between two looks at the clock
QP_LINE = 76  # RFC 2045 6.7 (5)
REENCODED = "reencoded"


class Change(NamedTuple):
    """data[start:stop] becomes new; kind, target and name as in `outcome.Edit`."""

    start: int
    stop: int
    new: bytes
    kind: str
    target: bytes = b""
    name: str = ""


class Placed(NamedTuple):
    """Changes in encoded offsets. inner: of a "reencoded" one. encoding: the part's new encoding, or ""."""

    changes: Sequence[Change]
    inner: Sequence[Change] = ()
    encoding: str = ""


class View(Protocol):
    """What is behind a transfer encoding."""

    @property
    def data(self) -> bytes:
        """The decoded bytes."""

    def place(self, changes: Sequence[Change], eol: bytes, look: Look = unhurried) -> Placed:
        """The changes, sorted and without overlap, in encoded offsets."""

    def encoded_offsets(self, offsets: Sequence[int]) -> list[int]:
        """Where decoded offsets, in ascending order, lie in the encoded body."""


def view(encoded: bytes, encoding: str, look: Look = unhurried) -> View | None:
    """The view of a body under an encoding (lower case), or None if it cannot be decoded exactly."""
    match encoding:
        case "" | "7bit" | "8bit" | "binary":
            return Identity(encoded)
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


@dataclass(frozen=True, slots=True)
class Identity:
    """7bit, 8bit, binary, or no encoding named."""

    data: bytes

    def place(self, changes: Sequence[Change], eol: bytes, look: Look = unhurried) -> Placed:
        """The changes as they are; quoted-printable for the whole part if a line would grow too long."""
        column = before = 0
        for change in paced(changes, look, LOOK_CHANGES):
            column = _column(self.data, change.start, before, column) + len(change.new)
            if column + _rest(self.data, change.stop) > MAX_LINE:
                new = encode_quoted_printable(splice(self.data, changes), line_end(self.data, eol), look)
                whole = Change(0, len(self.data), new, REENCODED)
                return Placed([whole], changes, "quoted-printable")
            before = change.stop
        return Placed(changes)

    def encoded_offsets(self, offsets: Sequence[int]) -> list[int]:
        """The same offsets."""
        return list(offsets)


@dataclass(frozen=True, slots=True)
class Base64:
    """RFC 2045 6.8, without any foreign character."""

    encoded: bytes
    data: bytes

    def place(self, changes: Sequence[Change], eol: bytes, look: Look = unhurried) -> Placed:
        """One change for the whole body; line length, line ends and what follows the last line are kept."""
        if not changes:
            return Placed(changes)
        text = self.encoded.strip(b" \t\r\n")
        first, broken, _ = text.partition(b"\n")
        length = len(first.rstrip(b" \t\r"))
        if not broken or length > MAX_LINE or length < 4:
            length = QP_LINE
        start = self.encoded.find(text) if text else 0
        stop = start + len(text)
        ends = line_end(self.encoded, eol)
        new = binascii.b2a_base64(splice(self.data, changes), newline=False)
        lines = [new[at : at + length] for at in paced(range(0, len(new), length), look)]
        whole = self.encoded[:start] + ends.join(lines) + self.encoded[stop:]
        return Placed([Change(0, len(self.encoded), whole, REENCODED)], changes)

    def encoded_offsets(self, offsets: Sequence[int]) -> list[int]:
        """The start: the body is replaced as a whole."""
        return [0] * len(offsets)


_SOFT_BREAKS = re.compile(rb"(?:=[ \t]*\r?\n){1,1000}")
_ESCAPE = re.compile(rb"=(?:([0-9A-Fa-f]{2})|[ \t]*(?:\r?\n|\Z))")
_MALFORMED = re.compile(rb"=(?!3D|\r\n|[0-9A-Fa-f][0-9A-Fa-f]|\n)")  # the usual first: a sixth faster
_UNSAFE = re.compile(rb"[^ -<>-~]")
_DELIMITERS = frozenset({b'"', b"'", b">", b" "})  # never part of a well-formed escape
_LF = 10
_STRIDE = 1000  # encoded bytes between two lines whose place is noted
_SAFE = bytes(code for code in range(32, 127) if code != 61)
_LINES = re.compile(rb".{1,%d}" % (QP_LINE - 1)).findall
_UNSAFE_INSIDE = re.compile(rb"[^ -<>-~\t]")
_UNSAFE_LINE = re.compile(rb"[^ -<>-~\t]|[ \t]\Z")


def quoted_printable(encoded: bytes, look: Look = unhurried) -> "QuotedPrintable | LooseQuotedPrintable":
    """The view of a quoted-printable body (RFC 2045 6.7).

    Lower-case hex is read, malformed escapes stay as they are, and blanks at line ends, which only a gateway
    can have added, stay too: they never matter to a link.
    """
    if _MALFORMED.search(encoded):
        return loose_quoted_printable(encoded, look)
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
    """A body whose every "=" begins a well-formed escape: offsets are found by counting, at C speed.

    decoded_starts, encoded_starts: where some of the lines begin, so that little is to be counted.
    """

    encoded: bytes
    data: bytes
    decoded_starts: Sequence[int] = field(repr=False)
    encoded_starts: Sequence[int] = field(repr=False)

    def place(self, changes: Sequence[Change], eol: bytes, look: Look = unhurried) -> Placed:
        """The changes spliced into the encoded text."""
        text = self.encoded
        spans = []
        encoded = decoded = 0
        for change in paced(changes, look, LOOK_CHANGES):
            start = self._offset(change.start, encoded, decoded)
            stop = self._end(start, change)
            spans.append((_past_soft_breaks(text, start) if text.startswith(b"=", start) else start, stop))
            encoded, decoded = stop, change.stop
        return Placed(_spliced(self.encoded, changes, spans, eol, look))

    def _offset(self, offset: int, encoded: int, decoded: int) -> int:
        """Where that decoded offset lies; encoded, decoded: a place before it that is known already."""
        line = bisect_right(self.decoded_starts, offset) - 1
        if line >= 0 and self.encoded_starts[line] > encoded:
            encoded, decoded = self.encoded_starts[line], self.decoded_starts[line]
        return _after(self.encoded, encoded, offset - decoded)

    def _end(self, start: int, change: Change) -> int:
        """Where the change's span ends: tried at the next delimiter first, which is nearly always right."""
        text = self.encoded
        length = change.stop - change.start
        if length and (mark := self.data[change.stop : change.stop + 1]) in _DELIMITERS:
            stop = text.find(mark, start, start + 4 * length + 8)
            if stop > start and text[stop - 1] != _LF and len(binascii.a2b_qp(text[start:stop])) == length:
                return stop
        return _after(text, start, length)

    def encoded_offsets(self, offsets: Sequence[int]) -> list[int]:
        """The first byte of the escape or character at each decoded offset."""
        found = []
        encoded = decoded = 0
        for offset in offsets:
            encoded, decoded = self._offset(offset, encoded, decoded), offset
            found.append(_past_soft_breaks(self.encoded, encoded))
        return found


@dataclass(frozen=True, slots=True)
class LooseQuotedPrintable:
    """A body with malformed escapes, by a table of where each well-formed one lies."""

    encoded: bytes
    data: bytes
    decoded_starts: Sequence[int] = field(repr=False)
    encoded_starts: Sequence[int] = field(repr=False)

    def place(self, changes: Sequence[Change], eol: bytes, look: Look = unhurried) -> Placed:
        """The changes spliced into the encoded text."""
        spans = []
        for change in paced(changes, look, LOOK_CHANGES):
            start = _past_soft_breaks(self.encoded, self._offset(change.start))
            spans.append((start, self._offset(change.stop)))
        return Placed(_spliced(self.encoded, changes, spans, eol, look))

    def encoded_offsets(self, offsets: Sequence[int]) -> list[int]:
        """The first byte of the escape or character at each decoded offset."""
        return [_past_soft_breaks(self.encoded, self._offset(offset)) for offset in offsets]

    def _offset(self, offset: int) -> int:
        """The end of the unit before that decoded offset."""
        if not offset:
            return 0
        run = bisect_right(self.decoded_starts, offset - 1) - 1
        within = offset - self.decoded_starts[run]
        encoded = self.encoded_starts[run] + within
        escape = _ESCAPE.match(self.encoded, self.encoded_starts[run])
        return escape.end() if escape is not None and escape[1] is not None else encoded


def loose_quoted_printable(encoded: bytes, look: Look = unhurried) -> LooseQuotedPrintable:
    """As `quoted_printable`, for any input."""
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

    for escape in paced(_ESCAPE.finditer(encoded), look):
        add(encoded[position : escape.start()], position)
        if escape[1] is not None:
            add(bytes.fromhex(escape[1].decode("ascii")), escape.start())
        position = escape.end()
    add(encoded[position:], position)
    return LooseQuotedPrintable(encoded, b"".join(pieces), decoded_starts, encoded_starts)


def encode_quoted_printable(data: bytes, eol: bytes, look: Look = unhurried) -> bytes:
    """All of it anew; the line ends of the data stay what they are, soft breaks are `eol`."""
    soft = b"=" + eol
    lines = []
    for line in paced(data.split(b"\n"), look):
        bare, carriage = (line[:-1], b"\r") if line.endswith(b"\r") else (line, b"")
        escaped = _escaped_line(bare, look)
        lines.append(_wrapped(escaped, 0, 0, soft, look) + carriage)
    if data and not data.endswith(b"\n") and lines[-1].endswith(b"\r"):
        lines[-1] = lines[-1][:-1] + b"=0D"
    return b"\n".join(lines)


def line_end(data: bytes, default: bytes) -> bytes:
    """What the first line of the data ends with."""
    at = data.find(b"\n")
    if at < 0:
        return default
    return b"\r\n" if data.endswith(b"\r\n", 0, at + 1) else b"\n"


def _escaped_line(line: bytes, look: Look) -> bytes:
    if len(line) <= LOOK_EVERY:
        return _UNSAFE_LINE.sub(_escape, line)
    pieces = []
    for at in range(0, len(line), LOOK_EVERY):
        look()
        unsafe = _UNSAFE_INSIDE if at + LOOK_EVERY < len(line) else _UNSAFE_LINE
        pieces.append(unsafe.sub(_escape, line[at : at + LOOK_EVERY]))
    return b"".join(pieces)


def _escape(found: re.Match[bytes]) -> bytes:
    return b"=%02X" % found[0][0]


def _after(text: bytes, position: int, missing: int) -> int:
    """The least offset between which and `position` lie `missing` decoded bytes of well-formed text."""
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
        if soft.end() == len(encoded):  # what the body ends with stays behind an edit
            return encoded.rfind(b"=")
        position = soft.end()
    return position


def _spliced(
    encoded: bytes, changes: Sequence[Change], spans: Sequence[tuple[int, int]], eol: bytes, look: Look
) -> list[Change]:
    """Each change with its new bytes encoded and its lines kept short by soft breaks inside or after them."""
    soft = b"=" + line_end(encoded, eol)
    placed = []
    column = before = 0
    pairs = zip(changes, spans, strict=True)
    for (_, _, new, kind, target, name), (start, stop) in paced(pairs, look, LOOK_CHANGES):
        if stop < start:
            stop = start
        line = encoded.rfind(b"\n", before, start) + 1
        column = start - line if line else column + start - before
        if new.translate(None, _SAFE):
            new = _UNSAFE.sub(_escape, new)
        new = _wrapped(new, column, _rest(encoded, stop), soft)
        line = new.rfind(b"\n") + 1
        column = len(new) - line if line else column + len(new)
        placed.append(Change(start, stop, new, kind, target, name))
        before = stop
    return placed


def _column(data: bytes, start: int, before: int, column: int) -> int:
    """How long the edited line is at `start`; column: what it was after the change that ended at `before`."""
    line = data.rfind(b"\n", before, start) + 1
    return start - line if line else column + start - before


def _rest(data: bytes, position: int) -> int:
    """Octets from there to the line's end; where they are over the limit, how many does not matter."""
    most = position + MAX_LINE + 2
    stop = data.find(b"\n", position, most)
    if stop < 0:
        return min(len(data), most) - position
    return stop - position - data.endswith(b"\r\n", position, stop + 1)


def _wrapped(text: bytes, column: int, rest: int, soft: bytes, look: Look = unhurried) -> bytes:
    """Encoded text set at `column`, with soft breaks where it or the `rest` octets after it need them."""
    if column + len(text) + rest <= QP_LINE:
        return text
    room = max(QP_LINE - 1 - column, 0)
    if len(text) <= room:
        lines = [text]
        last = column + len(text)
    else:
        lines = _cut(text, room, look)
        last = len(lines[-1])
    if rest and last + rest > QP_LINE:
        lines.append(b"")
    return soft.join(lines)


def _cut(text: bytes, room: int, look: Look) -> list[bytes]:
    """The text in pieces that fit: the first in `room`, the others in a line; no escape is cut."""
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
        if not len(lines) % LOOK_STEPS:
            look()
        position, room = stop, QP_LINE - 1
    lines.append(text[position:])
    return lines
