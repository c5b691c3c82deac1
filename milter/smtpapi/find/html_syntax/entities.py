"""Character references in an HTML attribute's value, decoded exactly once.

Not for text between tags: there a named reference without its semicolon is decoded in more cases.
Source: WHATWG HTML 13.2.5.72 (character reference state) and the states after it. What was decoded is
written as UTF-8; all other bytes pass as they are.
"""

import re
from collections.abc import Iterator
from html.entities import html5
from typing import Final

from smtpapi.mime.deadline import CHECK_BYTES, CheckTime, no_deadline

# Possessive: a name takes all letters and digits that follow, so "&ampx" and "&amp=" are no references.
_REFERENCE: Final = re.compile(rb"&(?:#(?:[xX]([0-9a-fA-F]++)|([0-9]++));?|([A-Za-z][A-Za-z0-9]*+)(;|(?!=)))")

# Keyed by the name as it is written, with its semicolon where one is required.
TABLE: Final = {name.encode("ascii"): text.encode("utf-8") for name, text in html5.items()}

# WHATWG HTML 13.2.5.80 (numeric character reference end state): C1 controls stand for windows-1252.
_C1: Final = {
    code: bytes([code]).decode("windows-1252").encode("utf-8")
    for code in range(0x80, 0xA0)
    if code not in {0x81, 0x8D, 0x8F, 0x90, 0x9D}
}
_REPLACEMENT: Final = "\ufffd".encode()
_MOST_DIGITS: Final = 8  # U+10FFFF has 7 decimal digits; a number with more than 8 is certainly beyond it


def decode(value: bytes, check_time: CheckTime = no_deadline) -> bytes:
    """Return the value with each reference decoded once; the same object if there is none.

    Raises whatever `check_time` raises.
    """
    references = value.count(b"&")
    if not references:
        return value
    if references == value.count(b"&amp;"):  # as nearly always in links
        return value.replace(b"&amp;", b"&")
    if len(value) <= CHECK_BYTES:
        return _REFERENCE.sub(_decoded, value)
    return b"".join(_REFERENCE.sub(_decoded, piece) for piece in _pieces(value, check_time))


def _pieces(value: bytes, check_time: CheckTime) -> Iterator[bytes]:
    """Yield a long value in pieces, cut before an "&", so that no reference is split."""
    position = 0
    while position < len(value):
        check_time()
        stop = value.find(b"&", position + CHECK_BYTES)
        yield value[position : stop if stop >= 0 else len(value)]
        position = stop if stop >= 0 else len(value)


def _decoded(found: re.Match[bytes]) -> bytes:
    hexadecimal, decimal, name, semicolon = found.groups()
    if name is not None:
        return TABLE.get(name + semicolon, found[0])
    if hexadecimal is not None:
        return _numeric(hexadecimal, 16)
    return _numeric(decimal, 10)


def _numeric(digits: bytes, base: int) -> bytes:
    significant = digits.lstrip(b"0")
    if not significant or len(significant) > _MOST_DIGITS:
        return _REPLACEMENT
    code = int(significant, base)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        return _REPLACEMENT
    return _C1.get(code) or chr(code).encode("utf-8")
