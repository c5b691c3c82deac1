"""What `_walk.c` gives where it was built; its twin in Python is `smtpapi.find.html.scan_by_expressions`."""

from typing import Final

from smtpapi.find.model import Anchor

MORE: Final[int]  # nothing of interest so far, or one anchor more than wanted
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
    """On from position, where the tokenizer is in the data state, until something needs thought or a check
    of the time is due; the anchors on the way are appended.

    comments: come back for those that may be conditional. check_text: for anchors whose text may be a URL.
    Returns where it is, what is there (one of the above), where the last tag begins; and of the tags passed
    over where the content of the first body begins, where its last end tag does, where what the document
    ends inside begins (-1: none), and whether one was html, and one of `Page.odd`.
    """
