"""Find the tag or comment that a document leaves unclosed at its end.

A browser shows nothing of such a tag or comment, and whatever is appended to it becomes a part of it.
"""

from smtpapi.find import foreign
from smtpapi.find.html_syntax import markup
from smtpapi.mime.deadline import CheckTime


def among_skipped(data: bytes, position: int, limit: int, check_time: CheckTime) -> int:
    """Return where the last token from position on begins if limit cuts it; -1 if limit does not.

    position: an offset where the tokenizer is in the data state, with no raw text element up to limit. Raises
    whatever `check_time` raises.
    """
    while found := foreign.TOKEN.match(data, position, limit):
        position = found.end()
        token = found[1]
        if token is None:
            return -1
        start = found.start(1) - 1
        if token == b"!--":
            position = markup.closed_comment_end(data, position, limit)
        elif token[:1] == b"!" or (not token and data[position : position + 1] in (b"!", b"?", b"/")):
            position = data.find(b">", position, limit) + 1 or -1
        elif token:
            position = markup.tag_end(data, position, limit, check_time)
        if position < 0:
            return start
    return -1
