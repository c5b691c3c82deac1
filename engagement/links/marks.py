"""Marks of tracked URLs: by which an address that was computed again is proved, and none can be made.

A mark is the BLAKE2b of the whole URL, 6 bytes long. Of some thousand computed addresses and 256 marks, the
most there are, two meet by chance once in a hundred million messages; and nothing is read off a mark, as what
a token holds is encrypted under a key of ours.
"""

import re
from collections.abc import Iterable
from hashlib import blake2b
from itertools import islice
from typing import Final

from engagement.links.urls import SUBLINK

SIZE: Final = 6  # bytes of a mark
MOST: Final = 256  # links of one message that have marks: 1.5 KiB of its record; letters have some fifty

MOST_SUBLINKS: Final = 16  # of one message: each is tried with each token, and senders use one or two

_HEAD: Final = re.compile(rb"(https?://[^/]+)/f/([^/]+)")


def mark(url: bytes) -> bytes:
    """Return the mark of a tracked URL."""
    return blake2b(url, digest_size=SIZE).digest()


def marks(urls: Iterable[bytes]) -> bytes:
    """Return the marks of the first MOST tracked URLs, one behind the other."""
    return b"".join([mark(url) for _, url in zip(range(MOST), urls, strict=False)])


def base_and_sublinks(urls: Iterable[bytes]) -> tuple[str, tuple[str, ...]]:
    """Return what stands before the path of a message's tracked URLs, and the sublinks in them.

    Those of the first MOST URLs, MOST_SUBLINKS at most; "" and none for URLs that are none of ours.
    """
    base, sublinks = "", list[str]()
    for head in dict.fromkeys(url[: url.rfind(b"/")] for url in islice(urls, MOST)):
        if found := _HEAD.fullmatch(head):
            base = base or found[1].decode("latin-1")
            sublinks += [found[2].decode("latin-1")] if found[2] != b"a" else []
    return base, tuple(each for each in sublinks if SUBLINK.fullmatch(each))[:MOST_SUBLINKS]
