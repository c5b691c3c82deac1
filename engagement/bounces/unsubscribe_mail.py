"""A mail to the `mailto:` address of our List-Unsubscribe (RFC 2369 3.2), as the wish that it is.

Its subject is what the filter wrote there: `unsubscribe`, a blank, and the link's token. Who sent it does not
matter: whoever has the token may post to its link as well. Pure. Invariant: nothing raises, whatever comes.
"""

import re
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from hashlib import blake2b
from typing import Final

from engagement.events.ids import reported_id
from engagement.events.model import Hit
from engagement.links.keys import Ring
from engagement.links.model import BadToken, Kind
from engagement.links.token import open_token

_WORD: Final = "unsubscribe"
_MOST: Final = 4096  # characters of a subject that are read; with the longest token it has 1,000
_BLANKS: Final = re.compile(r"\s+")


def token_in(data: bytes) -> bytes:
    """Return what stands for a token in a mail's subject; b"" for other mail.

    What programs answer (RFC 3834 5) is other mail.
    """
    try:
        mail = message_from_bytes(data, policy=policy.compat32)
        subject = str(make_header(decode_header(str(mail.get("Subject", ""))[:_MOST])))
        automatic = str(mail.get("Auto-Submitted", "no")).strip().lower() != "no"
    except Exception:  # noqa: BLE001 - the standard library's parser raises of many kinds on odd mail
        return b""
    # A mail program may fold the long word, and so put blanks into it.
    text = _BLANKS.sub("", subject)
    is_wish = not automatic and text[: len(_WORD)].lower() == _WORD
    return text[len(_WORD) :].encode("ascii", "replace") if is_wish else b""


def wish_of_token(token: bytes, ring: Ring, now_ms: int) -> Hit | None:
    """Return the wish as the tracker would record it; None for a token that proves nothing.

    now_ms: Unix milliseconds. The same token gives the same event id at the same time.
    """
    try:
        opened = open_token(token, ring)
    except BadToken:
        return None
    if opened.kind is not Kind.LIST_UNSUBSCRIBE:
        return None
    event_id = reported_id(now_ms, _WORD, blake2b(opened.packed, digest_size=16).hexdigest())
    expired = now_ms > opened.identity.expiry * 1000
    return Hit(
        event_id,
        opened.kind,
        now_ms,
        opened.packed,
        "",
        "",
        "",
        "",
        "POST",
        "",
        spoiled=False,
        expired=expired,
    )
