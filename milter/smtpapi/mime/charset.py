"""Turn a part's bytes into bytes in which links can be found, and edits of these back into edits of the part.

Nearly every charset keeps ASCII characters as ASCII bytes. Links are found in such parts as they are,
whatever else stands in them, so that a wrong label does no harm. In Shift_JIS, Big5 and ISO-2022-JP other
characters may have bytes that look like ASCII: each of these bytes is replaced by one that does not. UTF-16
is decoded to UTF-8, and edited only if encoding it again gives the very same bytes.

Labels have the meaning of the WHATWG Encoding standard, as in browsers, if the bytes agree with it. Charsets
that it does not know (UTF-7, UTF-32, HZ, EBCDIC) are read by some programs and not by others: such parts are
left alone.
"""

import codecs
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from smtpapi.mime.deadline import CheckTime, no_deadline, paced
from smtpapi.mime.edits import CHECK_EDITS
from smtpapi.model.edit import Edit

Family = Literal["raw", "trail", "shift", "wide", "foreign", "unknown"]

# Labels that Python does not know, or for which it knows fewer characters than the WHATWG.
_ALIASES = {
    "ascii-us": "ascii",
    "unicode-1-1-utf-8": "utf-8",
    "windows-874": "cp874",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "iso-8859-6-i": "iso-8859-6",
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "x-gbk": "gbk",
    "x-euc-jp": "euc_jp",
    "x-mac-roman": "mac_roman",
    "macintosh": "mac_roman",
    "cp-850": "cp850",
    "utf8mb4": "utf-8",
}
_LITTLE = frozenset({"utf-16", "utf-16le", "csunicode", "iso-10646-ucs-2", "ucs-2", "unicode", "unicodefeff"})
_BIG = frozenset({"utf-16be", "unicodefffe"})
_WIDE_WORD = re.compile(r"(?:utf|ucs|unicode).*(?:16|32|2|4|7)|ucs|\Aunicode")  # of unknown labels
# Characters of several bytes, of which the later ones may look like ASCII. In johab one may look like "<", so
# its bytes are hidden in HTML too.
_GBK = re.compile(rb"(?:[\x81-\xfe](?:[@-~\x80-\xfe]|[0-9][\x81-\xfe][0-9]))++")
_SHIFT_JIS = re.compile(rb"(?:[\x81-\x9f\xe0-\xfc][@-~\x80-\xfc])++")
_BIG5 = re.compile(rb"(?:[\x81-\xfe][@-~\xa1-\xfe])++")
_UHC = re.compile(rb"(?:[\x81-\xfe][A-Za-z\x81-\xfe])++")
_JOHAB = re.compile(rb"(?:[\x84-\xd3\xd8-\xde\xe0-\xf9][1-~\x81-\xfe])++")
_TRAIL = {
    **dict.fromkeys(("shift_jis", "shift_jis_2004", "shift_jisx0213", "cp932"), _SHIFT_JIS),
    **dict.fromkeys(("big5", "big5hkscs", "cp950"), _BIG5),
    **dict.fromkeys(("gbk", "gb18030", "gb2312"), _GBK),
    **dict.fromkeys(("cp949", "euc_kr"), _UHC),
    "johab": _JOHAB,
}
_NO_CHARSETS = frozenset(
    {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs", "oem"}
)
_SHIFTS = re.compile(rb"[\x0e\x0f\x1b\x80-\xff]")
_ESCAPE_TO_SET = re.compile(rb"\x1b[$(]")
_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_ASCII = bytes(range(128))
_HIDE = bytes(range(128, 256)) * 2
# The sets of ISO-2022-JP, and others that senders use under its label: ASCII, JIS Roman and kana with one
# byte for each character; then those with two bytes.
_ESCAPE = re.compile(rb"(\x1b(?:\([BJI]|\$[@B]|\$\([DOPQ]))")
_TO_ASCII = (b"\x1b(B", b"\x1b(J")
_KANA = re.compile(rb"[!-~]*+")
_PAIRS = re.compile(rb"(?:[!-~][!-~])*+")
_NOT_ASCII_IN_ROMAN = bytes(code | 128 if code in b"\\~" else code for code in range(256))


class DecodedText(NamedTuple):
    """The text in which links are searched: UTF-8 or bytes that are compatible with ASCII.

    codec: the encoding of the part where the text is decoded, "" where offsets in both are the same. shifts:
    the part has runs between escape sequences that are not ASCII.
    """

    text: bytes
    codec: str = ""
    shifts: bool = False


def read(
    data: bytes, label: str, *, html: bool, encoded: bool = True, check_time: CheckTime = no_deadline
) -> DecodedText | None:
    """Return a part's text, read under its charset label; None if the part cannot be edited safely.

    html: the part is HTML. encoded: it is base64 or quoted-printable. If it is not, MTAs change NUL and lone
    line ends on the way, so UTF-16 gives None. Raises whatever `check_time` raises. Source: contract.md 5.1.
    """
    family, codec = _classify(label.strip().lower())
    if family == "raw" or family == "trail":
        if data.startswith(_MARKS) or (b"\x1b" in data and _ESCAPE_TO_SET.search(data)):
            return None  # browsers go by the mark, others by the label; ISO-2022-JP is recognised without one
        if family == "raw" or (html and codec != "johab") or data.isascii():
            return DecodedText(data)
        return DecodedText(_TRAIL[codec].sub(_hidden, data))
    if family == "unknown":
        return None if _SHIFTS.search(data) else DecodedText(data)
    if family == "shift":
        return _shifted(data, check_time)
    if family == "wide" and encoded:
        return _wide(data, codec)
    return None


def place(edits: Sequence[Edit], reading: DecodedText, data: bytes) -> list[Edit] | None:
    """Return the edits of `reading.text` as edits of `data`; None if programs could read them differently."""
    if not reading.codec:
        if reading.shifts and not all(_in_ascii(reading.text, data, edit.start) for edit in edits):
            return None
        return list(edits)
    placed = []
    position = offset = 0
    for edit in edits:
        before = _encode(reading.text[position : edit.start], reading.codec)
        within = _encode(reading.text[edit.start : edit.stop], reading.codec)
        start = offset + len(before)
        offset = start + len(within)
        if data[start - len(before) : offset] != before + within:
            return None
        new = edit.new.decode("ascii").encode(reading.codec)
        placed.append(edit._replace(start=start, stop=offset, new=new))
        position = edit.stop
    if data[offset:] != _encode(reading.text[position:], reading.codec):
        return None
    return placed


def offsets_in_part(offsets: Sequence[int], reading: DecodedText) -> list[int]:
    """Return where offsets of `reading.text` lie in the part's bytes. offsets: in ascending order."""
    if not reading.codec:
        return list(offsets)
    found = []
    position = length = 0
    for offset in offsets:
        length += len(_encode(reading.text[position:offset], reading.codec))
        found.append(length)
        position = offset
    return found


def _encode(piece: bytes, codec: str) -> bytes:
    return piece.decode("utf-8", "surrogatepass").encode(codec)


def _hidden(found: re.Match[bytes]) -> bytes:
    return found[0].translate(_HIDE)


def _shifted(data: bytes, check_time: CheckTime) -> DecodedText | None:
    """Return ISO-2022-JP with everything that is not ASCII hidden, escapes included; nothing is decoded."""
    pieces = []
    escape = b""
    for number, piece in enumerate(paced(_ESCAPE.split(data), check_time, CHECK_EDITS)):
        if number % 2:
            escape = piece
            pieces.append(piece.translate(_HIDE))
        elif not escape or escape in _TO_ASCII:
            if _SHIFTS.search(piece):
                return None
            pieces.append(piece.translate(_NOT_ASCII_IN_ROMAN) if escape == _TO_ASCII[1] else piece)
        elif (_KANA if escape == b"\x1b(I" else _PAIRS).fullmatch(piece):
            pieces.append(piece.translate(_HIDE))
        else:
            return None
    return DecodedText(b"".join(pieces), shifts=True)


def _in_ascii(text: bytes, data: bytes, offset: int) -> bool:
    """Return whether an insertion at offset is read as ASCII."""
    if not offset or text[offset - 1] < 128:
        return True
    escape = data.rfind(b"\x1b", 0, offset)
    return escape >= 0 and data.startswith(_TO_ASCII, escape)


def _wide(data: bytes, codec: str) -> DecodedText | None:
    """Return the decoded text of UTF-16; None if its mark or most of its bytes contradict its label."""
    halves = data[1::2].count(0), data[::2].count(0)
    zeros, others = halves if codec == "utf-16-le" else halves[::-1]
    marked = data.startswith(_MARKS) and not data.startswith(_MARKS[codec == "utf-16-be"])
    if marked or zeros <= 4 * others:
        return None
    try:
        text = data.decode(codec)
    except UnicodeError:
        return None
    return DecodedText(text.encode("utf-8"), codec)


@lru_cache(maxsize=256)
def _classify(label: str) -> tuple[Family, str]:
    """Return how bytes under that label are handled, and Python's name for it."""
    if not label:
        return "raw", "ascii"
    if label in _LITTLE or label in _BIG:
        return "wide", "utf-16-le" if label in _LITTLE else "utf-16-be"
    try:
        name = codecs.lookup(_ALIASES.get(label, label)).name
    except (LookupError, ValueError):
        name = ""
    if not name or name in _NO_CHARSETS:
        return ("foreign" if _WIDE_WORD.search(label) else "unknown"), ""
    if name in _TRAIL:
        return "trail", name
    if name.startswith("iso2022_jp"):
        return "shift", name
    try:
        keeps_ascii = _ASCII.decode(name).encode("utf-8") == _ASCII
    except LookupError:  # a codec from bytes to bytes, such as rot13
        return "unknown", ""
    except UnicodeError:
        keeps_ascii = False
    return ("raw" if keeps_ascii else "foreign"), name
