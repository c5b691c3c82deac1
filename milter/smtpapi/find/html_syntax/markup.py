"""Tags and comments of HTML, skipped or read, by the rules of WHATWG's tokenizer (HTML 13.2.5).

Not a parser: it builds no tree and repairs nothing. One compiled expression skips text, irrelevant tags,
bogus comments and doctypes, and stops at the next token that the caller must handle. `attributes` reads one
tag.

Invariants:
- Every alternative consumes what it has read, up to the end of the document if need be. So the time is linear
  for any input.
- No match reads more than some thousands of tags and attributes, so that the caller can check the time.
- No repeated group can fail after a repetition inside it has matched: CPython before 3.11.5 then continues at
  the wrong place (gh-106052).
"""

import re
from collections.abc import Iterator
from typing import Final

from smtpapi.mime.deadline import CHECK_BYTES, CheckTime, no_deadline, paced

_NAME: Final = rb"[^ \t\n\f\r/>]*+"  # 13.2.5.8, tag name state
_BOGUS: Final = rb"[^>]*+(?:>|\Z)"  # 13.2.5.41; a doctype and "</>" end in the same way
# 13.2.5.32 to 39. A quotation mark opens a value only where a value may begin. "=" may begin a name.
_ATTRIBUTE: Final = (
    rb"[ \t\n\f\r/]*+[^ \t\n\f\r/>][^ \t\n\f\r/>=]*+"
    rb"(?:[ \t\n\f\r]*+=[ \t\n\f\r]*+"
    rb"(?:\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z)|[^ \t\n\f\r>\"'][^ \t\n\f\r>]*+|(?=>|\Z)))?"
)


def _rest(closed: bytes) -> bytes:
    # What follows the tag's name. Nearly every attribute in mail is ` name="value"`, which is tried first.
    # Where the document ends inside the tag, there is no tag and nothing after it. Tags with more than 40
    # attributes are read by `tag_end`; mail that is not hostile has far fewer, and the number is a guess.
    common = rb"(?:[ \t\n\f\r]++[A-Za-z:_-]++=\"[^\"]*+(?:\"|\Z)){0,40}+[^>\"'=]*+" + closed
    return rb"(?:%s|(?:%s){0,40}+[ \t\n\f\r/]*+(?:%s|\Z))" % (common, _ATTRIBUTE, closed)


_REST: Final = _rest(rb">")
_TAG_END: Final = re.compile(_rest(rb"(>)"))
_MANY_ATTRIBUTES: Final = re.compile(rb"(?:%s){0,1000}+[ \t\n\f\r/]*+(>)?" % _ATTRIBUTE)
_MOST_AT_ONCE: Final = 200  # tags in one match; bounds its memory, and 1000 made no document faster

# A cheaper form of `_rest` for the names of most start tags, which callers rarely search for. Tried first.
_COMMON_TAG: Final = (
    rb"(?:[tT][abdrhABDRH]|[cdeluCDELU]|[fF](?![rR][aA])|[sS][pmuPMU]|[bBiIpP](?=[ >])|[iI][mM]|[bB][rR]"
    rb"|[sS][tT][rR]|[hH][1-6rR]|[mM][eE])[A-Za-z0-9]*+"
    rb"(?: [A-Za-z:_-]++=(?:\"[^\"]*+\"|[A-Za-z0-9#%_.-]++)){0,40}+[^>\"'=]*+>"
)
_SIMPLE_COMMENT: Final = rb"!--[^->][^-]*+-->"
_COMMON_COMMENT: Final = rb"!--(?!-?>)[^-]*+(?:-(?!-)[^-]*+){0,60}-->"  # `comment_end` reads the others

# One search for both. A search for one of them alone could run to the end of the document in each comment.
_COMMENT_END: Final = re.compile(rb"-->|--!>")

# The form of most anchors: one href in double quotes, and other attributes that are neither ours nor an
# opt-out. The names of all opt-outs in `anchors` end in "k" or "g".
_OTHER: Final = rb"[ \t\n\f\r]++(?![hH][rR][eE][fF]=|[dD][aA][tT][aA]-)[A-Za-z:_-]++(?<![kKgG])=\"[^\"]*+\""
_COMMON_ANCHOR: Final = (
    rb"(?:%s){0,20}[ \t\n\f\r]++[hH][rR][eE][fF]=\"([^\"]*+)\"(?:%s){0,20}[ \t\n\f\r]*+/?>" % (_OTHER, _OTHER)
)

