"""Describe a part, or the whole message, from the MIME fields of its header.

Where two mail programs could read them differently, `AmbiguousError` is raised. Where the part will not be
edited, only its type matters.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from smtpapi.mime import clear
from smtpapi.mime.fields import ContentType, FieldSpan, parse_content_type, parse_token

# Bytes of a field in _READ. Mail programs and MTAs cut long fields, each at a length of its own: Sendmail at
# 32,768 (MaxHeadersLength, for the whole header), Postfix at 102,400 (header_size_limit). 8192 is a
# guess.
MAX_VALUE: Final = 8192
IDENTITY: Final = frozenset({"", "7bit", "8bit", "binary"})
EDITED: Final = frozenset({"text/html", "text/plain", "text/x-amp-html"})
_READ = frozenset({"content-type", "content-transfer-encoding", "content-disposition"})
# Some program may take a type with one of these in it for a type that we read; also after it has taken out
# backslashes, comments, blanks or control characters: mailparser reads `multipa\rt` as multipart.
_LIKE_OURS = re.compile(rb"(?i)text|html|multipart|message")
_NO_LETTERS = re.compile(rb"\([^()]*\)|[^A-Za-z/]")
_NAME = re.compile(rb'(?i)[;\s](?:file)?name(?:\*[0-9]*\*?)?\s*=\s*(?!""|;|\Z)')
# Fields that describe the bytes of a body (RFC 1864; old mailbox formats), and are wrong once these are
# edited.
OF_BYTES: Final = ("Content-MD5", "Content-Length")
_OF_BYTES = frozenset(name.lower() for name in OF_BYTES)

Given = tuple[str, bytes, FieldSpan | None]  # name, value, and where a part's field lies


class AmbiguousError(Exception):
    """Two mail programs could see different structures."""


class PartDescription(NamedTuple):
    """A part as the MIME fields of its header describe it.

    named: it has a file's name. of_bytes: the fields of `OF_BYTES` that it has.
    """

    content: ContentType
    encoding: str
    attachment: bool
    encoding_value: tuple[int, int] | None
    named: bool
    content_id: bytes
    of_bytes: tuple[FieldSpan, ...]


def describe(fields: Iterable[Given], default: ContentType) -> PartDescription:
    """Return the description that the Content-* fields of one header give.

    default: the type where none is named. Raises AmbiguousError where two programs could read them
    differently.
    """
    types: list[bytes] = []
    encodings: list[bytes] = []
    dispositions: list[bytes] = []
    content_id = b""
    encoding_value = None
    of_bytes: list[FieldSpan] = []
    for written, value, span in fields:
        name = written.lower()
        if name in _READ and len(value) > MAX_VALUE:
            raise AmbiguousError(f"a MIME field of {len(value)} bytes")
        if name in _READ and clear.has_script_line_end(value):
            raise AmbiguousError("a MIME field with U+2028 or U+2029")
        if name == "content-type":
            types.append(value)
        elif name == "content-transfer-encoding":
            encodings.append(value)
            if span is not None and encoding_value is None:
                encoding_value = span[2:4]
        elif name == "content-disposition":
            dispositions.append(value)
        elif name == "content-id":
            content_id = content_id or value.strip()
        elif name in _OF_BYTES and span is not None:
            of_bytes.append(span)
    content = _content(types, default)
    encoding = _encoding(encodings, content.type)
    attachment = _attached(dispositions, content.type)
    named = False
    if content.type in EDITED and not attachment:
        _require_clear(types, encodings)
        if "boundary" in content.parameters:
            raise AmbiguousError("a text with a boundary")
        named = any(_NAME.search(value) for value in (*types, *dispositions))
        attachment = named and not types  # some programs take the type from the name
    elif content.type.startswith("multipart/"):
        _require_clear(types, encodings)
    return PartDescription(content, encoding, attachment, encoding_value, named, content_id, tuple(of_bytes))


def _content(values: list[bytes], default: ContentType) -> ContentType:
    if not values:
        return default
    content = parse_content_type(values[0])
    if content.ambiguous or (len(values) > 1 and any(parse_content_type(one) != content for one in values)):
        raise AmbiguousError("Content-Type can be read in two ways")
    if not all(clear.media_type(value) or not _is_like_ours(value) for value in values):
        raise AmbiguousError("a type that is written oddly")
    return content


def _is_like_ours(value: bytes) -> bool:
    return bool(_LIKE_OURS.search(value) or _LIKE_OURS.search(_NO_LETTERS.sub(b"", value)))


def _encoding(values: list[bytes], kind: str) -> str:
    if len(values) > 1:
        raise AmbiguousError("two Content-Transfer-Encoding fields")
    encoding = parse_token(values[0]) if values else ""
    if kind.startswith("multipart/") and encoding not in IDENTITY:
        raise AmbiguousError("a multipart with a transfer encoding")
    return encoding


def _attached(values: list[bytes], kind: str) -> bool:
    if kind in EDITED and not all(clear.disposition(value) for value in values):
        raise AmbiguousError("a disposition that is written oddly")
    if len(values) > 1 and len({value.strip().lower() for value in values}) > 1:
        raise AmbiguousError("two Content-Disposition fields")
    return bool(values) and parse_token(values[0]) not in {"", "inline"}  # RFC 2183 2.8


def _require_clear(types: list[bytes], encodings: list[bytes]) -> None:
    """Raise AmbiguousError if programs could read a charset, boundary or encoding differently."""
    if not all(map(clear.parameters, types)):
        raise AmbiguousError("a parameter of Content-Type that is written oddly")
    if not all(map(clear.encoding, encodings)):
        raise AmbiguousError("a transfer encoding that is written oddly")
