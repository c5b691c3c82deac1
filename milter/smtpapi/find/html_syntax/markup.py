"""Tags and comments of HTML, skipped or read, by the rules of WHATWG's tokenizer (HTML 13.2.5).

Not a parser: no tree, no repair. One compiled expression skips text, tags without interest, bogus comments
and doctypes in one go and stops at what needs thought; `attributes` reads one tag.

Invariants: every alternative consumes what it looked at, up to the end of the document if need be, so the
time is linear for any input; no match reads more than some thousands of tags and attributes, so that its
caller can look at the clock; and no repeated group can fail after a repetition inside it has matched
(CPython before 3.11.5 continues at the wrong place after that, gh-106052).
"""

import re
from collections.abc import Iterator
from typing import Final

from smtpapi.mime.deadline import CHECK_BYTES, CheckTime, no_deadline, paced

_NAME: Final = rb"[^ \t\n\f\r/>]*+"  # 13.2.5.8, tag name state
_BOGUS: Final = rb"[^>]*+(?:>|\Z)"  # 13.2.5.41; a doctype and "</>" end the same way
# 13.2.5.32 to 39. A value's quote counts only where a value may begin; "=" may begin a name.
_ATTRIBUTE: Final = (
    rb"[ \t\n\f\r/]*+[^ \t\n\f\r/>][^ \t\n\f\r/>=]*+"
    rb"(?:[ \t\n\f\r]*+=[ \t\n\f\r]*+"
    rb"(?:\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z)|[^ \t\n\f\r>\"'][^ \t\n\f\r>]*+|(?=>|\Z)))?"
)


def _rest(closed: bytes) -> bytes:
    # After the tag name. Nearly every attribute in mail is ` name="value"`; a tag without quotes ends at ">".
    # The end of the document inside a tag: no tag, and nothing after it.
    # More attributes than that are for `tag_end`.
    common = rb"(?:[ \t\n\f\r]++[A-Za-z:_-]++=\"[^\"]*+(?:\"|\Z)){0,40}+[^>\"'=]*+" + closed
    return rb"(?:%s|(?:%s){0,40}+[ \t\n\f\r/]*+(?:%s|\Z))" % (common, _ATTRIBUTE, closed)


_REST: Final = _rest(rb">")
_TAG_END: Final = re.compile(_rest(rb"(>)"))
_MANY_ATTRIBUTES: Final = re.compile(rb"(?:%s){0,1000}+[ \t\n\f\r/]*+(>)?" % _ATTRIBUTE)
_MOST_AT_ONCE: Final = 200  # bounds the memory of one match; 1000 made no document faster

# By far the most start tags, of names that hardly anybody waits for. A shape of `_rest`, sooner tried.
_COMMON_TAG: Final = (
    rb"(?:[tT][abdrhABDRH]|[cdeluCDELU]|[fF](?![rR][aA])|[sS][pmuPMU]|[bBiIpP](?=[ >])|[iI][mM]|[bB][rR]"
    rb"|[sS][tT][rR]|[hH][1-6rR]|[mM][eE])[A-Za-z0-9]*+"
    rb"(?: [A-Za-z:_-]++=(?:\"[^\"]*+\"|[A-Za-z0-9#%_.-]++)){0,40}+[^>\"'=]*+>"
)
_PLAIN_COMMENT: Final = rb"!--[^->][^-]*+-->"
_COMMON_COMMENT: Final = rb"!--(?!-?>)[^-]*+(?:-(?!-)[^-]*+){0,60}-->"  # the others are for `comment_end`

# One search for both: the one that is not there would be looked for to the document's end, in each comment.
_COMMENT_END: Final = re.compile(rb"-->|--!>")

# By far the most anchors: one href in double quotes, other attributes too, none of them ours or an opt-out
# (`anchors` knows those; their names end so).
_OTHER: Final = rb"[ \t\n\f\r]++(?![hH][rR][eE][fF]=|[dD][aA][tT][aA]-)[A-Za-z:_-]++(?<![kKgG])=\"[^\"]*+\""
_COMMON_ANCHOR: Final = (
    rb"(?:%s){0,20}[ \t\n\f\r]++[hH][rR][eE][fF]=\"([^\"]*+)\"(?:%s){0,20}[ \t\n\f\r]*+/?>" % (_OTHER, _OTHER)
)

# Begins at the name, so that the search for the next attribute passes over white space once.
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
    """An expression that skips to the next of the start tags, `</body>`, or a comment if they are wanted.

    Matched where the tokenizer is in the data state. Group 1 is then "!--" (a comment begins), a start tag's
    name, or "/" and an end tag's name; None where nothing of interest follows. Where an `a` has nothing but
    an href in double quotes and attributes of no interest, the match ends after the tag and group 3 is the
    href's value; else it ends after group 1. Group 2 is the name if it is an `a`. It may stop early: after
    many skipped tags, at a tag without interest (or of many attributes), at a comment that was not wanted.
    """
    after = rb"(?=[ \t\n\f\r/>])"
    wanted = rb"|".join(
        rb"%s(?:%s)%s" % (_either_case(letter), rb"|".join(rests), after)
        for letter, rests in _by_letter(starts)
    )
    tag = rb"[A-Za-z]" + _NAME + _REST
    skipped = (
        rb"/(?:[AC-Zac-z]|[bB](?=>))[^>\"']*+>",
        *(() if any(re.match(_COMMON_TAG, start + b">") for start in starts) else (_COMMON_TAG,)),
        rb"(?!%s)%s" % (wanted, tag),
        *(() if comments else (_PLAIN_COMMENT, _COMMON_COMMENT)),
        rb"/(?!%s%s)(?:%s|(?![A-Za-z])%s)" % (_either_case(b"body"), after, tag, _BOGUS),
        rb"(?:!(?!--)|\?)" + _BOGUS,
        rb"(?![A-Za-z/!?])",  # text
    )
    return re.compile(
        rb"(?:[^<]*+<(?:%s)){0,%d}[^<]*+(?:<(!--|(?=[aA]%s)([aA])|/?[A-Za-z]%s)(?(2)(?:%s)?))?"
        % (rb"|".join(skipped), _MOST_AT_ONCE, after, _NAME, _COMMON_ANCHOR)
    )


def _by_letter(words: tuple[bytes, ...]) -> Iterator[tuple[bytes, list[bytes]]]:
    for letter in sorted({word[:1] for word in words}):
        yield letter, [_either_case(word[1:]) for word in words if word[:1] == letter]


def tag_end(data: bytes, position: int, limit: int, check_time: CheckTime = no_deadline) -> int:
    """Just after the ">" of the tag whose name ends at position; -1 if the document ends inside it."""
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
    """Just after the comment whose "<!--" ends at position (13.2.5.43 to 52)."""
    end = closed_comment_end(data, position, limit)
    return limit if end < 0 else end


def closed_comment_end(data: bytes, position: int, limit: int) -> int:
    """As `comment_end`; -1 if the document ends inside the comment."""
    if data.startswith(b">", position, limit):
        return position + 1
    if data.startswith(b"->", position, limit):
        return position + 2
    found = _COMMENT_END.search(data, position, limit)
    return -1 if found is None else found.end()


def attributes(
    data: bytes, start: int, stop: int, check_time: CheckTime = no_deadline
) -> Iterator[re.Match[bytes]]:
    """Each attribute between a tag's name and its ">", duplicates too: a name and one of three values."""
    found = _READ.finditer(data, start, stop)
    return found if stop - start < CHECK_BYTES else paced(found, check_time)
