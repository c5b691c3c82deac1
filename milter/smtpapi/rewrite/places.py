"""Where an HTML part's pixels stand (contract.md 5.5): where a browser makes images of them, no more.

Not a tree. The few documents in which an image might change more than itself are read once more here; common
ones cost nothing.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from smtpapi.find import (
    foreign,
    html,
)
from smtpapi.find.html_syntax import markup, raw_text
from smtpapi.find.model import WHITE_SPACE, Page
from smtpapi.mime.deadline import CHECK_BYTES, CheckTime, paced

NONE: Final = -1

_NOTHING_BEHIND: Final = re.compile(rb"(?:</[bB][oO][dD][yY]|</[hH][tT][mM][lL]|>|[ \t\n\f\r])*+")
# Behind the body: what itself opens again what was left open, so that an image before it does no more.
_OPENS_AGAIN: Final = re.compile(
    rb"[^<]|<(?:a|b|big|br|code|em|font|i|img|s|small|span|strike|strong|tt|u)(?=[ \t\n\f\r/>])",
    re.IGNORECASE,
)
_ODD: Final = re.compile(rb"<(frameset|/?(?:select|template))(?=[ \t\n\f\r/>])", re.IGNORECASE)
_END_OF_RAW_TEXT: Final = re.compile(rb"</(?:%s)[ \t\n\f\r/]" % rb"|".join(raw_text.NAMES), re.IGNORECASE)
_PREFORMATTED: Final = re.compile(rb"<(?:pre|listing)(?:[ \t\n\f\r/][^<>]*)?>(?:</[^<>]*>)*\Z", re.IGNORECASE)
_NEAR: Final = 2000  # bytes before the place, where nearly all mail has the end of its last table
_LONGEST_TAG: Final = 1000  # bytes before the place that are searched for such a tag; a guess
_TABLE: Final = re.compile(rb"<(/?table)", re.IGNORECASE)
_OF_TABLE: Final = re.compile(rb"<(/?(?:table|t[dhr]|tbody|thead|tfoot|caption|col))\b", re.IGNORECASE)
_COMMENT: Final = re.compile(rb"<!--(?:-?>|.*?(?:--!?>|\Z))", re.DOTALL)
_END_OF_HIDDEN: Final = re.compile(rb"--!?>|</(?:%s)" % rb"|".join(raw_text.NAMES))
_COMMENTS: Final = 4  # at the document's end that are looked behind for the end of its last table: a guess

# WHATWG HTML 13.2.6.4.4, in head; and what may stand around it. An end tag alone shows nothing either.
_HEAD: Final = frozenset(
    b"html head title base basefont bgsound link meta style script noscript noframes".split()
)
# 13.2.4.3: opened again in what follows, if an element around them ended before they did.
_FORMATTING: Final = frozenset(b"a b big code em font i nobr s small strike strong tt u".split())
# 13.2.4.3: an end tag of `_FORMATTING` inside one of these ends nothing outside it.
_MARKED: Final = frozenset(b"applet caption marquee object td th".split())
_ENDS: Final = frozenset((b"/body", b"/html"))
_COLUMNS: Final = frozenset((b"col", b"colgroup"))
_DEEPEST: Final = 512  # only broken or hostile markup nests deeper; each end tag looks through all of them
_VOID: Final = frozenset(b"area base br col embed hr img input link meta param source track wbr".split())


def first(data: bytes, page: Page, check_time: CheckTime) -> int:
    """Return the place right behind the first `<body>`; -1 if there is no place for a pixel."""
    place = page.body_open
    if page.odd and _is_hidden(data, place, check_time):
        return NONE
    return place if not _shows(data, place, check_time) or _is_settled(data, place, check_time) else NONE


def last(data: bytes, page: Page, check_time: CheckTime) -> int:
    """Return the place before the last `</body>`, or behind the last character; -1 if there is none."""
    place = _last(data, page, check_time)
    return NONE if place >= 0 and page.odd and _is_hidden(data, place, check_time) else place


def _last(data: bytes, page: Page, check_time: CheckTime) -> int:
    if page.body_close < len(data):
        behind = _NOTHING_BEHIND.match(data, page.body_close)
        assert behind is not None
        quiet = behind.end() == len(data) or _OPENS_AGAIN.match(data, behind.end()) is not None
        fits = quiet and not _may_be_in_table(data, page.body_close, check_time)
        if fits and 0 <= page.body_open <= page.body_close:  # as nearly always
            return page.body_close
        if _shows(data, page.body_close, check_time) and (
            fits or _is_settled(data, page.body_close, check_time)
        ):
            return page.body_close
    if page.unclosed >= 0:
        return _before_unclosed(data, page.unclosed, check_time)
    return _at_end(data, check_time) if _shows(data, len(data), check_time) else NONE


def _at_end(data: bytes, check_time: CheckTime) -> int:
    """Behind the last character but line ends, unless where these go depends on what is before them."""
    place = len(data.rstrip(b"\r\n"))
    if place == len(data):
        return place
    if _PREFORMATTED.search(data, max(0, place - _LONGEST_TAG), place):  # drops one that follows
        return len(data)
    return len(data) if _table_is_open(data, len(data), check_time) else place


def _may_be_in_table(data: bytes, place: int, check_time: CheckTime) -> bool:
    """Whether white space behind a pixel at place could leave a table with it (13.2.6.4.9, anything else)."""
    near = max(0, place - _NEAR)
    return (
        not _is_behind_table(data[near:place].lower(), whole=near == 0)
        and (near == 0 or not _is_behind_table(data[:place].lower(), whole=True))
        and _table_is_open(data, place, check_time)
        and not _is_settled(data, place, check_time)
    )


def _is_behind_table(small: bytes, *, whole: bool) -> bool:
    """Whether the last tag of a table is surely its end, as nearly always.

    small: lower case; the end of the document before the place unless it is whole.
    """
    stop = len(small)
    for _ in range(_COMMENTS):
        start = small.rfind(b"</table", 0, stop)
        if start < 0:
            return False
        rest = _COMMENT.sub(b"", small[start:])
        if _END_OF_HIDDEN.search(rest) is None:
            begun, ended = small.rfind(b"<", 0, start), small.rfind(b">", 0, start)
            is_in_tag = begun > ended if whole or max(begun, ended) >= 0 else True
            return not is_in_tag and _OF_TABLE.search(rest, 1) is None
        stop = max(0, small.rfind(b"<!--", 0, start))
    return False


def _table_is_open(data: bytes, stop: int, check_time: CheckTime) -> bool:
    """Whether white space at stop may stay in a table, which it leaves with text (13.2.6.4.10).

    Asked of the tags with and without those in comments and raw text, which svg's styles are not.
    """
    of_bytes = [found[1].lower() for found in paced(_TABLE.finditer(data, 0, stop), check_time)]
    if not of_bytes:
        return False
    return _is_deep(of_bytes) or _is_deep(name for name, _, _ in _tags(data, stop, check_time))


def _is_deep(tags: Iterable[bytes]) -> bool:
    depth = 0
    for name in tags:
        depth = depth + 1 if name == b"table" else max(0, depth - (name == b"/table"))
    return depth > 0


def _before_unclosed(data: bytes, place: int, check_time: CheckTime) -> int:
    """Before what the document ends inside, which is at place: there the page ends for a reader."""
    if _END_OF_RAW_TEXT.match(data, place):  # then the element before it does not end either
        before = html.scan(data[:place], check_text=False, check_time=check_time).unclosed
        place = place if before < 0 else before
    if not _shows(data, place, check_time):
        return NONE
    if data.startswith(b"</", place) and len(data) == place + 2:  # text, up to now (13.2.5.7)
        return NONE if _table_is_open(data, len(data), check_time) else place
    if _is_cut_tag(data, place, check_time) or _is_settled(data, place, check_time, comment=True):
        return place
    return NONE


def _is_cut_tag(data: bytes, place: int, check_time: CheckTime) -> bool:
    """Whether it is a tag without its end, of which nothing comes into the tree."""
    found = foreign.TOKEN.match(data, place)
    assert found is not None
    name = found[1] or b"!"
    return name[:1] != b"!" and markup.tag_end(data, found.end(), len(data), check_time) < 0


def _is_hidden(data: bytes, place: int, check_time: CheckTime) -> bool:
    """Whether the place may be in a template or a select, or in a page of frames.

    Asked of the tags with and without those in comments and raw text, which svg's styles are not.
    """
    of_bytes = ((found[1].lower(), found.start()) for found in paced(_ODD.finditer(data), check_time))
    of_tags = ((name, start) for name, start, _ in _tags(data, len(data), check_time))
    return _is_open(of_bytes, place) or _is_open(of_tags, place)


def _is_open(tags: Iterable[tuple[bytes, int]], place: int) -> bool:
    opened = {b"select": 0, b"template": 0}
    for name, start in tags:
        kind = name.removeprefix(b"/")
        if name == b"frameset":
            return True
        if start < place and kind in opened:
            opened[kind] = opened[kind] + 1 if kind == name else max(0, opened[kind] - 1)
    return any(opened.values())


def _shows(data: bytes, stop: int, check_time: CheckTime) -> bool:
    """Whether anything stands in data[:stop] that is not for the head: else a pixel would begin the body."""
    position = 0
    for name, start, after in _tags(data, stop, check_time):
        if data[position:start].strip(WHITE_SPACE):
            return True
        if name == b"template":
            return False  # it may hold the rest
        if name and name[:1] != b"/" and name not in _HEAD:
            return True
        position = after
    return bool(data[position:stop].strip(WHITE_SPACE))


def _is_settled(data: bytes, stop: int, check_time: CheckTime, *, comment: bool = False) -> bool:
    """Whether what follows stop has the same place in the tree if an image stands before it.

    No element of `_FORMATTING` is or could be opened again there, and no svg or math is open. comment: what
    follows may be one, whose place is another behind the body's end (13.2.6.4.19) and among columns.
    """
    opened: list[bytes] = []
    ended, latest = -1, b""
    for name, _, after in _tags(data, stop, check_time):
        if name and name != b"html":
            latest = latest if name == b"/col" else name  # both leave columns as they are (13.2.6.4.12)
            ended = after if name in _ENDS else -1
        if not name or name in _VOID:
            continue
        if name[:1] != b"/":
            opened.append(name)
            if len(opened) > _DEEPEST:
                return False
        elif name[1:] in opened:
            while (inner := opened.pop()) != name[1:]:
                if inner in _FORMATTING or (inner in _MARKED and name[1:] in _FORMATTING):
                    return False
    if comment and (
        latest in _COLUMNS or (ended >= 0 and not _shows(data[ended:stop], stop - ended, check_time))
    ):
        return False
    return _FORMATTING.isdisjoint(opened) and not any(name in foreign.ROOTS for name in opened)


def _tags(data: bytes, stop: int, check_time: CheckTime) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each tag, and of each comment, which has no name; raw text is passed over."""
    position = 0
    check_at = CHECK_BYTES
    while found := foreign.TOKEN.match(data, position, stop):
        if position > check_at:
            check_time()
            check_at = position + CHECK_BYTES
        position, token = found.end(), found[1]
        if token is None:
            return
        start, name = found.start(1) - 1, b""
        if token == b"!--":
            position = markup.comment_end(data, position, stop)
        elif token[:1] == b"!" or (not token and data[position : position + 1] in (b"!", b"?", b"/")):
            position = data.find(b">", position, stop) + 1 or stop
        elif token:
            name = token.lower()
            after = markup.tag_end(data, position, stop, check_time)
            position = stop if after < 0 else after
            if name in raw_text.NAMES:
                position = raw_text.end(data, name, position, stop, check_time)
        else:
            continue
        yield name, start, position
