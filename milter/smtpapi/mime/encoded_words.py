"""Decode encoded words (RFC 2047).

Not a header parser: any `=?charset?B|Q?text?=` is decoded wherever it stands, and white space between two of
them is dropped. A word that cannot be decoded (unknown charset, broken base64, wrong bytes) stays as written.
Neighbours of one charset are decoded as one run, since some senders split a character between two words.
"""

import binascii
import codecs
import re

_WORD = re.compile(r"=\?([!#-'*+\-0-9A-Z^-~]+)\?([BbQq])\?([!->@-~ ]*?)\?=")
_ESCAPE = re.compile(rb"=([0-9A-Fa-f]{2})")

# Python codecs that are not charsets of mail, or whose cost or result a sender must not be able to choose.
_NOT_CHARSETS = frozenset(
    {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs", "oem"}
)


def present(text: str) -> bool:
    """Return whether something in the text has the form of an encoded word."""
    return _WORD.search(text) is not None


def decode(text: str) -> str:
    """Return the text with its encoded words decoded. The result can be encoded as UTF-8 if the text can."""
    if "=?" not in text:
        return text
    out: list[str] = []
    at = 0
    run = _Run()
    for word in _WORD.finditer(text):
        between = text[at : word.start()]
        content = _content(word[2], word[3])
        charset = _charset(word[1])
        at = word.end()
        if run.source and not between.strip(" \t\r\n"):
            if content is not None and charset == run.charset:
                run.extend(between + word[0], content)
                continue
            out.append(run.text())
            if content is None or charset is None or not run.decoded:
                out.append(between)
        else:
            out.append(run.text())
            out.append(between)
        run = _Run(charset, word[0], content)
    out.append(run.text())
    out.append(text[at:])
    return "".join(out)


class _Run:
    """Neighbouring encoded words of one charset. source: them as written. content: their bytes."""

    def __init__(self, charset: str | None = None, source: str = "", content: bytes | None = None) -> None:
        self.charset = charset
        self.source = source
        self.content = content
        self.decoded = False

    def extend(self, source: str, content: bytes) -> None:
        self.source += source
        self.content = (self.content or b"") + content

    def text(self) -> str:
        """Return the decoded run and set `decoded`, or return its source."""
        if self.charset is None or self.content is None:
            return self.source
        try:
            text = self.content.decode(self.charset)
            text.encode()  # UTF-7 can encode half a surrogate pair
        except (UnicodeError, LookupError):
            return self.source
        self.decoded = True
        return text


def _charset(name: str) -> str | None:
    """Return the codec for a charset name without its language (RFC 2231), None for an unknown one."""
    try:
        codec = codecs.lookup(name.partition("*")[0])
    except (LookupError, ValueError):
        return None
    return None if codec.name.replace("-", "_") in _NOT_CHARSETS else codec.name


def _content(encoding: str, text: str) -> bytes | None:
    """Return the bytes of one word, or None if its base64 is broken."""
    if encoding in "Qq":
        return _ESCAPE.sub(lambda hit: bytes((int(hit[1], 16),)), text.replace("_", " ").encode())
    try:
        bare = text.rstrip("=")
        return binascii.a2b_base64(bare + "=" * (-len(bare) % 4), strict_mode=True)
    except binascii.Error:
        return None
