"""Where a message's parts are: spans over the body, no copies, nothing decoded.

One pass over the lines that begin with "--". Parts that must not be touched (attached messages, signed,
encrypted and report parts) are counted but not entered. A structure that two readers could see differently is
not read at all: the answer is `Leave`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from smtpapi.message import Message
from smtpapi.mime.budget import OverTimeError
from smtpapi.mime.fields import PLAIN, ContentType, Header, parse_content_type, parse_header, parse_token
from smtpapi.outcome import Leave, Why

MAX_DEPTH = 50
MAX_FIELDS = 1000  # of a part's own header
MAX_VALUE = 8192  # bytes of a field in _READ; readers and MTAs cut such values in their own ways
_CHECK_EVERY = 4096  # lines between two looks at the clock
_CHECK_PARTS = 2  # the same, parts: each may have a thousand fields
IDENTITY = frozenset({"", "7bit", "8bit", "binary"})
_READ = frozenset({"content-type", "content-transfer-encoding", "content-disposition"})

_CLOSED = {
    "multipart/signed": Why.SIGNED,
    "multipart/encrypted": Why.ENCRYPTED,
    "multipart/report": Why.REPORT,
    "application/pkcs7-mime": Why.SMIME,
    "application/x-pkcs7-mime": Why.SMIME,
}
_MESSAGE = ContentType("message/rfc822", {})
_TEXT = frozenset({"text/html", "text/plain"})


class Part(NamedTuple):
    """A leaf. [start, stop): its body as encoded. encoding: Content-Transfer-Encoding, "" if none.

    encoding_value: span of that field's value, None if there is none. fields_stop: where a field could be
    added. Both are offsets in the body too, and -1 / None for a message without parts, whose fields the MTA
    holds.
    """

    section: str
    content: ContentType
    encoding: str
    attachment: bool
    start: int
    stop: int
    fields_stop: int = -1
    encoding_value: tuple[int, int] | None = None
    alternatives: tuple[int, ...] = ()


class _Described(NamedTuple):
    """What the MIME fields of one header say."""

    content: ContentType
    encoding: str
    attachment: bool
    encoding_value: tuple[int, int] | None


@dataclass(slots=True)
class _Multipart:
    """An open multipart. alternatives: numbers of the multipart/alternatives around it."""

    boundary: bytes
    prefix: str
    digest: bool
    alternatives: tuple[int, ...]
    count: int = 0


class _AmbiguousError(Exception):
    """Two readers could see different structures."""


class _TooManyError(Exception):
    """More parts, or deeper ones, than the site wants to look at."""


def locate(
    message: Message, max_parts: int = 1000, late: Callable[[], bool] = lambda: False
) -> tuple[Part, ...] | Leave:
    """All leaf parts that may be edited, in document order (contract.md 5.1). late: is the time used up?"""
    try:
        top = _describe(
            ((item.name, item.value, None) for item in message.fields if item.name[:8].lower() == "content-"),
            PLAIN,
        )
        if why := _CLOSED.get(top.content.type):
            return Leave(why)
        if not top.content.type.startswith("multipart/"):
            return (Part("1", top.content, top.encoding, top.attachment, 0, len(message.body)),)
        return tuple(_Pass(message.body, top.content, max_parts, late).run())
    except _AmbiguousError as doubt:
        return Leave(Why.AMBIGUOUS_MIME, str(doubt))
    except _TooManyError as excess:
        return Leave(Why.TOO_MANY_PARTS, str(excess))
    except OverTimeError:
        return Leave(Why.OVER_TIME, "while its parts were looked for")


def top_parts(parts: Iterable[Part]) -> tuple[Part, ...]:
    """The first text/plain, text/html and text/x-amp-html that is no attachment, in document order.

    AMP counts only below a multipart/alternative that also holds HTML or plain text (contract.md 5.1).
    """
    shown = [part for part in parts if not part.attachment]
    beside = {number for part in shown if part.content.type in _TEXT for number in part.alternatives}
    found: dict[str, Part] = {}
    for part in shown:
        kind = part.content.type
        if kind in _TEXT or (kind == "text/x-amp-html" and not beside.isdisjoint(part.alternatives)):
            found.setdefault(kind, part)
    return tuple(sorted(found.values(), key=lambda part: part.start))


@dataclass(slots=True)
class _Pass:
    """The one pass over a multipart body."""

    body: bytes
    top: ContentType
    max_parts: int
    late: Callable[[], bool]
    parts: list[Part] = field(default_factory=list)
    stack: list[_Multipart] = field(default_factory=list)
    active: dict[bytes, int] = field(default_factory=dict)
    seen: int = 0
    alternatives: int = 0
    leaf: tuple[str, _Described, Header] | None = None

    def run(self) -> list[Part]:
        body = self.body
        self._enter(self.top, "", ())
        before = -1 if body.startswith(b"--") else body.find(b"\n--")
        more = before >= 0 or body.startswith(b"--")
        lines = 0
        while more and self.active:
            lines += 1
            if not lines % _CHECK_EVERY and self.late():
                raise OverTimeError
            stop = body.find(b"\n", before + 1)
            resume = self._delimiter(before + 1, len(body) if stop < 0 else stop + 1)
            # A line that matters begins with an active boundary; one is nearly always all there are.
            line = b"\n--" + next(iter(self.active)) if len(self.active) == 1 else b"\n--"
            before = body.find(line, resume - 1)
            more = before >= 0
        self._end_leaf(len(body))
        return self.parts

    def _delimiter(self, start: int, stop: int) -> int:
        """Handle the line [start, stop) that begins with "--"; where to look on."""
        line = self.body[start + 2 : stop].rstrip(b" \t\r\n")
        depth = self.active.get(line)
        closes = depth is None and line.endswith(b"--")
        if closes:
            depth = self.active.get(line[:-2])
        if depth is None:
            if any(line.startswith(boundary) for boundary in self.active):
                raise _AmbiguousError("a line that only begins like a boundary")
            return stop
        self._end_leaf(start)
        self._cut(depth if closes else depth + 1)
        return stop if closes else self._part(stop)

    def _part(self, start: int) -> int:
        """Open the part whose header begins at `start`; where its body begins."""
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
        if header.body == header.stop and self._odd_field(header.stop):
            raise _AmbiguousError("a part's header with a field that looks like a boundary")
        described = _describe(
            (
                (item.name, self.body[item.value_start : item.value_stop], item[2:4])
                for item in header.fields
                if item.name[:8].lower() == "content-"
            ),
            _MESSAGE if around.digest else PLAIN,
        )
        section = f"{around.prefix}{around.count}"
        kind = described.content.type
        if kind.startswith("multipart/") and kind not in _CLOSED:
            self._enter(described.content, section + ".", around.alternatives)
        elif kind not in _CLOSED and not kind.startswith("message/"):
            self.leaf = section, described, header
        return header.body

    def _odd_field(self, start: int) -> bool:
        """Whether the line there begins with "--" and is still a field to a reader, and no delimiter."""
        stop = self.body.find(b"\n", start)
        line = self.body[start : stop if stop >= 0 else len(self.body)].rstrip(b" \t\r")[2:]
        active = line in self.active or (line.endswith(b"--") and line[:-2] in self.active)
        return not active and bool(parse_header(self.body, start, most=1).fields)

    def _enter(self, content: ContentType, prefix: str, alternatives: tuple[int, ...]) -> None:
        boundary = content.parameters.get("boundary", "").rstrip().encode("latin-1")
        if not boundary:
            raise _AmbiguousError("a multipart without a boundary")
        for outer in self.active:
            if outer.startswith(boundary) or boundary.startswith(outer):
                raise _AmbiguousError("a boundary that begins like another")
        if len(self.stack) >= MAX_DEPTH:
            raise _TooManyError(f"parts nested deeper than {MAX_DEPTH}")
        if content.type == "multipart/alternative":
            self.alternatives += 1
            alternatives = (*alternatives, self.alternatives)
        self.active[boundary] = len(self.stack)
        self.stack.append(_Multipart(boundary, prefix, content.type == "multipart/digest", alternatives))

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
                self.stack[-1].alternatives,
            )
        )


def _describe(
    fields: Iterable[tuple[str, bytes, tuple[int, int] | None]], default: ContentType
) -> _Described:
    types, encodings, attachment, encoding_value = [], [], False, None
    for written, value, span in fields:
        name = written.lower()
        if name in _READ and len(value) > MAX_VALUE:
            raise _AmbiguousError(f"a MIME field of {len(value)} bytes")
        match name:
            case "content-type":
                types.append(parse_content_type(value))
            case "content-transfer-encoding":
                encodings.append(parse_token(value))
                encoding_value = encoding_value or span
            case "content-disposition":
                attachment |= parse_token(value) not in {"", "inline"}
            case _:
                pass
    content = types[0] if types else default
    encoding = encodings[0] if encodings else ""
    if content.ambiguous or (len(types) > 1 and any(other != content for other in types)):
        raise _AmbiguousError("Content-Type can be read in two ways")
    if len(encodings) > 1:
        raise _AmbiguousError("two Content-Transfer-Encoding fields")
    if content.type.startswith("multipart/") and encoding not in IDENTITY:
        raise _AmbiguousError("a multipart with a transfer encoding")
    return _Described(content, encoding, attachment, encoding_value)
