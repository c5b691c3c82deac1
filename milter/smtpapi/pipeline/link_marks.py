"""What the record of a message keeps of its tracked links, so that their addresses can be computed again.

Only where a copy of the mail's HTML is asked for (`keep_html_days`): who looks at that wants to see where its
links lead, and what the reader got in their place.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from engagement.links.keys import Key
from engagement.links.marks import base_and_sublinks, marks
from smtpapi.model.edit import Edit

NO_LINK_FACTS: Final[dict[str, Any]] = {
    "link_base": "",
    "link_key": 0,
    "link_expiry": 0,
    "sublinks": (),
    "link_marks": b"",
}
_SOFT_BREAK: Final = re.compile(rb"=\r?\n")


def link_facts(edits: Iterable[Edit], key: Key, expiry: int) -> dict[str, Any]:
    """Return fields of `Injection`: those that are about tracked links; none where there is no link.

    key: which sealed them. expiry: of the links, Unix seconds.
    """
    urls = list(_urls(edits))
    base, sublinks = base_and_sublinks(urls)
    if not base:
        return {}
    return {
        "link_base": base,
        "link_key": key.id,
        "link_expiry": expiry,
        "sublinks": sublinks,
        "link_marks": marks(urls),
    }


def _urls(edits: Iterable[Edit]) -> Iterator[bytes]:
    """Yield the tracked URLs as a mail program reads them: without the part's encoding and charset."""
    for edit in edits:
        if edit.inner:
            yield from _urls(edit.inner)
        elif edit.kind == "link":
            url = edit.new
            yield _SOFT_BREAK.sub(b"", url).replace(b"\0", b"") if b"=" in url or b"\0" in url else url