# It begins at the name, so that the search for the next attribute reads white space only once.
_READ: Final = re.compile(
    rb"([^ \t\n\f\r/>][^ \t\n\f\r/>=]*+)"
    rb"(?:[ \t\n\f\r]*+=[ \t\n\f\r]*+(?:\"([^\"]*+)\"|'([^']*+)'|([^ \t\n\f\r>\"'][^ \t\n\f\r>]*+)|(?=>)))?"
)


def _either_case(word: bytes) -> bytes:
    return b"".join(
        b"[%c%c]" % (letter, letter ^ 0x20) if chr(letter).isalpha() else re.escape(bytes([letter]))
        for letter in word
    )


def tokens(*starts: bytes, comments: bool = False) -> re.Pattern[bytes]:
    """Return an expression that skips to the next of the start tags, to `</body>`, or to a comment.

    starts: names of start tags, in lower case. comments: stop at comments too.

    Match it where the tokenizer is in the data state. Group 1 is "!--" where a comment begins, else the name
    of the tag, with "/" before that of an end tag; None where nothing more is found. Group 2 is the name if
    it is an `a`. If that `a` has the common form, with one href in double quotes, the match ends after the
    tag and group 3 is the href's value. Otherwise it ends after group 1. A match may also stop early: after
    many tags, or at a tag or comment that nobody asked for.
    """
    after = rb"(?=[ \t\n\f\r/>])"
    requested = rb"|".join(
        rb"%s(?:%s)%s" % (_either_case(letter), rb"|".join(rests), after)
        for letter, rests in _by_letter(starts)
    )
    tag = rb"[A-Za-z]" + _NAME + _REST
    skipped = (
        rb"/(?:[AC-Zac-z]|[bB](?=>))[^>\"']*+>",
        *(() if any(re.match(_COMMON_TAG, start + b">") for start in starts) else (_COMMON_TAG,)),
        rb"(?!%s)%s" % (requested, tag),
        *(() if comments else (_SIMPLE_COMMENT, _COMMON_COMMENT)),
        rb"/(?!%s%s)(?:%s|(?![A-Za-z])%s)" % (_either_case(b"body"), after, tag, _BOGUS),
        rb"(?:!(?!--)|\?)" + _BOGUS,
        rb"(?![A-Za-z/!?])",  # text
    )
    return re.compile(
        rb"(?:[^<]*+<(?:%s)){0,%d}[^<]*+(?:<(!--|(?=[aA]%s)([aA])|/?[A-Za-z]%s)(?(2)(?:%s)?))?"
        % (rb"|".join(skipped), _MOST_AT_ONCE, after, _NAME, _COMMON_ANCHOR)
    )


def _by_letter(names: tuple[bytes, ...]) -> Iterator[tuple[bytes, list[bytes]]]:
    for letter in sorted({name[:1] for name in names}):
        yield letter, [_either_case(name[1:]) for name in names if name[:1] == letter]


def tag_end(data: bytes, position: int, limit: int, check_time: CheckTime = no_deadline) -> int:
    """Return the offset after the ">" of the tag whose name ends at position; -1 if limit cuts the tag.

    Raises whatever `check_time` raises.
    """
    found = _TAG_END.match(data, position, limit)
    while found is None:
        found = _MANY_ATTRIBUTES.match(data, position, limit)
        assert found is not None  # it matches everywhere
        position = found.end()
        if found.lastindex is None and position < limit:
            found = None
            check_time()
    return -1 if found.lastindex is None else found.end()


def comment_end(data: bytes, position: int, limit: int) -> int:
    """Return the offset after the comment whose "<!--" ends at position; limit if limit cuts the comment.

    Source: 13.2.5.43 to 52.
    """
    end = closed_comment_end(data, position, limit)
    return limit if end < 0 else end


def closed_comment_end(data: bytes, position: int, limit: int) -> int:
    """Return the same as `comment_end`, but -1 if limit cuts the comment."""
    if data.startswith(b">", position, limit):
        return position + 1
    if data.startswith(b"->", position, limit):
        return position + 2
    found = _COMMENT_END.search(data, position, limit)
    return -1 if found is None else found.end()


def attributes(
    data: bytes, start: int, stop: int, check_time: CheckTime = no_deadline
) -> Iterator[re.Match[bytes]]:
    """Return the matches of all attributes in data[start:stop], duplicates included.

    start: where the tag's name ends. stop: after its ">". Group 1 is the name; the value is in one of groups
    2 to 4, or there is none. The iterator raises whatever `check_time` raises.
    """
    found = _READ.finditer(data, start, stop)
    return found if stop - start < CHECK_BYTES else paced(found, check_time)
