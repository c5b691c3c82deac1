"""Read one anchor's tag: its href, and what its data-msys-* attributes say (contract.md 5.3).

Not whether its target may be tracked.
"""

import re
from typing import Final

from smtpapi.find.html_syntax import markup
from smtpapi.find.html_syntax.entities import decode
from smtpapi.find.model import WHITE_SPACE, Anchor
from smtpapi.mime.deadline import CheckTime, no_deadline

# Limits of contract.md 5.3: a sublink has at most 64 characters, a name 63 bytes.
SUBLINK: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NAME_BYTES: Final = 63
_GAP: Final = frozenset(WHITE_SPACE)
_NAME_SPELLINGS: Final = (b"data-msys-linkname", b"data-msys-link-name")

# Attributes of other mail services that exclude a link from tracking: a flag (ses:no-track, data-pm-no-track,
# mc:disable-tracking, data-mailgun-notrack), or a switch that says "off" (clicktracking).
_FLAGS: Final = (b"no-track", b"notrack", b"disable-tracking")
_SWITCHES: Final = (b"clicktracking", b"autotrack")
_NO: Final = frozenset((b"0", b"no", b"off", b"false"))

_QUOTES: Final = (b"", b"", b'"', b"'", b"")  # by the group of markup.attributes that holds the value
_NO_VALUE: Final = (-1, -1, b"")


def read_anchor(
    data: bytes,
    tag: str,
    start: int,
    limit: int,
    *,
    conditional: bool = False,
    check_time: CheckTime = no_deadline,
) -> tuple[int, Anchor | None]:
    """Return where the tag ends, and its anchor, which is None if the tag has no href with a value.

    tag: the name in lower case. start: where that name ends. limit: the end of what may be read; it is
    returned if it cuts the tag. conditional: the tag is in an Outlook conditional comment. Raises whatever
    `check_time` raises.
    """
    stop = markup.tag_end(data, start, limit, check_time)
    if stop < 0:
        return limit, None
    values: dict[bytes, tuple[int, int, bytes]] = {}
    marks: list[tuple[int, int]] = []
    opt_out = False
    before = start
    for found in markup.attributes(data, start, stop, check_time):
        name = found[1].lower()
        ours = name.startswith(b"data-msys-")
        if ours:
            marks.append(_taken_out(data, found, before))
        before = found.end()
        if (ours or name == b"href") and name not in values:
            which = found.lastindex or 1
            values[name] = (*found.span(which), _QUOTES[which]) if which > 1 else _NO_VALUE
        elif not ours and name.endswith((b"track", b"tracking")):
            which = found.lastindex or 1
            opt_out |= _is_opt_out(name, found[which] if which > 1 else b"")
    href = values.pop(b"href", _NO_VALUE)
    if href == _NO_VALUE:
        return stop, None
    first, last, quote = href
    anchor = href_anchor(first, data[first:last], check_time)
    if tag != "a" or quote != b'"' or conditional or opt_out:
        anchor = anchor._replace(tag=tag, quote=quote, conditional=conditional, opt_out=opt_out)
    return stop, _with_attributes(anchor, data, values, marks, check_time) if values else anchor


def href_anchor(start: int, value: bytes, check_time: CheckTime = no_deadline) -> Anchor:
    """Return the anchor of `<a href="value">`, whose value begins at start.

    Raises whatever `check_time` raises.
    """
    target = value.strip(WHITE_SPACE)
    length = len(target)
    if length != len(value):
        start += len(value) - len(value.lstrip(WHITE_SPACE))
    if b"&" in target:
        target = decode(target, check_time).strip(WHITE_SPACE)
    return Anchor(start, start + length, b'"', target)


def _with_attributes(
    anchor: Anchor,
    data: bytes,
    values: dict[bytes, tuple[int, int, bytes]],
    marks: list[tuple[int, int]],
    check_time: CheckTime,
) -> Anchor:
    given = {
        name: decode(data[first:last], check_time).strip(WHITE_SPACE)
        for name, (first, last, _) in values.items()
    }
    sublink = given.get(b"data-msys-sublink", b"")
    valid = SUBLINK.fullmatch(sublink) is not None
    return anchor._replace(
        name=_link_name(given),
        unsubscribe=given.get(b"data-msys-unsubscribe") == b"1",
        clicktrack=given.get(b"data-msys-clicktrack") != b"0",
        sublink=sublink.decode("ascii") if valid else "",
        attributes=tuple(marks),
        sublink_ignored=b"data-msys-sublink" in given and not valid,
    )


def _is_opt_out(name: bytes, value: bytes) -> bool:
    """Return whether an attribute says that its link is not to be tracked. name: in lower case."""
    refused = value.strip(WHITE_SPACE).lower() in _NO
    return refused if name.endswith(_SWITCHES) else not refused and name.endswith(_FLAGS)


def _taken_out(data: bytes, found: re.Match[bytes], before: int) -> tuple[int, int]:
    """Return the span that removes an attribute from its tag.

    Its neighbours stay apart, and no "/" comes to stand right after an unquoted value. before: where the
    attribute or name before it ends.
    """
    start, stop = found.start(1), found.end()
    if data[stop] in _GAP or data[stop] == 0x3E:
        start = before + len(data[before:start].rstrip(WHITE_SPACE))
    return start, stop


def _link_name(given: dict[bytes, bytes]) -> str:
    raw = next((given[spelling] for spelling in _NAME_SPELLINGS if given.get(spelling)), b"")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("windows-1252", "replace")  # as a browser reads a page without a label
    return text.encode("utf-8")[:_NAME_BYTES].decode("utf-8", "ignore")
