"""The links of an AMP4EMAIL document (contract.md 5.6): `a` alone, and none that is made in the reader.

Not `area`, which AMP for email does not have as a link of its own events.
"""

import sys
from typing import Final

from smtpapi.find import html
from smtpapi.find.model import Page
from smtpapi.mime.deadline import CheckTime, no_deadline

_MUSTACHE: Final = b"{{"  # amp-mustache fills it in when the mail is read: the target is not known here


def scan(
    data: bytes, *, most: int = sys.maxsize, check_text: bool = True, check_time: CheckTime = no_deadline
) -> Page:
    """Return the page's `a` anchors whose targets hold no mustache, and the places for its pixels.

    most, check_text, check_time: as for `html.scan`.
    """
    page = html.scan(data, most=most, check_text=check_text, check_time=check_time)
    anchors = tuple(a for a in page.anchors if a.tag == "a" and _MUSTACHE not in a.target)
    return page._replace(anchors=anchors)
