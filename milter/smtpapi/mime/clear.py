"""Decide which MIME fields all mail programs read alike. Anything written in another way is ambiguous.

The grammar is narrower than RFC 2045's. Comments, quoted pairs, RFC 2231 pieces and obsolete blanks are
allowed there, and yet programs differ about them (docs/known-faults.md, H2).
"""

import re
from functools import lru_cache

_TOKEN = rb"[!#$%&'*+.^_`{|}~0-9A-Za-z-]++"
_BLANK = rb"(?:[ \t]|\r?\n[ \t])*+"
_VALUE = rb'(?:"[^"\\;\0-\x1f]*+"|[^"\\;()\0-\x20\x7f]*+)'
_ONE = rb"%b(%b)%b=%b(%b)" % (_BLANK, _TOKEN, _BLANK, _BLANK, _VALUE)
_PARAMETERS = re.compile(rb"(?:%b;(?:%b)?)*+%b" % (_BLANK, _ONE, _BLANK))
_PARAMETER = re.compile(b";" + _ONE)
_TYPE = re.compile(rb"%b%b/%b(?=[ \t\r\n;]|\Z)" % (_BLANK, _TOKEN, _TOKEN))
_WORD = re.compile(rb"%b(?:[A-Za-z0-9._-]++)?%b" % (_BLANK, _BLANK))
_DISPOSITION = re.compile(rb"%b(?:%b(?=[ \t\r\n;]|\Z)|\Z)" % (_BLANK, _TOKEN))
_CHARSET = re.compile(rb"[0-9A-Za-z][0-9A-Za-z._:+-]*+|")
# RFC 2046 5.1.1, and all other printable characters. Not at an end: blanks, and "'", which some programs take
# for a quotation mark.
_BOUNDARY = re.compile(rb"(?![' ])[ !#-\[\]-~]++(?<![' ])")
# What may follow a parameter that is written wrongly, such as a file name with blanks in it.
_HARMLESS = re.compile(rb"(?i)(?:(?!charset|boundary)[^\"\\()\0-\x08\x0a-\x1f\x7f])*+")
_BLANK_LINE = re.compile(rb"\n[ \t]+\r?(?:\n|\Z)")
_BLANK_BEFORE_COLON = re.compile(rb"(?i)(?:\A|\n)content-[!-9;-~]*+[ \t]++:")
_CONTROLS = bytes((0, 11, 12))  # NUL; VT and FF, which some programs take for line ends or blanks
# U+2028 and U+2029, where "." and "$" of JavaScript's expressions end.
_SCRIPT_LINE_ENDS = (b"\xe2\x80\xa8", b"\xe2\x80\xa9")
_CACHED_SIZE = 200  # bytes of a value, as in `fields`


def message_block(text: bytes) -> bool:
    """Return whether all programs split a message's header block alike, and see its Content-* fields.

    text: the block, with the line end of its last field.
    """
    if text.count(b"\r") != text.count(b"\r\n") or len(text.translate(None, _CONTROLS)) != len(text):
        return False
    return not ((b" :" in text or b"\t:" in text) and _BLANK_BEFORE_COLON.search(text))


def part_block(text: bytes) -> bool:
    """Return the same as `message_block` for a part's header, which no MTA has read.

    In such a header some programs take a folded line of blanks for the end.
    """
    if has_script_line_end(text):
        return False
    return message_block(text) and not ((b"\n " in text or b"\n\t" in text) and _BLANK_LINE.search(text))


def has_script_line_end(text: bytes) -> bool:
    """Return whether a header holds what ends a line in JavaScript: its readers see less of such a field."""
    return b"\xe2\x80" in text and any(end in text for end in _SCRIPT_LINE_ENDS)


def media_type(value: bytes) -> bool:
    """Return whether all programs see the same type in a Content-Type, whatever its parameters are."""
    return _TYPE.match(value) is not None


def parameters(value: bytes) -> bool:
    """Return whether all programs see the same type, charset and boundary in a Content-Type."""
    return _cached_parameters(value) if len(value) <= _CACHED_SIZE else _clear_parameters(value)


def _clear_parameters(value: bytes) -> bool:
    head = _TYPE.match(value)
    if head is None:
        return False
    clear = _PARAMETERS.match(value, head.end())
    assert clear is not None  # it may be empty
    if clear.end() < len(value) and not _HARMLESS.fullmatch(value, clear.end()):
        return False
    given: dict[bytes, bytes] = {}
    for name, text in _PARAMETER.findall(value, head.end(), clear.end()):
        matter = name.lower()
        if matter.startswith((b"boundary", b"charset")):
            bare = text.strip(b'"')
            grammar = _BOUNDARY if matter == b"boundary" else _CHARSET
            if b"*" in matter or not grammar.fullmatch(bare) or given.setdefault(matter, bare) != bare:
                return False
    return True


_cached_parameters = lru_cache(maxsize=256)(_clear_parameters)


def encoding(value: bytes) -> bool:
    """Return whether a Content-Transfer-Encoding is one token, or empty."""
    return _WORD.fullmatch(value) is not None


def disposition(value: bytes) -> bool:
    """Return whether a Content-Disposition begins with a token, or is empty."""
    return _DISPOSITION.match(value) is not None
