"""The http(s) URLs of a plain text part, found by position (contract.md 5.2, text rules).

Not a mail reader's autolinker: where the end of a URL is not certain, the URL is reported as broken. It then
stays as the author wrote it, and is never cut.

Invariants: raises nothing except what `check_time` raises; linear in the number of bytes.
"""

import re
import sys
from typing import Final

from smtpapi.find import notation
from smtpapi.find.model import TextLink
from smtpapi.find.url_ends import brackets, ends
from smtpapi.mime.deadline import CHECK_BYTES, CheckTime, no_deadline

# The characters of RFC 3986 2 and appendix C, and {}|^, which mail programs accept too. "[[" begins our
# notation. The group is not possessive: Python before 3.11.5 goes wrong where one holds alternatives
# (gh-106052).
_URL: Final = re.compile(rb"[A-Za-z0-9\[\x80-\xff](?:[A-Za-z0-9\-._~:/?#\]@!$&'()*+,;=%{}|^]++|\[(?!\[))*")
# http://x.example[1]: a footnote, or a part of the URL. Its host is not valid in either case.
_AUTHORITY_BRACKET: Final = re.compile(rb"[^/?#\[][^/?#\[]*+\[")
_LETTERS: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_SCHEME_MARKS: Final = frozenset(b"+-.")
_INSIDE_URL: Final = frozenset(b"/=&?")
_BARE_HOST: Final = re.compile(rb"[^A-Za-z0-9]*+(?:[A-Za-z0-9-]++\.)+[A-Za-z]{2,}[/?#]")
# In x.example/?u=http://y.example the second URL is a piece of the first. So many bytes before a URL are
# searched for such a host without a scheme. A host has at most 253 characters.
_LOOK_BACK: Final = 256
_IRI: Final = re.compile(rb"[\x80-\xffA-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]++")
# A URL of these characters between these neighbours ends clearly (`_Text._ends_clearly`).
_COMMON: Final = re.compile(rb"[A-Za-z0-9\-._~:/?#@!$&*+=%]++")
_CLEAR_BEFORE: Final = frozenset(b" \t\r\n(")
_CLEAR_AFTER: Final = frozenset(b" \t\r\n<>")
_AFTER_BACKSLASH: Final = frozenset((b"", b" ", b"\t", b"\r", b"\n", b"<", b">", b'"'))
_OPENERS: Final = (b"(", b"[", b"{", b"=", b"'")
_QUOTATION: Final = frozenset(b'"`')
_MAY_BE_PUNCTUATION: Final = frozenset(b".,;:!?*_~")
# <http://x.example/…> over several lines. 2000 bytes bound the search for ">"; the number is a guess.
_WRAPPED: Final = re.compile(rb"[ \t]*+(?:\r\n|\n|\r)(?:[>|][ \t]?)*+[ \t]*+[^\s<>]++[^<>]{0,2000}>")
_SOFT_BREAK: Final = re.compile(rb" (?:\r\n|\n|\r)>*+ ?[^\s<>]")


def scan(
    data: bytes,
    *,
    flowed: bool = False,
    delsp: bool = False,
    charset: str = "",
    most: int = sys.maxsize,
    check_time: CheckTime = no_deadline,
) -> tuple[TextLink, ...]:
    """Return the part's URLs, in order.

    flowed, delsp: the part's format=flowed and DelSp=yes (RFC 3676). charset: the part's label; where its
    bytes are not UTF-8, it decides which characters end a URL. most: the scan stops once it has found more
    links than this. check_time: called every few kilobytes. Raises whatever `check_time` raises.
    """
    return tuple(_Text(data, flowed and delsp, charset, most, check_time).links())


