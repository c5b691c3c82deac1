"""A kept copy of a mail as a document for a frame, with each link's share drawn where the link ends. Pure.

The copy holds nothing that loads, runs or leads anywhere; the frame's own policy (`web.headers.FRAMED`) holds
all the same, whatever a copy holds.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from markupsafe import escape

from engagement.html_copies.model import MARK, HtmlCopy
from tracker_web.pages.content.numbers import grouped, percent

_HEAT: Final = (0.3, 0.1, 0.02, 0.0)  # least shares of the colours, the warmest first
_STYLE: Final = """
html{color-scheme:light;background:#fff;color:#000}
body{margin:8px}
.smtpapi-tracked{outline:1.5px solid #23704a!important;outline-offset:2px!important;cursor:default!important}
.smtpapi-picture{display:inline-block;box-sizing:border-box;max-width:100%;overflow:hidden;vertical-align:bottom;
background:#f1efea;color:#5a564f;border:1px dashed #b9b4aa;font:12px/1.4 sans-serif;padding:1px 4px;
min-width:1em;min-height:1.2em}
.smtpapi-share{all:initial!important;display:inline-block!important;font:700 11px/15px sans-serif!important;
white-space:nowrap!important;padding:0 5px!important;margin:0 3px!important;border-radius:8px!important;
vertical-align:middle!important}
@media (max-width:600px){body{zoom:.8}}@media (max-width:480px){body{zoom:.65}}
@media (max-width:380px){body{zoom:.55}}
.heat-0{background:#17563a!important;color:#fff!important}.heat-1{background:#2f7d57!important;color:#fff!important}
.heat-2{background:#bfe3cf!important;color:#0d3a25!important}.heat-3{background:#e7e4de!important;color:#45423c!important}
"""


class Clicks(NamedTuple):
    """Clicks of people on one link, and their share of all links' of the copy, None where there are none."""

    people: int
    share: float | None


def framed(copy: HtmlCopy, html: str, clicks: Mapping[int, Clicks], title: str) -> str:
    """Return the document. clicks: by the link's ordinal. title: of the frame, as text."""

    def badge(found: "re.Match[str]") -> str:
        ordinal = int(found[1])
        seen = clicks.get(ordinal, Clicks(0, None))
        share = f" · {percent(seen.share)}" if seen.share is not None else ""
        hint = f"{grouped(seen.people)}"
        return (
            f'<span class="smtpapi-share heat-{_heat(seen.share)}" title="{escape(hint)}">'
            f"{ordinal + 1}{share}</span>"
        )

    known = {link.ordinal for link in copy.links}
    marked = MARK.sub(lambda found: badge(found) if int(found[1]) in known else "", html)
    return (
        '<!DOCTYPE html>\n<html lang="und"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><title>{escape(title)}</title></head>\n'
        f"<body>{marked}<style>{_STYLE}</style></body></html>\n"
    )


def _heat(share: float | None) -> int:
    return next((place for place, least in enumerate(_HEAT) if share and share >= least), len(_HEAT) - 1)
