"""The characters after a URL in plain text, or inside it: where mail programs agree about its end.

Mail programs differ in how much of a text they turn into a link. A URL is only replaced if all of them end it
at the same place, or if the tracker ignores what some of them add to it.

Invariant: linear in the number of bytes.
"""

import codecs
import re
from functools import lru_cache
from typing import Final, NamedTuple

from smtpapi.find.url_ends import brackets

# These end a URL in every mail program: spaces, quotation marks, dashes, the ellipsis, CJK punctuation.
_ENDS: Final = tuple(
    map(
        chr,
        (
            *(0xA0, 0xAB, 0xBB, 0x2003, 0x2009, 0x200B, 0x202F, 0x3000),
            *(0x2013, 0x2014, 0x2018, 0x2019, 0x201A, 0x201C, 0x201D, 0x201E, 0x2026, 0x2039, 0x203A),
            *(0x3001, 0x3002, *range(0x3008, 0x3012)),
            *(0xFF01, 0xFF08, 0xFF09, 0xFF0C, 0xFF0E, 0xFF1A, 0xFF1B, 0xFF1F, 0xFF5C),
        ),
    )
)
# Marks of writing direction, word joiner, byte order mark: they are invisible. Some programs include them.
_INVISIBLE: Final = tuple(
    map(chr, (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), 0x2060, *range(0x2066, 0x206A), 0xFEFF))
)
_ON: Final = re.compile(rb"[A-Za-z0-9/&=%#+\-_~$@*\x80-\xff]")  # after a mark or sign: the URL may go on

_CLOSING_TAG: Final = re.compile(rb"\[/[A-Za-z]{1,20}\]")  # [url]https://x.example[/url]: a bulletin board's
_SEPARATED: Final = re.compile(rb"[,;|]https?://", re.IGNORECASE)
_SEPARATORS: Final = frozenset(b",;|")

# Programs wrap lines at 72 to 78 columns (RFC 5322 2.1.1, RFC 3676 4.2). No program is known that wraps a
# line shorter than this; the number is a guess.
_WRAPS: Final = 64
_NEXT_LINE: Final = re.compile(
    rb"(?:\r\n|\n|\r)[ \t]*+([A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]++)[ \t]*+(?=[\r\n]|\Z)"
)
_OTHER_WORD: Final = re.compile(
    rb"(?:https?://|www\.).*|[A-Za-z]+[,:;.!]+|[A-Za-z0-9._+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[^A-Za-z0-9]+",
    re.IGNORECASE | re.DOTALL,
)
_ENDS_SENTENCE: Final = frozenset(b".,;:!?)")
_OF_URL: Final = re.compile(rb"[0-9=&/%_-]")


class Characters(NamedTuple):
    """Characters in the part's charset. ends: those that end a URL. invisible: those that nobody sees."""

    ends: tuple[bytes, ...]
    invisible: tuple[bytes, ...]


@lru_cache(maxsize=64)
def characters(label: str) -> Characters:
    """Return the characters of a charset that keeps ASCII; none if its label is unknown, or ASCII."""
    try:
        codec = codecs.lookup(label.strip().strip("'\"").lower().replace("windows-", "cp")).name
        if codec == "iso8859-1":
            codec = "cp1252"  # as every mail program reads it
        return Characters(*(tuple(_encoded(signs, codec)) for signs in (_ENDS, _INVISIBLE)))
    except (LookupError, ValueError):
        return Characters((), ())


def _encoded(signs: tuple[str, ...], codec: str) -> list[bytes]:
    found = [codecs.encode(sign, codec, "ignore") for sign in signs]
    return [sign for sign in found if isinstance(sign, bytes) and sign >= b"\x80"]


def is_end(data: bytes, position: int, known: Characters) -> bool:
    """Return whether the URL certainly ends before the character at position, which is not ASCII."""
    if data.startswith(known.ends, position):
        return True
    after = position
    while data.startswith(known.invisible, after):
        after = next(after + len(sign) for sign in known.invisible if data.startswith(sign, after))
    if after == position:
        return False
    return _ON.match(data, after) is None or data.startswith(known.ends, after)


def closing_tag(data: bytes, position: int) -> int:
    """Return where the next end tag of a bulletin board begins; the text's length if there is none."""
    tag = _CLOSING_TAG.search(data, position)
    return len(data) if tag is None else tag.start()


def is_list(data: bytes, start: int, host: int, run: int) -> bool:
    """Return whether data[start:run] may be several URLs, or one and its label: `a,b`, `;a;b`, `a|label`."""
    if _SEPARATED.search(data, host, run):
        return True
    for separator in {0x7C, data[start - 1] if start else 0} & _SEPARATORS:
        place = data.find(separator, host, run)
        if place >= 0 and not brackets.only_punctuation(data, place, run):
            return True
    return False


def is_quotation_inside(data: bytes, start: int, run: int) -> bool:
    """Return whether the quotation mark at run may belong to the URL, which then goes on after it."""
    if start and data[start - 1] == data[run]:
        return False
    return data[run - 1] == 0x3D or _ON.match(data, run + 1) is not None


def may_be_wrapped(data: bytes, run: int) -> bool:
    """Return whether a line ends at run that is so long that a program may have wrapped it there."""
    return data[run] in b"\r\n" and run >= _WRAPS and data.find(b"\n", run - _WRAPS, run) < 0


def wrapped(data: bytes, run: int) -> int:
    """Return where the next line's only word ends, if it may be the rest of the URL before run; else -1."""
    found = _NEXT_LINE.match(data, run)
    if found is None or _OTHER_WORD.fullmatch(found[1]):
        return -1
    if data[run - 1] in _ENDS_SENTENCE and not _OF_URL.search(found[1]):
        return -1
    return found.end(1)