class _Text:
    __slots__ = (
        "_characters",
        "_line_start",
        "_quoted",
        "charset",
        "check_time",
        "closing_tag",
        "data",
        "joined",
        "most",
        "run_end",
    )

    def __init__(self, data: bytes, joined: bool, charset: str, most: int, check_time: CheckTime) -> None:
        self.data = data
        self.check_time = check_time
        self.joined = joined
        self.most = most
        self.run_end = 0  # the end of the last run of URL characters, so that none is read twice
        self.charset = charset
        self.closing_tag = -1  # where the next one begins, once it was searched for
        self._characters: ends.Characters | None = None
        self._line_start = 0
        self._quoted = data.startswith(b">")

    def links(self) -> list[TextLink]:
        data = self.data
        links: list[TextLink] = []
        position = 0  # everything before it has been read
        check_at = CHECK_BYTES
        while len(links) <= self.most and (colon := data.find(b"://", position)) >= 0:
            if position > check_at:
                self.check_time()
                check_at = position + CHECK_BYTES
            host = colon + 3
            start = self._scheme(position, colon)
            position = host
            if start < 0:
                continue
            if host >= self.run_end:
                run = _URL.match(data, host)
                self.run_end = host if run is None else run.end()
            position = max(host, self.run_end)
            if self.run_end > host and self._begins_here(start):
                link, resume = self._link(start, host, self.run_end)
                if link is not None:
                    links.append(link)
                    position = resume
        return links

    def _scheme(self, position: int, colon: int) -> int:
        """Return where the http or https before the colon begins, not before position; -1 without one."""
        before = self.data[max(position, colon - 5) : colon].lower()
        if before == b"https":
            return colon - 5
        return colon - 4 if before.endswith(b"http") else -1

    def _begins_here(self, start: int) -> bool:
        """Return whether a URL may begin at start.

        It must be a word boundary, and no piece of a longer scheme or of a URL without a scheme.
        """
        data = self.data
        if start == 0:
            return True
        before = data[start - 1]
        if before in _LETTERS:
            return False
        if before in _SCHEME_MARKS and start > 1 and data[start - 2] in _LETTERS:
            return False
        if before not in _INSIDE_URL:
            return True
        word = data[max(0, start - _LOOK_BACK) : start].split()[-1]
        return _BARE_HOST.match(word) is None

    def _link(self, start: int, host: int, run: int) -> tuple[TextLink | None, int]:
        """Return the URL that begins at start, if any, and where the search for the next one begins."""
        data = self.data
        if self._ends_clearly(start, host, run):
            return TextLink(start, run, data[start:run], quoted=self._is_quoted(start)), run
        if self.closing_tag < host:
            self.closing_tag = ends.closing_tag(data, host)
        run = min(run, self.closing_tag)
        end = brackets.url_end(data, start, run, self.check_time)
        if end.certain and ends.is_list(data, start, host, end.stop):
            end = brackets.UrlEnd(run, certain=False)
        marks = notation.read(data, run, self.check_time)
        if marks is not None and not brackets.only_punctuation(data, end.stop, run):
            marks = None  # they belong to what follows this URL in the run
        stop = end.stop
        if marks is None and end.certain:
            stop = brackets.without_punctuation(data, start, stop)
        if stop <= host:
            return None, run
        broken, resume = not end.certain or _AUTHORITY_BRACKET.match(data, host, stop) is not None, stop
        if marks is None and (end.stop == run or data[start - 1 : start] not in _OPENERS):
            goes_on = self._goes_on(start, run)
            if goes_on is not None:
                broken = True
                stop, resume = max(stop, goes_on[0]), goes_on[1]
        link = TextLink(start, stop, data[start:stop], quoted=self._is_quoted(start), broken=broken)
        if marks is None:
            return link, resume
        marked = link._replace(
            unsubscribe=marks.unsubscribe,
            clicktrack=marks.clicktrack,
            sublink=marks.sublink,
            notation=(run, marks.stop),
            sublink_ignored=marks.sublink_ignored,
        )
        return marked, marks.stop

    def _ends_clearly(self, start: int, host: int, run: int) -> bool:
        """Return whether nothing at either end of the URL is unclear: a cheap test that most URLs pass."""
        data = self.data
        if self.joined or data[run - 1] in _MAY_BE_PUNCTUATION or not _COMMON.fullmatch(data, host, run):
            return False
        before = data[start - 1] if start else 0x20
        if before not in _CLEAR_BEFORE or run == len(data):
            return before in _CLEAR_BEFORE
        return data[run] in _CLEAR_AFTER and not ends.may_be_wrapped(data, run)

    def _goes_on(self, start: int, run: int) -> tuple[int, int] | None:
        """Return None if the URL certainly ends with its run of URL characters.

        Else return an end that it reaches at least, and where the search for the next URL begins.
        """
        data = self.data
        if run >= len(data):
            return None
        after = data[run]
        if after >= 0x80:
            if ends.is_end(data, run, self._known()):
                return None
            more = _IRI.match(data, run)
            return None if more is None else (more.end(), more.end())
        if after == 0x5C:  # a backslash: "/" to browsers, but not a part of a URL by RFC 3986
            return None if data[run + 1 : run + 2] in _AFTER_BACKSLASH else (run, run)
        if after in _QUOTATION:
            return (run, run) if ends.is_quotation_inside(data, start, run) else None
        opened = data[start - 1 : start] == b"<" or data[max(0, start - 5) : start].upper() == b"<URL:"
        wrapped = _WRAPPED.match(data, run) if opened else None
        if wrapped is not None:
            return run, wrapped.end()
        if ends.may_be_wrapped(data, run) and (rest := ends.wrapped(data, run)) >= 0:
            return run, rest
        return (run, run) if self.joined and _SOFT_BREAK.match(data, run) else None

    def _is_quoted(self, start: int) -> bool:
        line_start = self.data.rfind(b"\n", self._line_start, start) + 1
        if line_start > 0:
            self._line_start = line_start
            self._quoted = self.data.startswith(b">", line_start)
        return self._quoted

    def _known(self) -> ends.Characters:
        if self._characters is None:
            try:
                self.data.decode("utf-8")
            except UnicodeDecodeError:
                self._characters = ends.characters(self.charset)
            else:
                self._characters = ends.characters("utf-8")
        return self._characters
