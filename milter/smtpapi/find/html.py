"""Find the anchors of an HTML document, and the places for its pixels.

Not a parser, and nothing is changed here. The tokens are those of a browser's tokenizer with scripts off. The
elements around an anchor (tables, forms, a select) do not matter.

`scan` has two versions with the same results. One uses the expressions of `markup` alone. The faster one
reads common markup in C (`_walk.c`), where that was built.

Invariants: raises nothing except what `check_time` raises, whatever the bytes; linear in their number
(`markup`).
"""

import re
import sys
from typing import Final

from smtpapi.find import (
    foreign,
    link_text,
)
from smtpapi.find.anchors import href_anchor, read_anchor
from smtpapi.find.html_syntax import markup, raw_text, unclosed
from smtpapi.find.model import Anchor, Page
from smtpapi.mime.deadline import CHECK_BYTES, CheckTime, no_deadline

try:
    from smtpapi.find import _walk
except ImportError:  # not built here: the results are the same, only slower
    _walk = None  # type: ignore[assignment] # a name for a module

_ODD: Final = (b"frameset", b"select", b"template")
_STOPS: Final = (b"a", b"area", b"body", b"html", *_ODD, *foreign.ROOTS, *raw_text.NAMES)
_PAGE: Final = markup.tokens(*_STOPS)
_PAGE_WITH_COMMENTS: Final = markup.tokens(*_STOPS, comments=True)

# Shapes that can be links, in markup that only Outlook reads.
_VML: Final = (
    *(b"v:rect", b"v:roundrect", b"v:oval", b"v:shape", b"v:group", b"v:image"),
    *(b"v:line", b"v:polyline", b"v:curve", b"v:arc"),
)
_OUTLOOK: Final = markup.tokens(b"a", b"area", *_VML, *raw_text.NAMES)
_CONDITION: Final = re.compile(rb"\[[ \t]*+if[^\]>]*+\]>", re.IGNORECASE)
_LINKS: Final = frozenset((b"a", b"area", *_VML))


def scan_by_expressions(
    data: bytes,
    *,
    vml: bool = False,
    most: int = sys.maxsize,
    check_text: bool = True,
    check_time: CheckTime = no_deadline,
) -> Page:
    """Return the page's anchors and pixel places (contract.md 5.2, 5.3, 5.5).

    vml: report `a` and VML links inside Outlook's conditional comments too. most: the scan stops once it has
    found more anchors than this. check_text: compute `text_is_url`, which takes an eighth of the time;
    without it that is False. check_time: called every few kilobytes. Raises whatever `check_time` raises.
    """
    walk = _Walk(data, vml, most, check_text, check_time)
    walk.run(0, len(data))
    return walk.page()


def _scan_native(
    data: bytes,
    *,
    vml: bool = False,
    most: int = sys.maxsize,
    check_text: bool = True,
    check_time: CheckTime = no_deadline,
) -> Page:
    walk = _NativeWalk(data, vml, most, check_text, check_time)
    walk.run(0, len(data))
    return walk.page()


scan = scan_by_expressions if _walk is None else _scan_native


