"""The end of a URL in running text: brackets, quotation marks and the sentence's own punctuation.

Not which bytes a URL may hold: `text` decides that, and passes in the run of such bytes.
"""

import re
from typing import Final, NamedTuple

from smtpapi.mime.deadline import CHECK_BYTES, CheckTime, no_deadline, paced

_BRACKET: Final = re.compile(rb"[()\[\]{}]")
_OPENER: Final = {b")": b"(", b"]": b"[", b"}": b"{"}
_PUNCTUATION: Final = re.compile(rb"[.,;:!?'\"|^)\]}*_~]*+")
_TRAILING: Final = b".,;:!?'\"|^"
_TAG: Final = re.compile(rb"\[[A-Za-z]{1,20}=\Z")  # [url=https://x.example]label[/url]
_ON: Final = re.compile(rb"[A-Za-z0-9/?&=%#+\-_~$@*]")  # after a mark: the URL may go on
_OPEN: Final = -2  # no offset: a bracket stays open
_EMPHASIS: Final = b"*_~"  # removed from the end if the same mark stands before the URL


class UrlEnd(NamedTuple):
    """Where a URL ends within its run, punctuation included. certain: all mail programs agree about it."""

    stop: int
    certain: bool


def url_end(data: bytes, start: int, run: int, check_time: CheckTime = no_deadline) -> UrlEnd:
    """Return where the URL that begins at start ends, in data[start:run].

    A closing bracket that nothing in the URL opens may end it. That is certain if only punctuation follows,
    or if the opening bracket stands right before the URL. Otherwise the whole run is returned, as uncertain.
    Raises whatever `check_time` raises.
    """
    before = data[start - 1 : start]
    if before == b"'":
        quote = data.find(b"'", start, run)
        if quote >= 0:
            if _ON.match(data, quote + 1):  # it may be an apostrophe or the end
                return UrlEnd(run, certain=False)
            run = quote
    unbalanced = _first_unbalanced(data, start, run, check_time)
    if unbalanced == _OPEN:
        return UrlEnd(run, certain=False)
    if unbalanced < 0:
        return UrlEnd(run, certain=True)
    opener = _OPENER[data[unbalanced : unbalanced + 1]]
    own = before == opener or (
        opener == b"[" and before == b"=" and _TAG.search(data, max(0, start - 22), start)
    )
    if own or only_punctuation(data, unbalanced, run):
        return UrlEnd(unbalanced, certain=True)
    return UrlEnd(run, certain=False)


def only_punctuation(data: bytes, start: int, stop: int) -> bool:
    """Return whether data[start:stop] holds only closing brackets and punctuation."""
    found = _PUNCTUATION.match(data, start, stop)
    return found is not None and found.end() == stop


def without_punctuation(data: bytes, start: int, stop: int) -> int:
    """Return the end of the URL in data[start:stop] without the sentence's punctuation."""
    before = data[start - 1 : start]
    trailing = _TRAILING + before if before and before in _EMPHASIS else _TRAILING
    return start + len(data[start:stop].rstrip(trailing))


def _first_unbalanced(data: bytes, start: int, stop: int, check_time: CheckTime) -> int:
    """Return where the first closing bracket that nothing opens is; `_OPEN` if one stays open, else -1."""
    opened: list[bytes] = []
    brackets = _BRACKET.finditer(data, start, stop)
    for found in brackets if stop - start < CHECK_BYTES else paced(brackets, check_time):
        bracket = found[0]
        if bracket not in _OPENER:
            opened.append(bracket)
        elif opened and opened[-1] == _OPENER[bracket]:
            opened.pop()
        else:
            return found.start()
    return _OPEN if opened else -1
