"""Find a message's parts, as spans of the body: nothing is copied or decoded.

This is one pass over the lines that begin with "--". Parts that must not be edited (attached messages,
signed, encrypted and report parts) are counted but not entered. Where two mail programs could see different
structures, the result is `Leave`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from smtpapi.mime.clear import part_block
from smtpapi.mime.deadline import OverTimeError
from smtpapi.mime.describe import AmbiguousError, PartDescription, describe
from smtpapi.mime.edits import MAX_LINE
from smtpapi.mime.fields import TEXT_PLAIN, ContentType, FieldSpan, Header, parse_header
from smtpapi.mime.parts import Part, top_parts
from smtpapi.model.message import Message
from smtpapi.model.outcome import Leave, Why

# Postfix parses 100 levels (mime_nesting_limit). 50 is a guess that nothing has contradicted.
MAX_DEPTH = 50
MAX_FIELDS = 1000  # of a part's own header; real parts have a handful, and the number is a guess
_CHECK_EVERY = 4096  # lines between two checks of the time; a guess, as in `deadline`
_CHECK_PARTS = 2  # parts between two checks of the time, since each may have MAX_FIELDS fields

_CLOSED = {
    "multipart/signed": Why.SIGNED,
    "multipart/encrypted": Why.ENCRYPTED,
    "multipart/report": Why.REPORT,
    "application/pkcs7-mime": Why.SMIME,
    "application/x-pkcs7-mime": Why.SMIME,
}
_MESSAGE = ContentType("message/rfc822", {})


@dataclass(slots=True)
class _Multipart:
    """An open multipart. alternatives, version, of_bytes: as of `Part`.

    start: the Content-ID that names the root part, "" without one.
    """

    boundary: bytes
    prefix: str
    kind: str
    alternatives: tuple[int, ...]
    version: bool
    of_bytes: tuple[FieldSpan, ...]
    start: bytes
    count: int = 0

    def chooses(self, content_id: bytes) -> bool:
        """Return whether its current part, with that Content-ID, stands for an alternative's version."""
        if self.kind == "multipart/alternative":
            return True
        root = content_id == self.start if self.start else self.count == 1
        return self.kind == "multipart/related" and self.version and root


class _TooManyError(Exception):
    """More parts, or more deeply nested ones, than the limits allow."""


def locate(
    message: Message, max_parts: int = 1000, late: Callable[[], bool] = lambda: False
) -> tuple[Part, ...] | Leave:
    """Return all parts that may be edited, in document order, or why there are none (contract.md 5.1).

    late: returns whether the message's time is used up.
    """
    try:
        top = _top(message)
        if why := _CLOSED.get(top.content.type):
            return Leave(why)
        if not top.content.type.startswith("multipart/"):
            return (_only(top, message),)
        return tuple(_Pass(message.body, top, max_parts, late).run())
    except AmbiguousError as error:
        return Leave(Why.AMBIGUOUS_MIME, str(error))
    except _TooManyError as error:
        return Leave(Why.TOO_MANY_PARTS, str(error))
    except OverTimeError:
        return Leave(Why.OVER_TIME, "while its parts were looked for")


def settled(header: Message) -> bool:
    """Return whether the header alone rules out that any part is edited, whatever the body holds."""
    try:
        top = _top(header)
    except AmbiguousError:
        return True
    if top.content.type in _CLOSED:
        return True
    return not top.content.type.startswith("multipart/") and not top_parts((_only(top, header),))


def _top(message: Message) -> PartDescription:
    if not message.clear:
        raise AmbiguousError("a header whose fields or end can be read in two ways")
    return describe(
        ((item.name, item.value, None) for item in message.fields if item.name[:8].lower() == "content-"),
        TEXT_PLAIN,
    )


def _only(top: PartDescription, message: Message) -> Part:
    """Return a message without parts as its only part."""
    return Part("1", top.content, top.encoding, top.attachment, 0, len(message.body), named=top.named)


