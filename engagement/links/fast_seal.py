"""Sealing common links in one step, from the targets to the tracked URLs.

A common link has a target of printable ASCII characters whose origin (scheme, host, port) was checked before,
with another target. It has no name and no sublink. Nearly all links of a page are such. Not every link that
may be tracked: for the others `urls.refusal` checks the target, and `token.CopySealer` seals it.

Invariants: the URL of a common link is the prefix and what `CopySealer.seal` returns. No target is sealed
whose origin was not given. There are two of `seal_common`: one in C where that was built
(`engagement/links/_seal.c`), else `seal_common_by_parts`. Both leave the cipher to the library.
"""

from typing import Final

from engagement.links.payload import MAX_FLAGS, MAX_TARGET, PLACE_STEP, pack_target
from engagement.links.token import CannotSeal, Sealing, seal_by_parts

try:
    from engagement.links import _seal
except ImportError:  # not built here: the same in more time
    _seal = None  # type: ignore[assignment] # a name for a module

_AFTER_SCHEME: Final = len("https://")
# The characters that `urls.refusal` allows, without the brace, which begins the caller's macros.
_FIT: Final = bytes(code for code in range(0x21, 0x7F) if code not in b"\\{")


def origin(target: bytes) -> bytes | None:
    """Return what stands before a target's path, None where there is no path.

    Two targets of allowed characters with the same origin have the same scheme, host and port, spelled alike.
    """
    slash = target.find(b"/", _AFTER_SCHEME)
    return target[:slash] if slash > 0 else None


def seal_common_by_parts(
    sealing: Sealing,
    prefix: bytes,
    most: int,
    origins: set[bytes],
    place: int,
    targets: list[bytes | None],
) -> list[bytes]:
    """Return the URLs of the first targets, up to the first that is not common or whose URL is too long.

    sealing: of the copy and kind. prefix: the URL up to the token. most: the most bytes a URL may have.
    origins: those of targets that may be tracked. place: of the first link (`payload.first_place`), 0 and up;
    each next one is one further in the part. targets: None stands for a link that is not common.
    """
    urls = []
    for target in targets:
        if target is None or place + PLACE_STEP > MAX_FLAGS or not _is_common(target, origins):
            break
        try:
            url = prefix + seal_by_parts(sealing, pack_target(target, place))
        except CannotSeal:
            break
        if len(url) > most:
            break
        urls.append(url)
        place += PLACE_STEP
    return urls


def _is_common(target: bytes, origins: set[bytes]) -> bool:
    return origin(target) in origins and len(target) <= MAX_TARGET and not target.translate(None, _FIT)


seal_common = seal_common_by_parts if _seal is None else _seal.seal_common
