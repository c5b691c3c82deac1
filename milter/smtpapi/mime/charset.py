"""From a part's bytes to bytes in which links can be found, and back.

Nearly every charset keeps ASCII characters as ASCII bytes: such parts are worked on as they are, whatever
else stands in them, so that a wrong label does no harm. Others (UTF-16, ISO-2022-JP, UTF-7, HZ, EBCDIC) are
decoded to UTF-8 and only touched if encoding again gives the very same bytes.
"""

import codecs
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from smtpapi.mime.transfer import Change

Family = Literal["raw", "trail", "other", "unknown"]

# Labels seen in mail that Python does not know.
_ALIASES = {
    "ascii-us": "ascii",
    "unicode-1-1-utf-7": "utf-7",
    "windows-874": "cp874",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "iso-8859-6-i": "iso-8859-6",
    "x-sjis": "shift_jis",
    "x-gbk": "gbk",
    "x-euc-jp": "euc_jp",
    "x-mac-roman": "mac_roman",
    "macintosh": "mac_roman",
    "windows-31j": "cp932",
    "cp-850": "cp850",
    "utf8mb4": "utf-8",
}
# Second bytes may be ASCII letters and brackets, never one of < > " ' & = or a blank:
# HTML is worked on raw, text is not.
_TRAIL = frozenset(
    {"shift_jis", "shift_jis_2004", "shift_jisx0213", "cp932", "big5", "big5hkscs", "cp950", "gbk", "gb18030",
     "cp949", "johab"}
)  # fmt: skip
_NO_CHARSETS = frozenset(
    {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs", "oem"}
)
_STATEFUL = re.compile(r"iso2022|hz\Z|utf-7")
_SHIFTS = re.compile(rb"[\x0e\x0f\x1b\x80-\xff]")
_ASCII = bytes(range(128))


class Reading(NamedTuple):
    """text: UTF-8 or ASCII-compatible bytes to search; codec: "" if offsets in it are offsets in the part."""

    text: bytes
    codec: str = ""


def read(data: bytes, label: str, *, html: bool) -> Reading | None:
    """The reading of a part's bytes under its charset label; None if they cannot be edited without loss."""
    family, codec = _classify(label.strip().strip("'\"").lower())
    if family == "raw" or (family == "trail" and html):
        return Reading(data)
    if family == "unknown":
        return None if _SHIFTS.search(data) else Reading(data)
    if family == "other" and codec in {"utf-16", "utf-32"}:
        codec = _with_order(codec, data)
    try:
        text = data.decode(codec)
        if text.encode(codec) != data:
            return None
    except (UnicodeError, ValueError):
        return None
    return Reading(text.encode("utf-8", "surrogatepass"), codec)


def place(changes: Sequence[Change], reading: Reading, data: bytes) -> list[Change] | None:
    """Changes of `reading.text` as changes of `data`; None if the pieces do not add up to `data` again."""
    if not reading.codec:
        return list(changes)
    placed = []
    position = offset = 0
    for change in changes:
        before = _encode(reading.text[position : change.start], reading.codec)
        within = _encode(reading.text[change.start : change.stop], reading.codec)
        start = offset + len(before)
        offset = start + len(within)
        if data[start - len(before) : offset] != before + within:
            return None
        new = change.new.decode("ascii").encode(reading.codec)
        placed.append(change._replace(start=start, stop=offset, new=new))
        position = change.stop
    if data[offset:] != _encode(reading.text[position:], reading.codec):
        return None
    return placed


def offsets_in_part(offsets: Sequence[int], reading: Reading) -> list[int]:
    """Where offsets of `reading.text`, in ascending order, lie in the part's bytes."""
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


def _with_order(codec: str, data: bytes) -> str:
    """The codec with its byte order named, so that a mark is a character like any other."""
    big = codecs.BOM_UTF16_BE if codec == "utf-16" else codecs.BOM_UTF32_BE
    little = codecs.BOM_UTF16_LE if codec == "utf-16" else codecs.BOM_UTF32_LE
    if data.startswith(big):
        return f"{codec}-be"
    if data.startswith(little):
        return f"{codec}-le"
    return f"{codec}-be"  # RFC 2781 4.3


@lru_cache(maxsize=256)
def _classify(label: str) -> tuple[Family, str]:
    """How bytes under that label are worked on, and Python's name for it."""
    if not label:
        return "raw", "ascii"
    try:
        name = codecs.lookup(_ALIASES.get(label, label)).name
        if name in _NO_CHARSETS:
            return "unknown", ""
    except (LookupError, ValueError):
        return "unknown", ""
    if _STATEFUL.match(name):
        return "other", name
    try:
        keeps_ascii = _ASCII.decode(name).encode("utf-8") == _ASCII
    except LookupError:  # a codec from bytes to bytes, such as rot13
        return "unknown", ""
    except UnicodeError:
        return "other", name
    if not keeps_ascii:
        return "other", name
    return ("trail" if name in _TRAIL else "raw"), name
