"""The links of an AMP4EMAIL document (contract.md 5.6): those of `a` elements, with targets that are known.

Not those of `area` elements.
"""

import sys
from typing import Final

from smtpapi.find import html
from smtpapi.find.model import Page
from smtpapi.mime.deadline import CheckTime, no_deadline

_MUSTACHE: Final = b"{{"  # amp-mustache fills it in when the mail is read; until then the target is not known


def scan(
    data: bytes, *, most: int = sys.maxsize, check_text: bool = True, check_time: CheckTime = no_deadline
) -> Page:
    """Return the page's `a` anchors whose targets hold no mustache, and the places for its pixels.

    most, check_text, check_time: as for `html.scan`. Raises whatever `check_time` raises.
    """
    page = html.scan(data, most=most, check_text=check_text, check_time=check_time)
    anchors = tuple(a for a in page.anchors if a.tag == "a" and _MUSTACHE not in a.target)
    return page._replace(anchors=anchors)