class _Walk:
    __slots__ = (
        *("anchors", "body_close", "body_open", "has_html", "odd", "unclosed"),
        *("data", "foreign", "foreign_start", "check_text", "check_time", "check_at", "most", "vml"),
    )

    def __init__(self, data: bytes, vml: bool, most: int, check_text: bool, check_time: CheckTime) -> None:
        self.data = data
        self.check_time = check_time
        self.check_at = CHECK_BYTES
        self.vml = vml
        self.most = most
        self.check_text = check_text
        self.anchors: list[Anchor] = []
        self.body_open = self.body_close = self.unclosed = -1
        self.has_html = self.odd = False
        self.foreign = foreign.Foreign(check_time)
        self.foreign_start = -1

    def page(self) -> Page:
        size, unclosed = len(self.data), self.unclosed
        close = size if self.body_close < 0 else self.body_close
        if self.foreign or self.foreign.lost:
            unclosed = self.foreign_start
            if unclosed < close:
                close = size
            if self.foreign.lost:
                self.anchors = _outside_cdata(self.data, unclosed, self.anchors)
        return Page(tuple(self.anchors), self.body_open, close, self.has_html, unclosed, self.odd)

    def run(self, position: int, limit: int) -> None:
        data = self.data
        match = (_PAGE_WITH_COMMENTS if self.vml else _PAGE).match
        while len(self.anchors) <= self.most and (found := match(data, position, limit)):
            begun, position = position, found.end()
            if position > self.check_at:
                self._pause(position)
            token, _, target = found.groups()
            if target is not None:
                anchor = href_anchor(found.start(3), target, self.check_time)
                if self.check_text:
                    self._add(anchor, position)
                else:
                    self.anchors.append(anchor)
                continue
            if token is None:
                if position >= limit:
                    if begun < limit:
                        self.unclosed = unclosed.among_skipped(data, begun, limit, self.check_time)
                    return
            elif token == b"!--":
                position = self._comment(position, limit)
            else:
                position = self._tag(token.lower(), found.start(1) - 1, position, limit)
                if self.foreign:
                    position = self._run_foreign(position, limit)

    def _pause(self, position: int) -> None:
        self.check_time()
        self.check_at = position + CHECK_BYTES

    def _add(self, anchor: Anchor, after: int) -> None:
        if self.check_text and anchor.tag == "a" and link_text.is_url(self.data, after):
            anchor = anchor._replace(text_is_url=True)
        self.anchors.append(anchor)

    def _run_foreign(self, position: int, limit: int) -> int:
        data = self.data
        while (
            self.foreign
            and len(self.anchors) <= self.most
            and (found := foreign.TOKEN.match(data, position, limit))
        ):
            position = found.end()
            if position > self.check_at:
                self._pause(position)
            token = found[1]
            if token is None:
                return limit
            if token == b"!--":
                position = self._comment(position, limit)
            elif token[:1] == b"!" and self.foreign.inside():
                position = self._after(b"]]>", found.start(1) - 1, position, limit)
            elif token[:1] == b"!" or (not token and data[position : position + 1] in (b"!", b"?", b"/")):
                self.foreign.lost |= token[:1] == b"!"  # CDATA, unless an element of HTML is open here
                position = self._after(b">", found.start(1) - 1, position, limit)
            elif token:
                name, start = token.lower(), found.start(1) - 1
                after = markup.tag_end(data, position, limit, self.check_time)
                if after < 0:
                    self.unclosed = start
                    return limit
                if self.foreign.tag(name, data, position, after) or name == b"a":
                    position = self._tag(name, start, position, limit)
                    if name in raw_text.NAMES:
                        position = self._behind_end_tag(name, start, position, limit)
                else:
                    position = after
        return position

    def _behind_end_tag(self, name: bytes, start: int, position: int, limit: int) -> int:
        """Return the offset after the end tag at position, which closes a raw text and nothing of svg's."""
        if position < limit:
            position = markup.tag_end(self.data, position + len(b"</") + len(name), limit, self.check_time)
            if position < 0:
                self.unclosed = start
        return limit if position < 0 else position

    def _tag(self, name: bytes, start: int, attributes: int, limit: int) -> int:
        """Record a tag to which HTML's own rules apply, and return where the walk goes on.

        start: where the tag begins. attributes: where its name ends.
        """
        if name == b"a" or name == b"area":
            after, anchor = read_anchor(
                self.data, name.decode("ascii"), attributes, limit, check_time=self.check_time
            )
            if anchor is not None:
                self._add(anchor, after)
            elif after == limit and markup.tag_end(self.data, attributes, limit, self.check_time) < 0:
                self.unclosed = start
            return after
        after = markup.tag_end(self.data, attributes, limit, self.check_time)
        if after < 0:
            self.unclosed = start
            return limit
        if name == b"/body":
            self.body_close = start
        elif name == b"body":
            if self.body_open < 0:
                self.body_open = after
        elif name == b"html":
            self.has_html = True
        elif name in _ODD:
            self.odd = True
        elif name in foreign.ROOTS and not self.foreign:
            self.foreign.tag(name, self.data, attributes, after)
            if not self.foreign.lost:
                self.foreign_start = start
        elif name in raw_text.NAMES:
            end = raw_text.end(self.data, name, after, limit, self.check_time)
            if end == limit:
                self.unclosed = start
            return end
        return after

    def _comment(self, position: int, limit: int) -> int:
        """Return where the comment ends, after reading the links of a conditional one if `vml` is set."""
        after = markup.closed_comment_end(self.data, position, limit)
        if after < 0:
            self.unclosed = position - len(b"<!--")
            after = limit
        if self.vml:
            condition = _CONDITION.match(self.data, position, after)
            if condition is not None:
                self._outlook(condition.end(), after)
        return after

    def _after(self, mark: bytes, start: int, position: int, limit: int) -> int:
        """Return the offset after the mark, which ends what begins at start."""
        place = self.data.find(mark, position, limit)
        if place < 0:
            self.unclosed = start
            return limit
        return place + len(mark)

    def _outlook(self, position: int, limit: int) -> None:
        data = self.data
        while len(self.anchors) <= self.most and (found := _OUTLOOK.match(data, position, limit)):
            position = found.end()
            if position > self.check_at:
                self._pause(position)
            token, _, target = found.groups()
            if target is not None:
                anchor = href_anchor(found.start(3), target, self.check_time)
                self._add(anchor._replace(conditional=True), position)
                continue
            if token is None:
                if position >= limit:
                    return
                continue
            if token == b"!--":
                position = markup.comment_end(data, position, limit)
                continue
            name = token.lower()
            if name in _LINKS:
                position, link = read_anchor(
                    data, name.decode("ascii"), position, limit, conditional=True, check_time=self.check_time
                )
                if link is not None:
                    self._add(link, position)
                continue
            position = markup.tag_end(data, position, limit, self.check_time)
            if position < 0:
                return
            if name in raw_text.NAMES:
                position = raw_text.end(data, name, position, limit, self.check_time)


