"""The interface of `_walk.c`, where it was built. Its twin is `smtpapi.find.html.scan_by_expressions`."""

from typing import Final

from smtpapi.find.model import Anchor

MORE: Final[int]  # nothing to handle so far, or one anchor more than wanted
TAG: Final[int]  # a tag to be read: it begins at start, and its name ends at position
COMMENT: Final[int]  # a comment that may be conditional; its "<!--" ends at position
CHECK_TEXT: Final[int]  # an anchor was appended whose text may be a URL; its tag ends at position

def walk(
    data: bytes,
    position: int,
    limit: int,
    anchors: list[Anchor],
    most: int,
    comments: bool,
    check_text: bool,
    /,
) -> tuple[int, int, int, int, int, int, bool, bool]:
    """Walk on from position until the caller must handle something, or a check of the time is due.

    position: an offset where the tokenizer is in the data state. anchors: those found are appended.
    comments: return at those that may be conditional. check_text: return at anchors whose text may be a URL.

    Return where the walk is, what is there (one of the above), and where the last tag begins. Then, of the
    tags passed: where the content of the first body begins, where the last `</body>` begins, where what is
    still open at the document's end begins (-1 for none of these), whether there was an html tag, and
    whether one of `Page.odd`.
    """
