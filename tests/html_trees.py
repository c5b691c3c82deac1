"""A document's tree before and after tracking, by tree builders that are not ours: lexbor and html5lib.

The same, but for hrefs, each of which leads to what it led to before, and for pixels. What a pixel alone
brings into the tree goes with it: an element that was not closed (`<p><b>x</p>`), opened again around it.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import html5lib
from html5lib.constants import DataLossWarning
from selectolax.lexbor import LexborHTMLParser

from engagement.links.model import Link
from smtpapi.model.edit import splice
from smtpapi.request.decision import Decision
from smtpapi.rewrite.part import PartEdits, TooManyLinksError
from smtpapi.rewrite.rules import RewritingRules

_TRACKED = "https://t.example/f/a/"
_PIXEL = "https://t.example/q/"
_FORMATTING = frozenset(
    ("a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u")
)
_SPACE = " \t\n\f\r"


@dataclass
class NumberedLinks:
    """In the place of `CopyLinks`: a link's address is its number."""

    targets: list[str] = field(default_factory=list)
    pixels: int = 0

    def common_clicks(self, *_: object) -> list[bytes]:
        return []

    def click(self, link: Link, *_: object) -> bytes:
        self.targets.append(link.target.decode())
        return f"{_TRACKED}{len(self.targets) - 1}".encode()

    def pixel(self, initial: bool, amp: bool) -> bytes:
        self.pixels += 1
        return f"{_PIXEL}{self.pixels}".encode()


def tracked(data: bytes, *, initial: bool) -> tuple[bytes, NumberedLinks]:
    """The document with its links and pixels."""
    decision = Decision(True, True, initial, "https", "https", "t.example", 1, "", ())
    links = NumberedLinks()
    chooser = PartEdits(decision, links, RewritingRules(brace_macros=False), lambda: 0.0, 1.0)  # type: ignore[arg-type] # a stand-in of the links that counts
    try:
        return splice(data, chooser.html(data)), links
    except TooManyLinksError:
        return data, links


def differences(before: bytes, after: bytes, links: NumberedLinks, reader: Any) -> list[str] | None:
    """What differs that may not; None where the reader itself fails before anything is tracked.

    reader: one of the classes below. Both documents are UTF-8.
    """

    def led(href: str) -> str:
        href = _decoded(href)
        return _decoded(links.targets[int(href[len(_TRACKED) :])]) if href.startswith(_TRACKED) else href

    try:
        old = reader(before.decode(), _decoded)
    except AssertionError:  # html5lib's own, at the end of some tables
        return None
    new = reader(after.decode(), led)
    pixels = new.take_out_pixels()
    problems = [] if pixels == links.pixels else [f"{links.pixels} pixels put in, {pixels} seen"]
    expected = old.shape()
    if any(shape == expected for shape in new.shapes()) or new.loose() == old.loose():
        return problems
    return [*problems, "another tree"]


def _decoded(href: str) -> str:
    return href.strip(_SPACE).replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")


class Lexbor:
    """A tree by lexbor, in C. href: what becomes of each link's."""

    def __init__(self, text: str, href: Callable[[str], str]) -> None:
        self.tree = LexborHTMLParser(text)
        self.emptied: list[Any] = []
        for node in self.tree.css("a[href],area[href]"):
            node.attrs["href"] = href(node.attributes["href"] or "")
            for name in node.attributes:
                if name.startswith("data-msys-"):
                    del node.attrs[name]

    def take_out_pixels(self) -> int:
        pixels = self.tree.css(f'img[src^="{_PIXEL}"]')
        for pixel in pixels:
            self.emptied.append(pixel.parent)
            pixel.decompose(False)
        return len(pixels)

    def shape(self) -> str:
        if self.tree.css_first("template") is not None:
            return ""  # a document of its own, which is not asked for its links
        return self.tree.html or ""

    loose = shape

    def shapes(self) -> Iterator[str]:
        """The tree as it is, and without what was opened again around a pixel."""
        yield self.shape()
        for node in self.emptied:
            while node is not None and node.tag in _FORMATTING and node.child is None:
                node, gone = node.parent, node
                gone.decompose(False)
                yield self.shape()


class Html5lib:
    """A tree by html5lib, in Python."""

    def __init__(self, text: str, href: Callable[[str], str]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataLossWarning)
            self.tree: Any = html5lib.parse(text, treebuilder="dom", namespaceHTMLElements=False)
        self.emptied: list[Any] = []
        for node in self._elements("a", "area"):
            if node.hasAttribute("href"):
                node.setAttribute("href", href(node.getAttribute("href")))
                for name in [*node.attributes.keys()]:
                    if name.startswith("data-msys-"):
                        node.removeAttribute(name)

    def _elements(self, *names: str) -> list[Any]:
        found, left = [], [self.tree]
        while left:
            node = left.pop()
            left += node.childNodes
            if node.nodeName in names:
                found.append(node)
        return found

    def take_out_pixels(self) -> int:
        pixels = [node for node in self._elements("img") if node.getAttribute("src").startswith(_PIXEL)]
        for pixel in pixels:
            self.emptied.append(pixel.parentNode)
            pixel.parentNode.removeChild(pixel)
        return len(pixels)

    def shape(self) -> list[object]:
        return self._shape(self.tree, loose=False)

    def loose(self) -> list[object]:
        """As `shape`, without white space at the ends of texts, and formatting that holds nothing else.

        Unlike today's rules (13.2.6.4.19), html5lib opens nothing again for white space behind the body. So
        that stands in what the pixel opened. lexbor sees to the white space.
        """
        return self._shape(self.tree, loose=True)

    def _shape(self, node: Any, *, loose: bool) -> list[object]:
        shape: list[object] = []
        for child in node.childNodes:
            if child.nodeName == "#comment":
                shape.append(("#comment", child.data))
            elif child.nodeType == child.DOCUMENT_TYPE_NODE:
                shape.append(("#doctype", child.name, child.publicId, child.systemId))
            elif child.nodeName == "#text":
                if shape and isinstance(shape[-1], str):
                    shape[-1] += child.data
                else:
                    shape.append(child.data)
            else:
                inner = self._shape(child, loose=loose)
                if inner or not loose or child.nodeName not in _FORMATTING:
                    shape.append((child.nodeName, sorted(child.attributes.items()), inner))
        if loose:
            shape = [part.strip(_SPACE) if isinstance(part, str) else part for part in shape]
            shape = [part for part in shape if part]
        return shape

    def shapes(self) -> Iterator[list[object]]:
        """The tree as it is, and without what was opened again around a pixel."""
        yield self.shape()
        for node in self.emptied:
            while node is not None and node.nodeName in _FORMATTING and not node.childNodes:
                node, gone = node.parentNode, node
                node.removeChild(gone)
                yield self.shape()
