"""One anchor's tag, read: its href and what data-msys-* attributes say of it (contract.md 5.3).

Not whether its target may be tracked.
"""

import re
from dataclasses import replace
from typing import Final

from smtpapi.find import markup
from smtpapi.find.entities import decode
from smtpapi.find.types import WHITE_SPACE, Anchor

SUBLINK: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NAME_BYTES: Final = 63
_GAP: Final = frozenset(WHITE_SPACE)
_NAME_SPELLINGS: Final = (b"data-msys-linkname", b"data-msys-link-name")

# By far the most tags: one href in double quotes, other attributes too, none of them ours. What it does not
# match is read attribute by attribute.
_OTHER: Final = rb"[ \t\n\f\r]++(?![hH][rR][eE][fF]=|[dD][aA][tT][aA]-)[A-Za-z:_-]++=\"[^\"]*+\""
_USUAL: Final = re.compile(
    rb"(?:%s){0,20}[ \t\n\f\r]++[hH][rR][eE][fF]=\"([^\"]*+)\"(?:%s){0,20}[ \t\n\f\r]*+/?>" % (_OTHER, _OTHER)
)
_QUOTES: Final = (b"", b"", b'"', b"'", b"")  # by the group of markup.attributes that holds the value
_NO_VALUE: Final = (-1, -1, b"")

_VISIBLE: Final = 1024  # bytes after the tag in which its text must end to be judged
_CLOSE: Final = re.compile(rb"</[aA][ \t\n\f\r/>]")
_MARKUP: Final = re.compile(rb"<[^<>]*+>")
_URL_TEXT: Final = re.compile(
    rb"(?:https?://[^\s<>]++|(?:[a-z0-9-]++\.)+[a-z]{2,24}(?::\d{1,5})?(?:[/?#][^\s<>]*+)?)",
    re.IGNORECASE,
)


def read_anchor(
    data: bytes, tag: str, start: int, limit: int, *, conditional: bool = False
) -> tuple[int, Anchor | None]:
    """Where the tag ends whose name ends at start, and its anchor: None without an href's value.

    limit: where the document ends, and what is given if it does so inside the tag.
    """
    usual = _USUAL.match(data, start, limit)
    if usual is not None:
        stop = usual.end()
        first, last = usual.span(1)
        return stop, _anchor(data, tag, (first, last, b'"'), stop, conditional)
    stop = markup.tag_end(data, start, limit)
    if stop < 0:
        return limit, None
    values: dict[bytes, tuple[int, int, bytes]] = {}
    marks: list[tuple[int, int]] = []
    for found in markup.attributes(data, start, stop):
        name = found[1].lower()
        which = found.lastindex or 1
        if name.startswith(b"data-msys-"):
            marks.append(_taken_out(data, found))
        elif name != b"href":
            continue
        if name not in values:
            values[name] = (*found.span(which), _QUOTES[which]) if which > 1 else _NO_VALUE
    href = values.pop(b"href", _NO_VALUE)
    if href == _NO_VALUE:
        return stop, None
    anchor = _anchor(data, tag, href, stop, conditional)
    return stop, _with_attributes(anchor, data, values, marks) if values else anchor


def _anchor(data: bytes, tag: str, href: tuple[int, int, bytes], stop: int, conditional: bool) -> Anchor:
    first, last, quote = href
    raw = data[first:last]
    trimmed = raw.lstrip(WHITE_SPACE)
    first += len(raw) - len(trimmed)
    trimmed = trimmed.rstrip(WHITE_SPACE)
    target = decode(trimmed).strip(WHITE_SPACE) if b"&" in trimmed else trimmed
    text_is_url = tag == "a" and _text_is_url(data, stop)
    return Anchor(
        first, first + len(trimmed), quote, target, tag, text_is_url=text_is_url, conditional=conditional
    )


def _with_attributes(
    anchor: Anchor, data: bytes, values: dict[bytes, tuple[int, int, bytes]], marks: list[tuple[int, int]]
) -> Anchor:
    said = {name: decode(data[first:last]).strip(WHITE_SPACE) for name, (first, last, _) in values.items()}
    sublink = said.get(b"data-msys-sublink", b"")
    valid = SUBLINK.fullmatch(sublink) is not None
    return replace(
        anchor,
        name=_link_name(said),
        unsubscribe=said.get(b"data-msys-unsubscribe") == b"1",
        clicktrack=said.get(b"data-msys-clicktrack") != b"0",
        sublink=sublink.decode("ascii") if valid else "",
        attributes=tuple(marks),
        sublink_ignored=b"data-msys-sublink" in said and not valid,
    )


def _taken_out(data: bytes, found: re.Match[bytes]) -> tuple[int, int]:
    """What to remove so that neither its neighbours grow together nor a "/" joins an unquoted value."""
    start, stop = found.start(1), found.end()
    if data[stop] in _GAP or data[stop] == 0x3E:
        while data[start - 1] in _GAP:
            start -= 1
    return start, stop


def _link_name(said: dict[bytes, bytes]) -> str:
    raw = next((said[spelling] for spelling in _NAME_SPELLINGS if said.get(spelling)), b"")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("windows-1252", "replace")  # what a browser takes an unlabelled page for
    return text.encode("utf-8")[:_NAME_BYTES].decode("utf-8", "ignore")


def _text_is_url(data: bytes, start: int) -> bool:
    close = _CLOSE.search(data, start, start + _VISIBLE)
    if close is None:
        return False
    text = data[start : close.start()]
    if b"<" in text:
        text = _MARKUP.sub(b"", text)
    if b"." not in text:
        return False
    text = decode(text).replace(b"\xc2\xa0", b" ").strip(WHITE_SPACE)
    return _URL_TEXT.fullmatch(text) is not None
