"""Where the links of a kept copy led, with what the copy leaves out: sealed, for those who have the key ring.

What stands behind a target's path may be its reader's alone, so no copy says it. Who has the ring could read
it in each link of the mail; nobody else reads it here. AES-SIV (RFC 5297), as tokens. Pure.
"""

import base64
import binascii
import zlib
from collections.abc import Sequence
from typing import Final

import msgpack
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from engagement.links.keys import Key, Ring
from engagement.links.payload import MAX_TARGET

_PURPOSE: Final = b"kept-targets"
_KEY_SIZE: Final = 64  # bytes, as of tokens
_MOST: Final = 24_576  # bytes of what is sealed: some 300 links; a copy with more goes without
_LARGEST: Final = 8 * 1024 * 1024  # bytes unpacked, far above what `seal` is given


def seal(targets: Sequence[bytes], key: Key) -> str:
    """Return targets so that only holders of the key read them, "" where they are too long together."""
    packed = zlib.compress(msgpack.packb(list(targets)))
    if len(packed) > _MOST:
        return ""
    header = key.id.to_bytes(2, "big")
    sealed = AESSIV(key.derive(_PURPOSE, size=_KEY_SIZE)).encrypt(packed, [header])
    return base64.b64encode(header + sealed).decode("ascii")


def unseal(sealed: str, ring: Ring) -> tuple[bytes, ...]:
    """Return the targets that `seal` was given; none of another ring, or of what is not ours."""
    try:
        raw = base64.b64decode(sealed, validate=True)
        key = ring.get(int.from_bytes(raw[:2], "big"))
        if key is None:
            return ()
        packed = AESSIV(key.derive(_PURPOSE, size=_KEY_SIZE)).decrypt(raw[2:], [raw[:2]])
        targets = msgpack.unpackb(zlib.decompressobj().decompress(packed, _LARGEST))
    except (binascii.Error, ValueError, InvalidTag, zlib.error, msgpack.UnpackException):
        return ()
    if not isinstance(targets, list):
        return ()
    return tuple(target for target in targets if isinstance(target, bytes) and len(target) <= MAX_TARGET)