@dataclass(slots=True)
class _Pass:
    """The one pass over a multipart body."""

    body: bytes
    top: PartDescription
    max_parts: int
    late: Callable[[], bool]
    parts: list[Part] = field(default_factory=list)
    stack: list[_Multipart] = field(default_factory=list)
    active: dict[bytes, int] = field(default_factory=dict)
    known: set[bytes] = field(default_factory=set)
    roots: dict[str, str] = field(default_factory=dict)
    seen: int = 0
    alternatives: int = 0
    leaf: tuple[str, PartDescription, Header] | None = None

    def run(self) -> list[Part]:
        body = self.body
        self._enter(self.top, "", (), version=False)
        before = -1 if body.startswith(b"--") else body.find(b"\n--")
        more = before >= 0 or body.startswith(b"--")
        lines = 0
        while more and self.active:
            lines += 1
            if not lines % _CHECK_EVERY and self.late():
                raise OverTimeError
            stop = body.find(b"\n", before + 1)
            resume = self._delimiter(before + 1, len(body) if stop < 0 else stop + 1)
            # Only lines that begin with an active boundary matter. Nearly always there is just one such
            # boundary.
            line = b"\n--" + next(iter(self.active)) if len(self.active) == 1 else b"\n--"
            before = body.find(line, resume - 1)
            more = before >= 0
        self._end_leaf(len(body))
        if b"\r--" in body and any(b"\r--" + boundary in body for boundary in self.known):
            raise AmbiguousError("a boundary behind a bare carriage return")
        if self.roots:
            return [part for part in self.parts if not _beside_root(part.section, self.roots)]
        return self.parts

    def _delimiter(self, start: int, stop: int) -> int:
        """Handle the line [start, stop) that begins with "--". Return where the search goes on."""
        line = _bare(self.body[start + 2 : stop])
        depth = self.active.get(line)
        closes = depth is None and line.endswith(b"--")
        if closes:
            depth = self.active.get(line[:-2])
        if depth is None:
            if any(line.startswith(boundary) for boundary in self.active):
                raise AmbiguousError("a line that only begins like a boundary")
            return stop
        if stop - start > MAX_LINE:
            raise AmbiguousError("a boundary with a line's length of blanks behind it")
        self._end_leaf(start)
        self._cut(depth if closes else depth + 1)
        return stop if closes else self._part(stop)

    def _part(self, start: int) -> int:
        """Open the part whose header begins at `start`, and return where its body begins."""
        self.seen += 1
        if self.seen > self.max_parts:
            raise _TooManyError(f"more than {self.max_parts} parts")
        if not self.seen % _CHECK_PARTS and self.late():
            raise OverTimeError
        around = self.stack[-1]
        around.count += 1
        header = parse_header(self.body, start, part=True, most=MAX_FIELDS)
        if len(header.fields) == MAX_FIELDS:
            raise _TooManyError(f"a part with {MAX_FIELDS} fields")
        if not part_block(self.body[start : header.stop]):
            raise AmbiguousError("a part's header whose fields can be read in two ways")
        described = describe(
            (
                (item.name, self.body[item.value_start : item.value_stop], item)
                for item in header.fields
                if item.name[:8].lower() == "content-"
            ),
            _MESSAGE if around.kind == "multipart/digest" else TEXT_PLAIN,
        )
        kind = described.content.type
        multipart = kind.startswith("multipart/")
        if header.body == header.stop < len(self.body):
            raise AmbiguousError("a part's header without the empty line after it")
        section = f"{around.prefix}{around.count}"
        if around.start and described.content_id == around.start:
            if around.prefix in self.roots:
                raise AmbiguousError("two parts that could be the root")
            self.roots[around.prefix] = section
        if multipart and kind not in _CLOSED:
            version = around.chooses(described.content_id)
            self._enter(described, section + ".", around.alternatives, version=version)
        elif multipart:
            self._boundary(described.content)
        elif kind not in _CLOSED and not kind.startswith("message/"):
            self.leaf = section, described, header
        return header.body

    def _boundary(self, content: ContentType) -> bytes:
        """Return the boundary of a multipart. Raises AmbiguousError if it and an open one begin alike."""
        boundary = content.parameters.get("boundary", "").encode("latin-1")
        for outer in self.active:
            if boundary and (outer.startswith(boundary) or boundary.startswith(outer)):
                raise AmbiguousError("a boundary that begins like another")
        return boundary

    def _enter(
        self, described: PartDescription, prefix: str, alternatives: tuple[int, ...], *, version: bool
    ) -> None:
        content = described.content
        boundary = self._boundary(content)
        if not boundary:
            raise AmbiguousError("a multipart without a boundary")
        if len(self.stack) >= MAX_DEPTH:
            raise _TooManyError(f"parts nested deeper than {MAX_DEPTH}")
        if content.type == "multipart/alternative":
            self.alternatives += 1
            alternatives = (*alternatives, self.alternatives)
        of_bytes = described.of_bytes
        if self.stack and self.stack[-1].of_bytes:
            of_bytes = (*self.stack[-1].of_bytes, *of_bytes)
        start = b""
        if content.type == "multipart/related":
            start = content.parameters.get("start", "").encode("latin-1")
        self.active[boundary] = len(self.stack)
        self.known.add(boundary)
        self.stack.append(_Multipart(boundary, prefix, content.type, alternatives, version, of_bytes, start))

    def _cut(self, depth: int) -> None:
        while len(self.stack) > depth:
            del self.active[self.stack.pop().boundary]

    def _end_leaf(self, stop: int) -> None:
        """Close the open leaf, if any. The line end before a delimiter is its own (RFC 2046 5.1.1)."""
        if self.leaf is None:
            return
        section, described, header = self.leaf
        self.leaf = None
        if stop < len(self.body):
            stop -= 2 if self.body.endswith(b"\r\n", header.body, stop) else 1
        around = self.stack[-1]
        self.parts.append(
            Part(
                section,
                described.content,
                described.encoding,
                described.attachment,
                header.body,
                max(stop, header.body),
                header.stop,
                described.encoding_value,
                around.alternatives,
                described.named,
                described.named and around.chooses(described.content_id),
                (*around.of_bytes, *described.of_bytes),
            )
        )


def _bare(line: bytes) -> bytes:
    """Return a line without its end and the padding of RFC 2046; a second CR stays."""
    return line.removesuffix(b"\n").removesuffix(b"\r").rstrip(b" \t")


def _beside_root(section: str, roots: Mapping[str, str]) -> bool:
    """Return whether a part lies in a multipart/related, but not below its root (RFC 2387 3.2)."""
    return any(
        section.startswith(prefix) and section != root and not section.startswith(root + ".")
        for prefix, root in roots.items()
    )
