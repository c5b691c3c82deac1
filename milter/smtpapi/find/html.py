"""The anchors of an HTML document, and where its pixels go, found by position.

Not a parser, and nothing is changed here. The tokens are those of a browser's tokenizer in a reader without
scripts; the elements around an anchor (tables, forms, a select) are not looked at.

Invariants: never raises, whatever the bytes; linear in their number (see `markup`).
"""

from typing import Final

from smtpapi.find import markup, raw_text
from smtpapi.find.anchors import read_anchor
from smtpapi.find.types import Anchor, Page

_OUTSIDE: Final = markup.tokens(b"a", b"area", b"body", b"html", b"svg", b"math", *raw_text.NAMES)


def scan(data: bytes, *, vml: bool = False) -> Page:
    """The page's anchors and pixel places (contract.md 5.2, 5.3, 5.5).

    vml: report `a` and VML links inside Outlook's conditional comments too.
    """
    walk = _Walk(data, vml)
    walk.run(0, len(data))
    return walk.page()


class _Walk:
    __slots__ = ("anchors", "body_close", "body_open", "data", "has_html", "vml")

    def __init__(self, data: bytes, vml: bool) -> None:
        self.data = data
        self.vml = vml
        self.anchors: list[Anchor] = []
        self.body_open = self.body_close = -1
        self.has_html = False

    def page(self) -> Page:
        close = len(self.data) if self.body_close < 0 else self.body_close
        return Page(tuple(self.anchors), self.body_open, close, self.has_html)

    def run(self, position: int, limit: int) -> None:
        data = self.data
        match = _OUTSIDE.match
        while found := match(data, position, limit):
            position = found.end()
            token = found[1]
            if token is None:
                if position >= limit:
                    return
                continue
            if token == b"!--":
                position = markup.comment_end(data, position, limit)
                continue
            after = markup.tag_end(data, position, limit)
            if after < 0:
                return
            position = self._tag(token.lower(), found.start(1) - 1, position, after, limit)

    def _tag(self, name: bytes, start: int, attributes: int, after: int, limit: int) -> int:
        if name in (b"a", b"area"):
            anchor = read_anchor(self.data, name.decode(), attributes, after)
            if anchor is not None:
                self.anchors.append(anchor)
        elif name == b"/body":
            self.body_close = start
        elif name == b"body":
            if self.body_open < 0:
                self.body_open = after
        elif name == b"html":
            self.has_html = True
        elif name in raw_text.NAMES:
            return raw_text.end(self.data, name, after, limit)
        return after
