"""What a way left of a mail or a document, as lexbor and the email package read it.

Four questions. Do all lines of the mail's header still stand, in their order? How many of its lines are the
same, byte for byte? Is the tree of the HTML the same, but for the addresses of links and the pixel? Does each
link of the author lead to where it led?
"""

from __future__ import annotations

import email
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

from bench.peers.ways import PIXEL, Leads

Element = tuple[str, object]


@dataclass(slots=True)
class Verdict:
    """Sums over mails or documents. Lines and links are counted, the rest is yes or no for each."""

    checked: int = 0
    failed: int = 0
    header_intact: int = 0
    lines: int = 0
    lines_intact: int = 0
    trees: int = 0
    trees_same: int = 0
    links: Counter[str] = field(default_factory=Counter)  # right, wrong, untracked

    def add_mail(self, before: bytes, after: bytes, leads: Leads) -> None:
        """Judge a mail."""
        self.checked += 1
        self.header_intact += _follows(_header(before), _header(after))
        was = Counter(_lines(before))
        self.lines += was.total()
        self.lines_intact += (was & Counter(_lines(after))).total()
        for old, new in zip(_documents(before), _documents(after), strict=False):
            self.add_document(old, new, leads)

    def add_document(self, before: str, after: str, leads: Leads) -> None:
        """Judge the HTML alone."""
        self.trees += 1
        self.trees_same += list(_tree(before, None)) == list(_tree(after, leads))
        self.links.update(_ends(_hrefs(before), _hrefs(after), leads))


def _lines(raw: bytes) -> list[bytes]:
    return raw.replace(b"\r\n", b"\n").split(b"\n")


def _header(raw: bytes) -> list[bytes]:
    return _lines(raw.replace(b"\r\n", b"\n").partition(b"\n\n")[0])


def _follows(expected: list[bytes], given: list[bytes]) -> bool:
    """Return whether all of the one stand in the other, in their order; what is between them is new."""
    left = iter(given)
    return all(line in left for line in expected)


def _documents(raw: bytes) -> Iterator[str]:
    for part in email.message_from_bytes(raw).walk():
        payload = part.get_payload(decode=True)
        if part.get_content_type() == "text/html" and isinstance(payload, bytes):
            yield text_of(payload, part.get_content_charset("utf-8"))


def text_of(payload: bytes, charset: str) -> str:
    """Return a part's text as a reader shows it; an unknown charset is read as UTF-8."""
    try:
        return payload.decode(charset, "replace").replace("\r\n", "\n")
    except LookupError:
        return payload.decode("utf-8", "replace").replace("\r\n", "\n")


def _nodes(text: str) -> Iterator[LexborNode]:
    root = LexborHTMLParser(text).root
    if root is not None:
        yield from root.traverse(include_text=True)


def _tree(text: str, leads: Leads | None) -> Iterator[Element]:
    """Yield the document's elements and texts in order; tracked links as their targets, without pixels."""
    written = ""
    for node in _nodes(text):
        if node.tag == "-text":
            written += node.text(deep=False) or ""
            continue
        attributes = dict(node.attributes)
        if leads is not None and node.tag == "img" and leads(attributes.get("src") or "") == PIXEL:
            continue
        href = (attributes.get("href") or "").strip()
        if leads is not None and (target := leads(href)):
            href = target
        if written.strip():
            yield "-text", " ".join(written.split())
        written = ""
        yield node.tag or "", {**attributes, "href": href}
    if written.strip():
        yield "-text", " ".join(written.split())


def _hrefs(text: str) -> list[str]:
    return [(node.attributes.get("href") or "").strip() for node in _nodes(text) if node.tag in ("a", "area")]


def _ends(before: list[str], after: list[str], leads: Leads) -> Iterator[str]:
    for position, author in enumerate(before):
        if not author.lower().startswith(("http://", "https://")):
            continue
        given = after[position] if position < len(after) else ""
        target = leads(given)
        if target:
            yield "right" if target == author else "wrong"
        else:
            yield "untracked" if given == author else "wrong"
