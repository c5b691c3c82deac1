"""What `_seal.c` gives where it was built; each function's twin in Python says what it does."""

from engagement.links.token import Sealing

def seal(sealing: Sealing, link: bytes, /) -> bytes | None: ...
def seal_common(
    sealing: Sealing,
    prefix: bytes,
    most: int,
    origins: set[bytes],
    place: int,
    targets: list[bytes | None],
    /,
) -> list[bytes]: ...
