"""What the finders report: links and pixel places, as spans of a decoded part's bytes.

Not what becomes of them: a link is reported whatever its scheme or host, and the caller decides about it.

Invariants: spans are half open, lie inside the scanned bytes, ascend and do not overlap.
"""

from typing import Final, NamedTuple

WHITE_SPACE: Final = b" \t\n\f\r"  # WHATWG Infra 4.6, ASCII white space


class Anchor(NamedTuple):
    """One `a` or `area` element with an href (contract.md 5.2, 5.3).

    start, stop: the attribute's value, without quotes and outer white space. quote: what stands around the
    value, b"" for an unquoted one. target: the value with its character references decoded once and outer
    white space trimmed. name: "" without data-msys-linkname, at most 63 bytes of UTF-8. attributes: spans of
    data-msys-* attributes; the tag's other attributes stay as they are when these are removed.
    sublink_ignored: it has a data-msys-sublink that is no path segment. opt_out: it has an attribute with
    which another mail service excludes links from tracking. conditional: it is inside an Outlook conditional
    comment.
    """

    start: int
    stop: int
    quote: bytes
    target: bytes
    tag: str = "a"
    name: str = ""
    unsubscribe: bool = False
    clicktrack: bool = True
    sublink: str = ""
    attributes: tuple[tuple[int, int], ...] = ()
    text_is_url: bool = False
    sublink_ignored: bool = False
    opt_out: bool = False
    conditional: bool = False


class Page(NamedTuple):
    """An HTML document's anchors and the places of its pixels.

    body_open: just after the ">" of the first `<body …>`, -1 if there is none. body_close: where the last
    `</body>` begins, the document's length if there is none. has_html: there is an `<html>` tag. unclosed:
    where the tag, comment, raw text, svg or math begins that is still open at the document's end; -1 if none
    is. odd: there is a `<frameset>`, `<select>` or `<template>` tag, in which no image may show.
    """

    anchors: tuple[Anchor, ...]
    body_open: int
    body_close: int
    has_html: bool
    unclosed: int = -1
    odd: bool = False


class TextLink(NamedTuple):
    """One http(s) URL in plain text (contract.md 5.2, 5.3).

    start, stop: the URL alone. notation: span of the `[[data-msys-…]]` brackets after it, to be removed
    whether or not the link is tracked. quoted: it is in a line of a quoted reply. broken: where the URL ends
    is not certain, since it may go on in non-ASCII characters or on the next line. It must stay as it is, and
    target is only its beginning.
    """

    start: int
    stop: int
    target: bytes
    unsubscribe: bool = False
    clicktrack: bool = True
    sublink: str = ""
    notation: tuple[int, int] | None = None
    quoted: bool = False
    broken: bool = False
    sublink_ignored: bool = False