def _outside_cdata(data: bytes, position: int, anchors: list[Anchor]) -> list[Anchor]:
    """Return the anchors but for those that are text if svg or math is open where they stand (13.2.5.69).

    position: where the search begins.
    """
    outside = []
    stop = position
    for anchor in anchors:
        while 0 <= position < anchor.start and stop < anchor.start:
            position = data.find(b"<![CDATA[", stop)
            stop = len(data) if (end := data.find(b"]]>", position)) < 0 else end
        if not 0 <= position < anchor.start < stop:
            outside.append(anchor)
    return outside


class _NativeWalk(_Walk):
    """A walk with the same results that reads common markup in C (`_walk.c`) and the rest as `_Walk` does."""

    __slots__ = ()

    def run(self, position: int, limit: int) -> None:
        data, anchors, most, walk = self.data, self.anchors, self.most, _walk.walk
        while position < limit and len(anchors) <= most:
            position, what, start, opened, closed, self.unclosed, has_html, odd = walk(
                data, position, limit, anchors, most, self.vml, self.check_text
            )
            if self.body_open < 0:
                self.body_open = opened
            if closed >= 0:
                self.body_close = closed
            self.has_html |= has_html
            self.odd |= odd
            if position > self.check_at:
                self._pause(position)
            if what == _walk.TAG:
                position = self._tag(data[start + 1 : position].lower(), start, position, limit)
                if self.foreign:
                    position = self._run_foreign(position, limit)
            elif what == _walk.COMMENT:
                position = self._comment(position, limit)
            elif what == _walk.CHECK_TEXT:
                self._add(anchors.pop(), position)
