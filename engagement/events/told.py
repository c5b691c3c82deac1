"""Ids of events that are told by something outside: they follow from what is told, so that twice is once.

Text of a UUID of version 8 (RFC 9562 5.8): 48 bits of the time, then a hash.
"""

from hashlib import blake2b

_MAX_MS = (1 << 48) - 1


def told_id(at_ms: int, *parts: str) -> str:
    """Return the id of what happened at a time (Unix milliseconds) and is told apart by these texts."""
    framed = b"".join(
        len(data).to_bytes(4, "big") + data
        for data in (part.encode("utf-8", "surrogatepass") for part in parts)
    )
    rest = int.from_bytes(blake2b(framed, digest_size=10, person=b"told").digest(), "big")
    head = f"{min(max(at_ms, 0), _MAX_MS):012x}"
    upper = 0b10 << 14 | rest >> 48 & 0x3FFF
    # The last two bits stay free for derived events (`ids`).
    return f"{head[:8]}-{head[8:]}-8{rest >> 62 & 0xFFF:03x}-{upper:04x}-{rest & 0xFFFFFFFFFFFC:012x}"
