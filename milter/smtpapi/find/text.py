"""The http(s) URLs of a plain text part, found by position (contract.md 5.2, text rules).

Not a mail reader's autolinker: a URL whose end cannot be told for certain is reported as broken, so that it
is left as the author wrote it, rather than cut.

Invariants: never raises; linear in the number of bytes.
"""

import re
from typing import Final

from smtpapi.find import notation
from smtpapi.find.brackets import url_length
from smtpapi.find.types import TextLink

# RFC 3986 2 and appendix C, and what readers take along besides: {}|^. "[[" begins our own notation.
_URL: Final = re.compile(
    rb"https?://(?:[A-Za-z0-9\[\x80-\xff])(?:[A-Za-z0-9\-._~:/?#\]@!$&'()*+,;=%{}|^]|\[(?!\[))*+",
    re.IGNORECASE,
)
_LETTERS: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_SCHEME_MARKS: Final = frozenset(b"+-.")
_BARE_HOST: Final = re.compile(rb"[^A-Za-z0-9]*+(?:[A-Za-z0-9-]++\.)++[A-Za-z]{2,}+[/?#]")
_LOOK_BACK: Final = 256  # bytes searched for a host without a scheme that the URL is a piece of
_IRI: Final = re.compile(rb"[\x80-\xffA-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]++")
# Non-ASCII that ends a URL in every reader: spaces, quotation marks, dashes, the ellipsis, CJK punctuation.
_ENDS: Final = tuple(
    chr(code).encode()
    for code in (
        *(0xA0, 0xAB, 0xBB, 0x2003, 0x2009, 0x200B, 0x202F, 0x3000),
        *(0x2013, 0x2014, 0x2018, 0x2019, 0x201A, 0x201C, 0x201D, 0x201E, 0x2026, 0x2039, 0x203A),
        *(
            0x3001,
            0x3002,
            *range(0x3008, 0x3012),
            0xFF01,
            0xFF08,
            0xFF09,
            0xFF0C,
            0xFF0E,
            0xFF1A,
            0xFF1B,
            0xFF1F,
        ),
    )
)
_WRAPPED: Final = re.compile(rb"[ \t]*+(?:\r\n|\n|\r)(?:[>|][ \t]?)*+[ \t]*+[^\s<>]++[^<>]{0,2000}>")
_SOFT_BREAK: Final = re.compile(rb" (?:\r\n|\n|\r)>*+ ?[^\s<>]")


def scan(data: bytes, *, flowed: bool = False, delsp: bool = False) -> tuple[TextLink, ...]:
    """The part's URLs. flowed, delsp: the part's format=flowed and DelSp=yes (RFC 3676)."""
    return tuple(_Text(data, flowed and delsp).links())


def notations(data: bytes) -> tuple[tuple[int, int], ...]:
    """Spans of the `[[data-msys-…]]` brackets after URLs, to be taken out with click tracking off too."""
    return tuple(link.notation for link in scan(data) if link.notation is not None)


class _Text:
    __slots__ = ("data", "joined", "utf8")

    def __init__(self, data: bytes, joined: bool) -> None:
        self.data = data
        self.joined = joined
        self.utf8: bool | None = None

    def links(self) -> list[TextLink]:
        links = []
        position = 0
        while found := _URL.search(self.data, position):
            position = found.end()
            if not self._begins_here(found.start()):
                continue
            link = self._link(found.start(), found.end())
            if link is not None:
                links.append(link)
                position = max(link.stop, link.notation[1] if link.notation else 0)
        return links

    def _begins_here(self, start: int) -> bool:
        """A word boundary, and no piece of a longer scheme or of a URL whose own scheme was left out."""
        data = self.data
        if start == 0:
            return True
        before = data[start - 1]
        if before in _LETTERS:
            return False
        if before in _SCHEME_MARKS and start > 1 and data[start - 2] in _LETTERS:
            return False
        if before not in b"/=&?":
            return True
        word = data[max(0, start - _LOOK_BACK) : start].split()[-1]
        return _BARE_HOST.match(word) is None

    def _link(self, start: int, run: int) -> TextLink | None:
        data = self.data
        quoted = data[data.rfind(b"\n", 0, start) + 1 : start].startswith(b">")
        marks = notation.read(data, run)
        stop, certain = url_length(data, start, run, trim=marks is None)
        host = start + data.index(b"://", start, start + 8) - start + 3
        if stop <= host:
            return None
        broken = not certain
        if stop == run and marks is None:
            stop, goes_on = self._goes_on(start, run)
            broken = broken or goes_on
        if marks is None:
            return TextLink(start, stop, data[start:stop], quoted=quoted, broken=broken)
        return TextLink(
            start,
            stop,
            data[start:stop],
            unsubscribe=marks.unsubscribe,
            clicktrack=marks.clicktrack,
            sublink=marks.sublink,
            notation=(run, marks.stop),
            quoted=quoted,
            broken=broken,
            sublink_ignored=marks.sublink_ignored,
        )

    def _goes_on(self, start: int, run: int) -> tuple[int, bool]:
        """Where the link ends as far as can be seen, and whether it may go on from there."""
        data = self.data
        if run >= len(data):
            return run, False
        after = data[run]
        if after >= 0x80:
            if self._is_utf8() and data.startswith(_ENDS, run):
                return run, False
            more = _IRI.match(data, run)
            return (more.end() if more else run), True
        if after == 0x5C:  # a backslash: browsers take it for "/", RFC 3986 for no part of a URL
            return run, data[run + 1 : run + 2].isalnum()
        opened = data[start - 1 : start] == b"<" or data[max(0, start - 5) : start].upper() == b"<URL:"
        if opened and _WRAPPED.match(data, run):
            return run, True
        return run, self.joined and _SOFT_BREAK.match(data, run) is not None

    def _is_utf8(self) -> bool:
        if self.utf8 is None:
            try:
                self.data.decode("utf-8")
            except UnicodeDecodeError:
                self.utf8 = False
            else:
                self.utf8 = True
        return self.utf8
