"""Opening a common link in one step, from the request's path to what the answer needs.

A common link is `/f/a/TOKEN` or `/q/TOKEN` with nothing behind the token. The token is of a known key and of
the kind that goes with its path, and a click's target may stand in a Location header. Nearly all requests
have this form. Not every link: where `read` returns None it may be a link with something odd about it, or a
forged one. `token`, `payload` and `urls` find out which.

Invariant: `read` returns what those three would, or None. There are two of it: one in C where that was built
(`engagement/links/_open.c`), else `read_by_parts`.
"""

from typing import Final

from engagement.links.keys import Ring
from engagement.links.model import CLICKS, OPENS, BadToken, Kind
from engagement.links.payload import peek
from engagement.links.token import Opener, opener, unseal
from engagement.links.urls import refusal

try:
    from engagement.links import _open
except ImportError:  # not built here: the same in more time
    _open = None  # type: ignore[assignment] # a name for a module

CLICK: Final = "/f/a/"  # how a link without a sublink begins
PIXEL: Final = "/q/"

# What a genuine token says, as far as an answer needs it: kind, payload, issued and expiry (Unix seconds),
# target (b"" for a pixel), whether something stood behind the token.
OpenedLink = tuple[Kind, bytes, int, int, bytes, bool]


class RingOpeners(dict[bytes, Opener | None]):
    """What opens a token, by the token's first four bytes (version, kind, key id).

    Filled when a token first asks for it. It holds at most one entry for each kind and key of the ring.
    """

    def __init__(self, ring: Ring) -> None:
        super().__init__()
        self.ring = ring

    def __missing__(self, clear: bytes) -> Opener | None:
        found = opener(clear, self.ring)
        if found is not None and found[0] in CLICKS | OPENS:
            self[clear] = found
            return found
        return None


def read_by_parts(path: str, openers: RingOpeners) -> OpenedLink | None:
    """Return what the path of a common link asks for, None for any other path.

    path: as PEP 3333's PATH_INFO.
    """
    begin = len(CLICK) if path.startswith(CLICK) else len(PIXEL) if path.startswith(PIXEL) else 0
    # A token ends with a letter or digit; what ends otherwise has something added.
    if not begin or not path.isascii() or not path[-1].isalnum():
        return None
    try:
        kind, _, packed = unseal(path[begin:].encode("ascii"), openers.ring)
        if kind not in (CLICKS if path[1] == "f" else OPENS):
            return None
        issued, expiry, target = peek(kind, packed)
    except BadToken:
        return None
    # Checked when sealed, too; but a ring shared with a faulty program must not matter.
    if kind in CLICKS and refusal(target) is not None:
        return None
    return kind, packed, issued, expiry, target, False


read = read_by_parts if _open is None else _open.read
