"""Usual links: what nearly all links of a page are, from target to tracked URL in one step.

A target that has nothing but its path, query and fragment to itself, plain signs all of them: what stands
before was judged with another target. The link says nothing else, no name and no sublink. What is not usual
may be carried all the same: `urls.refusal` judges it, `token.CopySealer` seals it.

Invariants: a usual link's URL is the prefix and what `CopySealer.seal` gives; no target is sealed whose
origin was not given. There are two of `seal_usual`: in C where that was built (`engagement/links/_seal.c`),
else `seal_usual_by_parts`. Both leave the cipher to the library.
"""

from typing import Final

from engagement.links.model import Link
from engagement.links.payload import MAX_TARGET, pack_link
from engagement.links.token import CannotSeal, Sealing, seal_by_parts

try:
    from engagement.links import _seal
except ImportError:  # not built here: the same in more time
    _seal = None  # type: ignore[assignment] # a name for a module

_AFTER_SCHEME: Final = len("https://")
# What `urls.refusal` lets pass, but for the brace, with which the caller's macros begin.
_FIT: Final = bytes(code for code in range(0x21, 0x7F) if code not in b"\\{")


def origin(target: bytes) -> bytes | None:
    """What stands before a target's path, as `seal_usual` compares it; None where there is no path.

    Two fit targets with the same one have the same scheme, host and port, spelled alike.
    """
    slash = target.find(b"/", _AFTER_SCHEME)
    return target[:slash] if slash > 0 else None


def seal_common_by_parts(
    sealing: Sealing,
    prefix: bytes,
    most: int,
    origins: set[bytes],
    known: dict[bytes, bytes],
    targets: list[bytes | None],
) -> list[bytes]:
    """The URLs of the first of the targets, up to one that is not usual, or whose URL would be too long.

    prefix: the URL up to the token. most: bytes of a URL. origins: those of targets that may be carried.
    known: URLs by their targets, to be taken as they are; those made here are added. None is never usual.
    """
    urls = []
    for target in targets:
        if target is None:
            break
        url = known.get(target)
        if url is None:
            if not _is_usual(target, origins):
                break
            try:
                url = prefix + seal_by_parts(sealing, pack_link(Link(target)))
            except CannotSeal:
                break
            if len(url) > most:
                break
            known[target] = url
        urls.append(url)
    return urls


def _is_usual(target: bytes, origins: set[bytes]) -> bool:
    return origin(target) in origins and len(target) <= MAX_TARGET and not target.translate(None, _FIT)


seal_usual = seal_common_by_parts if _seal is None else _seal.seal_usual
