"""The notation `[[data-msys-…="…"]]` after a URL in plain text (contract.md 5.3, text notation).

Not a general attribute syntax: a bracket with any other attribute in it is the author's text.
"""

import re
from dataclasses import dataclass
from typing import Final

from smtpapi.find.anchors import SUBLINK
from smtpapi.mime.deadline import CHECK_BYTES, CheckTime, no_deadline

_VALUE: Final = rb"=(?:\"[^\"\r\n\]]*+\"|'[^'\r\n\]]*+'|[^\"'\s\]]++)"
_ATTRIBUTE: Final = rb"data-msys-(?:clicktrack|unsubscribe|sublink)" + _VALUE
_BRACKET: Final = re.compile(
    rb"\[\[[ \t]*+(" + _ATTRIBUTE + rb"(?:[ \t]++" + _ATTRIBUTE + rb"){0,99})[ \t]*+\]\]", re.IGNORECASE
)
_EACH: Final = re.compile(rb"data-msys-([a-z]+)=(?:\"([^\"]*)\"|'([^']*)'|([^\"'\s\]]+))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Notation:
    """What the brackets say. stop: the offset just after the last of them."""

    stop: int
    unsubscribe: bool
    clicktrack: bool
    sublink: str
    sublink_ignored: bool


def read(data: bytes, position: int, check_time: CheckTime = no_deadline) -> Notation | None:
    """Return what the brackets at position say, one pair or several in a row; None if none of them is ours.

    Raises whatever `check_time` raises.
    """
    given: dict[bytes, bytes] = {}
    stop = position
    check_at = position + CHECK_BYTES
    while found := _BRACKET.match(data, stop):
        stop = found.end()
        if stop > check_at:
            check_time()
            check_at = stop + CHECK_BYTES
        for each in _EACH.finditer(found[1]):
            given.setdefault(each[1].lower(), each[each.lastindex or 2].strip())
    if stop == position:
        return None
    sublink = given.get(b"sublink", b"")
    valid = SUBLINK.fullmatch(sublink) is not None
    return Notation(
        stop,
        unsubscribe=given.get(b"unsubscribe") == b"1",
        clicktrack=given.get(b"clicktrack") != b"0",
        sublink=sublink.decode("ascii") if valid else "",
        sublink_ignored=b"sublink" in given and not valid,
    )
