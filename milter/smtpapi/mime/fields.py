"""Parse header blocks into spans, and the values of MIME fields.

Nothing is decided or changed here. All offsets count in the bytes given. Where common parsers disagree about
a value, the result is marked `ambiguous`, and the caller leaves the mail alone.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

# RFC 5322 2.2 and 4.5: printable name, obsolete blanks before the colon, folded lines.
_FIELD = re.compile(rb"([!-9;-~]++)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)(?:\n|\Z)")
_TYPE = re.compile(rb"\s*([^\s/;=\"]+)\s*/\s*([^\s/;=\"]+)\s*(?:;|\Z)")
_PARAMETER = re.compile(rb'\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"\s*([^;]*)|([^;]*))', re.DOTALL)
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_COMMENT = re.compile(rb'"(?:[^"\\]|\\.)*"|\\.|[()]', re.DOTALL)
_CACHED_SIZE = 200  # bytes of a value that may be cached: enough for ordinary ones; bounds the memory
_DECISIVE = frozenset({"boundary", "charset"})


class FieldSpan(NamedTuple):
    """One field. [start, stop): all of it with its line end. [value_start, value_stop): its value."""

    name: str
    start: int
    value_start: int
    value_stop: int
    stop: int


class Header(NamedTuple):
    """A header block. stop: where a field could be added. body: the first byte after its empty line."""

    fields: tuple[FieldSpan, ...]
    stop: int
    body: int


@dataclass(frozen=True, slots=True)
class ContentType:
    """A Content-Type.

    type: as "text/html", in lower case; "" if unreadable. parameters: by name in lower case, the first of
    each.
    """

    type: str
    parameters: Mapping[str, str]
    ambiguous: bool = False


TEXT_PLAIN = ContentType("text/plain", {})


def parse_header(data: bytes, start: int = 0, *, part: bool = False, most: int = sys.maxsize) -> Header:
    """Return the spans of the header block at `start`.

    The block ends at its empty line, at its first line that is no field (as in Postfix), after `most` fields,
    or with the data. part: a line that begins with "--" is not a field, since it may be a MIME delimiter.
    """
    spans: list[FieldSpan] = []
    match = _FIELD.match
    position = start
    while len(spans) < most and (field := match(data, position)):
        if part and data.startswith(b"--", position):
            break
        value_start, value_stop = field.span(2)
        if data.endswith(b"\r", value_start, value_stop) and field.end() > value_stop:
            value_stop -= 1
        spans.append(
            FieldSpan(field[1].decode("ascii"), position, value_start, value_stop, position := field.end())
        )
    body = position
    if data.startswith(b"\n", position):
        body += 1
    elif data.startswith(b"\r\n", position):
        body += 2
    return Header(tuple(spans), position, body)


def parse_content_type(value: bytes) -> ContentType:
    """Return a Content-Type's type and parameters (RFC 2045 5.1, RFC 2231 3 for a boundary in pieces)."""
    return _cached_content_type(value) if len(value) <= _CACHED_SIZE else _content_type(value)


def _content_type(value: bytes) -> ContentType:
    value = _without_comments(value)
    head = _TYPE.match(value)
    if head is None:
        return ContentType("", {}, ambiguous=b"multipart" in value.lower())
    parameters: dict[str, str] = {}
    ambiguous = False
    for name, text, clean in _parameters(value, head.end()):
        ambiguous_at = not clean or (name in parameters and parameters[name] != text)
        ambiguous |= ambiguous_at and name.partition("*")[0] in _DECISIVE
        parameters.setdefault(name, text)
    if any(name.startswith("boundary*") for name in parameters):
        joined = _continued(parameters, "boundary")
        ambiguous |= joined is None or "boundary" in parameters
        parameters["boundary"] = joined or ""
    media_type = f"{_text(head[1])}/{_text(head[2])}".lower()
    return ContentType(media_type, parameters, ambiguous)


_cached_content_type = lru_cache(maxsize=256)(_content_type)  # a few values make up nearly all mail


def parse_token(value: bytes) -> str:
    """Return the first token of a field such as Content-Transfer-Encoding, in lower case; "" without one."""
    return _cached_token(value) if len(value) <= _CACHED_SIZE else _token(value)


def _token(value: bytes) -> str:
    return _text(_without_comments(value).partition(b";")[0].strip()).strip('"').lower()


_cached_token = lru_cache(maxsize=256)(_token)


def _parameters(value: bytes, position: int) -> Iterator[tuple[str, str, bool]]:
    """Yield (name, text, clean) of each; not clean: readers are known to differ about such a value."""
    while position < len(value):
        found = _PARAMETER.match(value, position)
        if found is None:
            position = _after_semicolon(value, position)
            continue
        if found[2] is not None:
            yield _text(found[1]).lower(), _text(_QUOTED_PAIR.sub(rb"\1", found[2])), not found[3].strip()
        else:
            bare = found[4].strip()
            clean = not re.search(rb'[\s"]', bare)
            yield _text(found[1]).lower(), _text(bare), clean
        position = found.end() + 1


def _after_semicolon(value: bytes, position: int) -> int:
    at = value.find(b";", position)
    return len(value) if at < 0 else at + 1


def _continued(parameters: Mapping[str, str], name: str) -> str | None:
    """Return a value given as name*0, name*1, … or as name*; None if a piece is missing or repeated."""
    if (whole := parameters.get(f"{name}*")) is not None:
        return _text(unquote_to_bytes(whole.rpartition("'")[2]))
    pieces = []
    for number in range(len(parameters)):
        if (piece := parameters.get(f"{name}*{number}")) is not None:
            pieces.append(piece)
        elif (piece := parameters.get(f"{name}*{number}*")) is not None:
            pieces.append(_text(unquote_to_bytes(piece.rpartition("'")[2] if number == 0 else piece)))
        else:
            break
    held = sum(key.startswith(f"{name}*") for key in parameters)
    return "".join(pieces) if pieces and len(pieces) == held else None


def _without_comments(value: bytes) -> bytes:
    if b"(" not in value:
        return value
    remaining = []
    depth = position = 0
    for found in _COMMENT.finditer(value):
        if found[0] == b"(":
            if not depth:
                remaining.append(value[position : found.start()])
            depth += 1
        elif found[0] == b")" and depth:
            depth -= 1
            position = found.end()
    if not depth:
        remaining.append(value[position:])
    return b" ".join(remaining)


def _text(data: bytes) -> str:
    return data.decode("latin-1")
